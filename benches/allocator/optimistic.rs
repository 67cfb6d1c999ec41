//! Optimistic schedulers on one table at 90 % load: what two do beside one.
//!
//! In CPU time of each, which is the time that they would take with a core for each; on a machine whose
//! cores others use, wall time says nothing of that.
//!
//! `two`: each has half of the agents as its home. `two-at-odds`: both are at home everywhere, so that each
//! looks for room where the other has just ended tasks.

use std::{collections::VecDeque, sync::Arc};

use portable_atomic::AtomicU128;
use tepui_allocator::shared::{FreeTable, Optimistic, Packed, Units};

use super::{
    figures::{cpu_time, quantile, record},
    workload::{LOAD, Workload},
};

const AGENTS: usize = 100_000;
const FRAMEWORKS: usize = 10_000;
/// Decisions of each scheduler in a round.
const DECISIONS: usize = 500_000;
const ROUNDS: usize = 7;

/// A scheduler that ends its oldest task before each decision.
struct Busy {
    scheduler: Optimistic<AtomicU128>,
    demands: Vec<(Packed<u128>, u64)>,
    running: VecDeque<(u32, usize)>,
    next: usize,
}

impl Busy {
    fn place(&mut self) -> u64 {
        let (need, memory) = self.demands[self.next];
        let agent = self.scheduler.place(need).expect("there is room");
        self.running.push_back((agent, self.next));
        self.next = (self.next + 1) % self.demands.len();
        memory
    }

    fn run(&mut self) {
        for _ in 0..DECISIONS {
            let (agent, which) = self.running.pop_front().expect("it has tasks");
            self.scheduler.release(agent, self.demands[which].0);
            self.place();
        }
    }
}

/// Where schedulers look first.
#[derive(Clone, Copy)]
enum Homes {
    Apart,
    Everywhere,
}

/// Schedulers that share the load evenly.
fn busy(count: usize, homes: Homes) -> Vec<Busy> {
    let workload = Workload::new(AGENTS, FRAMEWORKS);
    let units = Units::for_agents_up_to::<u128>(workload.capacity);
    let whole = units.capacity::<u128>(workload.capacity);
    let table = Arc::new(FreeTable::<AtomicU128>::new((0..AGENTS).map(|_| whole)));
    let demand = |amounts: &[u64; 4]| {
        let need = units.demand(*amounts).expect("every agent has as much");
        (need, amounts[1])
    };
    let share = LOAD * (workload.capacity[1] * AGENTS as u64) as f64 / count as f64;
    let first = |n: usize| u32::try_from(n * AGENTS / count).expect("a small number");
    let start = |n: usize| {
        let home = match homes {
            Homes::Apart => first(n)..first(n + 1),
            Homes::Everywhere => 0..first(count),
        };
        let mut busy = Busy {
            scheduler: Optimistic::new(table.clone(), home),
            demands: workload.demands.iter().map(demand).collect(),
            running: VecDeque::new(),
            next: 0,
        };
        let mut used = 0;
        while (used as f64) < share {
            used += busy.place();
        }
        busy
    };
    (0..count).map(start).collect()
}

/// Decisions a second of all together, and conflicts a decision.
fn measure(count: usize, homes: Homes) -> (f64, f64) {
    let mut schedulers = busy(count, homes);
    let tallies = |all: &[Busy]| {
        let tallies = all.iter().map(|busy| busy.scheduler.tally());
        tallies.fold((0, 0), |sum, tally| {
            (sum.0 + tally.claims, sum.1 + tally.conflicts)
        })
    };
    let before = tallies(&schedulers);
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_time();
            std::thread::scope(|scope| {
                for busy in &mut schedulers {
                    scope.spawn(|| busy.run());
                }
            });
            let each = (cpu_time() - start).as_secs_f64() / count as f64;
            (count * DECISIONS) as f64 / each
        })
        .collect();
    let after = tallies(&schedulers);
    rates.sort_by(f64::total_cmp);
    let conflicts = (after.1 - before.1) as f64 / (after.0 - before.0) as f64;
    (quantile(&rates, 0.5), conflicts)
}

pub(crate) fn all() {
    let (one, _) = measure(1, Homes::Apart);
    for (name, homes) in [("two", Homes::Apart), ("two-at-odds", Homes::Everywhere)] {
        let (two, conflicts) = measure(2, homes);
        let name = format!("allocator/optimistic/{name}");
        let baseline = format!("one scheduler {one:.0} decisions/s");
        record(&format!("{name}/rate"), two, "decisions/s", &baseline);
        record(&format!("{name}/vs-one"), two / one, "ratio", &baseline);
        let baseline = "conflicts a claim at 90 % load";
        record(
            &format!("{name}/conflicts"),
            conflicts * 100.0,
            "%",
            baseline,
        );
    }
}
