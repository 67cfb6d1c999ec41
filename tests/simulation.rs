//! The whole cluster in a simulated network, with faults drawn from a seed.
//!
//! A failing seed prints what was violated, the faults that are needed for it, and the commands that
//! replay it. `TEPUI_SEEDS` is how many seeds are run (200), from `TEPUI_FIRST_SEED` (0) on;
//! `TEPUI_SEED` replays one, `TEPUI_FAULTS` only those of its faults (`2,5`), `TEPUI_REPLAY` the run of
//! a trace file. `docs/testing.md` has more on them, the harness is in `cluster/`.

#[path = "cluster/support.rs"]
mod cluster;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    time::Duration,
};

use cluster::{
    faults::{self, Fault, Schedule, Shape, framework},
    rng,
    simulation::{Outcomes, Plan, Simulation},
};
use rand::RngExt;
use tepui_batch::{Group, Job};
use tepui_protocol::{Role, TaskState};
use tepui_runtime::testkit::sim::{Case, Explore, Ran, TraceFile};

/// When all faults are over.
const CALM_FROM: Duration = Duration::from_secs(30);
/// By when all jobs must be done.
const DEADLINE: Duration = Duration::from_secs(240);
const SEEDS: u64 = 200;
/// As many as a storm has faults: each may kill the same task's process, which counts as its failure.
const RETRIES: u32 = 40;

/// Two jobs of a map and a reduce group, in two roles.
fn jobs() -> [(Role, Job); 2] {
    [("analytics", 14), ("background", 9)].map(|(name, count)| {
        let resources = |text: &str| text.parse().expect("valid resources");
        let mut map = Group::new("map", "work", count, resources("cpus:1;mem:64"));
        map.retries = RETRIES;
        let mut reduce = Group::new("reduce", "work", 2, resources("cpus:0.5;mem:128"));
        reduce.retries = RETRIES;
        reduce.after = vec!["map".to_owned()];
        let job = Job {
            name: name.to_owned(),
            groups: vec![map, reduce],
        };
        (Role::new(name).expect("a valid role"), job)
    })
}

/// What there is to go wrong for a seed.
fn shape(seed: u64) -> Shape {
    Shape {
        machines: 3,
        frameworks: 2,
        until: CALM_FROM - Duration::from_secs(5),
        // Every fifth seed is a storm.
        most: if seed.is_multiple_of(5) { 40 } else { 12 },
    }
}

/// The network's latency and the first faults of a seed.
fn drawn(seed: u64) -> (Duration, Schedule) {
    let mut rng = rng::generator(seed, "plan");
    let latency = Duration::from_millis([5, 20, 100][rng.random_range(0..3)]);
    (latency, faults::draw(&mut rng, &shape(seed)))
}

/// All faults of a seed: those, and of the kinds that are less common.
fn faults_of(seed: u64) -> Schedule {
    let mut rng = rng::generator(seed, "more faults");
    drawn(seed)
        .1
        .with(faults::draw_more(&mut rng, &shape(seed)))
}

/// The cluster of a case.
fn plan(case: &Case<Fault>) -> Plan {
    let machines = ["cpus:2;mem:512", "cpus:3;mem:512", "cpus:1;mem:256"];
    Plan {
        seed: case.seed,
        machines: machines
            .map(|text| text.parse().expect("valid resources"))
            .to_vec(),
        latency: drawn(case.seed).0,
        faults: case.faults.clone(),
        calm_from: CALM_FROM,
    }
}

/// What a run comes to: its verdict and its whole trace.
fn run(case: &Case<Fault>) -> Ran {
    let outcomes: Outcomes = Rc::new(RefCell::new(BTreeMap::new()));
    let mut simulation = Simulation::new(plan(case));
    for (at, (role, job)) in jobs().into_iter().enumerate() {
        simulation.job(at + 1, role, job, &outcomes);
    }
    let seen = outcomes.clone();
    let verdict = simulation.run(DEADLINE, move || seen.borrow().len() == jobs().len());
    let verdict = verdict.and_then(|()| {
        check_results(&simulation, &outcomes);
        simulation.verdict()
    });
    let journal = simulation.site.journal.clone();
    Ran { verdict, journal }
}

/// Every instance has finished, in one attempt that counts.
fn check_results(simulation: &Simulation, outcomes: &Outcomes) {
    let journal = &simulation.site.journal;
    for (at, (_, job)) in jobs().into_iter().enumerate() {
        let host = framework(at + 1);
        let outcomes = outcomes.borrow();
        let outcome = &outcomes[&host];
        if !outcome.is_success() {
            journal.violated("SIM-6", format!("{host}: {:?}", outcome.result));
        }
        for group in &job.groups {
            let tasks: BTreeSet<_> = outcome.tasks[&group.name].iter().collect();
            if tasks.len() != group.count as usize {
                journal.violated(
                    "SIM-6",
                    format!("{host}: {} finished as {tasks:?}", group.name),
                );
            }
            for task in tasks {
                let ended = simulation.site.watch.ended(&host, task.as_str());
                if ended != Some(TaskState::Finished) {
                    journal.violated("SIM-6", format!("{host}: {task} counts, but is {ended:?}"));
                }
            }
        }
    }
}

/// The seeds, on the two cores that they are to take three minutes of.
fn seeds() -> Explore<Fault> {
    let command = "cargo test --test simulation replay -- --exact --nocapture";
    Explore::new("cluster", command)
        .seeds(0..SEEDS)
        .threads(2)
        .draw(faults_of)
}

#[test]
fn jobs_finish_whatever_fails() {
    seeds().run_all(run);
}

/// A run that once failed, with its faults: `seeds/<name>.jsonl`, the beginning of a trace file.
fn passes(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds");
    let file = TraceFile::read(&folder.join(name).with_extension("jsonl"));
    let file = file.unwrap_or_else(|error| panic!("{name}: {error}"));
    let (seed, faults) = (file.seed, file.faults);
    let report = seeds().judge(&Case { seed, faults }, &run);
    report.unwrap_or_else(|report| panic!("{name}: {report}"));
}

/// An actor's timer was forgotten, set by a future that had ended: an agent stopped registering.
#[test]
fn an_agent_without_a_master_keeps_trying() {
    passes("125");
}

/// A task that never reached its agent was DROPPED, and then GONE.
#[test]
fn a_dropped_task_stays_dropped() {
    passes("192");
}

#[test]
fn a_seed_is_the_same_run_twice() {
    let case = |seed| seeds().case(seed);
    let lines = |seed| run(&case(seed)).journal.lines();
    let (first, second) = (lines(3), lines(3));
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!(
        differs,
        None,
        "{:?}",
        differs.map(|at| (&first[at], &second[at]))
    );
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 1_000, "{} events", first.len());
    assert_ne!(first, lines(4), "another seed is another run");
}

/// Replays one run with its whole trace, and with what RUST_LOG asks for on standard error; does
/// nothing unless TEPUI_SEED or TEPUI_REPLAY is set.
#[test]
fn replay() {
    if ["TEPUI_SEED", "TEPUI_REPLAY"].map(std::env::var_os) == [None, None] {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    logs.with_ansi(false).without_time().init();
    seeds().run(|case| {
        let ran = run(case);
        ran.journal
            .lines()
            .iter()
            .for_each(|line| println!("{line}"));
        ran
    });
}
