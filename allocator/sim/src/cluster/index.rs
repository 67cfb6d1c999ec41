//! Where to look: an upper bound of what is free on each block of 64 nodes, and on each 64 blocks.
//!
//! A release raises the bounds of its node's blocks; a look that finds nothing tightens them. They are never too low, so that no
//! node that fits is passed over, and mostly exact, so that a full cluster is passed over in a few steps.

use crate::amounts::Amounts;

const BLOCK: usize = 64;

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Index {
    blocks: Vec<Amounts>,
    supers: Vec<Amounts>,
}

fn largest(amounts: &[Amounts]) -> Amounts {
    amounts
        .iter()
        .fold(Amounts::ZERO, |most, &each| most.larger(each))
}

impl Index {
    pub(super) fn new(free: &[Amounts]) -> Self {
        let blocks: Vec<Amounts> = free.chunks(BLOCK).map(largest).collect();
        let supers = blocks.chunks(BLOCK).map(largest).collect();
        Self { blocks, supers }
    }

    /// More is free on a node than before.
    #[inline]
    pub(super) fn raise(&mut self, node: usize, free: Amounts) {
        let block = &mut self.blocks[node / BLOCK];
        *block = block.larger(free);
        let top = &mut self.supers[node / (BLOCK * BLOCK)];
        *top = top.larger(free);
    }

    /// The first node at or after `from` on which `demand` is free and which `accepts`.
    #[inline]
    pub(super) fn next(
        &mut self,
        free: &[Amounts],
        from: usize,
        demand: Amounts,
        accepts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut at = from;
        while at < free.len() {
            let (block, top) = (at / BLOCK, at / (BLOCK * BLOCK));
            if !self.supers[top].fits(demand) {
                at = (top + 1) * BLOCK * BLOCK;
                continue;
            }
            if !self.blocks[block].fits(demand) {
                at = (block + 1) * BLOCK;
                if at.is_multiple_of(BLOCK * BLOCK) {
                    self.tighten_top(top);
                }
                continue;
            }
            let end = ((block + 1) * BLOCK).min(free.len());
            if let Some(found) = (at..end).find(|&node| free[node].fits(demand) && accepts(node)) {
                return Some(found);
            }
            if at == block * BLOCK {
                self.blocks[block] = largest(&free[at..end]);
                if end.is_multiple_of(BLOCK * BLOCK) || end == free.len() {
                    self.tighten_top(top);
                }
            }
            at = end;
        }
        None
    }

    fn tighten_top(&mut self, top: usize) {
        let end = ((top + 1) * BLOCK).min(self.blocks.len());
        self.supers[top] = largest(&self.blocks[top * BLOCK..end]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_that_fits_is_found_whatever_happened_before(
            steps in prop::collection::vec((0..9000_usize, 0..4_u32, 0..5_u32, 0..9000_usize), 1..60),
        ) {
            let amounts = |cpus| Amounts::new([cpus, 0, 0, 0]).unwrap();
            let mut free = vec![amounts(0); 9000];
            let mut index = Index::new(&free);
            for (node, now, demand, from) in steps {
                free[node] = amounts(now);
                index.raise(node, free[node]);
                let expected = (from..free.len()).find(|&at| free[at].fits(amounts(demand)) && at % 3 != 0);
                prop_assert_eq!(index.next(&free, from, amounts(demand), |at| at % 3 != 0), expected);
            }
        }
    }
}
