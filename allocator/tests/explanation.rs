//! Why a framework is offered what it is offered: each reason, and that it is the one by which a run goes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "semantics/amounts.rs"]
mod amounts;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "semantics/cluster_table.rs"]
mod cluster_table;

use tepui_allocator::Options;

use crate::cluster_table::{Cluster, framework};

mod subject {
    pub(crate) use tepui_allocator::IncrementalDrf as Subject;
}

/// What a framework in one role is told: its turn, and agents by reason.
fn told(cluster: &mut Cluster, name: &str) -> String {
    let explanation = cluster.allocator.explain(&framework(name)).unwrap();
    let [turn] = &explanation.turns[..] else {
        panic!("one role, not {explanation:?}")
    };
    let place = turn
        .before
        .map_or("-".to_owned(), |before| before.to_string());
    let agents = turn.agents.iter();
    let agents: Vec<String> = agents
        .map(|(reason, n)| format!("{reason:?} {n}"))
        .collect();
    format!("{place}/{}: {}", turn.turns, agents.join(", "))
}

/// Each line of the table is events and, after `=>`, what f1 is told then.
fn explains(table: &str) {
    let mut cluster = Cluster::new(Options::default());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (events, expected) = line.split_once("=>").unwrap();
        cluster.play(events);
        assert_eq!(told(&mut cluster, "f1"), expected.trim(), "{line}");
    }
}

#[test]
fn each_reason_is_told() {
    explains(
        "framework f1 role1; framework f2 role2; agent agent1 2/1024    => 1/2: NothingFree 1
         decline f1 agent1                                              => 1/2: Next 1
         tick; decline f2 agent1 1000s; suppress f2; tick; decline f1 agent1 1000s => 0/1: Refused 1
         agent agent2 cpus(role2):4                                     => 0/1: NotUsable 1, Refused 1
         agent agent3 0.001/1                                           => 0/1: NotUsable 1, BelowMinimum 1, Refused 1
         agent agent4 2/1024 gpus:1                                     => 0/1: ForGpuFrameworks 1, NotUsable 1, BelowMinimum 1, Refused 1
         off agent4; revive f1; return f1 agent1 role1 2/1024; limit role1 0/0 => 0/1: NotOffered 1, NotUsable 1, Limit 1, BelowMinimum 1
         unquota role1; guarantee role3 2/1024                          => 0/1: NotOffered 1, NotUsable 1, Headroom 1, BelowMinimum 1
         off f1                                                         => -/0: TakesNone 4",
    );
}

#[test]
fn constraints_are_a_reason() {
    explains(
        "framework f1 role1@rack=r1; agent agent1 2/1024                => 0/1: Constrained 1
         attributes agent1 rack=r1                                      => 0/1: NothingFree 1",
    );
}

#[test]
fn another_region_is_a_reason() {
    let region = Some("here".to_owned());
    let mut cluster = Cluster::new(Options {
        region,
        ..Options::default()
    });
    cluster.play(
        "framework f1 role1; off f1; agent agent1 2/1024; attributes agent1 region=there; on f1",
    );
    assert_eq!(told(&mut cluster, "f1"), "0/1: Remote 1");
}

#[test]
fn the_last_run_that_served_it_is_known() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; tick");
    let explanation = cluster.allocator.explain(&framework("f1")).unwrap();
    let turn = &explanation.turns[0];
    assert_eq!((explanation.runs, turn.served_in), (3, Some(2)));
    assert_eq!(turn.held.to_string(), "cpus:2;mem:1024");
    assert_eq!(turn.dominant_share, 1.0);
    assert!(cluster.allocator.explain(&framework("stranger")).is_none());
}
