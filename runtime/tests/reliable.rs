//! Reliable delivery: each message once and in order, over losses, doubles, delays and cuts, or
//! back with a reason.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;
use tepui_runtime::{
    Undeliverable,
    prelude::*,
    reliable::{Reason, Reliable, ReliableOptions, ReliablePid},
    testkit,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Note")]
struct Note(u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Unheard")]
struct Unheard;

type Notes = Arc<Mutex<Vec<u64>>>;

/// Writes down what it is told; panics at 13.
struct Clerk(Notes);

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Handler<Note> for Clerk {
    type Result = ();

    fn handle(&mut self, note: Note, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(note.0);
        assert_ne!(note.0, 13, "unlucky");
    }
}

impl Handler<Unheard> for Clerk {
    type Result = ();

    fn handle(&mut self, _: Unheard, _: &mut Context<Self>) {
        unreachable!("not accepted through untyped PIDs");
    }
}

accepts!(Clerk: Note);

fn clerk(node: &Node) -> (AnyPid, Notes) {
    let notes = Notes::default();
    let kept = notes.clone();
    let supervision = Supervision::restart(9, SECOND);
    let clerk = node.supervise("clerk", supervision, move || Clerk(kept.clone()));
    (clerk.unwrap().any(), notes)
}

#[test]
fn messages_arrive_on_the_same_node_and_on_another() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        for far in [false, true] {
            let (to, notes) = clerk(if far { &there } else { &here });
            let reliable = ReliablePid::<Clerk>::new(&here, &to, ReliableOptions::default());
            let mut deliveries = Vec::new();
            for n in 0..200 {
                deliveries.push(reliable.send(Note(n)).await.unwrap());
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            // One of them crashed its receiver: it was handled, once.
            assert!(notes.lock().unwrap().iter().copied().eq(0..200), "{far}");
            let unheard = reliable.send(Unheard).await.unwrap().await.unwrap_err();
            let refused = matches!(
                unheard.reason,
                Reason::Refused(Undeliverable::NotAccepted { .. })
            );
            assert!(refused, "{unheard:?}");
            reliable.send(Note(200)).await.unwrap().await.unwrap();
        }
    });
}

#[test]
fn messages_sent_into_a_cut_arrive_when_it_heals_and_each_once() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (to, notes) = clerk(&there);
        let options = ReliableOptions {
            give_up_after: 600 * SECOND,
            ..ReliableOptions::default()
        };
        let reliable = ReliablePid::<Clerk>::new(&here, &to, options);
        let mut deliveries = Vec::new();
        let mut next = 100;
        for _ in 0..3 {
            for _ in 0..50 {
                deliveries.push(reliable.send(Note(next)).await.unwrap());
                next += 1;
            }
            // In the middle of it, and for longer than links live.
            kit.cut(&here, &there);
            kit.advance(60 * SECOND).await;
            deliveries.push(reliable.send(Note(next)).await.unwrap());
            next += 1;
            kit.join(&here, &there);
            kit.advance(30 * SECOND).await;
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert!(notes.lock().unwrap().iter().copied().eq(100..next));
    });
}

#[test]
fn what_is_given_up_comes_back_and_the_rest_goes_on_in_order() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (to, notes) = clerk(&there);
        let options = ReliableOptions {
            give_up_after: 5 * SECOND,
            ..ReliableOptions::default()
        };
        let reliable = ReliablePid::<Clerk>::new(&here, &to, options);
        let lost = kit.filter().drop_all::<Reliable>();
        let first = reliable.send(Note(1)).await.unwrap();
        kit.advance(4 * SECOND).await;
        let second = reliable.send(Note(2)).await.unwrap();
        let gave_up = first.await.unwrap_err();
        assert_eq!(
            (gave_up.reason, gave_up.message),
            (Reason::Expired, Note(1))
        );
        kit.filter().lift(lost);
        second.await.unwrap();
        assert_eq!(*notes.lock().unwrap(), [2]);
        // The end of the one life that was meant ends the way.
        there.kill(&to);
        kit.settle().await;
        let (next, more) = clerk(&there);
        let gone = reliable.send(Note(3)).await.unwrap().await.unwrap_err();
        let reason = Reason::Refused(Undeliverable::NoSuchActor);
        assert_eq!((gone.reason, gone.message), (reason, Note(3)));
        // One without an incarnation goes on to the next bearer of the name.
        let name = next.any_incarnation();
        let reliable = ReliablePid::<Clerk>::new(&here, &name, options);
        reliable.send(Note(4)).await.unwrap().await.unwrap();
        there.stop(&next);
        kit.settle().await;
        let waiting = reliable.send(Note(5)).await.unwrap();
        kit.advance(SECOND).await;
        let (_, last) = clerk(&there);
        waiting.await.unwrap();
        let (more, last) = (more.lock().unwrap(), last.lock().unwrap());
        assert_eq!((more.as_slice(), last.as_slice()), (&[4][..], &[5][..]));
    });
}

#[test]
fn memory_is_bounded_and_a_sender_waits_for_room() {
    testkit::run(async |kit| {
        let (here, there) = (kit.node("here").await, kit.node("there").await);
        let (to, notes) = clerk(&there);
        let options = ReliableOptions {
            memory: 1_000,
            ..ReliableOptions::default()
        };
        let reliable = ReliablePid::<Clerk>::new(&here, &to, options);
        kit.cut(&here, &there);
        let mut taken = 0;
        let full = loop {
            match reliable.try_send(Note(100 + taken)) {
                Ok(_) => taken += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(
            (full.reason, full.message),
            (Reason::Full, Note(100 + taken))
        );
        assert_eq!(taken, 7, "of 128 bytes and a few each");
        kit.join(&here, &there);
        let last = reliable.send(Note(100 + taken)).await.unwrap();
        last.await.unwrap();
        assert!(notes.lock().unwrap().iter().copied().eq(100..=100 + taken));
    });
}

/// What is done to messages on their way.
#[derive(Clone, Debug)]
enum Fault {
    Drop(usize),
    Duplicate(usize),
    Delay(u64),
    Lift,
    Reset,
    Cut(u64),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (1..40_usize).prop_map(Fault::Drop),
        (1..40_usize).prop_map(Fault::Duplicate),
        (1..3_000_u64).prop_map(Fault::Delay),
        Just(Fault::Lift),
        Just(Fault::Reset),
        (1..30_u64).prop_map(Fault::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is dropped, doubled, delayed or cut: each message is handled once, in order.
    #[test]
    fn each_message_is_handled_once_and_in_order(
        faults in prop::collection::vec((fault(), 0..1_500_u64), 1..20),
    ) {
        testkit::run(async |kit| {
            let (here, there) = (kit.node("here").await, kit.node("there").await);
            let (to, notes) = clerk(&there);
            let options = ReliableOptions { give_up_after: 10_000 * SECOND, ..Default::default() };
            let reliable = ReliablePid::<Clerk>::new(&here, &to, options);
            let (mut next, mut deliveries, mut delays) = (100, Vec::new(), Vec::new());
            for (fault, ms) in faults {
                match fault {
                    Fault::Drop(count) => {
                        kit.filter().drop_next::<Reliable>(count);
                    }
                    Fault::Duplicate(count) => {
                        kit.filter().duplicate::<Reliable>(count);
                    }
                    Fault::Delay(by) => {
                        let by = Duration::from_millis(by);
                        delays.push(kit.filter().delay::<Reliable>(by));
                    }
                    Fault::Lift => delays.drain(..).for_each(|delay| kit.filter().lift(delay)),
                    Fault::Reset => kit.reset(&here, &there),
                    Fault::Cut(seconds) => {
                        kit.cut(&here, &there);
                        kit.advance(Duration::from_secs(seconds)).await;
                        kit.join(&here, &there);
                    }
                }
                for _ in 0..20 {
                    deliveries.push(reliable.try_send(Note(next)).unwrap());
                    next += 1;
                }
                kit.advance(Duration::from_millis(ms)).await;
            }
            delays.drain(..).for_each(|delay| kit.filter().lift(delay));
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            kit.advance(10 * SECOND).await;
            let notes = notes.lock().unwrap();
            assert!(notes.iter().copied().eq(100..next), "{notes:?}");
        });
    }
}
