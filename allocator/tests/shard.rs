//! A shard with real threads around it: what comes of it is what one thread would do, nothing is lost, and
//! readers see whole moments.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use tepui_allocator::{
    Weight,
    engine::{Engine, Refused, Seat, Slot, Task},
    order::{NodeId, Rule},
    shard::{Event, Named, Outcome, Owner, Producer, Rejected, Snapshot, ingest},
};

const CAPACITY: [u64; 2] = [16, 64];
const AGENTS: u64 = 40;
const FRAMEWORKS: usize = 12;
const ROUNDS: usize = 300;

type World = (Engine<2>, Vec<Slot<Seat>>);
type Turns = Vec<(Vec<Event<2>>, Vec<Outcome>)>;

fn world(rule: Rule) -> World {
    let mut engine = Engine::new(rule);
    let roles = [0; 3].map(|_| engine.add_role(NodeId::ROOT, Weight::ONE));
    for _ in 0..AGENTS {
        engine.add_agent(CAPACITY).unwrap();
    }
    let seats = (0..FRAMEWORKS).map(|n| {
        let demand = [1 + n as u64 % 3, 2 + n as u64 % 5];
        engine
            .add_framework(roles[n % 3], Weight::ONE, demand)
            .unwrap()
    });
    let seats = seats.collect();
    (engine, seats)
}

/// Wants tasks for its frameworks and ends the oldest it was told of, at most a few at a time.
fn busy(
    mut producer: Producer<Event<2>>,
    mine: &[Slot<Seat>],
    placed: &mpsc::Receiver<Slot<Task>>,
) {
    let mut running = VecDeque::new();
    for round in 0..ROUNDS {
        let seat = mine[round % mine.len()];
        producer.push(Event::Want { seat, more: 3 }).unwrap();
        running.extend(placed.try_iter());
        for task in running.drain(..running.len().min(4)) {
            producer.push(Event::End { task }).unwrap();
        }
    }
}

/// The turns that a shard took under four producers, and how it stood in the end.
fn run_with_threads(rule: Rule) -> (Turns, Snapshot<2>) {
    let (engine, seats) = world(rule);
    let mut owner = Owner::new(engine);
    let board = owner.board();
    let (producers, intake) = ingest(4, 8);
    let (tell, told): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel()).unzip();
    let mut turns = Vec::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let owning = threads.spawn(|| {
            owner.run(intake, &board, |events, outcomes| {
                for outcome in outcomes {
                    if let Outcome::Decided(made) = outcome {
                        // Gone when its producer is done.
                        let _ = tell[made.seat.index() % 4].send(made.task);
                    }
                }
                turns.push((events.to_vec(), outcomes.to_vec()));
            });
        });
        for (n, (producer, told)) in producers.into_iter().zip(told).enumerate() {
            let mine: Vec<_> = seats.iter().copied().skip(n).step_by(4).collect();
            threads.spawn(move || busy(producer, &mine, &told));
        }
        threads.spawn(|| {
            let mut turns = 0;
            while !over.load(Ordering::Acquire) {
                let seen = board.read();
                assert!(seen.turns >= turns, "snapshots do not go back");
                turns = seen.turns;
                check_moment(&seen);
            }
        });
        let owned = owning.join();
        over.store(true, Ordering::Release);
        owned.unwrap();
    });
    let last = board.read();
    assert_eq!(last.turns, turns.len() as u64, "the last turn is shown");
    (turns, (*last).clone())
}

/// All parts of a snapshot are of one moment.
fn check_moment(seen: &Snapshot<2>) {
    let (mut running, mut held, mut free) = (0, [0; 2], [0; 2]);
    for seat in seen.seats() {
        running += seat.running as usize;
        (0..2).for_each(|j| held[j] += seat.held[j]);
    }
    for agent in seen.agents() {
        (0..2).for_each(|j| free[j] += agent.free[j]);
    }
    assert_eq!(running, seen.running);
    assert_eq!(free, seen.free);
    assert_eq!(seen.total, CAPACITY.map(|each| each * AGENTS));
    assert_eq!([0, 1].map(|j| held[j] + free[j]), seen.total);
}

#[test]
fn the_turns_of_a_shard_on_one_thread_give_the_same_to_the_bit() {
    for rule in [Rule::Sum, Rule::Hierarchical] {
        let (turns, last) = run_with_threads(rule);
        let events: usize = turns.iter().map(|turn| turn.0.len()).sum();
        assert!(events >= 4 * ROUNDS, "nothing that was pushed is lost");
        let mut owner = Owner::new(world(rule).0);
        for (n, (events, outcomes)) in turns.iter().enumerate() {
            let mut out = Vec::new();
            owner.turn(events, &mut out);
            assert_eq!(out, *outcomes, "turn {n} of {rule:?}");
        }
        let board = owner.board();
        owner.publish(&board);
        let again = board.read();
        assert_eq!(format!("{again:?}"), format!("{last:?}"));
    }
}

#[test]
fn a_full_queue_gives_back_and_a_closed_one_keeps_what_it_took_in() {
    let (mut producers, mut intake) = ingest(2, 2);
    let (mut b, mut a) = (producers.pop().unwrap(), producers.pop().unwrap());
    assert_eq!((a.try_push(1), a.try_push(2)), (Ok(()), Ok(())));
    assert_eq!(a.try_push(3), Err(Rejected::Full(3)));
    assert_eq!(b.try_push(10), Ok(()), "the other's queue is its own");
    let mut out = Vec::new();
    assert_eq!(intake.drain(1, &mut out), 2, "one of each");
    assert_eq!(a.try_push(3), Ok(()));
    intake.closer().close();
    assert_eq!(a.try_push(4), Err(Rejected::Closed(4)));
    assert_eq!(b.push(11), Err(Rejected::Closed(11)));
    assert!(intake.wait(), "there is something left");
    intake.drain(9, &mut out);
    assert!(!intake.wait(), "and nothing comes any more");
    out.sort_unstable();
    assert_eq!(out, [1, 2, 3, 10]);
}

#[test]
fn a_producer_waits_for_room_and_everything_comes_in_its_order() {
    let (producers, mut intake) = ingest(4, 2);
    std::thread::scope(|threads| {
        for (n, mut producer) in producers.into_iter().enumerate() {
            threads.spawn(move || (0..500).for_each(|k| producer.push((n, k)).unwrap()));
        }
        let (mut out, mut next) = (Vec::new(), [0; 4]);
        while intake.wait() {
            assert!(intake.drain(9, &mut out) <= 8, "bounded");
            for (n, k) in out.drain(..) {
                assert_eq!(k, next[n]);
                next[n] += 1;
            }
        }
        assert_eq!(next, [500; 4]);
    });
}

/// A turn of one event: the answer to it, if there is one.
fn tell(owner: &mut Owner<2>, event: Event<2>) -> Option<Result<Named, Refused>> {
    outcomes(owner, event)
        .into_iter()
        .find_map(|outcome| match outcome {
            Outcome::Answered { tag, answer } => Some(answer).filter(|_| tag == 7),
            Outcome::Decided(_) => None,
        })
}

fn outcomes(owner: &mut Owner<2>, event: Event<2>) -> Vec<Outcome> {
    let mut out = Vec::new();
    owner.turn(&[event], &mut out);
    out
}

fn framework(owner: &mut Owner<2>) -> Slot<Seat> {
    let join = Event::AddFramework {
        role: NodeId::ROOT,
        weight: Weight::ONE,
        demand: [1, 1],
        tag: 7,
    };
    match tell(owner, join) {
        Some(Ok(Named::Framework(seat))) => seat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn frameworks_and_agents_come_and_go_by_events() {
    let owner = &mut Owner::<2>::new(Engine::new(Rule::Sum));
    let board = owner.board();
    let seat = framework(owner);
    let (total, tag) = ([2, 2], 7);
    let Some(Ok(Named::Agent(agent))) = tell(owner, Event::AddAgent { total, tag }) else {
        panic!("an agent was added");
    };
    let placed = outcomes(owner, Event::Want { seat, more: 9 });
    owner.publish(&board);
    let seen = board.read();
    let standing = seen.seat(seat).map(|it| (it.running, it.wants, it.held));
    assert_eq!(standing, Some((2, 7, [2, 2])));
    assert_eq!(seen.agent(agent).map(|it| it.free), Some([0, 0]));
    let leave = Event::RemoveAgent { agent, tag };
    let in_use = Refused::InUse { running: 2 };
    assert_eq!(tell(owner, leave), Some(Err(in_use)));
    tell(owner, Event::CloseAgent { agent });
    for outcome in placed {
        let Outcome::Decided(made) = outcome else {
            panic!("{outcome:?}");
        };
        let task = made.task;
        // The second time there is no such task any more.
        tell(owner, Event::End { task });
        tell(owner, Event::End { task });
    }
    assert_eq!(tell(owner, leave), Some(Ok(Named::Done)));
    assert_eq!(tell(owner, leave), Some(Err(Refused::Unknown)));
    let leave = Event::RemoveFramework { seat, tag };
    assert_eq!(tell(owner, leave), Some(Ok(Named::Done)));
    let new = framework(owner);
    // What names the one that is gone does not touch the one that has its number.
    tell(owner, Event::Want { seat, more: 1 });
    assert_eq!(tell(owner, leave), Some(Err(Refused::Unknown)));
    owner.publish(&board);
    let seen = board.read();
    assert_eq!(seen.seat(seat), None);
    assert_eq!(seen.seat(new).map(|it| it.wants), Some(0));
    assert_eq!((seen.agents().count(), seen.total), (0, [0, 0]));
}
