//! Where something fits: a lazy index of upper bounds over the agents' free amounts.
//!
//! ```text
//!   agents      words[a]    what agent a has free, packed (rounded down)
//!   blocks      bounds of 64 agents each          >= each of their words, per lane
//!   regions     bounds of 64 blocks each          >= each of their blocks' bounds
//! ```
//! A release raises the bounds above it at once; a claim leaves them, and a look in vain tightens what it
//! looked at. So a bound is never too low, and being too high costs one look. Where it must be known what
//! fits nowhere ([`Capacity::lower_all`]), claims lower the bounds at once as well.
//!
//! The search starts where the last one ended (next fit), which spreads the load and meets blocks with
//! room soon. It does not own exact amounts: [`Capacity::find`] asks about each candidate.

use super::packing::{Packing, Word};
use crate::sparing;

/// Agents in a block, and blocks in a region.
const BLOCK: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Capacity {
    packing: Packing,
    words: Vec<Word>,
    blocks: Vec<Word>,
    regions: Vec<Word>,
    most: Word,
    /// The block at which the next search starts.
    cursor: usize,
}

impl Capacity {
    pub(super) fn new() -> Self {
        Self {
            packing: Packing::FINEST,
            words: Vec::new(),
            blocks: Vec::new(),
            regions: Vec::new(),
            most: Word::default(),
            cursor: 0,
        }
    }

    /// Makes the units fit an agent of this size. If they change, all packed amounts are void: every
    /// agent's is to be [set](Capacity::set) again.
    pub(super) fn admit(&mut self, total: &[u64]) -> bool {
        let changed = self.packing.admit(total);
        if changed {
            for words in [&mut self.words, &mut self.blocks, &mut self.regions] {
                words.fill(Word::default());
            }
            self.most = Word::default();
        }
        changed
    }

    pub(super) fn packing(&self) -> &Packing {
        &self.packing
    }

    /// Makes place for agents up to this number, with nothing free.
    pub(super) fn grow(&mut self, agent: u32) {
        let agent = agent as usize;
        if agent >= self.words.len() {
            sparing::resize(&mut self.words, agent + 1, Word::default());
            sparing::resize(&mut self.blocks, agent / BLOCK + 1, Word::default());
            let regions = agent / (BLOCK * BLOCK) + 1;
            sparing::resize(&mut self.regions, regions, Word::default());
        }
    }

    /// What an agent has free now.
    pub(super) fn set(&mut self, agent: u32, free: &[u64]) {
        let agent = agent as usize;
        let word = self.packing.pack(free);
        self.words[agent] = word;
        let block = &mut self.blocks[agent / BLOCK];
        *block = block.max(word);
        let region = &mut self.regions[agent / (BLOCK * BLOCK)];
        *region = region.max(word);
        self.most = self.most.max(word);
    }

    /// As [`Capacity::set`], where the agent has less free than before.
    #[inline]
    pub(super) fn lower(&mut self, agent: u32, free: &[u64]) {
        self.words[agent as usize] = self.packing.pack(free);
    }

    /// As [`Capacity::lower`], with all bounds above made exact; whether [`Capacity::most`] is lower now.
    pub(super) fn lower_all(&mut self, agent: u32, free: &[u64]) -> bool {
        let agent = agent as usize;
        let before = std::mem::replace(&mut self.words[agent], self.packing.pack(free));
        let (block, region) = (agent / BLOCK, agent / (BLOCK * BLOCK));
        // Only who had the most of something can lower a bound.
        if !before.reaches(self.blocks[block]) {
            return false;
        }
        let bound = most(&self.words, block);
        let before = std::mem::replace(&mut self.blocks[block], bound);
        if bound == before || !before.reaches(self.regions[region]) {
            return false;
        }
        let bound = most(&self.blocks, region);
        let before = std::mem::replace(&mut self.regions[region], bound);
        if bound == before || !before.reaches(self.most) {
            return false;
        }
        let before = self.most;
        self.most = (self.regions.iter()).fold(Word::default(), |most, region| most.max(*region));
        self.most != before
    }

    /// What of each resource any agent has at most; a bound, unless all claims were told by
    /// [`Capacity::lower_all`].
    pub(super) fn most(&self) -> Word {
        self.most
    }

    /// The first agent from the cursor on whose packed free amounts fit `need`, and of which `takes` says
    /// yes. `mask(block)` names the agents of a block that are out of question, by bit.
    pub(super) fn find(
        &mut self,
        need: Word,
        mask: impl Fn(u32) -> u64,
        takes: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let count = self.blocks.len();
        let mut seen = 0;
        let mut block = if self.cursor < count { self.cursor } else { 0 };
        while seen < count {
            // At the beginning of a region, the region may be passed by.
            if block.is_multiple_of(BLOCK) && !self.regions[block / BLOCK].fits(need) {
                let end = (block + BLOCK).min(count);
                seen += end - block;
                block = end % count;
                continue;
            }
            if self.blocks[block].fits(need)
                && let Some(agent) = self.look(block, need, &mask, &takes)
            {
                self.cursor = block;
                return Some(agent);
            }
            (seen, block) = (seen + 1, (block + 1) % count);
            if block.is_multiple_of(BLOCK) {
                let region = (block + count - 1) % count / BLOCK;
                self.regions[region] = most(&self.blocks, region);
            }
        }
        None
    }

    /// Looks through one block; in vain, its bound becomes what it says.
    fn look(
        &mut self,
        block: usize,
        need: Word,
        mask: &impl Fn(u32) -> u64,
        takes: &impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let start = block * BLOCK;
        let end = (start + BLOCK).min(self.words.len());
        let words = &self.words[start..end];
        let number = |n: usize| u32::try_from(n).expect("agents are numbered with 32 bits");
        let excluded = mask(number(block));
        let mut bound = Word::default();
        for (at, word) in words.iter().enumerate() {
            let agent = number(start + at);
            if word.fits(need) && excluded >> at & 1 == 0 && takes(agent) {
                return Some(agent);
            }
            bound = bound.max(*word);
        }
        self.blocks[block] = bound;
        None
    }

    /// The memory it uses, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let words = self.words.capacity() + self.blocks.capacity() + self.regions.capacity();
        words * size_of::<Word>()
    }
}

/// The largest of each lane in a block or region.
fn most(words: &[Word], block: usize) -> Word {
    let end = (block * BLOCK + BLOCK).min(words.len());
    let words = words[block * BLOCK..end].iter();
    words.fold(Word::default(), |most, word| most.max(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_fits_is_found_and_bounds_are_never_too_low(
            count in 1..9000_usize,
            changes in prop::collection::vec((any::<usize>(), 0..40_u64, 0..40_u64), 1..120),
            exact: bool,
        ) {
            let mut capacity = Capacity::new();
            let mut free = vec![[0_u64; 2]; count];
            capacity.grow(u32::try_from(count - 1).unwrap());
            for (at, a, b) in changes {
                let agent = at % count;
                let number = u32::try_from(agent).unwrap();
                if at % 3 > 0 {
                    // What is set is never less, as the bounds would stay.
                    free[agent] = [free[agent][0].max(a), free[agent][1].max(b)];
                    capacity.set(number, &free[agent]);
                    continue;
                }
                if exact {
                    let most = free.iter().fold([0, 0], |m, f| [m[0].max(f[0]), m[1].max(f[1])]);
                    prop_assert_eq!(capacity.most(), capacity.packing().pack(&most));
                }
                let fits = |n: u32| free[n as usize][0] >= a && free[n as usize][1] >= b;
                let need = capacity.packing().pack(&[a, b]);
                let found = capacity.find(need, |_| 0, fits);
                prop_assert_eq!(found.is_some(), (0..u32::try_from(count).unwrap()).any(fits));
                if let Some(found) = found {
                    prop_assert!(fits(found));
                    free[found as usize][0] -= a;
                    free[found as usize][1] -= b;
                    if exact {
                        capacity.lower_all(found, &free[found as usize]);
                    } else {
                        capacity.lower(found, &free[found as usize]);
                    }
                }
            }
        }

        #[test]
        fn masked_agents_are_not_found(free in prop::collection::vec(0..3_u64, 1..200), mask: u64) {
            let mut capacity = Capacity::new();
            for (n, free) in (0..).zip(&free) {
                capacity.grow(n);
                capacity.set(n, &[*free]);
            }
            let need = capacity.packing().pack(&[2]);
            let found = capacity.find(need, |_| mask, |_| true);
            let allowed = |(at, free): (usize, &u64)| *free >= 2 && mask >> (at % BLOCK) & 1 == 0;
            prop_assert_eq!(found, (0..).zip(&free).find(|&(n, f)| allowed((n as usize, f))).map(|(n, _)| n));
        }
    }
}
