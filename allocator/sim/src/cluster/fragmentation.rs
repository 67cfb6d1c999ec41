//! How much of the idle GPUs the jobs that are to be expected could not use.
//!
//! The fragmentation of a node for one kind of task is all that is idle of its GPUs if the task does not fit there or wants no GPU, and
//! otherwise what is idle of devices that have less left than the task needs. The node's fragmentation is the mean over the kinds of
//! tasks that are to be expected.
//
//= fgd-2023, definition of fragmentation

use std::collections::HashMap;

use super::{Ask, Cluster};
use crate::{
    amounts::{Amounts, GPUS},
    nodes::Nodes,
    trace::Workload,
};

/// At most so many kinds of tasks, the most frequent ones. Rare kinds count: they are often those that want all of a node's GPUs.
const KINDS_MAX: usize = 1024;
/// Nodes with more devices are measured without a memory of what was measured before.
const DEVICES: usize = 8;
/// Remembered measurements; beyond it, all are forgotten.
const MEMORY_MAX: usize = 1 << 18;

type State = (Amounts, u64, [u16; DEVICES]);

/// The kinds of tasks that are to be expected, and how often.
#[derive(Clone, Debug, Default)]
pub struct Typical {
    kinds: Vec<(Amounts, u64, f64)>,
    known: HashMap<State, f64>,
}

impl Typical {
    /// The most frequent kinds of a workload's tasks. Empty if none wants GPUs.
    pub fn of(workload: &Workload, nodes: &Nodes) -> Self {
        if workload.jobs.iter().all(|job| job.demand.lane(GPUS) == 0) {
            return Self::default();
        }
        let mut counts: HashMap<(Amounts, u64), u64> = HashMap::new();
        for job in &workload.jobs {
            *counts
                .entry((nodes.counted_of(job.demand), job.models))
                .or_default() += u64::from(job.tasks);
        }
        let mut kinds: Vec<((Amounts, u64), u64)> = counts.into_iter().collect();
        kinds.sort_by_key(|&(kind, count)| (std::cmp::Reverse(count), kind));
        let mut taken = 0;
        let mut typical = Vec::new();
        for ((demand, models), count) in kinds.into_iter().take(KINDS_MAX) {
            taken += count;
            typical.push((demand, models, count as f64));
        }
        for kind in &mut typical {
            kind.2 /= taken as f64;
        }
        Self {
            kinds: typical,
            known: HashMap::new(),
        }
    }

    fn measure(&mut self, free: Amounts, models: u64, devices: &[u16]) -> f64 {
        let mut state: State = (free, models, [0; DEVICES]);
        if devices.len() > DEVICES {
            return self.compute(free, models, devices);
        }
        state.2[..devices.len()].copy_from_slice(devices);
        state.2.sort_unstable();
        if let Some(&known) = self.known.get(&state) {
            return known;
        }
        let value = self.compute(free, models, devices);
        if self.known.len() >= MEMORY_MAX {
            self.known.clear();
        }
        self.known.insert(state, value);
        value
    }

    fn compute(&self, free: Amounts, node_models: u64, devices: &[u16]) -> f64 {
        let idle: u32 = devices.iter().map(|&free| u32::from(free)).sum();
        let whole = devices.iter().filter(|&&free| free == 1000).count() as u32;
        let of_kind = |&(demand, models, part): &(Amounts, u64, f64)| {
            let gpus = demand.lane(GPUS);
            let accepted = models == 0 || models & node_models != 0;
            let has_device = match gpus {
                1..1000 => devices.iter().any(|&free| u32::from(free) >= gpus),
                _ => whole * 1000 >= gpus,
            };
            let usable = gpus > 0 && accepted && free.fits(demand) && has_device;
            let unusable = if usable {
                let least = gpus.min(1000);
                devices
                    .iter()
                    .map(|&free| u32::from(free))
                    .filter(|&free| free < least)
                    .sum()
            } else {
                idle
            };
            part * f64::from(unusable)
        };
        self.kinds.iter().map(of_kind).sum()
    }
}

impl Cluster {
    /// How much of all idle GPUs the expected tasks could not use, from 0 to 1, and what is idle in 1/1000 GPU.
    pub fn fragmentation(&mut self) -> (f64, u64) {
        let (mut sum, mut idle) = (0.0, 0);
        for node in 0..self.len() {
            let devices = self.devices.of(node);
            if devices.is_empty() || self.down[node].is_some() {
                continue;
            }
            idle += devices.iter().map(|&free| u64::from(free)).sum::<u64>();
            sum += self
                .typical
                .measure(self.free[node], self.models[node], devices);
        }
        (if idle == 0 { 0.0 } else { sum / idle as f64 }, idle)
    }

    /// By how much a node's fragmentation grows with one more task, at least, and on which device.
    pub(super) fn fragmentation_growth(&mut self, node: usize, ask: &Ask) -> (f64, u32) {
        let mut devices: Vec<u16> = self.devices.of(node).to_vec();
        if devices.is_empty() {
            return (0.0, 0);
        }
        let (before, after) = (self.free[node], self.free[node].minus(ask.demand));
        let models = self.models[node];
        let now = self.typical.measure(before, models, &devices);
        let gpus = ask.demand.lane(GPUS);
        if gpus == 0 || gpus >= 1000 {
            let mut wanted = gpus / 1000;
            for free in &mut devices {
                if wanted > 0 && *free == 1000 {
                    (*free, wanted) = (0, wanted - 1);
                }
            }
            return (self.typical.measure(after, models, &devices) - now, 0);
        }
        let mut best = (f64::INFINITY, 0);
        for at in 0..devices.len() {
            let free = devices[at];
            if u32::from(free) < gpus || devices[..at].contains(&free) {
                continue;
            }
            devices[at] = free - gpus as u16;
            let growth = self.typical.measure(after, models, &devices) - now;
            devices[at] = free;
            if growth < best.0 {
                best = (growth, 1 << at);
            }
        }
        best
    }
}
