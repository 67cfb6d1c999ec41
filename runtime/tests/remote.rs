//! Actors on several nodes: the same calls as on one, and what links add: loss, versions, order.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{Undeliverable, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

/// The same message as an older node declares it: one field less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Greet", version = 1, reply = String)]
struct GreetOld {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Greet", version = 2, reply = String)]
struct GreetNew {
    name: String,
    #[serde(default)]
    title: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Greet", version = 4, reply = String)]
struct GreetFuture {
    name: String,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Unknown", reply = u64)]
struct Unknown;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Panic", reply = u64)]
struct Panic;

#[derive(Message)]
#[message(local)]
struct Fail;

#[derive(Message)]
#[message(local)]
struct Local(#[expect(dead_code, reason = "a field that cannot travel")] Arc<()>);

/// A reply that comes later.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Later", reply = u64)]
struct Later(u64);

/// Adds up; remembers the order.
#[derive(Default)]
struct Counter {
    n: u64,
    order: Arc<Mutex<Vec<u64>>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
        self.n += add.0;
        self.order.lock().unwrap().push(add.0);
        self.n
    }
}

impl Handler<GreetNew> for Counter {
    type Result = MessageResult<GreetNew>;

    fn handle(&mut self, greet: GreetNew, _: &mut Context<Self>) -> MessageResult<GreetNew> {
        MessageResult(format!(
            "hello {}{}",
            greet.title.unwrap_or_default(),
            greet.name
        ))
    }
}

impl Handler<Panic> for Counter {
    type Result = u64;

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> u64 {
        panic!("as told");
    }
}

impl Handler<Fail> for Counter {
    type Result = ();

    fn handle(&mut self, _: Fail, ctx: &mut Context<Self>) {
        ctx.fail("no disk");
    }
}

impl Handler<Unknown> for Counter {
    type Result = u64;

    fn handle(&mut self, _: Unknown, _: &mut Context<Self>) -> u64 {
        unreachable!("not accepted from afar")
    }
}

impl Handler<Local> for Counter {
    type Result = ();

    fn handle(&mut self, _: Local, _: &mut Context<Self>) {}
}

impl Handler<Later> for Counter {
    type Result = ResponseActFuture<Self, u64>;

    #[expect(
        clippy::disallowed_methods,
        reason = "a reply that takes (virtual) time"
    )]
    fn handle(&mut self, later: Later, _: &mut Context<Self>) -> Self::Result {
        let wait = tokio::time::sleep(Duration::from_millis(later.0)).into_actor(self);
        Box::pin(wait.map(|(), counter: &mut Self, _| counter.n))
    }
}

accepts!(Counter: Add, GreetNew, Panic, Later);

struct Watcher {
    of: AnyPid,
    link: bool,
    exits: Arc<Mutex<Vec<ExitReason>>>,
}

impl Actor for Watcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.link {
            ctx.link(&self.of);
        } else {
            ctx.monitor(&self.of);
        }
    }
}

impl Handler<Exited> for Watcher {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Context<Self>) {
        self.exits.lock().unwrap().push(exited.reason);
    }
}

accepts!(Watcher: Exited);

#[test]
fn tells_cross_nodes_in_order_and_asks_are_answered() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let order = Arc::default();
        let counter = Counter {
            n: 0,
            order: Arc::clone(&order),
        };
        let counter = there.spawn("counter", counter).unwrap();
        let afar = here.bind::<Counter>(counter.as_any());
        for n in 0..5000 {
            afar.tell(Add(n)).unwrap();
        }
        assert_eq!(afar.ask(Add(1), SECOND).await, Ok(4999 * 2500 + 1));
        assert!(order.lock().unwrap()[..5000].iter().copied().eq(0..5000));
        let by_name: AnyPid = "counter@there:1".parse().unwrap();
        assert_eq!(
            here.ask(&by_name, Add(0), SECOND).await,
            Ok(4999 * 2500 + 1)
        );
        assert_eq!(afar.ask(Later(300), SECOND).await, Ok(4999 * 2500 + 1));
    });
}

#[test]
fn refusals_come_back_to_the_asker_and_the_link_lives_on() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let counter = there.spawn("counter", Counter::default()).unwrap();
        let afar = here.bind::<Counter>(counter.as_any());
        let asked = afar.ask(Unknown, SECOND).await.unwrap_err().to_string();
        assert!(asked.contains("does not accept test.Unknown"), "{asked}");
        let nobody: AnyPid = "nobody@there:1".parse().unwrap();
        let asked = here.ask(&nobody, Add(1), SECOND).await.unwrap_err();
        let reason = Undeliverable::NoSuchActor;
        assert_eq!(
            asked,
            AskError::Undeliverable {
                pid: nobody.clone(),
                reason
            }
        );
        here.tell(&nobody, Add(1)).unwrap();
        kit.settle().await;
        assert_eq!(there.dead_letters(), 3);
        let error = afar.tell(Local(Arc::default())).unwrap_err();
        assert!(error.to_string().contains("local message"), "{error}");
        let late = afar.ask(Later(5000), SECOND).await.unwrap_err();
        assert!(matches!(late, AskError::Timeout { .. }));
        assert_eq!(afar.ask(Add(1), SECOND).await, Ok(1));
    });
}

#[test]
fn adjacent_versions_understand_each_other_and_distant_ones_are_told() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let counter = there.spawn("counter", Counter::default()).unwrap().any();
        let name = || "Ada".to_owned();
        let old = here.ask(&counter, GreetOld { name: name() }, SECOND).await;
        assert_eq!(old.as_deref(), Ok("hello Ada"));
        let title = Some("Lady ".to_owned());
        let new = here
            .ask(
                &counter,
                GreetNew {
                    name: name(),
                    title,
                },
                SECOND,
            )
            .await;
        assert_eq!(new.as_deref(), Ok("hello Lady Ada"));
        let far = here
            .ask(&counter, GreetFuture { name: name() }, SECOND)
            .await
            .unwrap_err();
        assert!(far.to_string().contains("test.Greet/4"), "{far}");
    });
}

#[test]
fn a_crash_afar_is_told_with_its_reason() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let counter = there.spawn("counter", Counter::default()).unwrap();
        let exits = Arc::default();
        let watcher = Watcher {
            of: counter.any(),
            link: false,
            exits: Arc::clone(&exits),
        };
        here.spawn("watcher", watcher).unwrap();
        kit.settle().await;
        let asked = here.ask(counter.as_any(), Panic, SECOND).await.unwrap_err();
        assert!(matches!(asked, AskError::NoReply { .. }), "{asked:?}");
        kit.settle().await;
        assert_eq!(
            *exits.lock().unwrap(),
            [ExitReason::Crashed("as told".into())]
        );
    });
}

#[test]
fn failures_and_kills_afar_are_told_apart_from_crashes() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let exits = Arc::default();
        for kill in [true, false] {
            let counter = there.spawn("counter", Counter::default()).unwrap();
            let watcher = Watcher {
                of: counter.any(),
                link: false,
                exits: Arc::clone(&exits),
            };
            let watcher = here.spawn("watcher", watcher).unwrap();
            kit.settle().await;
            match kill {
                true => there.kill(counter.as_any()),
                false => counter.tell(Fail).unwrap(),
            }
            kit.settle().await;
            here.stop(watcher.as_any());
            kit.settle().await;
        }
        let expected = [ExitReason::Killed, ExitReason::Failed("no disk".into())];
        assert_eq!(*exits.lock().unwrap(), expected);
    });
}

#[test]
fn a_link_tells_the_other_node_too() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (left, right) = (Arc::default(), Arc::default());
        let nobody: AnyPid = "nobody@there:1".parse().unwrap();
        let first = Watcher {
            of: nobody,
            link: false,
            exits: Arc::clone(&left),
        };
        let first = there.spawn("first", first).unwrap();
        kit.settle().await;
        assert_eq!(*left.lock().unwrap(), [ExitReason::NoSuchActor]);
        let second = Watcher {
            of: first.any(),
            link: true,
            exits: Arc::clone(&right),
        };
        let second = here.spawn("second", second).unwrap();
        kit.settle().await;
        here.stop(second.as_any());
        kit.settle().await;
        assert_eq!(left.lock().unwrap()[1..], [ExitReason::Stopped]);
        assert!(right.lock().unwrap().is_empty());
    });
}

#[test]
fn the_end_of_a_node_is_told_once() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let counter = there.spawn("counter", Counter::default()).unwrap();
        let exits = Arc::default();
        let watcher = Watcher {
            of: counter.any(),
            link: false,
            exits: Arc::clone(&exits),
        };
        here.spawn("watcher", watcher).unwrap();
        kit.settle().await;
        there.shutdown().await;
        kit.advance(60 * SECOND).await;
        assert_eq!(
            *exits.lock().unwrap(),
            [ExitReason::Stopped],
            "stopped before its node"
        );
        let asked = here
            .ask(counter.as_any(), Add(1), 30 * SECOND)
            .await
            .unwrap_err();
        assert!(matches!(asked, AskError::Unreachable { .. }), "{asked:?}");
        let exited = here.monitor(counter.as_any()).await;
        assert_eq!(exited.reason, ExitReason::NodeDown);
    });
}

#[test]
fn a_silent_node_is_unreachable_and_its_return_is_another_story() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let counter = there.spawn("counter", Counter::default()).unwrap();
        let exits = Arc::default();
        let watcher = Watcher {
            of: counter.any(),
            link: false,
            exits: Arc::clone(&exits),
        };
        here.spawn("watcher", watcher).unwrap();
        kit.settle().await;
        kit.cut(&here, &there);
        let asked = here
            .ask(counter.as_any(), Add(1), 60 * SECOND)
            .await
            .unwrap_err();
        assert!(matches!(asked, AskError::Unreachable { .. }), "{asked:?}");
        kit.settle().await;
        assert_eq!(*exits.lock().unwrap(), [ExitReason::Unreachable]);
        kit.join(&here, &there);
        kit.advance(30 * SECOND).await;
        assert!(
            here.ask(counter.as_any(), Add(1), SECOND).await.is_ok(),
            "the link heals"
        );
        assert_eq!(exits.lock().unwrap().len(), 1, "told once");
    });
}

#[test]
fn nodes_talk_over_tcp() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let addr = || "127.0.0.1:0".parse().unwrap();
        let here = Node::builder(addr()).workers(1).start().await.unwrap();
        let there = Node::builder(addr()).workers(1).start().await.unwrap();
        let counter = there.spawn("counter", Counter::default()).unwrap();
        let afar = here.bind::<Counter>(counter.as_any());
        for _ in 0..1000 {
            afar.tell_wait(Add(1)).await.unwrap();
        }
        assert_eq!(afar.ask(Add(0), 10 * SECOND).await, Ok(1000));
        let taken = Node::builder(there.addr().clone()).workers(1).start().await;
        let error = taken.expect_err("the port is taken").to_string();
        assert!(error.contains(&there.addr().to_string()), "{error}");
        there.shutdown().await;
        let asked = afar.ask(Add(0), 10 * SECOND).await.unwrap_err();
        assert!(matches!(asked, AskError::Unreachable { .. }), "{asked:?}");
        here.shutdown().await;
    });
}
