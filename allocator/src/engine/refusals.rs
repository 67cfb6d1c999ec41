//! Where one framework wants nothing for now: a bit an agent, by blocks of 64, and a wheel that tells when
//! a refusal is over.
//!
//! Only blocks with a refusal are kept, in order, so that a search reads one word a block.

use super::{agents::Agent, seats::Seat, slots::Slot, wheel::Wheel};

/// The refusals of one seat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    /// `(block, agents)`, ascending; no entry is without agents.
    blocks: Vec<(u32, u64)>,
    /// Agents refused again while they were, once for each time.
    again: Vec<u32>,
    /// Counts how often all were forgotten at once.
    epoch: u32,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The refused agents of a block, by bit.
    #[inline]
    pub(super) fn of_block(&self, block: u32) -> u64 {
        if self.blocks.is_empty() {
            return 0;
        }
        let found = self.blocks.binary_search_by_key(&block, |entry| entry.0);
        found.map_or(0, |at| self.blocks[at].1)
    }

    pub(crate) fn contains(&self, agent: u32) -> bool {
        self.of_block(agent / 64) >> (agent % 64) & 1 == 1
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn insert(&mut self, agent: u32) {
        let (block, bit) = (agent / 64, 1 << (agent % 64));
        if self.contains(agent) {
            self.again.push(agent);
            return;
        }
        match self.blocks.binary_search_by_key(&block, |entry| entry.0) {
            Ok(at) => self.blocks[at].1 |= bit,
            Err(at) => self.blocks.insert(at, (block, bit)),
        }
    }

    /// The agents, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.blocks.iter();
        blocks.flat_map(|&(block, agents)| {
            let bits = (0..64).filter(move |bit| agents >> bit & 1 == 1);
            bits.map(move |bit| block * 64 + bit)
        })
    }

    /// One refusal is over; whether it was the last one of the agent.
    pub(super) fn expire(&mut self, agent: u32) -> bool {
        if let Some(at) = self.again.iter().position(|&other| other == agent) {
            self.again.swap_remove(at);
            return false;
        }
        self.remove(agent)
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, agent: u32) -> bool {
        self.again.retain(|&other| other != agent);
        let (block, bit) = (agent / 64, 1 << (agent % 64));
        let Ok(at) = self.blocks.binary_search_by_key(&block, |entry| entry.0) else {
            return false;
        };
        let was = self.blocks[at].1 & bit != 0;
        self.blocks[at].1 &= !bit;
        if self.blocks[at].1 == 0 {
            self.blocks.remove(at);
        }
        was
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.again.clear();
        self.epoch = self.epoch.wrapping_add(1);
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<(u32, u64)>()
    }
}

/// A refusal that will be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) seat: Slot<Seat>,
    pub(super) agent: Slot<Agent>,
    /// It is of no use if the seat's refusals were forgotten since.
    pub(super) epoch: u32,
}

/// The refusals that will be over, by time.
pub(super) type Expiries = Wheel<Expiry>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_agents(changes in prop::collection::vec((0..300_u32, any::<bool>()), 1..200)) {
            let (mut refusals, mut plain) = (Refusals::default(), BTreeSet::new());
            for (agent, insert) in changes {
                if insert && plain.contains(&agent) {
                    refusals.insert(agent);
                    prop_assert!(!refusals.expire(agent));
                } else if insert {
                    refusals.insert(agent);
                    plain.insert(agent);
                } else {
                    prop_assert_eq!(refusals.remove(agent), plain.remove(&agent));
                }
                prop_assert_eq!(refusals.is_empty(), plain.is_empty());
                for agent in 0..300 {
                    prop_assert_eq!(refusals.contains(agent), plain.contains(&agent));
                }
            }
        }
    }
}
