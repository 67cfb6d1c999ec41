//! The floor: the least that a decision can cost, for the figures to be measured against.
//!
//! One fixed workload, no removal, no refusal, no exact amounts, no tasks to name: amounts packed into 64
//! bits and claimed by compare-and-swap, maxima of blocks of 64 agents, one tournament of doubles for the
//! roles and one a role for its frameworks. What the engine costs above this is what it does besides.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use super::workload::{ROLES, Workload};

const GUARDS: u64 = 0x8000_8000_8000_8000;
const BLOCK: usize = 64;

fn pack(amounts: [u64; 4]) -> u64 {
    amounts[0] | amounts[1] << 16 | amounts[2] << 32 | amounts[3] << 48
}

fn lane(word: u64, j: usize) -> u64 {
    word >> (16 * j) & 0x7fff
}

fn fits(free: u64, need: u64) -> bool {
    (free | GUARDS).wrapping_sub(need) & GUARDS == GUARDS
}

fn larger(a: u64, b: u64) -> u64 {
    (0..4).fold(0, |word, j| word | lane(a, j).max(lane(b, j)) << (16 * j))
}

/// Winners of pairs: `(key bits, index)`.
struct Winners {
    width: usize,
    nodes: Vec<(u64, u32)>,
}

impl Winners {
    fn new(count: usize) -> Self {
        let width = count.next_power_of_two();
        let mut nodes = vec![(u64::MAX, u32::MAX); 2 * width];
        for at in 0..count {
            nodes[width + at] = (0, at as u32);
        }
        for at in (1..width).rev() {
            nodes[at] = nodes[2 * at].min(nodes[2 * at + 1]);
        }
        Self { width, nodes }
    }

    fn top(&self) -> usize {
        self.nodes[1].1 as usize
    }

    fn set(&mut self, index: usize, share: f64) {
        let mut at = self.width + index;
        self.nodes[at].0 = share.max(0.0).to_bits();
        while at > 1 {
            at /= 2;
            self.nodes[at] = self.nodes[2 * at].min(self.nodes[2 * at + 1]);
        }
    }
}

/// The program.
pub(crate) struct Floor {
    demands: Vec<u64>,
    dominant: Vec<f64>,
    total: [f64; 4],
    free: Vec<AtomicU64>,
    maxima: Vec<u64>,
    roles: Winners,
    frameworks: Vec<Winners>,
    held: Vec<[f64; 4]>,
    shares: Vec<f64>,
    running: VecDeque<(u32, u32)>,
    cursor: usize,
    used: f64,
}

impl Floor {
    pub(crate) fn new(workload: &Workload) -> Self {
        let agents = workload.agents;
        let capacity = workload.capacity;
        let total = capacity.map(|amount| (amount * agents as u64) as f64);
        let demands: Vec<u64> = workload.demands.iter().map(|each| pack(*each)).collect();
        let share = |demand: &u64| {
            let parts = (0..4).map(|j| lane(*demand, j) as f64 / total[j]);
            parts.fold(0.0, f64::max)
        };
        let per_role = demands.len() / ROLES;
        Self {
            dominant: demands.iter().map(share).collect(),
            total,
            free: (0..agents)
                .map(|_| AtomicU64::new(pack(capacity)))
                .collect(),
            maxima: vec![pack(capacity); agents.div_ceil(BLOCK)],
            roles: Winners::new(ROLES),
            frameworks: (0..ROLES).map(|_| Winners::new(per_role)).collect(),
            held: vec![[0.0; 4]; ROLES],
            shares: vec![0.0; demands.len()],
            demands,
            running: VecDeque::new(),
            cursor: 0,
            used: 0.0,
        }
    }

    /// Ends the oldest tasks above this load of memory, then places one.
    pub(crate) fn decide(&mut self, load: f64) -> bool {
        while self.used > load * self.total[1] {
            self.end();
        }
        let role = self.roles.top();
        let per_role = self.demands.len() / ROLES;
        let framework = role * per_role + self.frameworks[role].top();
        let demand = self.demands[framework];
        let Some(agent) = self.find(demand) else {
            self.frameworks[role].set(framework % per_role, f64::MAX);
            return false;
        };
        let mut now = self.free[agent].load(Ordering::Relaxed);
        while let Err(other) = self.free[agent].compare_exchange_weak(
            now,
            now - demand,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            now = other;
        }
        self.running.push_back((framework as u32, agent as u32));
        self.book(framework, 1.0);
        true
    }

    fn end(&mut self) {
        let Some((framework, agent)) = self.running.pop_front() else {
            return;
        };
        let (framework, agent) = (framework as usize, agent as usize);
        let demand = self.demands[framework];
        let now = self.free[agent].fetch_add(demand, Ordering::AcqRel) + demand;
        let maximum = &mut self.maxima[agent / BLOCK];
        *maximum = larger(*maximum, now);
        self.book(framework, -1.0);
    }

    fn book(&mut self, framework: usize, sign: f64) {
        let per_role = self.demands.len() / ROLES;
        let (role, demand) = (framework / per_role, self.demands[framework]);
        self.used += sign * lane(demand, 1) as f64;
        let mut share = 0.0_f64;
        for j in 0..4 {
            self.held[role][j] += sign * lane(demand, j) as f64;
            share = share.max(self.held[role][j] / self.total[j]);
        }
        self.shares[framework] += sign * self.dominant[framework];
        self.frameworks[role].set(framework % per_role, self.shares[framework]);
        self.roles.set(role, share);
    }

    fn find(&mut self, demand: u64) -> Option<usize> {
        for _ in 0..self.maxima.len() {
            let block = self.cursor;
            if fits(self.maxima[block], demand) {
                let end = (block * BLOCK + BLOCK).min(self.free.len());
                let mut real = 0;
                for agent in block * BLOCK..end {
                    let free = self.free[agent].load(Ordering::Relaxed);
                    if fits(free, demand) {
                        return Some(agent);
                    }
                    real = larger(real, free);
                }
                self.maxima[block] = real;
            }
            self.cursor = (block + 1) % self.maxima.len();
        }
        None
    }
}
