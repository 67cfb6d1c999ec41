//! Cases small enough to be worked by hand.

use tepui_sim::{
    BuiltIn, Failures, Options, Placement, Time,
    roles::{By, Mapping},
    summary, trace,
};

use super::*;

/// Four processors; the second job must wait for the first, the third could run beside it, the fourth could not.
const BACKFILL: &str = r#"
{"id":1,"submit_s":0,"run_s":10,"tasks":3,"cpus":1,"user":"a"}
{"id":2,"submit_s":1,"run_s":10,"tasks":4,"cpus":1,"user":"b"}
{"id":3,"submit_s":2,"run_s":8,"tasks":1,"cpus":1,"user":"c"}
{"id":4,"submit_s":3,"run_s":9,"tasks":1,"cpus":1,"user":"d"}
"#;

#[test]
fn first_in_first_out_holds_up_what_comes_later() {
    let outcome = run(
        jobs(BACKFILL),
        "4xcpus:1",
        BuiltIn::Fifo,
        Options::default(),
    );
    let expected = [(0.0, 10.0), (10.0, 20.0), (20.0, 28.0), (20.0, 29.0)];
    assert_eq!(times(&outcome), expected.map(Some));
}

#[test]
fn backfill_runs_what_does_not_delay_the_first() {
    let outcome = run(
        jobs(BACKFILL),
        "4xcpus:1",
        BuiltIn::Easy,
        Options::default(),
    );
    // The third ends at 10, when the second can begin; the fourth would end at 12 or later.
    let expected = [(0.0, 10.0), (10.0, 20.0), (2.0, 10.0), (20.0, 29.0)];
    assert_eq!(times(&outcome), expected.map(Some));
}

#[test]
fn backfill_uses_what_the_reservation_leaves_over() {
    // The second needs 3 of 4 at 10: the third may stay on the fourth as long as it wants.
    let text = BACKFILL
        .replace("\"tasks\":4", "\"tasks\":3")
        .replace("\"run_s\":8", "\"run_s\":80");
    let outcome = run(jobs(&text), "4xcpus:1", BuiltIn::Easy, Options::default());
    let expected = [(0.0, 10.0), (10.0, 20.0), (2.0, 82.0), (20.0, 29.0)];
    assert_eq!(times(&outcome), expected.map(Some));
}

#[test]
fn backfill_goes_by_estimates_and_not_by_what_it_cannot_know() {
    let text = BACKFILL.replace("\"run_s\":8", "\"run_s\":8,\"estimate_s\":9");
    let outcome = run(jobs(&text), "4xcpus:1", BuiltIn::Easy, Options::default());
    assert_eq!(times(&outcome)[2], Some((20.0, 28.0)));
}

#[test]
fn the_shortest_goes_first() {
    let text = r#"
{"id":1,"submit_s":0,"run_s":10,"cpus":1}
{"id":2,"submit_s":1,"run_s":9,"cpus":1}
{"id":3,"submit_s":2,"run_s":3,"cpus":1}
"#;
    let outcome = run(jobs(text), "cpus:1", BuiltIn::Shortest, Options::default());
    assert_eq!(
        times(&outcome),
        [(0.0, 10.0), (13.0, 22.0), (10.0, 13.0)].map(Some)
    );
}

/// The example of the DRF paper: tasks of (1 cpu, 4 GB) and (3 cpus, 1 GB) on 9 cpus and 18 GB.
fn drf_paper() -> Workload {
    let mut text = String::new();
    for id in 0..10 {
        let (user, cpus, mem) = if id % 2 == 0 {
            ("a", 1, 4)
        } else {
            ("b", 3, 1)
        };
        text += &format!(
            "{{\"id\":{id},\"submit_s\":0,\"run_s\":100,\"cpus\":{cpus},\"mem_mib\":{mem},\"user\":\"{user}\"}}\n"
        );
    }
    jobs(&text)
}

#[test]
fn drf_shares_as_its_paper_does() {
    for policy in [
        BuiltIn::Drf,
        BuiltIn::Hdrf,
        BuiltIn::NaiveTree,
        BuiltIn::Engine,
    ] {
        let options = Options {
            until: Some(Time::from_secs(50)),
            ..Options::default()
        };
        let outcome = run(drf_paper(), "cpus:9;mem:18", policy, options);
        let running = |parity: u32| {
            let ids = (0..10).filter(|id| id % 2 == parity).map(JobId);
            ids.filter(|job| outcome.world.state(*job).phase == Phase::Running)
                .count()
        };
        assert_eq!((running(0), running(1)), (3, 2), "{policy}");
    }
}

#[test]
fn hierarchical_drf_guards_a_group_with_a_blocked_member() {
    // hdrf-2013: 10 cpus and 10 GPUs; n1 wants GPUs, n2/a cpus, n2/b GPUs. GPU tasks end one by one.
    let mut text = String::new();
    for id in 0..400 {
        let (role, what) = [("n1", "gpus"), ("n2/a", "cpus"), ("n2/b", "gpus")][id % 3];
        let run = if what == "cpus" { 100_000 } else { 100 + id };
        text += &format!(
            "{{\"id\":{id},\"submit_s\":0,\"run_s\":{run},\"{what}\":1,\"role\":\"{role}\"}}\n"
        );
    }
    let held = |policy| {
        let options = Options {
            until: Some(Time::from_secs(2000)),
            ..Options::default()
        };
        let outcome = run(jobs(&text), "cpus:10;gpus:10", policy, options);
        let roles = &outcome.world.workload().roles;
        ["n1", "n2/a", "n2/b"].map(|name| {
            let ids = (0..400).map(JobId);
            let of = |job: &JobId| {
                let role = outcome.world.job(*job).role;
                roles.name(role).as_str() == name
                    && outcome.world.state(*job).phase == Phase::Running
            };
            ids.filter(of).count()
        })
    };
    assert_eq!(held(BuiltIn::Hdrf), [5, 10, 5]);
    assert_eq!(held(BuiltIn::NaiveTree), [10, 10, 0]);
}

#[test]
fn the_production_allocator_shares_its_offers() {
    let text: String = (0..40)
        .map(|id| {
            format!(
                "{{\"id\":{id},\"submit_s\":0,\"run_s\":10,\"cpus\":1,\"user\":\"u{}\"}}\n",
                id % 2
            )
        })
        .collect();
    let options = Options {
        until: Some(Time::from_secs(5)),
        ..Options::default()
    };
    let outcome = run(jobs(&text), "8xcpus:1", BuiltIn::Mesos, options);
    let running = |parity| {
        let ids = (0..40).filter(|id| id % 2 == parity).map(JobId);
        ids.filter(|job| outcome.world.state(*job).phase == Phase::Running)
            .count()
    };
    assert_eq!((running(0), running(1)), (4, 4));
}

#[test]
fn gangs_of_several_frameworks_do_not_starve_each_other_of_offers() {
    let text: String = (0..6)
        .map(|id| format!("{{\"id\":{id},\"submit_s\":0,\"run_s\":10,\"tasks\":8,\"cpus\":1,\"user\":\"u{}\"}}\n", id % 3))
        .collect();
    let outcome = run(jobs(&text), "8xcpus:1", BuiltIn::Mesos, Options::default());
    let mut ends: Vec<f64> = times(&outcome)
        .into_iter()
        .map(|times| times.unwrap().1)
        .collect();
    ends.sort_by(f64::total_cmp);
    assert_eq!(ends, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
}

#[test]
fn jobs_that_can_never_run_are_rejected_with_a_reason() {
    let text = r#"
{"id":1,"submit_s":0,"run_s":10,"cpus":5}
{"id":2,"submit_s":0,"run_s":10,"cpus":1,"tasks":9}
{"id":3,"submit_s":0,"run_s":10,"gpus":1}
{"id":4,"submit_s":0,"cpus":1}
{"id":5,"submit_s":0,"run_s":1}
{"id":6,"submit_s":0,"run_s":10,"cpus":1}
"#;
    let outcome = run(jobs(text), "2xcpus:4", BuiltIn::Fifo, Options::default());
    let reasons = [
        "larger than every node: the most cpus of one is cpus:4",
        "9 tasks of cpus:1: the whole cluster has room for 8",
        "larger than every node: the most gpus of one is nothing",
        "its run time is unknown",
        "it asks for nothing",
    ];
    for (reason, job) in reasons.into_iter().zip((0..).map(JobId)) {
        let told = outcome.reason(job).unwrap();
        assert!(told.contains(reason), "{told}");
    }
    let summary = summary::summarise(&outcome, "t", "fifo", "first-fit", 0);
    let jobs = summary.jobs;
    assert_eq!(
        (
            jobs.submitted,
            jobs.completed,
            jobs.rejected,
            jobs.unfinished
        ),
        (6, 1, 5, 0)
    );
    assert_eq!(summary.rejections.values().sum::<u64>(), 5);
}

#[test]
fn messages_take_their_time() {
    let text = r#"{"id":1,"submit_s":5,"run_s":10,"cpus":1}
{"id":2,"submit_s":5,"run_s":10,"cpus":1}"#;
    let options = Options {
        latency: Time::from_secs(1),
        ..Options::default()
    };
    let outcome = run(jobs(text), "cpus:1", BuiltIn::Fifo, options);
    // Submitted at 5, known at 6, begun at 8, ended at 18, known at 19; then the next begins at 21.
    assert_eq!(times(&outcome), [(8.0, 18.0), (21.0, 31.0)].map(Some));
}

#[test]
fn failing_nodes_kill_whole_gangs_which_run_again() {
    let text: String = (0..20)
        .map(|id| {
            format!("{{\"id\":{id},\"submit_s\":{id},\"run_s\":1000,\"tasks\":4,\"cpus\":1}}\n")
        })
        .collect();
    let failures = Failures {
        mtbf: Time::from_secs(3000),
        mttr: Time::from_secs(100),
        attempts_max: 1000,
    };
    let options = Options {
        failures: Some(failures),
        seed: 3,
        ..Options::default()
    };
    for policy in [
        BuiltIn::Fifo,
        BuiltIn::Easy,
        BuiltIn::Hdrf,
        BuiltIn::Mesos,
        BuiltIn::Shortest,
    ] {
        let outcome = run(jobs(&text), "4xcpus:2", policy, options);
        assert!(outcome.killed > 5, "{policy}: {}", outcome.killed);
        assert!(times(&outcome).iter().all(Option::is_some), "{policy}");
        let again = run(jobs(&text), "4xcpus:2", policy, options);
        assert_eq!(times(&outcome), times(&again), "{policy}");
    }
    let given_up = Options {
        failures: Some(Failures {
            attempts_max: 1,
            ..failures
        }),
        seed: 3,
        ..Options::default()
    };
    let outcome = run(jobs(&text), "4xcpus:2", BuiltIn::Fifo, given_up);
    let summary = summary::summarise(&outcome, "t", "fifo", "first-fit", 3);
    assert_eq!(
        (summary.jobs.unfinished, outcome.killed),
        (summary.killed, summary.jobs.unfinished)
    );
}

#[test]
fn placements_choose_as_they_say() {
    // Nodes with 8, 4 and 6 cpus, of which 0 are used; one task of 3.
    let chosen = |placement, nodes: &str, job: &str| {
        let options = Options {
            placement,
            ..Options::default()
        };
        let outcome = run(jobs(job), nodes, BuiltIn::Fifo, options);
        let pieces = outcome.world.last_pieces(JobId(0));
        pieces
            .iter()
            .map(|piece| (piece.node.0, piece.tasks))
            .collect::<Vec<_>>()
    };
    let one = r#"{"id":1,"submit_s":0,"run_s":1,"cpus":3}"#;
    let nodes = "cpus:8,cpus:4,cpus:6";
    assert_eq!(chosen(Placement::FirstFit, nodes, one), [(0, 1)]);
    assert_eq!(chosen(Placement::BestFit, nodes, one), [(1, 1)]);
    assert_eq!(
        chosen(Placement::Spread, "cpus:4,cpus:8,cpus:6", one),
        [(1, 1)]
    );
    let gang = r#"{"id":1,"submit_s":0,"run_s":1,"cpus":2,"tasks":5}"#;
    assert_eq!(chosen(Placement::FirstFit, nodes, gang), [(0, 4), (1, 1)]);
    assert_eq!(chosen(Placement::BestFit, nodes, gang), [(1, 2), (2, 3)]);
    assert_eq!(
        chosen(Placement::Spread, nodes, gang),
        [(0, 2), (2, 2), (1, 1)]
    );
    let shaped = r#"{"id":1,"submit_s":0,"run_s":1,"cpus":1,"mem_mib":50}"#;
    let unlike = "cpus:10;mem:100,cpus:2;mem:100";
    assert_eq!(chosen(Placement::Shape, unlike, shaped), [(1, 1)]);
    assert_eq!(chosen(Placement::DotProduct, unlike, shaped), [(0, 1)]);
}

#[test]
fn parts_of_a_gpu_share_a_device_and_whole_ones_do_not() {
    let text = r#"
{"id":1,"submit_s":0,"run_s":10,"gpus":0.6}
{"id":2,"submit_s":0,"run_s":10,"gpus":0.6}
{"id":3,"submit_s":0,"run_s":10,"gpus":0.4}
{"id":4,"submit_s":0,"run_s":10,"gpus":1}
"#;
    let outcome = run(jobs(text), "gpus:2", BuiltIn::Fifo, Options::default());
    let starts: Vec<f64> = times(&outcome)
        .into_iter()
        .map(|times| times.unwrap().0)
        .collect();
    assert_eq!(starts, [0.0, 0.0, 0.0, 10.0]);
    let gpus = |job| outcome.world.last_pieces(JobId(job))[0].gpus;
    assert_eq!((gpus(0), gpus(1)), (1, 2));
    assert_eq!(
        gpus(2),
        1,
        "the fullest device that fits, the first of equals"
    );
}

#[test]
fn a_gpu_model_is_a_constraint() {
    let text = r#"{"id":1,"submit_s":0,"run_s":10,"gpus":1,"gpu_models":["V100"]}
{"id":2,"submit_s":0,"run_s":10,"gpus":1,"gpu_models":["A100"]}"#;
    let outcome = run(
        jobs(text),
        "gpus:1;model:T4,gpus:1;model:V100",
        BuiltIn::Fifo,
        Options::default(),
    );
    assert_eq!(outcome.world.last_pieces(JobId(0))[0].node.0, 1);
    assert!(
        outcome
            .reason(JobId(1))
            .unwrap()
            .contains("fits on no node")
    );
}

#[test]
fn fairness_is_measured_as_it_is_defined() {
    // One role has filled the cluster when the other comes: its 4 tasks wait behind 8 running ones.
    let mut text = String::new();
    for id in 0..12 {
        let (user, submit) = if id < 8 { ("a", 0) } else { ("b", 5) };
        text += &format!(
            "{{\"id\":{id},\"submit_s\":{submit},\"run_s\":{},\"cpus\":1,\"user\":\"{user}\"}}\n",
            10 + id
        );
    }
    text += "{\"id\":20,\"submit_s\":5,\"run_s\":10,\"cpus\":1,\"user\":\"a\"}\n";
    let reading = Reading {
        mapping: Mapping {
            by: By::User,
            ..Mapping::default()
        },
        ..reading(Format::Jsonl)
    };
    let workload = trace::read("jobs", text.as_bytes(), &reading).unwrap();
    let outcome = run(
        workload.clone(),
        "8xcpus:1",
        BuiltIn::Drf,
        Options::default(),
    );
    assert_eq!(outcome.meter.largest_key_gap(), 1.0);
    assert_eq!(outcome.meter.violations(), 0);
    // The shortest first serves the owner of everything again and again.
    let text = text.replace(
        "\"id\":20,\"submit_s\":5,\"run_s\":10",
        "\"id\":20,\"submit_s\":5,\"run_s\":1",
    );
    let workload = trace::read("jobs", text.as_bytes(), &reading).unwrap();
    let outcome = run(workload, "8xcpus:1", BuiltIn::Shortest, Options::default());
    assert_eq!(outcome.meter.violations(), 1);
}
