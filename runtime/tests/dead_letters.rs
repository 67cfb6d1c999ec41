//! Dead letters: counted, told to watchers, and nobody is held up by one that does not keep up.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{DeadLetter, node::SpawnOptions, prelude::*, testkit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Ping", reply = u64)]
struct Ping(u64);

struct Ponger;

impl Actor for Ponger {
    type Context = Context<Self>;
}

impl Handler<Ping> for Ponger {
    type Result = u64;

    fn handle(&mut self, ping: Ping, ctx: &mut Context<Self>) -> u64 {
        if ping.0 == 0 {
            ctx.stop();
        }
        ping.0
    }
}

accepts!(Ponger: Ping);

struct Collector(Arc<Mutex<Vec<DeadLetter>>>);

impl Actor for Collector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.watch_dead_letters();
    }
}

impl Handler<DeadLetter> for Collector {
    type Result = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(letter);
    }
}

accepts!(Collector:);

#[test]
fn what_reaches_nobody_is_told_with_receiver_name_and_reason() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let letters = Arc::default();
        there
            .spawn("collector", Collector(Arc::clone(&letters)))
            .unwrap();
        let mut stream = there.watch_dead_letters(10);
        let ponger = there.spawn("ponger", Ponger).unwrap();
        kit.settle().await;
        // Left in the mailbox of an actor that stops.
        ponger.tell(Ping(0)).unwrap();
        ponger.tell(Ping(1)).unwrap();
        kit.settle().await;
        // To nobody, from here and from afar.
        there.tell(ponger.as_any(), Ping(2)).unwrap_err();
        here.tell(ponger.as_any(), Ping(3)).unwrap();
        kit.settle().await;
        let told = letters.lock().unwrap().clone();
        assert_eq!(told.len(), 3);
        for letter in &told {
            assert_eq!(letter.to.name(), "ponger");
            assert_eq!(letter.message, "test.Ping");
            assert_eq!(letter.reason, tepui_runtime::Undeliverable::NoSuchActor);
            assert_eq!(stream.try_next().as_ref(), Some(letter));
        }
        assert_eq!((there.dead_letters(), here.dead_letters()), (3, 0));
    });
}

#[test]
fn slow_watchers_miss_letters_and_hold_nobody_up() {
    testkit::run(async |kit| {
        let node = kit.node("n").await;
        let mut stream = node.watch_dead_letters(2);
        let gone = node.watch_dead_letters(2);
        drop(gone);
        let options = SpawnOptions {
            mailbox: Some(3),
            ..SpawnOptions::default()
        };
        let letters = Arc::<Mutex<Vec<DeadLetter>>>::default();
        let kept = Arc::clone(&letters);
        let collector = node.spawn_as("c", options, move || Collector(kept.clone()));
        kit.settle().await;
        let nobody = AnyPid::new("nobody", node.addr().clone()).unwrap();
        for n in 0..10 {
            node.tell(&nobody, Ping(n)).unwrap_err();
        }
        assert_eq!((node.dead_letters(), stream.missed()), (10, 8));
        assert!(stream.next().await.is_some() && stream.next().await.is_some());
        assert_eq!(stream.try_next(), None);
        kit.settle().await;
        assert_eq!(letters.lock().unwrap().len(), 3);
        // A watcher that has ended is no receiver either, and is forgotten.
        node.stop(collector.unwrap().as_any());
        kit.advance(SECOND).await;
        node.tell(&nobody, Ping(1)).unwrap_err();
        assert_eq!(node.dead_letters(), 11);
    });
}
