//! Links and monitors across nodes: exactly once, with the reason, and again after a partition.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{node::Relinked, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "test.LinkTo")]
struct LinkTo(AnyPid);

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "test.Unlink")]
struct Unlink(AnyPid);

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "test.Monitor")]
struct Monitor(AnyPid);

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "test.Relink")]
struct Relink(AnyPid);

/// Writes down what it is told.
struct Peer(Log);

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<LinkTo> for Peer {
    type Result = ();

    fn handle(&mut self, link: LinkTo, ctx: &mut Context<Self>) {
        ctx.link(&link.0);
    }
}

impl Handler<Unlink> for Peer {
    type Result = ();

    fn handle(&mut self, unlink: Unlink, ctx: &mut Context<Self>) {
        ctx.unlink(&unlink.0);
    }
}

impl Handler<Monitor> for Peer {
    type Result = ();

    fn handle(&mut self, monitor: Monitor, ctx: &mut Context<Self>) {
        ctx.monitor(&monitor.0);
    }
}

impl Handler<Relink> for Peer {
    type Result = ();

    fn handle(&mut self, relink: Relink, ctx: &mut Context<Self>) {
        ctx.relink(&relink.0);
    }
}

impl Handler<Exited> for Peer {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Context<Self>) {
        let line = format!("{} {}", exited.pid.name(), exited.reason);
        self.0.lock().unwrap().push(line);
    }
}

impl Handler<Relinked> for Peer {
    type Result = ();

    fn handle(&mut self, relinked: Relinked, _: &mut Context<Self>) {
        let line = format!("{} relinked", relinked.pid.name());
        self.0.lock().unwrap().push(line);
    }
}

accepts!(Peer: LinkTo, Unlink, Monitor, Relink, Exited);

fn peer(node: &Node, name: &str) -> (Pid<Peer>, Log) {
    let log = Log::default();
    (node.spawn(name, Peer(log.clone())).unwrap(), log)
}

#[test]
fn two_actors_that_link_again_and_again_have_one_link() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        for far in [false, true] {
            let other = if far { &there } else { &here };
            let ((a, a_log), (b, b_log)) = (peer(&here, "a"), peer(other, "b"));
            for _ in 0..3 {
                a.tell(LinkTo(b.any())).unwrap();
                b.tell(LinkTo(a.any())).unwrap();
            }
            kit.settle().await;
            other.kill(b.as_any());
            kit.settle().await;
            assert_eq!(take(&a_log), ["b killed"]);
            assert!(take(&b_log).is_empty());
            here.stop(a.as_any());
            kit.settle().await;
        }
    });
}

/// Whoever made the link and whoever takes it back, neither side is told any more; monitors stay.
#[test]
fn a_link_is_taken_back_on_both_sides() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        for (far, by_peer, by_name) in
            [0, 1, 2, 3, 4, 5, 6, 7].map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0))
        {
            let other = if far { &there } else { &here };
            let ((a, a_log), (b, b_log)) = (peer(&here, "a"), peer(other, "b"));
            let named = if by_name {
                b.any().any_incarnation()
            } else {
                b.any()
            };
            a.tell(LinkTo(named)).unwrap();
            kit.settle().await;
            if by_peer {
                b.tell(Unlink(a.any())).unwrap();
            } else {
                a.tell(Unlink(b.any())).unwrap();
            }
            a.tell(Monitor(b.any())).unwrap();
            kit.settle().await;
            other.kill(b.as_any());
            kit.settle().await;
            here.stop(a.as_any());
            kit.settle().await;
            let told = (take(&a_log), take(&b_log));
            let expected = (vec!["b killed".to_owned()], vec![]);
            assert_eq!(
                told, expected,
                "far {far}, by the peer {by_peer}, by name {by_name}"
            );
        }
    });
}

/// Without a monitor nobody hears of the other's end.
#[test]
fn who_is_unlinked_hears_nothing() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        for other in [&here, &there] {
            let ((a, a_log), (b, b_log)) = (peer(&here, "a"), peer(other, "b"));
            a.tell(LinkTo(b.any())).unwrap();
            kit.settle().await;
            a.tell(Unlink(b.any())).unwrap();
            kit.settle().await;
            here.kill(a.as_any());
            kit.settle().await;
            other.kill(b.as_any());
            kit.settle().await;
            assert_eq!((take(&a_log), take(&b_log)), (vec![], vec![]));
        }
    });
}

#[test]
fn both_ends_of_a_cut_are_told_and_one_of_them_links_both_again() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let ((a, a_log), (b, b_log)) = (peer(&here, "a"), peer(&there, "b"));
        a.tell(LinkTo(b.any())).unwrap();
        kit.settle().await;
        kit.cut(&here, &there);
        kit.advance(30 * SECOND).await;
        assert_eq!(take(&a_log), ["b unreachable"]);
        assert_eq!(take(&b_log), ["a unreachable"]);
        a.tell(Relink(b.any())).unwrap();
        kit.advance(60 * SECOND).await;
        assert!(take(&a_log).is_empty(), "it waits");
        kit.join(&here, &there);
        kit.advance(30 * SECOND).await;
        assert_eq!(take(&a_log), ["b relinked"]);
        here.kill(a.as_any());
        kit.advance(SECOND).await;
        assert_eq!(take(&b_log), ["a killed"], "the link goes both ways");
        assert!(take(&a_log).is_empty());
    });
}

#[test]
fn who_did_not_live_through_the_cut_is_told_of_as_gone() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let ((a, a_log), (b, _)) = (peer(&here, "a"), peer(&there, "b"));
        a.tell(LinkTo(b.any())).unwrap();
        kit.settle().await;
        kit.cut(&here, &there);
        kit.advance(30 * SECOND).await;
        there.stop(b.as_any());
        kit.settle().await;
        let (second, _) = peer(&there, "b");
        a.tell(Relink(b.any())).unwrap();
        a.tell(Relink(second.any().any_incarnation())).unwrap();
        kit.join(&here, &there);
        kit.advance(30 * SECOND).await;
        let mut told = take(&a_log);
        told.sort();
        let expected = ["b no such actor", "b relinked", "b unreachable"];
        assert_eq!(told, expected);
    });
}

#[test]
fn names_of_another_node_can_be_asked_for() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (b, _) = peer(&there, "b");
        for node in [&here, &there] {
            let found = node.lookup_at(there.addr(), "b", SECOND).await;
            assert_eq!(found, Ok(Some(b.any())));
            let nobody = node.lookup_at(there.addr(), "c", SECOND).await;
            assert_eq!(nobody, Ok(None));
        }
        kit.cut(&here, &there);
        let cut = here.lookup_at(there.addr(), "b", SECOND).await;
        assert!(matches!(cut, Err(AskError::Timeout { .. })), "{cut:?}");
    });
}

#[test]
fn a_node_that_is_killed_takes_a_thousand_links_with_it_once_each() {
    const MANY: usize = 1_000;
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let pairs: Vec<_> = (0..MANY)
            .map(|n| {
                let (a, log) = peer(&here, &format!("a{n}"));
                let (b, _) = peer(&there, &format!("b{n}"));
                a.tell(LinkTo(b.any())).unwrap();
                (log, format!("b{n} unreachable"))
            })
            .collect();
        kit.settle().await;
        kit.cut(&here, &there);
        kit.advance(30 * SECOND).await;
        for (log, expected) in &pairs {
            assert_eq!(take(log), [expected.as_str()]);
        }
        kit.join(&here, &there);
        kit.advance(30 * SECOND).await;
        assert!(
            pairs.iter().all(|(log, _)| take(log).is_empty()),
            "told once"
        );
    });
}
