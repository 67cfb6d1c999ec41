//! Properties of runs on random workloads and clusters.

use proptest::prelude::*;
use tepui_sim::{Failures, Options, Placement, Time, output, summary};

use super::*;

#[derive(Clone, Debug)]
pub(super) struct RandomJob {
    submit: u16,
    run: u16,
    estimate: u16,
    cpus: u8,
    mem: u8,
    gpus: u8,
    tasks: u8,
    pub(super) user: u8,
}

pub(super) fn random_jobs() -> impl Strategy<Value = Vec<RandomJob>> {
    let job = (
        0..50_u16,
        0..60_u16,
        1..60_u16,
        1..5_u8,
        0..4_u8,
        0..12_u8,
        1..5_u8,
        0..4_u8,
    )
        .prop_map(
            |(submit, run, estimate, cpus, mem, gpus, tasks, user)| RandomJob {
                submit,
                run,
                estimate,
                cpus,
                mem,
                gpus,
                tasks,
                user,
            },
        );
    prop::collection::vec(job, 1..40)
}

/// Those that take gangs and parts of GPUs.
fn policies() -> impl Strategy<Value = BuiltIn> {
    let all = BuiltIn::ALL.map(|(_, policy, _)| policy);
    let all = all.into_iter().filter(|policy| *policy != BuiltIn::Engine);
    prop::sample::select(all.collect::<Vec<_>>())
}

pub(super) fn workload(random: &[RandomJob]) -> Workload {
    let mut text = String::new();
    for (job, id) in random.iter().zip(0..) {
        let gpus = [0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.3, 0.5, 0.7, 1.0, 1.0, 2.0][job.gpus as usize];
        text += &format!(
            "{{\"id\":{id},\"submit_s\":{},\"run_s\":{},\"estimate_s\":{},\"cpus\":{},\"mem_mib\":{},\"gpus\":{gpus},\"tasks\":{},\"role\":\"g{}/u{}\"}}\n",
            job.submit,
            job.run,
            job.estimate,
            job.cpus,
            job.mem,
            job.tasks,
            job.user % 2,
            job.user
        );
    }
    jobs(&text)
}

pub(super) const NODES: &str = "2xcpus:4;mem:6;gpus:2,cpus:8;mem:4,cpus:2;mem:20;gpus:4";

/// What each node holds at each start never exceeds what it has: checked anew from the results.
pub(super) fn check_never_over_allocated(outcome: &Outcome) -> Result<(), TestCaseError> {
    let world = &outcome.world;
    let ids: Vec<JobId> = (0..world.workload().jobs.len() as u32).map(JobId).collect();
    let done: Vec<JobId> = ids
        .into_iter()
        .filter(|job| world.state(*job).phase == Phase::Completed)
        .collect();
    for &at in &done {
        let now = world.state(at).start;
        // Jobs without length hold nothing at any time; the ledger's own assertions see them.
        let running = done.iter().filter(|job| {
            let state = world.state(**job);
            state.start <= now && now < state.end
        });
        let mut held = vec![[0_u64; 4]; world.cluster().len()];
        let mut devices = vec![[0_u64; 32]; world.cluster().len()];
        for &job in running {
            let demand = world.cluster().ask(world.job(job)).demand.lanes();
            let mut tasks = 0;
            for piece in world.last_pieces(job) {
                tasks += piece.tasks;
                for lane in 0..4 {
                    held[piece.node.0 as usize][lane] +=
                        u64::from(demand[lane]) * u64::from(piece.tasks);
                }
                for device in (0..32).filter(|device| piece.gpus & 1 << device != 0) {
                    let part = if demand[2] >= 1000 {
                        1000
                    } else {
                        u64::from(demand[2] * piece.tasks)
                    };
                    devices[piece.node.0 as usize][device] += part;
                }
            }
            prop_assert_eq!(tasks, world.job(job).tasks, "a gang runs as a whole");
        }
        for (node, held) in (0..).map(tepui_sim::NodeId).zip(&held) {
            let total = world.cluster().total(node).lanes();
            for lane in 0..4 {
                prop_assert!(
                    held[lane] <= u64::from(total[lane]),
                    "node {node:?} lane {lane} at {now}"
                );
            }
            prop_assert!(devices[node.0 as usize].iter().all(|&used| used <= 1000));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_over_allocated_and_every_job_is_accounted_for(
        random in random_jobs(),
        policy in policies(),
        placement in prop::sample::select(Placement::ALL.map(|(_, placement, _)| placement).to_vec()),
        seed in 0..1000_u64,
    ) {
        let options = Options { placement, seed, ..Options::default() };
        let outcome = run(workload(&random), NODES, policy, options);
        check_never_over_allocated(&outcome)?;
        let summary = summary::summarise(&outcome, "t", "p", "f", seed);
        let counts = summary.jobs;
        prop_assert_eq!(counts.submitted, random.len() as u64);
        prop_assert_eq!(counts.completed + counts.rejected, counts.submitted, "{:?}", times(&outcome));
        prop_assert_eq!(outcome.world.cluster().used(), [0; 4]);
        prop_assert!(summary.utilisation.values().all(|part| (0.0..=1.0).contains(part)));
        prop_assert!(summary.slowdown.mean >= 1.0 || counts.completed == 0);
    }

    #[test]
    fn the_engine_runs_jobs_of_one_task(random in random_jobs()) {
        let single: Vec<RandomJob> = random.iter().map(|job| RandomJob { tasks: 1, gpus: job.gpus % 2 * 9, ..job.clone() }).collect();
        let outcome = run(workload(&single), NODES, BuiltIn::Engine, Options::default());
        check_never_over_allocated(&outcome)?;
        let counts = summary::summarise(&outcome, "t", "p", "f", 0).jobs;
        prop_assert_eq!(counts.completed + counts.rejected, counts.submitted);
        prop_assert_eq!(outcome.world.cluster().used(), [0; 4]);
    }
}

proptest! {
    // Plots take most of the time.
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn equal_seeds_give_equal_bytes(
        random in random_jobs(),
        policy in policies(),
        seed in 0..1000_u64,
        latency in 0..3_u64,
    ) {
        let failures = Failures { mtbf: Time::from_secs(300), mttr: Time::from_secs(20), attempts_max: 3 };
        let options = Options {
            placement: Placement::Random, seed, failures: Some(failures), latency: Time::from_secs(latency), until: None,
        };
        let bytes = || {
            let outcome = run(workload(&random), NODES, policy, options);
            let dir = tempfile::tempdir().unwrap();
            let summary = summary::summarise(&outcome, "t", "p", "f", seed);
            output::write(dir.path(), &outcome, &summary, output::Extras { png: true }).unwrap();
            let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            files.into_iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        prop_assert!(bytes() == bytes());
    }
}
