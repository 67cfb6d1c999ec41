//! The workload of the decision figures, the same for the engine and the floor.
//!
//! Agents of 64 cpus, 256 GiB, 1 TB and 8 GPUs, in tenths of a core and of a GiB, GB and tenths of a GPU;
//! frameworks of one demand each, which want without end. Before each decision the oldest tasks end
//! until memory is at the load again.

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Roles, among which the frameworks are spread evenly.
pub(crate) const ROLES: usize = 100;
/// Memory in use while decisions are measured.
pub(crate) const LOAD: f64 = 0.9;

pub(crate) struct Workload {
    pub(crate) agents: usize,
    pub(crate) capacity: [u64; 4],
    /// By framework; those of a role are next to each other.
    pub(crate) demands: Vec<[u64; 4]>,
}

impl Workload {
    pub(crate) fn new(agents: usize, frameworks: usize) -> Self {
        let mut random = StdRng::seed_from_u64(7);
        let mut demand = || {
            let gpus = if random.random_ratio(1, 10) { 10 } else { 0 };
            [
                random.random_range(10..40),
                random.random_range(20..220),
                random.random_range(1..21),
                gpus,
            ]
        };
        Self {
            agents,
            capacity: [640, 2560, 1000, 80],
            demands: (0..frameworks).map(|_| demand()).collect(),
        }
    }

    /// Decisions that bring an empty cluster near to the load.
    pub(crate) fn fill(&self) -> usize {
        (self.agents as f64 * LOAD * self.capacity[1] as f64 / 120.0) as usize
    }
}
