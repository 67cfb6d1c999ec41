//! Actors on one node: messages, names, timers, crashes, exits. What crosses nodes is in
//! `remote.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tepui_runtime::{Undeliverable, node::SpawnOptions, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Panic")]
struct Panic;

#[derive(Message)]
#[message(local)]
struct StopNow;

#[derive(Default)]
struct Counter {
    n: u64,
    stopped: Option<Arc<AtomicUsize>>,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(stopped) = &self.stopped {
            stopped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
        self.n += add.0;
        self.n
    }
}

impl Handler<Panic> for Counter {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("as told");
    }
}

impl Handler<StopNow> for Counter {
    type Result = ();

    fn handle(&mut self, _: StopNow, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

accepts!(Counter: Add, Panic);

/// Collects exits.
struct Mourner {
    of: Vec<AnyPid>,
    linked: bool,
    exits: Arc<std::sync::Mutex<Vec<Exited>>>,
}

impl Actor for Mourner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for pid in &self.of {
            match self.linked {
                true => ctx.link(pid),
                false => ctx.monitor(pid),
            }
        }
    }
}

impl Handler<Exited> for Mourner {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Context<Self>) {
        self.exits.lock().unwrap().push(exited);
    }
}

accepts!(Mourner: Exited);

#[test]
fn tells_arrive_in_order_and_asks_are_answered() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let counter = node.spawn("counter", Counter::default()).unwrap();
        for n in 1..=1000 {
            counter.tell(Add(n)).unwrap();
        }
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(500_500));
        let untyped = node.lookup("counter").unwrap();
        assert_eq!(node.ask(&untyped, Add(1), SECOND).await, Ok(500_501));
        assert_eq!(untyped, counter.any());
    });
}

#[test]
fn a_name_is_taken_until_its_actor_has_stopped() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let first = node.spawn("x", Counter::default()).unwrap();
        let error = node.spawn("x", Counter::default()).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert!(node.spawn("x y", Counter::default()).is_err());
        first.tell(StopNow).unwrap();
        kit.settle().await;
        let second = node.spawn("x", Counter::default()).unwrap();
        assert_ne!(
            first.any(),
            second.any(),
            "another life is another incarnation"
        );
        assert_eq!(
            first.tell(Add(1)).unwrap_err().reason,
            Undeliverable::NoSuchActor
        );
        assert_eq!(
            node.tell(first.as_any(), Add(1)).unwrap_err().message,
            Add(1)
        );
        node.tell(&first.any().any_incarnation(), Add(1)).unwrap();
        assert_eq!(second.ask(Add(0), SECOND).await, Ok(1));
    });
}

#[test]
fn a_full_mailbox_hands_the_message_back_and_a_waiting_sender_waits() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let options = SpawnOptions {
            mailbox: Some(3),
            ..SpawnOptions::default()
        };
        let counter = node.spawn_as("c", options, Counter::default).unwrap();
        for _ in 0..3 {
            counter.tell(Add(1)).unwrap();
        }
        let error = counter.tell(Add(7)).unwrap_err();
        assert_eq!(
            (error.reason, error.message),
            (Undeliverable::MailboxFull, Add(7))
        );
        counter.tell_wait(Add(7)).await.unwrap();
        for _ in 0..3 {
            node.tell_wait(counter.as_any(), Add(1)).await.unwrap();
        }
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(13));
    });
}

#[test]
fn a_panic_ends_one_actor_and_its_watchers_are_told_why() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let counter = node.spawn("c", Counter::default()).unwrap();
        let other = node.spawn("other", Counter::default()).unwrap();
        let exits = Arc::default();
        let of = vec![counter.any(), counter.any().any_incarnation()];
        let mourner = Mourner {
            of,
            linked: false,
            exits: Arc::clone(&exits),
        };
        node.spawn("mourner", mourner).unwrap();
        kit.settle().await;
        let asked = counter.ask(Panic, SECOND).await;
        assert!(matches!(asked, Err(AskError::NoReply { .. })), "{asked:?}");
        kit.settle().await;
        let exits = exits.lock().unwrap().clone();
        assert_eq!(exits.len(), 2, "once for each monitor: {exits:?}");
        assert_eq!(exits[0].reason, ExitReason::Crashed("as told".into()));
        assert_eq!(
            other.ask(Add(1), SECOND).await,
            Ok(1),
            "its neighbour lives"
        );
        assert_eq!(node.lookup("c"), None);
    });
}

#[test]
fn a_supervised_actor_is_made_anew_within_its_intensity() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let supervision = Supervision::restart(2, 10 * SECOND);
        let counter = node.supervise("c", supervision, Counter::default).unwrap();
        counter.tell(Add(5)).unwrap();
        counter.tell(Panic).unwrap();
        counter.tell(Add(1)).unwrap();
        assert_eq!(
            counter.ask(Add(0), SECOND).await,
            Ok(1),
            "new state, same mailbox"
        );
        counter.tell(Panic).unwrap();
        kit.advance(11 * SECOND).await;
        counter.tell(Panic).unwrap();
        counter.tell(Panic).unwrap();
        kit.settle().await;
        assert_eq!(
            counter.ask(Add(2), SECOND).await,
            Ok(2),
            "the span of the first is over"
        );
        counter.tell(Panic).unwrap();
        assert!(
            counter.ask(Add(0), SECOND).await.is_err(),
            "three within the span"
        );
    });
}

#[test]
fn a_restart_waits_for_its_back_off() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let supervision = Supervision::restart(3, 60 * SECOND).back_off(2 * SECOND, 8 * SECOND);
        let counter = node.supervise("c", supervision, Counter::default).unwrap();
        counter.tell(Panic).unwrap();
        kit.settle().await;
        let before = kit.now();
        assert_eq!(counter.ask(Add(1), 10 * SECOND).await, Ok(1));
        assert_eq!((kit.now() - before) / 1_000_000, 2);
    });
}

#[test]
fn a_resumed_actor_keeps_its_state() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let counter = node
            .supervise("c", Supervision::resume(), Counter::default)
            .unwrap();
        counter.tell(Add(5)).unwrap();
        counter.tell(Panic).unwrap();
        assert_eq!(counter.ask(Add(1), SECOND).await, Ok(6));
    });
}

#[test]
fn a_supervised_actor_that_stops_stays_stopped() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let supervision = Supervision::restart(9, 10 * SECOND);
        let counter = node.supervise("c", supervision, Counter::default).unwrap();
        counter.tell(StopNow).unwrap();
        let exited = node.monitor(counter.as_any()).await;
        assert_eq!(exited.reason, ExitReason::Stopped);
        let again = node.monitor(counter.as_any()).await;
        assert_eq!(
            again.reason,
            ExitReason::NoSuchActor,
            "told at once after the fact"
        );
    });
}

#[test]
fn a_link_tells_both_ends() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let (left, right) = (Arc::default(), Arc::default());
        let first = Mourner {
            of: vec![],
            linked: true,
            exits: Arc::clone(&left),
        };
        let first = node.spawn("first", first).unwrap();
        let second = Mourner {
            of: vec![first.any()],
            linked: true,
            exits: Arc::clone(&right),
        };
        let second = node.spawn("second", second).unwrap();
        kit.settle().await;
        node.stop(second.as_any());
        kit.settle().await;
        let told = left.lock().unwrap().clone();
        assert_eq!(
            told,
            [Exited {
                pid: second.any(),
                reason: ExitReason::Stopped
            }]
        );
        assert!(right.lock().unwrap().is_empty());
    });
}

#[test]
fn both_stop_and_kill_let_stopped_run_and_neither_restarts() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let stopped = Arc::new(AtomicUsize::new(0));
        let flag = stopped.clone();
        let make = move || Counter {
            n: 0,
            stopped: Some(flag.clone()),
        };
        let supervision = Supervision::restart(9, SECOND);
        let counter = node.supervise("c", supervision, make).unwrap();
        kit.settle().await;
        node.kill(counter.as_any());
        let exited = node.monitor(counter.as_any()).await;
        assert_eq!(exited.reason, ExitReason::Killed);
        let other = node
            .spawn(
                "d",
                Counter {
                    n: 0,
                    stopped: Some(stopped.clone()),
                },
            )
            .unwrap();
        node.stop(other.as_any());
        kit.settle().await;
        assert_eq!(stopped.load(Ordering::SeqCst), 2);
    });
}

#[derive(Message)]
#[message(local, reply = Vec<u64>)]
struct Ticks;

#[derive(Default)]
struct Ticker(Vec<u64>);

impl Actor for Ticker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let start = ctx.now();
        ctx.run_interval(SECOND, move |ticker, ctx| ticker.0.push(ctx.now() - start));
        let cancelled = ctx.run_later(SECOND / 2, |ticker, _| ticker.0.push(u64::MAX));
        assert!(ctx.cancel_timer(cancelled));
        ctx.run_later(SECOND * 5 / 2, |ticker, _| ticker.0.push(25));
    }
}

impl Handler<Ticks> for Ticker {
    type Result = MessageResult<Ticks>;

    fn handle(&mut self, _: Ticks, _: &mut Context<Self>) -> MessageResult<Ticks> {
        MessageResult(self.0.clone())
    }
}

accepts!(Ticker:);

#[test]
fn timers_fire_in_their_order_when_time_advances() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let ticker = node.spawn("t", Ticker::default()).unwrap();
        kit.advance(Duration::from_millis(3500)).await;
        let ticks = ticker.ask(Ticks, SECOND).await.unwrap();
        let seconds: Vec<u64> = ticks
            .iter()
            .map(|&t| if t > 1000 { t / 1_000_000 } else { t })
            .collect();
        assert_eq!(seconds, [1, 2, 25, 3]);
    });
}

/// Sends itself messages without end.
struct Flood;

impl Actor for Flood {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.tell_self(Add(1)).unwrap();
        ctx.run_later(SECOND, |_, ctx| ctx.stop());
    }
}

impl Handler<Add> for Flood {
    type Result = u64;

    fn handle(&mut self, add: Add, ctx: &mut Context<Self>) -> u64 {
        ctx.tell_self(add).unwrap();
        0
    }
}

accepts!(Flood:);

#[test]
fn a_flooded_actor_starves_neither_its_timers_nor_its_neighbours() {
    // Real threads and real time: the flood must not hold the only worker.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let addr = "127.0.0.1:0".parse().unwrap();
        let node = Node::builder(addr).workers(1).start().await.unwrap();
        let flood = node.spawn("flood", Flood).unwrap();
        let counter = node.spawn("c", Counter::default()).unwrap();
        assert_eq!(counter.ask(Add(1), 10 * SECOND).await, Ok(1));
        assert_eq!(
            node.monitor(flood.as_any()).await.reason,
            ExitReason::Stopped
        );
        node.shutdown().await;
    });
}

#[test]
fn worker_threads_run_actors_and_end_with_the_node() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let addr = "127.0.0.1:0".parse().unwrap();
        let node = Node::builder(addr).workers(2).start().await.unwrap();
        let counters: Vec<_> = (0..10)
            .map(|n| node.spawn(&format!("c{n}"), Counter::default()).unwrap())
            .collect();
        for counter in &counters {
            assert_eq!(counter.ask(Add(3), SECOND).await, Ok(3));
        }
        assert_eq!(node.actors().len(), 10);
        node.shutdown().await;
        assert_eq!(
            counters[0].tell(Add(1)).unwrap_err().reason,
            Undeliverable::NoSuchActor
        );
        assert!(node.spawn("late", Counter::default()).is_err());
    });
}

#[test]
fn filters_drop_observe_delay_and_duplicate() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let counter = node.spawn("c", Counter::default()).unwrap();
        kit.filter().drop_next::<Add>(1);
        counter.tell(Add(100)).unwrap();
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(0));
        let late = kit.filter_to(counter.as_any()).delay::<Add>(3 * SECOND);
        counter.tell(Add(1)).unwrap();
        late.lift();
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(0));
        kit.advance(3 * SECOND).await;
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(1));
        kit.filter().duplicate::<Add>(1);
        counter.tell(Add(10)).unwrap();
        assert_eq!(counter.ask(Add(0), SECOND).await, Ok(21));
        let seen = kit.filter().observe::<Add>();
        counter.tell(Add(9)).unwrap();
        assert_eq!(seen.messages(), [Add(9)]);
        kit.filter_to(counter.as_any()).drop_next::<Add>(1);
    });
}

#[test]
fn a_dropped_question_ends_with_the_deadline() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let counter = node.spawn("c", Counter::default()).unwrap();
        kit.filter().drop_next::<Add>(1);
        let asked = counter.ask(Add(1), 5 * SECOND).await;
        assert!(matches!(asked, Err(AskError::Timeout { .. })), "{asked:?}");
        kit.filter().drop_next::<Add>(1);
        let asked = node.ask(counter.as_any(), Add(1), 5 * SECOND).await;
        assert!(matches!(asked, Err(AskError::Timeout { .. })), "{asked:?}");
    });
}
