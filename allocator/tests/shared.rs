//! Several schedulers on one table, on real threads: nothing is given twice, and all comes back.

use std::sync::Arc;

use portable_atomic::AtomicU128;
use tepui_allocator::shared::{FreeTable, Optimistic, Units, Word};

const AGENTS: u64 = 200;
const CAPACITY: [u64; 4] = [64_000, 262_144, 1_000_000, 8];

#[test]
fn schedulers_that_fill_and_empty_the_same_agents_keep_the_sums() {
    let units = Units::for_agents_up_to::<u128>(CAPACITY);
    let whole = units.capacity::<u128>(CAPACITY);
    let table = Arc::new(FreeTable::<AtomicU128>::new((0..AGENTS).map(|_| whole)));
    let fill = |start: u32| {
        let mut scheduler = Optimistic::new(table.clone(), start);
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
