//! Message filters: what a test can do to messages, replies and notices of exits.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use tepui_runtime::{prelude::*, testkit::TestKit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Add", reply = u64)]
struct Add(u64);

/// Adds, and writes down whose end it is told of.
#[derive(Default)]
struct Counter {
    sum: u64,
    watches: Option<AnyPid>,
    exits: Arc<Mutex<Vec<(u64, ExitReason)>>>,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.watches.iter().for_each(|pid| ctx.monitor(pid));
    }
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
        self.sum += add.0;
        self.sum
    }
}

impl Handler<Exited> for Counter {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Context<Self>) {
        self.exits.lock().unwrap().push((ctx.now(), exited.reason));
    }
}

accepts!(Counter: Add, Exited);

/// A counter as its neighbour, and as another node, reach it.
async fn counter(kit: &TestKit) -> [Pid<Counter>; 2] {
    let (here, there) = (kit.node("here").await, kit.node("there").await);
    let counter = here.spawn("counter", Counter::default()).unwrap();
    let afar = there.bind::<Counter>(counter.as_any());
    [counter, afar]
}

#[tepui_runtime::test]
async fn a_message_that_is_awaited_is_seen_when_it_is_sent_and_when_it_is_handled(kit: TestKit) {
    for pid in counter(&kit).await {
        let to = kit.filter_to(pid.as_any());
        let (sent, mut handled) = (to.await_sent::<Add>(), kit.await_next::<Add>(pid.as_any()));
        pid.tell(Add(7)).unwrap();
        assert_eq!(sent.await, Add(7));
        assert!(
            (&mut handled).now_or_never().is_none(),
            "not handled before it can be"
        );
        assert_eq!(handled.await, Add(7));
    }
}

#[test]
#[should_panic(expected = "no test.Add to counter@here:1 was handled within 600s")]
fn a_message_that_never_comes_fails_the_test() {
    tepui_runtime::testkit::run(async |kit| {
        let [pid, _] = counter(&kit).await;
        kit.filter().drop_all::<Add>();
        pid.tell(Add(7)).unwrap();
        kit.await_next::<Add>(&pid.any().any_incarnation()).await;
    });
}

#[tepui_runtime::test]
async fn messages_are_replaced_and_dropped_by_what_they_say(kit: TestKit) {
    for pid in counter(&kit).await {
        let sum = pid.ask(Add(0), SECOND).await.unwrap();
        let doubled = kit.filter().replace(|add: Add| Add(add.0 * 2)).scoped();
        assert_eq!(pid.ask(Add(5), SECOND).await, Ok(sum + 10));
        assert_eq!(doubled.hits(), 1);
        drop(doubled);
        let odd = kit
            .filter_to(pid.as_any())
            .drop_if(|add: &Add| add.0 % 2 == 1);
        pid.tell(Add(1)).unwrap();
        pid.tell(Add(2)).unwrap();
        assert_eq!(pid.ask(Add(0), SECOND).await, Ok(sum + 12));
        assert_eq!(odd.hits(), 1);
        odd.lift();
        assert_eq!(pid.ask(Add(1), SECOND).await, Ok(sum + 13));
    }
}

#[tepui_runtime::test]
async fn a_filter_answers_in_the_receivers_place(kit: TestKit) {
    for pid in counter(&kit).await {
        let sum = pid.ask(Add(0), SECOND).await.unwrap();
        let handled = kit.filter().observe_handled::<Add>();
        let answers = kit.filter().answer(|add: Add| 1_000 + add.0).scoped();
        assert_eq!(pid.ask(Add(1), SECOND).await, Ok(1_001));
        pid.tell(Add(2)).unwrap();
        assert_eq!(answers.hits(), 2);
        drop(answers);
        assert_eq!(handled.count(), 0);
        assert_eq!(pid.ask(Add(3), SECOND).await, Ok(sum + 3));
        assert_eq!(handled.messages(), [Add(3)]);
    }
}

#[tepui_runtime::test]
async fn replies_are_dropped_delayed_and_replaced(kit: TestKit) {
    for pid in counter(&kit).await {
        let sum = pid.ask(Add(0), SECOND).await.unwrap();
        kit.filter_to(pid.as_any()).drop_replies::<Add>(1);
        let asked = pid.ask(Add(1), SECOND).await;
        assert!(matches!(asked, Err(AskError::Timeout { .. })), "{asked:?}");
        let late = kit.filter().delay_replies::<Add>(3 * SECOND).scoped();
        let before = kit.now();
        let asked = pid.ask(Add(1), 4 * SECOND).await;
        assert_eq!(asked, Ok(sum + 2), "both were handled");
        assert!(kit.now() - before >= 3_000_000);
        drop(late);
        let more = kit
            .filter()
            .replace_replies::<Add>(|sum| sum + 100)
            .scoped();
        assert_eq!(pid.ask(Add(1), SECOND).await, Ok(sum + 103));
        drop(more);
        assert_eq!(pid.ask(Add(1), SECOND).await, Ok(sum + 4));
    }
}

#[tepui_runtime::test]
async fn a_question_that_is_delayed_is_answered_late(kit: TestKit) {
    for pid in counter(&kit).await {
        kit.filter().delay_next::<Add>(1, 3 * SECOND);
        let before = kit.now();
        pid.ask(Add(1), 4 * SECOND).await.unwrap();
        assert!(kit.now() - before >= 3_000_000);
    }
}

#[tepui_runtime::test]
async fn all_who_watch_see_a_message_and_the_oldest_filter_has_it(kit: TestKit) {
    let [pid, _] = counter(&kit).await;
    let seen = (kit.filter().observe::<Add>(), kit.filter().observe::<Add>());
    let (drop, replace) = (
        kit.filter().drop_next::<Add>(1),
        kit.filter().replace(|_: Add| Add(50)),
    );
    pid.tell(Add(1)).unwrap();
    assert_eq!(pid.ask(Add(2), SECOND).await, Ok(50));
    assert_eq!((drop.hits(), replace.hits()), (1, 1));
    assert_eq!(seen.0.messages(), [Add(1), Add(2)]);
    assert_eq!(seen.1.last(), Some(Add(2)));
}

/// A watcher and the actor that it monitors, on one node or on two.
async fn watching(kit: &TestKit, name: &str, apart: bool) -> (Node, AnyPid, Pid<Counter>, Exits) {
    let node = kit.node(&format!("{name}-1")).await;
    let home = match apart {
        true => kit.node(&format!("{name}-2")).await,
        false => node.clone(),
    };
    let watched = home.spawn("watched", Counter::default()).unwrap();
    let exits = Exits::default();
    let watcher = Counter {
        watches: Some(watched.any()),
        exits: exits.clone(),
        ..Counter::default()
    };
    let watcher = node.spawn("watcher", watcher).unwrap();
    kit.settle().await;
    (home, watched.any(), watcher, exits)
}

type Exits = Arc<Mutex<Vec<(u64, ExitReason)>>>;

#[tepui_runtime::test]
async fn notices_of_exits_are_filtered_as_other_messages_are(kit: TestKit) {
    for apart in [false, true] {
        let (home, watched, watcher, exits) = watching(&kit, &format!("late{apart}"), apart).await;
        let late = kit.filter_to(watcher.as_any()).delay::<Exited>(3 * SECOND);
        let ended = kit.now();
        home.stop(&watched);
        kit.advance(2 * SECOND).await;
        assert!(exits.lock().unwrap().is_empty());
        kit.advance(2 * SECOND).await;
        let told = exits.lock().unwrap().clone();
        assert_eq!(told.len(), 1);
        assert!(told[0].0 - ended >= 3_000_000, "{told:?}");
        assert_eq!(told[0].1, ExitReason::Stopped);
        late.lift();

        let (home, watched, _, exits) = watching(&kit, &format!("twice{apart}"), apart).await;
        kit.filter().duplicate::<Exited>(1);
        home.stop(&watched);
        kit.settle().await;
        assert_eq!(exits.lock().unwrap().len(), 2);

        let (home, watched, watcher, exits) = watching(&kit, &format!("lie{apart}"), apart).await;
        let lie = kit
            .filter_to(watcher.as_any())
            .replace(|exited: Exited| Exited {
                reason: ExitReason::NodeDown,
                ..exited
            });
        let noticed = kit.await_next::<Exited>(watcher.as_any());
        home.stop(&watched);
        assert_eq!(noticed.await.reason, ExitReason::NodeDown);
        lie.lift();
        kit.settle().await;
        assert_eq!(exits.lock().unwrap()[0].1, ExitReason::NodeDown);

        let (home, watched, _, exits) = watching(&kit, &format!("lost{apart}"), apart).await;
        kit.filter().drop_next::<Exited>(1);
        home.stop(&watched);
        kit.advance(10 * SECOND).await;
        assert!(exits.lock().unwrap().is_empty());
    }
}

/// Takes `Add` through typed PIDs only.
struct Shy;

impl Actor for Shy {
    type Context = Context<Self>;
}

impl Handler<Add> for Shy {
    type Result = u64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
        add.0
    }
}

accepts!(Shy:);

#[test]
#[should_panic(expected = "a filter could not deliver test.Add to shy@a:1")]
fn a_filter_that_cannot_deliver_fails_the_test() {
    tepui_runtime::testkit::run(async |kit| {
        let node = kit.node("a").await;
        let shy = node.spawn("shy", Shy).unwrap();
        kit.filter().delay::<Add>(SECOND);
        shy.tell(Add(1)).unwrap();
        kit.advance(2 * SECOND).await;
    });
}
