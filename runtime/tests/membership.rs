//! Membership, cluster-wide names and groups: several nodes, on a paused clock.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{
    membership::{Member, Membership, MembershipConfig, NodeEvent},
    prelude::*,
    testkit::{self, TestKit},
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Work")]
struct Work(u64);

type Done = Arc<Mutex<Vec<u64>>>;

struct Worker(Done);

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Work> for Worker {
    type Result = ();

    fn handle(&mut self, work: Work, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(work.0);
    }
}

accepts!(Worker: Work);

struct Listener(Arc<Mutex<Vec<NodeEvent>>>, Membership);

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.watch_nodes(&self.1);
    }
}

impl Handler<NodeEvent> for Listener {
    type Result = ();

    fn handle(&mut self, event: NodeEvent, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(event);
    }
}

accepts!(Listener:);

fn worker(node: &Node, name: &str) -> (AnyPid, Done) {
    let done = Done::default();
    (node.spawn(name, Worker(done.clone())).unwrap().any(), done)
}

/// Nodes `n0`, `n1`, ..., of which each has the one before as its seed.
async fn cluster(kit: &TestKit, count: usize) -> Vec<Membership> {
    let mut all: Vec<Membership> = Vec::new();
    for n in 0..count {
        let node = kit.node(&format!("n{n}")).await;
        let seeds = all.last().map(|seed| seed.node().addr().clone());
        let config = MembershipConfig::default().seeds(seeds);
        let config = config.metadata("number", &n.to_string());
        all.push(Membership::join(&node, config).unwrap());
    }
    kit.advance(10 * SECOND).await;
    all
}

fn hosts(membership: &Membership) -> Vec<String> {
    let host = |member: Member| member.node.host().to_owned();
    membership.nodes().into_iter().map(host).collect()
}

#[test]
fn nodes_find_each_other_through_one_seed_each_and_know_what_each_says_of_itself() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 6).await;
        for membership in &all {
            let nodes = membership.nodes();
            assert_eq!(nodes.len(), 6);
            for (n, member) in nodes.iter().enumerate() {
                assert_eq!(member.metadata["number"], n.to_string());
            }
        }
        all[3].set_metadata("number", Some("three"));
        all[3].set_metadata("draining", Some("yes"));
        kit.settle().await;
        let expected = [("draining", "yes"), ("number", "three")];
        let expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.into(), v.into())).into();
        assert!(all.iter().all(|m| m.nodes()[3].metadata == expected));
        assert!(Membership::join(all[0].node(), MembershipConfig::default()).is_err());
    });
}

#[test]
fn who_leaves_is_down_at_once_and_who_dies_soon() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 4).await;
        let (mut events, heard) = (all[0].watch(10), Arc::default());
        let listener = Listener(Arc::clone(&heard), all[0].clone());
        all[0].node().spawn("listener", listener).unwrap();
        kit.settle().await;
        all[1].leave().await;
        kit.advance(2 * SECOND).await;
        assert_eq!(hosts(&all[0]), ["n0", "n2", "n3"]);
        kit.cut(all[0].node(), all[2].node());
        kit.cut(all[3].node(), all[2].node());
        kit.advance(15 * SECOND).await;
        assert_eq!(hosts(&all[0]), ["n0", "n3"]);
        assert_eq!(hosts(&all[3]), ["n0", "n3"]);
        let down = |n: usize| NodeEvent::Down {
            node: all[n].node().addr().clone(),
        };
        assert_eq!(events.try_next(), Some(down(1)));
        assert_eq!(events.try_next(), Some(down(2)));
        assert_eq!((events.try_next(), events.missed()), (None, 0));
        assert_eq!(*heard.lock().unwrap(), [down(1), down(2)]);
    });
}

#[test]
fn after_a_partition_the_halves_find_each_other_again() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 4).await;
        let mut events = all[0].watch(20);
        for (left, right) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            kit.cut(all[left].node(), all[right].node());
        }
        let (pid, _) = worker(all[2].node(), "w");
        all[2].group("g").join(&pid).unwrap();
        kit.advance(60 * SECOND).await;
        assert_eq!(hosts(&all[0]), ["n0", "n1"]);
        assert_eq!(hosts(&all[3]), ["n2", "n3"]);
        assert_eq!(all[3].group("g").members(), std::slice::from_ref(&pid));
        assert!(all[0].group("g").members().is_empty());
        for (left, right) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            kit.join(all[left].node(), all[right].node());
        }
        kit.advance(120 * SECOND).await;
        for membership in &all {
            assert_eq!(hosts(membership), ["n0", "n1", "n2", "n3"]);
            assert_eq!(membership.group("g").members(), std::slice::from_ref(&pid));
        }
        let mut told = Vec::new();
        while let Some(event) = events.try_next() {
            told.push(event);
        }
        assert_eq!(told.len(), 4, "two down, two up: {told:?}");
    });
}

#[test]
fn groups_span_nodes_and_members_leave_by_dying() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 3).await;
        let workers: Vec<_> = (0..3).map(|n| worker(all[n].node(), "w")).collect();
        for (membership, (pid, _)) in all.iter().zip(&workers) {
            membership.group("g").join(pid).unwrap();
            membership.group("other").join(pid).unwrap();
            let not_here = all[0].group("g").join(pid);
            assert_eq!(not_here.is_err(), pid.node() != all[0].node().addr());
        }
        kit.settle().await;
        let group = all[0].group("g");
        let pids: Vec<AnyPid> = workers.iter().map(|(pid, _)| pid.clone()).collect();
        assert!(all.iter().all(|m| m.group("g").members() == pids));
        assert_eq!(group.broadcast(&Work(7)), 3);
        for n in 0..6 {
            group.tell_any(Work(n)).unwrap();
        }
        kit.settle().await;
        for (n, (_, done)) in workers.iter().enumerate() {
            let n = n as u64;
            assert_eq!(*done.lock().unwrap(), [7, n, n + 3], "in turn");
        }
        assert!((0..20).all(|_| pids.contains(&group.random().unwrap())));
        // One dies, one leaves, one's node ends.
        all[1].node().kill(&pids[1]);
        kit.settle().await;
        assert_eq!(group.members(), [pids[0].clone(), pids[2].clone()]);
        all[0].group("other").leave(&pids[0]);
        kit.settle().await;
        assert_eq!(all[2].group("other").members(), [pids[2].clone()]);
        all[2].node().shutdown().await;
        kit.advance(2 * SECOND).await;
        assert_eq!(group.members(), [pids[0].clone()]);
        assert!(all[0].group("other").tell_any(Work(1)).is_err());
    });
}

#[test]
fn the_least_loaded_is_chosen_by_what_waits_for_each() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 2).await;
        let (here, here_done) = worker(all[0].node(), "w");
        let (there, there_done) = worker(all[1].node(), "w");
        all[0].group("g").join(&here).unwrap();
        all[1].group("g").join(&there).unwrap();
        kit.settle().await;
        let group = all[0].group("g");
        // Nothing is handled before the test waits: what was sent is what counts.
        for n in 0..10 {
            group.tell_least_loaded(Work(n)).unwrap();
        }
        kit.settle().await;
        let counts = (
            here_done.lock().unwrap().len(),
            there_done.lock().unwrap().len(),
        );
        assert_eq!(counts, (5, 5));
        for n in 0..4 {
            all[0].node().tell(&here, Work(n)).unwrap();
        }
        assert_eq!(
            group.least_loaded(),
            Some(here.clone()),
            "5 are thought to wait there"
        );
        kit.advance(2 * SECOND).await;
        for n in 0..4 {
            all[0].node().tell(&here, Work(n)).unwrap();
        }
        assert_eq!(
            group.least_loaded(),
            Some(there),
            "it has told that none does"
        );
    });
}

#[test]
fn names_of_the_cluster_are_found_everywhere_and_the_first_claim_wins() {
    testkit::run(async |kit| {
        let all = cluster(&kit, 3).await;
        let ((first, _), (second, _)) = (worker(all[1].node(), "w"), worker(all[2].node(), "w"));
        all[1].register("leader", &first).unwrap();
        assert!(all[0].register("leader", &first).is_err(), "not here");
        kit.advance(SECOND).await;
        all[2].register("leader", &second).unwrap();
        kit.settle().await;
        let leader = |m: &Membership| m.whereis("leader");
        assert!(all.iter().all(|m| leader(m) == Some(first.clone())));
        all[1].node().stop(&first);
        kit.settle().await;
        assert!(all.iter().all(|m| leader(m) == Some(second.clone())));
        all[2].unregister("leader");
        kit.settle().await;
        assert!(all.iter().all(|m| leader(m).is_none()));
    });
}

#[test]
fn a_seed_is_the_same_run_twice() {
    let run = |seed| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        testkit::run_seeded(seed, async move |kit| {
            let all = cluster(&kit, 5).await;
            kit.cut(all[0].node(), all[1].node());
            kit.advance(30 * SECOND).await;
            let mut log = kept.lock().unwrap();
            for membership in &all {
                log.push(format!("{:?}", membership.node().random_u64()));
                log.push(format!("{:?}", membership.nodes()));
                log.push(format!("{:?}", membership.node().actors()));
            }
        });
        Arc::try_unwrap(log).unwrap().into_inner().unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
