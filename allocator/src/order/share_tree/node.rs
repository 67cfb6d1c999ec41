//! One node's arithmetic.
//!
//! Hierarchical DRF, incrementally. With `lo` the least weighted share of a node's live children, the
//! node's vector is what its subtree would hold if all live children were rescaled to `lo`, and blocked
//! ones kept all that they have:
//!
//! ```text
//!   vector = lo * Σ_live vector_c * w_c / share_c  +  Σ_blocked vector_c        per resource
//!   share  = the largest part of a resource that is not saturated;  key = share / w
//! ```
//! Both sums are kept, as integers of what each child gave, so that replacing one is exact.
//!
//! Numbers are fixed point: keys and vectors in 2^-40, shares on the way to a key in 2^-60. Under H-DRF keys
//! are compared in 2^-32, so that roundings on different ways to the same share leave it the same.

use super::{NodeId, Reciprocal};
use crate::{
    order::{Key, Tournament},
    share::Weight,
    sparing,
};

/// Fraction bits of keys and vectors.
pub(super) const BITS: i32 = 40;
/// Fraction bits of shares before they are weighted.
pub(super) const FINE: i32 = 60;
/// Low bits of a key that are left out of comparisons under H-DRF.
const BLUR: u32 = 8;

/// No inner part: a leaf. Also no child.
pub(super) const NONE: u32 = u32::MAX;

/// Rounds a key to what comparisons see of it.
pub(super) fn blurred(key: u64) -> u64 {
    (key >> BLUR) + ((key >> (BLUR - 1)) & 1)
}

/// Rounds from [`FINE`] to [`BITS`].
pub(super) fn coarse(part: u64) -> u64 {
    const DROP: i32 = FINE - BITS;
    (part >> DROP) + ((part >> (DROP - 1)) & 1)
}

/// What a node adds to its parent's sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<const L: usize> {
    amounts: [u64; L],
    /// To the sum of live children, or to that of blocked ones.
    live: bool,
}

impl<const L: usize> Default for Given<L> {
    fn default() -> Self {
        let (amounts, live) = ([0; L], false);
        Self { amounts, live }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node<const L: usize> {
    pub(super) parent: NodeId,
    /// Among its siblings.
    pub(super) place: u32,
    /// Index of its inner part, [`NONE`] for a leaf.
    pub(super) inner: u32,
    pub(super) label: u32,
    /// One over the weight.
    weight: Reciprocal,
    pub(super) live: bool,
    pub(super) key: u64,
    /// Allocations ever made at and below it.
    pub(super) count: u64,
    pub(super) held: [u64; L],
    pub(super) given: Given<L>,
}

impl<const L: usize> Node<L> {
    pub(super) fn new(parent: NodeId, place: u32, weight: Weight, label: u32, inner: u32) -> Self {
        let mut node = Self {
            parent,
            place,
            inner,
            label,
            weight: Reciprocal::ONE,
            live: false,
            key: 0,
            count: 0,
            held: [0; L],
            given: Given::default(),
        };
        node.set_weight(weight);
        node
    }

    pub(super) fn set_weight(&mut self, weight: Weight) {
        self.weight = Reciprocal::of(1000, weight.milli());
    }

    /// The share over the weight, in 2^-40, of a share in 2^-`bits`.
    pub(super) fn weighted(&self, share: u64, bits: i32) -> u64 {
        self.weight.times(share, BITS - bits)
    }

    /// Settles what it gives for this vector: `vector / key` while it is live, the vector as it is when
    /// it is blocked.
    pub(super) fn give(&mut self, vector: &[u64; L]) {
        let amounts = match (self.live, self.key) {
            (false, _) => *vector,
            // Without a share it is rescaled to nothing: so is `lo`, as it is the least of all.
            (true, 0) => [0; L],
            // The quotient of two integers as a double: the same on every machine. It is rounded to
            // an integer, so that the sums that it enters stay exact.
            (true, key) => {
                let scale = (1_u64 << BITS) as f64 / key as f64;
                vector.map(|part| (part as f64 * scale + 0.5) as u64)
            }
        };
        let live = self.live;
        self.given = Given { amounts, live };
    }
}

/// What inner nodes have beside.
#[derive(Clone, Debug)]
pub(super) struct Inner<const L: usize> {
    /// By place; [`NONE`] where a child was removed.
    pub(super) children: Vec<u32>,
    vacant: Vec<u32>,
    pub(super) order: Tournament,
    /// `Σ vector / key` of live children, in 2^-40.
    live_sum: [u128; L],
    /// `Σ vector` of blocked ones.
    blocked_sum: [u128; L],
}

impl<const L: usize> Inner<L> {
    pub(super) fn new() -> Self {
        Self {
            children: Vec::new(),
            vacant: Vec::new(),
            order: Tournament::new(),
            live_sum: [0; L],
            blocked_sum: [0; L],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.children.len() == self.vacant.len()
    }

    pub(super) fn child(&self, place: u32) -> NodeId {
        NodeId(self.children[place as usize])
    }

    pub(super) fn children(&self) -> impl Iterator<Item = NodeId> + '_ {
        let children = self.children.iter().filter(|&&child| child != NONE);
        children.map(|&child| NodeId(child))
    }

    /// Gives a new child its place.
    pub(super) fn adopt(&mut self, child: NodeId) -> u32 {
        if let Some(place) = self.vacant.pop() {
            self.children[place as usize] = child.0;
            return place;
        }
        sparing::push(&mut self.children, child.0);
        super::number(self.children.len() - 1)
    }

    /// Takes a child and what it gave away.
    pub(super) fn forget(&mut self, place: u32, given: &Given<L>) {
        self.order.set(place, Key::NONE);
        self.replace(given, &Given::default());
        self.children[place as usize] = NONE;
        self.vacant.push(place);
    }

    /// Forgets the sums, for children to hand in anew.
    pub(super) fn reset(&mut self) {
        (self.live_sum, self.blocked_sum) = ([0; L], [0; L]);
    }

    /// Replaces what a child gave.
    pub(super) fn replace(&mut self, before: &Given<L>, after: &Given<L>) {
        let sum = self.sum(before.live);
        for (sum, amount) in sum.iter_mut().zip(before.amounts) {
            *sum -= u128::from(amount);
        }
        let sum = self.sum(after.live);
        for (sum, amount) in sum.iter_mut().zip(after.amounts) {
            *sum += u128::from(amount);
        }
    }

    fn sum(&mut self, live: bool) -> &mut [u128; L] {
        if live {
            &mut self.live_sum
        } else {
            &mut self.blocked_sum
        }
    }

    /// What is below, live children rescaled to the key `lo`.
    pub(super) fn vector(&self, lo: u64) -> [u64; L] {
        std::array::from_fn(|j| {
            let scaled = self.live_sum[j].saturating_mul(u128::from(lo));
            let vector = ((scaled + (1 << (BITS - 1))) >> BITS) + self.blocked_sum[j];
            u64::try_from(vector).unwrap_or(u64::MAX)
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = self.children.capacity() + self.vacant.capacity();
        size_of::<Self>() + lists * size_of::<u32>() + self.order.bytes()
    }
}
