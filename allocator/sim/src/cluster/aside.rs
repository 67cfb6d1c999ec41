//! What policies can do with room beside using it: set it aside, try things on a copy, ask how much there would be.

use super::{Ask, Cluster, Piece, Typical};
use crate::amounts::{Amounts, GPUS};

impl Cluster {
    /// Takes room away without using it: no start finds it, and it does not count as used. The pieces' nodes are up.
    pub(crate) fn withhold(&mut self, ask: &Ask, pieces: &mut Vec<Piece>) {
        self.claim(ask, pieces);
        for piece in pieces.iter() {
            let amounts = ask.demand.times(piece.tasks);
            for (sum, lane) in self.free_sum.iter_mut().zip(amounts.lanes()) {
                *sum += u64::from(lane);
            }
        }
    }

    /// Gives back what was withheld.
    pub(crate) fn give_back(&mut self, ask: &Ask, pieces: &[Piece]) {
        for piece in pieces {
            let amounts = ask.demand.times(piece.tasks);
            for (sum, lane) in self.free_sum.iter_mut().zip(amounts.lanes()) {
                *sum -= u64::from(lane);
            }
        }
        self.release(ask, pieces);
    }

    /// A copy to try things on, without its memory of fragmentation.
    pub(crate) fn draft(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            kind_starts: self.kind_starts.clone(),
            total: self.total.clone(),
            free: self.free.clone(),
            down: self.down.clone(),
            models: self.models.clone(),
            devices: self.devices.clone(),
            index: self.index.clone(),
            capacity: self.capacity,
            free_sum: self.free_sum,
            typical: Typical::default(),
            scale: self.scale,
        }
    }

    /// How many tasks of this kind all nodes would have room for, were everything free and any GPU model good enough.
    pub fn alone(&self, ask: &Ask) -> u64 {
        let gpus = ask.demand.lane(GPUS);
        let each = |total: Amounts| {
            let by_device = match gpus {
                0 => u32::MAX,
                1..=999 => total.lane(GPUS) / 1000 * (1000 / gpus),
                _ => total.lane(GPUS) / gpus,
            };
            u64::from(total.count_of(ask.demand).min(by_device))
        };
        let kinds = self.nodes.kinds.iter();
        kinds
            .map(|kind| each(kind.total) * u64::from(kind.count))
            .sum()
    }

    /// The part of amounts that is counted on these nodes.
    pub fn counted(&self, amounts: Amounts) -> Amounts {
        self.nodes.counted_of(amounts)
    }
}
