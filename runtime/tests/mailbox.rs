//! Mailboxes: what each policy does with a message too many, who waits, who is woken, and that
//! async handlers let nobody in between.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{Undeliverable, prelude::*, testkit};
use tokio::sync::{Notify, Semaphore};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Put", reply = usize)]
struct Put(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Slow", reply = u32)]
struct Slow(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Crash", reply = u32)]
struct Crash;

#[derive(Message)]
#[message(local)]
struct Watch(AnyPid);

/// Keeps what it is given; its async handlers go on when the gate lets them.
#[derive(Clone, Default)]
struct Shelf {
    log: Arc<Mutex<Vec<String>>>,
    gate: Arc<Gate>,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Shelf {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().join(" ")
    }

    fn open(&self, times: usize) {
        self.gate.0.add_permits(times);
    }
}

impl Actor for Shelf {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.note("stopped");
    }
}

impl Handler<Put> for Shelf {
    type Result = usize;

    fn handle(&mut self, put: Put, _: &mut Context<Self>) -> usize {
        self.note(put.0.to_string());
        self.log.lock().unwrap().len()
    }
}

impl AsyncHandler<Slow> for Shelf {
    async fn handle(&mut self, slow: Slow, ctx: &mut Context<Self>) -> u32 {
        struct Note<'a>(&'a Shelf);
        impl Drop for Note<'_> {
            fn drop(&mut self) {
                self.0.note("dropped");
            }
        }
        self.note(format!("+{}", slow.0));
        ctx.run_later(Duration::ZERO, |shelf, _| shelf.note("timer"));
        let gate = self.gate.clone();
        let note = Note(self);
        gate.0.acquire().await.unwrap().forget();
        std::mem::forget(note);
        self.note(format!("-{}", slow.0));
        slow.0
    }
}

impl AsyncHandler<Crash> for Shelf {
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) -> u32 {
        tokio::task::yield_now().await;
        panic!("as told");
    }
}

impl Handler<Exited> for Shelf {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Context<Self>) {
        self.note(format!("{} {}", exited.pid.name(), exited.reason));
    }
}

impl Handler<Watch> for Shelf {
    type Result = ();

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) {
        ctx.monitor(&watch.0);
    }
}

accepts!(Shelf: Put, async Slow, async Crash, Exited);

fn options(overflow: Overflow) -> SpawnOptions {
    SpawnOptions::new().mailbox(2).overflow(overflow)
}

/// Two messages fill the mailbox; then what becomes of a third, by each way of sending it, and of
/// the dead letters.
#[test]
fn each_policy_does_what_it_says() {
    type Row = (Overflow, [Result<(), Undeliverable>; 2], &'static str, u64);
    let full = || Err(Undeliverable::MailboxFull);
    let table: [Row; 5] = [
        (Overflow::Wait, [full(), Ok(())], "1 2 4", 0),
        (Overflow::Fail, [full(), full()], "1 2", 0),
        (Overflow::DropNewest, [Ok(()), Ok(())], "1 2", 2),
        (Overflow::DropOldest, [Ok(()), Ok(())], "3 4", 2),
        (Overflow::StopActor, [full(), full()], "stopped", 2),
    ];
    for (overflow, expected, log, dead) in table {
        testkit::run(async |kit| {
            let node = kit.node("a").await;
            let shelf = Shelf::default();
            let kept = shelf.clone();
            let make = move || kept.clone();
            let typed = node.spawn_as("typed", options(overflow), make).unwrap();
            typed.tell(Put(1)).unwrap();
            typed.tell(Put(2)).unwrap();
            let told = typed.tell(Put(3));
            let waited = typed.tell_wait(Put(4)).await;
            let reason = |error: TellError<Put>| error.reason;
            assert_eq!(
                [told.map_err(reason), waited.map_err(reason)],
                expected,
                "{overflow:?}"
            );
            kit.settle().await;
            assert_eq!(shelf.log(), log, "{overflow:?}");
            assert_eq!(node.dead_letters(), dead, "{overflow:?}");
        });
    }
}

#[test]
fn an_untyped_pid_and_another_node_meet_the_same_policies() {
    for overflow in [Overflow::Fail, Overflow::DropNewest, Overflow::DropOldest] {
        testkit::run(async |kit| {
            let (node, far) = (kit.node("a").await, kit.node("b").await);
            let shelf = Shelf::default();
            let kept = shelf.clone();
            let make = move || kept.clone();
            let pid = node.spawn_as("x", options(overflow), make).unwrap().any();
            // It is busy, and two wait.
            node.tell(&pid, Slow(0)).unwrap();
            kit.settle().await;
            node.tell(&pid, Put(1)).unwrap();
            node.tell(&pid, Put(2)).unwrap();
            let told = node.tell(&pid, Put(3)).is_ok();
            assert_eq!(told, overflow != Overflow::Fail);
            let asked = far.ask(&pid, Put(4), SECOND);
            let opened = async {
                kit.settle().await;
                shelf.open(1);
            };
            let (asked, ()) = futures_util::future::join(asked, opened).await;
            let refused = AskError::Undeliverable {
                pid: pid.clone(),
                reason: Undeliverable::MailboxFull,
            };
            match overflow {
                Overflow::DropOldest => assert!(asked.is_ok(), "{asked:?}"),
                _ => assert_eq!(asked, Err(refused)),
            }
            kit.settle().await;
            let log = shelf.log();
            let rest = if overflow == Overflow::DropOldest {
                "3 4"
            } else {
                "1 2"
            };
            assert_eq!(log, format!("+0 -0 timer {rest}"), "{overflow:?}");
        });
    }
}

#[test]
fn an_asker_whose_question_is_dropped_is_told() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shelf = Shelf::default();
        let make = move || shelf.clone();
        let pid = node
            .spawn_as("x", options(Overflow::DropOldest), make)
            .unwrap();
        let asking = pid.ask(Put(1), SECOND);
        let flooding = async {
            for n in 2..4 {
                pid.tell(Put(n)).unwrap();
            }
        };
        let (asked, ()) = futures_util::future::join(asking, flooding).await;
        assert!(matches!(asked, Err(AskError::NoReply { .. })), "{asked:?}");
        assert_eq!(node.dead_letters(), 1);
    });
}

#[test]
fn many_senders_wait_and_all_get_in_by_and_by() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shelf = Shelf::default();
        let kept = shelf.clone();
        let options = SpawnOptions::new().mailbox(1);
        let pid = node.spawn_as("x", options, move || kept.clone()).unwrap();
        let sends = (0..100).map(|n| pid.tell_wait(Put(n)));
        for sent in futures_util::future::join_all(sends).await {
            sent.unwrap();
        }
        kit.settle().await;
        let mut numbers: Vec<u32> = shelf
            .log
            .lock()
            .unwrap()
            .iter()
            .map(|n| n.parse().unwrap())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    });
}

/// By whichever PID: where the policy is to wait an ask waits for room within its deadline.
#[test]
fn asks_wait_for_room_where_that_is_the_policy() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        for (name, overflow) in [("waits", Overflow::Wait), ("fails", Overflow::Fail)] {
            let shelf = Shelf::default();
            let kept = shelf.clone();
            let make = move || kept.clone();
            let pid = node.spawn_as(name, options(overflow), make).unwrap();
            let fill = || [1, 2].map(|n| pid.tell(Put(n)).unwrap());
            fill();
            let typed = pid.ask(Put(3), SECOND).await;
            kit.settle().await;
            fill();
            let untyped = node.ask(pid.as_any(), Put(4), SECOND).await;
            kit.settle().await;
            assert_eq!(typed.is_ok(), overflow == Overflow::Wait, "{typed:?}");
            assert_eq!(untyped.is_ok(), overflow == Overflow::Wait, "{untyped:?}");
            // Nobody makes room: the actor holds on to a handler.
            pid.tell(Slow(9)).unwrap();
            kit.settle().await;
            fill();
            let late = node.ask(pid.as_any(), Put(5), SECOND).await;
            let expected = match overflow {
                Overflow::Wait => AskError::Timeout {
                    pid: pid.any(),
                    after: SECOND,
                },
                _ => AskError::Undeliverable {
                    pid: pid.any(),
                    reason: Undeliverable::MailboxFull,
                },
            };
            assert_eq!(late, Err(expected));
            shelf.open(1);
        }
    });
}

#[test]
fn clones_of_a_pid_take_no_room() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let make = Shelf::default;
        let pid = node.spawn_as("x", options(Overflow::Fail), make).unwrap();
        let clones: Vec<_> = (0..50).map(|_| pid.clone()).collect();
        let taken = clones.iter().filter(|pid| pid.tell(Put(1)).is_ok()).count();
        assert_eq!(taken, 2);
    });
}

#[test]
fn tell_many_keeps_order_and_hands_back_what_has_no_room() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shelf = Shelf::default();
        let kept = shelf.clone();
        let options = SpawnOptions::new().mailbox(5);
        let pid = node.spawn_as("x", options, move || kept.clone()).unwrap();
        assert_eq!(pid.tell_many((0..3).map(Put)).unwrap(), 3);
        let mut more = (3..9).map(Put);
        let refused = pid.tell_many(&mut more).unwrap_err();
        assert_eq!((refused.message, more.next()), (Put(5), Some(Put(6))));
        kit.settle().await;
        assert_eq!(shelf.log(), "0 1 2 3 4");
        let far = kit.node("b").await;
        assert_eq!(
            far.bind::<Shelf>(pid.as_any())
                .tell_many([Put(7), Put(8)])
                .unwrap(),
            2
        );
        kit.settle().await;
        assert_eq!(shelf.log(), "0 1 2 3 4 7 8");
    });
}

#[test]
fn an_async_handler_lets_nobody_in_between() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shelf = Shelf::default();
        let peer = node.spawn("peer", Shelf::default()).unwrap();
        let pid = node.spawn("x", shelf.clone()).unwrap();
        pid.tell(Watch(peer.any())).unwrap();
        let asked = pid.ask(Slow(1), SECOND);
        let others = async {
            kit.settle().await;
            pid.tell(Put(2)).unwrap();
            node.stop(peer.as_any());
            kit.settle().await;
            assert_eq!(shelf.log(), "+1");
            shelf.open(1);
        };
        let (asked, ()) = futures_util::future::join(asked, others).await;
        assert_eq!(asked, Ok(1));
        kit.settle().await;
        assert_eq!(shelf.log(), "+1 -1 peer stopped timer 2");
    });
}

#[test]
fn an_async_handler_works_from_another_node() {
    testkit::run(async |kit| {
        let (node, far) = (kit.node("a").await, kit.node("b").await);
        let shelf = Shelf::default();
        let pid = node.spawn("x", shelf.clone()).unwrap();
        shelf.open(2);
        let afar = far.bind::<Shelf>(pid.as_any());
        assert_eq!(afar.ask(Slow(7), SECOND).await, Ok(7));
        assert_eq!(node.ask(pid.as_any(), Slow(8), SECOND).await, Ok(8));
    });
}

#[test]
fn a_stop_waits_for_an_async_handler_and_a_kill_drops_it() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let (stopped, killed) = (Shelf::default(), Shelf::default());
        let first = node.spawn("first", stopped.clone()).unwrap();
        let second = node.spawn("second", killed.clone()).unwrap();
        first.tell(Slow(1)).unwrap();
        second.tell(Slow(2)).unwrap();
        kit.settle().await;
        node.stop(first.as_any());
        node.kill(second.as_any());
        kit.settle().await;
        assert_eq!(stopped.log(), "+1");
        assert_eq!(killed.log(), "+2 dropped stopped");
        stopped.open(1);
        kit.settle().await;
        assert_eq!(stopped.log(), "+1 -1 stopped");
        assert_eq!(
            node.monitor(second.as_any()).await.reason,
            ExitReason::NoSuchActor
        );
    });
}

#[test]
fn a_panic_in_an_async_handler_is_the_actors_own() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shelf = Shelf::default();
        let pid = node.spawn("x", shelf.clone()).unwrap();
        let exited = node.monitor(pid.as_any());
        let asked = pid.ask(Crash, SECOND);
        let (exited, asked) = futures_util::future::join(exited, asked).await;
        assert!(matches!(asked, Err(AskError::NoReply { .. })), "{asked:?}");
        assert_eq!(exited.reason, ExitReason::Crashed("as told".into()));
        let make = Shelf::default;
        let resumed = node.supervise("y", Supervision::resume(), make).unwrap();
        assert!(resumed.ask(Crash, SECOND).await.is_err());
        assert_eq!(resumed.ask(Put(1), SECOND).await, Ok(1));
    });
}

#[test]
fn kill_reaches_an_actor_whose_mailbox_never_empties() {
    struct Flood(Arc<Notify>);
    impl Actor for Flood {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.tell_self(Put(0)).unwrap();
        }
    }
    impl Handler<Put> for Flood {
        type Result = usize;
        fn handle(&mut self, put: Put, ctx: &mut Context<Self>) -> usize {
            if put.0 == 1000 {
                self.0.notify_one();
            }
            ctx.tell_self(Put(put.0 + 1)).unwrap();
            0
        }
    }
    accepts!(Flood:);
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let running = Arc::new(Notify::new());
        let pid = node.spawn("x", Flood(running.clone())).unwrap();
        running.notified().await;
        let exited = node.monitor(pid.as_any());
        node.kill(pid.as_any());
        assert_eq!(exited.await.reason, ExitReason::Killed);
    });
}
