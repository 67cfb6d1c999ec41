//! Several schedulers on one table, on real threads: nothing is given twice, and all comes back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    cell::Cell,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use portable_atomic::AtomicU128;
use tepui_allocator::shared::{Atomic, Conflict, FreeTable, Optimistic, Units, Word};

const AGENTS: u64 = 200;
const CAPACITY: [u64; 4] = [64_000, 262_144, 1_000_000, 8];

#[test]
fn schedulers_that_fill_and_empty_the_same_agents_keep_the_sums() {
    let units = Units::for_agents_up_to::<u128>(CAPACITY);
    let whole = units.capacity::<u128>(CAPACITY);
    let table = Arc::new(FreeTable::<AtomicU128>::new((0..AGENTS).map(|_| whole)));
    let fill = |start: u32| {
        // Homes overlap, so that they meet.
        let home = start..u32::try_from(AGENTS).unwrap();
        let mut scheduler = Optimistic::new(table.clone(), home);
        let need = units
            .demand([1_000 + u64::from(start), 4_096, 100, 0])
            .unwrap();
        let mut placed = Vec::new();
        for _ in 0..3 {
            while let Some(agent) = scheduler.place(need) {
                placed.push(agent);
                if placed.len() == 4_000 {
                    break;
                }
            }
            let half = placed.len() / 2;
            placed
                .drain(half..)
                .for_each(|agent| scheduler.release(agent, need));
        }
        assert!(scheduler.tally().claims > 4_000);
        (need, placed)
    };
    let held = std::thread::scope(|scope| {
        let threads: Vec<_> = [0, 50, 100, 150]
            .map(|start| scope.spawn(move || fill(start)))
            .into();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    for (need, placed) in held {
        placed.iter().for_each(|&agent| table.release(agent, need));
    }
    let whole = FreeTable::<AtomicU128>::new([whole]).free(0).unpack();
    for agent in 0..u32::try_from(AGENTS).unwrap() {
        assert_eq!(table.free(agent).unpack(), whole, "agent {agent}");
    }
}

/// A word whose thread can be held up in the middle of a claim: it has read the word, and not yet swapped it.
struct HeldUp(AtomicU128);

thread_local! {
    /// Tells that this thread is in the middle of a claim, and waits to be let on; once.
    static HOLD: Cell<Option<(Sender<()>, Receiver<()>)>> = const { Cell::new(None) };
}

impl Atomic for HeldUp {
    type Word = u128;

    fn new(word: u128) -> Self {
        Self(AtomicU128::new(word))
    }

    fn load(&self) -> u128 {
        Atomic::load(&self.0)
    }

    fn swap_if(&self, old: u128, new: u128) -> Result<(), u128> {
        if let Some((inside, on)) = HOLD.take() {
            inside.send(()).unwrap();
            on.recv().unwrap();
        }
        self.0.swap_if(old, new)
    }
}

#[test]
fn a_thread_that_is_suspended_inside_a_claim_stops_nobody() {
    let units = Units::for_agents_up_to::<u128>([8, 0, 0, 0]);
    let whole = units.capacity([8, 0, 0, 0]);
    let need = |cpus| units.demand([cpus, 0, 0, 0]).unwrap();
    let table = &FreeTable::<HeldUp>::new([whole, whole]);
    let (inside, is_inside) = mpsc::channel();
    let (let_on, on) = mpsc::channel();
    std::thread::scope(move |threads| {
        let suspended = threads.spawn(move || {
            HOLD.set(Some((inside, on)));
            let gang = table.claim_gang(&mut [(0, need(3)), (1, need(3))]);
            (gang, table.claim(0, need(3)))
        });
        is_inside.recv().unwrap();
        // Others go through any number of claims on the same agents, single ones and gangs.
        let others: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(move || {
                    for _ in 0..1000 {
                        table.claim(0, need(2)).unwrap();
                        table.claim_gang(&mut [(0, need(2)), (1, need(2))]).unwrap();
                        table.release(0, need(4));
                        table.release(1, need(2));
                    }
                })
            })
            .collect();
        others.into_iter().for_each(|other| other.join().unwrap());
        table.claim(1, need(6)).unwrap();
        let_on.send(()).unwrap();
        let (gang, single) = suspended.join().unwrap();
        // It had seen room for its gang on both, and finds what has become of that.
        assert_eq!(gang, Err(Conflict { agent: 1 }));
        assert_eq!(single, Ok(()));
    });
    assert_eq!([0, 1].map(|agent| table.free(agent).unpack()[0]), [5, 2]);
}
