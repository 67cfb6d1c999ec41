//! loom: what is pushed while the queue is closed, who waits for room or for something to do, and snapshots
//! that are replaced while they are read.

use loom::{
    model::Builder,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    thread,
};

use crate::{
    board::Board,
    ingest::{Intake, ingest},
    lane::Rejected,
};

/// A thread to be waited for by who may be woken from a wait that is over: in loom that would end a join.
struct Other<T>(thread::JoinHandle<T>, Arc<AtomicUsize>);

fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> Other<T> {
    let done = Arc::new(AtomicUsize::new(0));
    let told = done.clone();
    let thread = thread::spawn(move || {
        let answer = run();
        told.store(1, Ordering::Release);
        answer
    });
    Other(thread, done)
}

impl<T> Other<T> {
    fn join(self) -> T {
        while self.1.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        self.0.join().unwrap()
    }
}

/// All that comes until the end.
fn drain(mut intake: Intake<usize>) -> Vec<usize> {
    let mut out = Vec::new();
    while intake.wait() {
        intake.drain(8, &mut out);
    }
    out
}

#[test]
fn what_was_taken_in_before_the_close_comes_out_and_the_rest_goes_back() {
    loom::model(|| {
        let (mut producers, intake) = ingest(1, 2);
        let mut producer = producers.pop().unwrap();
        let closer = intake.closer();
        let pushing = spawn(move || {
            let mut taken = Vec::new();
            for n in [1, 2] {
                match producer.try_push(n) {
                    Ok(()) => taken.push(n),
                    Err(rejected) => assert_eq!(rejected, Rejected::Closed(n)),
                }
            }
            taken
        });
        closer.close();
        let out = drain(intake);
        assert_eq!(out, pushing.join());
    });
}

#[test]
fn a_closer_on_another_thread_loses_nothing() {
    loom::model(|| {
        let (mut producers, intake) = ingest(1, 1);
        let mut producer = producers.pop().unwrap();
        let closer = intake.closer();
        let closing = spawn(move || closer.close());
        let taken = producer.try_push(1);
        let out = drain(intake);
        closing.join();
        match taken {
            Ok(()) => assert_eq!(out, [1]),
            Err(rejected) => assert_eq!((rejected, out.len()), (Rejected::Closed(1), 0)),
        }
    });
}

#[test]
fn a_producer_that_waits_for_room_and_an_owner_that_waits_for_work_get_on() {
    // All of its schedules with at most three preemptions.
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (mut producers, intake) = ingest(1, 1);
        let mut producer = producers.pop().unwrap();
        let pushing = spawn(move || {
            producer.push(1).unwrap();
            producer.push(2).unwrap();
        });
        assert_eq!(drain(intake), [1, 2]);
        pushing.join();
    });
}

#[test]
fn an_owner_that_goes_lets_a_waiting_producer_go() {
    loom::model(|| {
        let (mut producers, intake) = ingest(1, 1);
        let mut producer = producers.pop().unwrap();
        producer.push(1).unwrap();
        let pushing = spawn(move || producer.push(2));
        drop(intake);
        assert_eq!(pushing.join(), Err(Rejected::Closed(2)));
    });
}

#[test]
fn a_snapshot_is_whole_and_never_older_than_the_one_before() {
    loom::model(|| {
        let board = Arc::new(Board::new([0, 0]));
        let shown = Arc::new(AtomicUsize::new(0));
        let (theirs, newest) = (board.clone(), shown.clone());
        let publishing = thread::spawn(move || {
            for n in [1, 2] {
                if theirs.publish([n, n]) {
                    newest.store(n, Ordering::Release);
                }
            }
        });
        let least = shown.load(Ordering::Acquire);
        let first = *board.read();
        let second = *board.read();
        assert_eq!((first[0], second[0]), (first[1], second[1]), "whole");
        assert!(least <= first[0] && first[0] <= second[0], "never older");
        publishing.join().unwrap();
        assert_eq!(board.read()[0], shown.load(Ordering::Acquire));
    });
}
