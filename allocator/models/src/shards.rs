//! shuttle: whole shards under random schedules: producers that push and end tasks, owners, a reader, and a close
//! in the middle. The engine is the real one.

use shuttle::{
    sync::{Arc, Mutex},
    thread,
};
use tepui_allocator::{
    Weight,
    engine::{Engine, Seat, Slot},
    order::{NodeId, Rule},
};

use crate::{
    event::{Event, Outcome},
    ingest::{Closer, Producer, ingest},
    lane::Rejected,
    owner::Owner,
};

const PRODUCERS: usize = 2;
const WANTS: u64 = 4;

/// Wants tasks; says how many of its events were taken in.
fn produce(
    mut producer: Producer<Event<1>>,
    seat: Slot<Seat>,
    close: Option<Closer<Event<1>>>,
) -> u64 {
    let mut taken = 0;
    for n in 0..WANTS {
        if let (2, Some(closer)) = (n, &close) {
            closer.close();
        }
        let want = Event::Want { seat, more: 1 };
        let pushed = match n % 2 {
            0 => producer.push(want),
            _ => producer.try_push(want),
        };
        match pushed {
            Ok(()) => taken += 1,
            Err(Rejected::Full(back) | Rejected::Closed(back)) => assert_eq!(back, want),
        }
    }
    taken
}

/// A shard with an owner, two producers and a reader: four threads.
fn shard(closes: bool) {
    let mut engine = Engine::<1>::new(Rule::Sum);
    let seats: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            engine
                .add_framework(NodeId::ROOT, Weight::ONE, [1])
                .unwrap()
        })
        .collect();
    for _ in 0..2 {
        engine.add_agent([2]).unwrap();
    }
    let mut owner = Owner::new(engine);
    let board = Arc::new(owner.board());
    let (producers, intake) = ingest(PRODUCERS, 2);
    let closer = intake.closer();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let owning = {
        let (board, turns) = (board.clone(), turns.clone());
        thread::spawn(move || {
            owner.run(intake, &board, |events, outcomes| {
                let turn = (events.to_vec(), outcomes.to_vec());
                turns.lock().unwrap().push(turn);
            });
            owner
        })
    };
    let pushing: Vec<_> = (producers.into_iter().zip(&seats).enumerate())
        .map(|(n, (producer, &seat))| {
            let close = (closes && n == 0).then(|| closer.clone());
            thread::spawn(move || produce(producer, seat, close))
        })
        .collect();
    let reading = {
        let board = board.clone();
        thread::spawn(move || {
            let mut events = 0;
            for _ in 0..3 {
                let seen = board.read();
                assert!(seen.events >= events, "never older");
                events = seen.events;
                let running: usize = seen.seats().map(|seat| seat.running as usize).sum();
                assert_eq!(running, seen.running, "of one moment");
                thread::yield_now();
            }
        })
    };
    let taken: u64 = pushing
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let owner = owning.join().unwrap();
    reading.join().unwrap();
    let turns = std::mem::take(&mut *turns.lock().unwrap());
    let events: usize = turns.iter().map(|turn| turn.0.len()).sum();
    assert_eq!(events as u64, taken, "none lost, none doubled");
    let placed = turns.iter().flat_map(|turn| &turn.1);
    let placed = placed.filter(|outcome| matches!(outcome, Outcome::Decided(_)));
    assert_eq!(
        placed.count() as u64,
        taken.min(4),
        "all that there is room for"
    );
    assert_eq!(owner.engine().running() as u64, taken.min(4));
    let last = board.read();
    assert_eq!((last.events, last.running as u64), (taken, taken.min(4)));
}

/// Schedules to try; `TEPUI_SCHEDULES=n` for more.
fn schedules() -> usize {
    let given = std::env::var("TEPUI_SCHEDULES").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(2000)
}

#[test]
fn a_shard_takes_all_events_in_and_places_what_there_is_room_for() {
    shuttle::check_random(|| shard(false), schedules());
}

#[test]
fn a_shard_that_is_closed_in_the_middle_loses_nothing_that_it_took_in() {
    shuttle::check_random(|| shard(true), schedules());
}

#[test]
fn a_shard_gets_on_when_some_thread_hardly_ever_does() {
    shuttle::check_pct(|| shard(true), schedules(), 3);
}
