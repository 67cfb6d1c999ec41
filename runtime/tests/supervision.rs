//! Supervision trees on a running node: order, strategies, escalation, and that nothing an actor
//! does ends the process.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{
    prelude::*,
    supervision::{Child, ChildKind, StartChildError, Supervisor, SupervisorPid},
    testkit,
};

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Tells of its life.
struct Worker {
    name: String,
    log: Log,
    /// Refuses to stop.
    stubborn: bool,
}

impl Worker {
    fn say(&self, what: &str) {
        self.log
            .lock()
            .unwrap()
            .push(format!("{what} {}", self.name));
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.say("up");
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        match self.stubborn {
            true => Running::Continue,
            false => Running::Stop,
        }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.say("down");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Do", reply = u64)]
enum Do {
    Panic,
    Fail,
    Stop,
    StopForGood,
    Nothing,
}

impl Handler<Do> for Worker {
    type Result = u64;

    fn handle(&mut self, what: Do, ctx: &mut Context<Self>) -> u64 {
        match what {
            Do::Panic => panic!("as told"),
            Do::Fail => ctx.fail("no disk"),
            Do::Stop => ctx.stop(),
            Do::StopForGood => ctx.stop_for_good(),
            Do::Nothing => {}
        }
        7
    }
}

accepts!(Worker: Do);

fn worker(name: &str, kind: ChildKind, log: &Log) -> Child {
    let (name_of_it, log) = (name.to_owned(), log.clone());
    Child::new(name, kind, move || Worker {
        name: name_of_it.clone(),
        log: log.clone(),
        stubborn: false,
    })
}

fn three(supervisor: Supervisor, log: &Log) -> Supervisor {
    ["a", "b", "c"].iter().fold(supervisor, |supervisor, name| {
        supervisor.child(worker(name, ChildKind::Permanent, log))
    })
}

fn tell(node: &Node, name: &str, what: Do) {
    let pid = node.lookup(name).unwrap();
    node.tell(&pid, what).unwrap();
}

async fn names(supervisor: &SupervisorPid) -> Vec<String> {
    let children = supervisor.children().await;
    children.into_iter().map(|child| child.name).collect()
}

#[test]
fn children_start_in_order_and_stop_in_reverse() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let supervisor = three(Supervisor::one_for_one(), &log)
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        assert_eq!(take(&log), ["up a", "up b", "up c"]);
        assert_eq!(names(&supervisor).await, ["a", "b", "c"]);
        node.stop(&supervisor.pid());
        let exited = node.monitor(&supervisor.pid()).await;
        assert_eq!(exited.reason, ExitReason::Stopped);
        assert_eq!(take(&log), ["down c", "down b", "down a"]);
        kit.settle().await;
        assert_eq!(node.actors().len(), 0);
    });
}

#[test]
fn the_shutdown_of_a_node_stops_children_in_reverse_too() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        three(Supervisor::one_for_one(), &log)
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        take(&log);
        node.shutdown().await;
        assert_eq!(take(&log), ["down c", "down b", "down a"]);
    });
}

#[test]
fn the_strategies_differ_in_whom_they_make_anew() {
    testkit::run(async |kit| {
        let table = [
            (Supervisor::one_for_one(), "up b"),
            (Supervisor::rest_for_one(), "down c, up b, up c"),
            (
                Supervisor::one_for_all(),
                "down c, down a, up a, up b, up c",
            ),
        ];
        for (n, (supervisor, expected)) in table.into_iter().enumerate() {
            let (node, log) = (kit.node(&format!("n{n}")).await, Log::default());
            three(supervisor, &log).start(&node, "s").unwrap();
            kit.settle().await;
            let before = node.lookup("b");
            take(&log);
            tell(&node, "b", Do::Panic);
            tell(&node, "b", Do::Nothing);
            kit.settle().await;
            let mut told = take(&log);
            assert_eq!(told.remove(0), "down b", "an actor that panics is ended");
            assert_eq!(told.join(", "), expected);
            assert_eq!(node.lookup("b"), before, "the PID stays");
            assert_eq!(node.dead_letters(), 0, "the mailbox stays");
        }
    });
}

#[test]
fn kill_and_stop_of_a_permanent_child_make_it_anew_and_stop_for_good_does_not() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let supervisor = three(Supervisor::one_for_one(), &log).intensity(10, SECOND);
        let supervisor = supervisor.start(&node, "s").unwrap();
        kit.settle().await;
        let pid = node.lookup("b").unwrap();
        for (n, end) in [Do::Stop, Do::Fail, Do::Panic].into_iter().enumerate() {
            tell(&node, "b", end);
            kit.settle().await;
            let children = supervisor.children().await;
            assert_eq!((children[1].up, children[1].restarts), (true, n as u64 + 1));
        }
        node.kill(&pid);
        kit.settle().await;
        assert_eq!(node.ask(&pid, Do::Nothing, SECOND).await, Ok(7));
        tell(&node, "b", Do::StopForGood);
        let exited = node.monitor(&pid).await;
        assert_eq!(exited.reason, ExitReason::Stopped);
        assert_eq!(names(&supervisor).await, ["a", "c"]);
    });
}

#[test]
fn a_transient_child_may_stop_and_a_temporary_one_is_never_made_anew() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let supervisor = Supervisor::one_for_one()
            .child(worker("transient", ChildKind::Transient, &log))
            .child(worker("temporary", ChildKind::Temporary, &log))
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        tell(&node, "transient", Do::Fail);
        kit.settle().await;
        assert_eq!(names(&supervisor).await, ["transient", "temporary"]);
        let temporary = node.lookup("temporary").unwrap();
        node.tell(&temporary, Do::Panic).unwrap();
        let exited = node.monitor(&temporary).await;
        assert_eq!(exited.reason, ExitReason::Crashed("as told".into()));
        tell(&node, "transient", Do::Stop);
        kit.settle().await;
        assert!(names(&supervisor).await.is_empty());
    });
}

#[test]
fn beyond_its_intensity_a_supervisor_fails_and_its_own_makes_the_subtree_anew() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let inner = three(Supervisor::one_for_one(), &log).intensity(1, 10 * SECOND);
        let outer = Supervisor::one_for_one()
            .intensity(1, 100 * SECOND)
            .child(Child::supervisor("inner", inner))
            .child(worker("other", ChildKind::Permanent, &log))
            .start(&node, "outer")
            .unwrap();
        kit.settle().await;
        take(&log);
        let before = node.lookup("a").unwrap();
        tell(&node, "a", Do::Panic);
        kit.settle().await;
        assert_eq!(take(&log), ["down a", "up a"]);
        tell(&node, "a", Do::Panic);
        kit.settle().await;
        assert_eq!(
            take(&log),
            ["down a", "down c", "down b", "up a", "up b", "up c"],
            "the inner one fails; the outer one makes it anew"
        );
        let after = node.lookup("a").unwrap();
        assert!(after.incarnation() > before.incarnation());
        kit.advance(11 * SECOND).await;
        tell(&node, "a", Do::Panic);
        tell(&node, "a", Do::Panic);
        let exited = node.monitor(&outer.pid()).await;
        let ExitReason::Failed(why) = exited.reason else {
            panic!("{exited:?}");
        };
        assert!(why.contains("more than 1 restarts within 100s"), "{why}");
        kit.settle().await;
        assert_eq!(node.actors().len(), 0, "all of the tree is down");
    });
}

#[test]
fn restarts_back_off_exponentially_up_to_a_cap() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        Supervisor::one_for_one()
            .intensity(10, 60 * SECOND)
            .back_off(SECOND, 3 * SECOND)
            .child(worker("a", ChildKind::Permanent, &log))
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        let pid = node.lookup("a").unwrap();
        for seconds in [1, 2, 3, 3] {
            node.tell(&pid, Do::Panic).unwrap();
            kit.settle().await;
            let before = kit.now();
            assert_eq!(node.ask(&pid, Do::Nothing, 10 * SECOND).await, Ok(7));
            assert_eq!((kit.now() - before) / 1_000_000, seconds);
        }
    });
}

#[test]
fn an_actor_that_waits_for_its_restart_can_be_stopped_and_killed() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let supervision = Supervision::restart(9, SECOND).back_off(60 * SECOND, 60 * SECOND);
        for kill in [false, true] {
            let log = log.clone();
            let make = move || Worker {
                name: "w".into(),
                log: log.clone(),
                stubborn: false,
            };
            let worker = node.supervise("w", supervision, make).unwrap();
            worker.tell(Do::Panic).unwrap();
            kit.settle().await;
            worker.tell(Do::Nothing).unwrap();
            let before = kit.now();
            let expected = match kill {
                true => {
                    node.kill(worker.as_any());
                    ExitReason::Killed
                }
                false => {
                    node.stop(worker.as_any());
                    ExitReason::Stopped
                }
            };
            assert_eq!(node.monitor(worker.as_any()).await.reason, expected);
            assert_eq!(kit.now(), before, "at once");
        }
    });
}

#[test]
fn a_child_that_does_not_stop_in_time_is_killed() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let kept = log.clone();
        let stubborn = Child::permanent("stubborn", move || Worker {
            name: "stubborn".into(),
            log: kept.clone(),
            stubborn: true,
        });
        let supervisor = Supervisor::one_for_one()
            .child(worker("a", ChildKind::Permanent, &log))
            .child(stubborn.stop_within(3 * SECOND))
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        let before = kit.now();
        node.stop(&supervisor.pid());
        let stubborn = node.lookup("stubborn").unwrap();
        let exited = node.monitor(&stubborn).await;
        assert_eq!(exited.reason, ExitReason::Killed);
        assert_eq!((kit.now() - before) / 1_000_000, 3);
        let exited = node.monitor(&supervisor.pid()).await;
        assert_eq!(exited.reason, ExitReason::NoSuchActor, "gone behind it");
    });
}

#[test]
fn children_come_and_go_at_run_time() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let supervisor = Supervisor::one_for_one().start(&node, "s").unwrap();
        let child = || worker("a", ChildKind::Permanent, &log);
        let pid = supervisor.start_child(child()).await.unwrap();
        assert_eq!(node.ask(&pid, Do::Nothing, SECOND).await, Ok(7));
        let taken = supervisor.start_child(child()).await.unwrap_err();
        assert!(taken.to_string().contains("taken"), "{taken}");
        assert!(supervisor.stop_child("a").await);
        assert!(!supervisor.stop_child("a").await);
        assert_eq!(node.lookup("a"), None);
        supervisor.start_child(child()).await.unwrap();
        let bad = Child::permanent("bad", || -> Worker { panic!("no") });
        let failed = supervisor.start_child(bad).await.unwrap_err();
        let reason = ExitReason::Crashed("no".into());
        let name = "bad".to_owned();
        assert_eq!(failed, StartChildError::Failed { name, reason });
        assert_eq!(names(&supervisor).await, ["a"]);
        node.stop(&supervisor.pid());
        node.monitor(&supervisor.pid()).await;
        let late = supervisor.start_child(child()).await;
        assert_eq!(late, Err(StartChildError::Ending));
    });
}

#[test]
fn no_child_outlives_a_killed_supervisor_and_a_new_one_can_take_their_names() {
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let inner = three(Supervisor::one_for_one(), &log);
        Supervisor::one_for_one()
            .child(Child::supervisor("inner", inner))
            .start(&node, "outer")
            .unwrap();
        kit.settle().await;
        take(&log);
        node.kill(&node.lookup("inner").unwrap());
        kit.settle().await;
        let mut told = take(&log);
        let ups: Vec<_> = told.extract_if(.., |line| line.starts_with("up")).collect();
        assert_eq!(ups, ["up a", "up b", "up c"]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(node.actors().len(), 5);
    });
}

/// Panics where it is told to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Factory,
    Started,
    Handler,
    Timer,
    Future,
    Stopping,
    Stopped,
    Drop,
    /// In the handler, and again in `stopped` and in `drop`.
    Everywhere,
    UnreadMessage,
    Payload,
}

struct Bomb(Where);

/// Panics when it is dropped.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic!("nasty to the end");
    }
}

#[derive(Message)]
#[message(local)]
struct Go;

#[derive(Message)]
#[message(local)]
struct Carry(Nasty);

impl Actor for Bomb {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.0 {
            Where::Started => panic!("in started"),
            Where::Timer => drop(ctx.run_later(SECOND, |_, _| panic!("in a timer"))),
            Where::Future => {
                let bad = async { panic!("in a future") };
                ctx.spawn(bad.into_actor(self));
            }
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        assert_ne!(self.0, Where::Stopping, "in stopping");
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let bad = matches!(self.0, Where::Stopped | Where::Everywhere);
        assert!(!bad, "in stopped");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let bad = matches!(self.0, Where::Drop | Where::Everywhere);
        assert!(!bad, "in drop");
    }
}

impl Handler<Go> for Bomb {
    type Result = ();

    fn handle(&mut self, _: Go, ctx: &mut Context<Self>) {
        match self.0 {
            Where::Handler | Where::Everywhere => panic!("in a handler"),
            Where::Payload => std::panic::panic_any(Nasty),
            _ => ctx.stop(),
        }
    }
}

impl Handler<Carry> for Bomb {
    type Result = ();

    fn handle(&mut self, carry: Carry, _: &mut Context<Self>) {
        std::mem::forget(carry.0);
    }
}

accepts!(Bomb:);

#[test]
fn no_panic_wherever_it_is_ends_more_than_its_actor() {
    use Where::*;
    let all = [
        Factory,
        Started,
        Handler,
        Timer,
        Future,
        Stopping,
        Stopped,
        Drop,
        Everywhere,
        UnreadMessage,
        Payload,
    ];
    for place in all {
        testkit::run(async |kit| {
            let (node, log) = (kit.node("n").await, Log::default());
            let neighbour = node
                .spawn(
                    "neighbour",
                    Worker {
                        name: "x".into(),
                        log: log.clone(),
                        stubborn: false,
                    },
                )
                .unwrap();
            let bomb = node
                .spawn_with("bomb", move || {
                    assert_ne!(place, Factory, "in the factory");
                    Bomb(place)
                })
                .unwrap();
            if !matches!(place, Factory | Started | Timer | Future) {
                bomb.tell(Go).unwrap();
            }
            if place == UnreadMessage {
                let _ = bomb.tell(Carry(Nasty));
            }
            let exited = node.monitor(bomb.as_any()).await;
            let quiet = matches!(place, Stopped | Drop | UnreadMessage);
            match exited.reason {
                ExitReason::Stopped => assert!(quiet, "{place:?}"),
                ExitReason::Crashed(_) => assert!(!quiet || place == Stopped, "{place:?}"),
                reason => panic!("{place:?}: {reason}"),
            }
            let asked = neighbour.ask(Do::Nothing, SECOND).await;
            assert_eq!(asked, Ok(7), "{place:?}");
            assert_eq!(node.lookup("bomb"), None, "{place:?}");
        });
    }
}

#[test]
fn many_children_are_started_killed_made_anew_and_stopped() {
    const MANY: usize = 2_000;
    testkit::run(async |kit| {
        let (node, log) = (kit.node("n").await, Log::default());
        let many = (0..MANY).map(|n| worker(&format!("w{n}"), ChildKind::Permanent, &log));
        let supervisor = many.fold(Supervisor::one_for_one(), Supervisor::child);
        let supervisor = supervisor
            .intensity(MANY, SECOND)
            .start(&node, "s")
            .unwrap();
        kit.settle().await;
        assert_eq!(take(&log).len(), MANY);
        for n in 0..MANY {
            node.kill(&node.lookup(&format!("w{n}")).unwrap());
        }
        kit.settle().await;
        let children = supervisor.children().await;
        assert!(children.iter().all(|child| child.up && child.restarts == 1));
        node.stop(&supervisor.pid());
        node.monitor(&supervisor.pid()).await;
        kit.settle().await;
        assert_eq!(node.actors().len(), 0);
    });
}
