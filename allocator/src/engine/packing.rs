//! Amounts packed into one word, four lanes of 15 bits with a guard bit each, for tests that look at many.
//!
//! ```text
//!   63                                            0
//!   G lane3 (15) | G lane2 | G lane1 | G lane0          G is clear in every packed word
//!   fits(free, need):  ((free | G) - need) & G == G     no borrow crosses a guard
//! ```
//! A lane counts in units of 2^shift, the least such that the largest agent fits. Free amounts and needs
//! are both rounded down, so that what fits exactly also fits packed: a packed test never misses, and who
//! finds something by it looks at the exact amounts next. Resources beyond the fourth are not packed.

/// Lanes in a word.
pub(super) const LANES: usize = 4;
const WIDTH: u32 = 16;
const LARGEST: u64 = 0x7fff;
const GUARDS: u64 = 0x8000_8000_8000_8000;

/// Amounts of up to four resources, rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    /// Whether every lane is at least that of `need`.
    #[inline]
    pub(super) fn fits(self, need: Word) -> bool {
        (self.0 | GUARDS).wrapping_sub(need.0) & GUARDS == GUARDS
    }

    /// Whether any lane is at least that of `bound`, and not zero.
    #[inline]
    pub(super) fn reaches(self, bound: Word) -> bool {
        let at_least = (self.0 | GUARDS).wrapping_sub(bound.0) & GUARDS;
        let zero = (GUARDS | self.0).wrapping_sub(GUARDS >> (WIDTH - 1)) & GUARDS;
        at_least & zero != 0
    }

    /// The larger of each lane.
    #[inline]
    pub(super) fn max(self, other: Word) -> Word {
        let at_least = (self.0 | GUARDS).wrapping_sub(other.0) & GUARDS;
        let mask = at_least - (at_least >> (WIDTH - 1));
        Word(self.0 & mask | other.0 & !mask)
    }
}

/// The units of the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    shifts: [u32; LANES],
}

impl Packing {
    /// Units for agents that have nothing yet.
    pub(super) const FINEST: Packing = Packing { shifts: [0; LANES] };

    /// Makes the units coarse enough for an agent of this size; whether they had to change.
    pub(super) fn admit(&mut self, total: &[u64]) -> bool {
        let before = *self;
        for (shift, &amount) in self.shifts.iter_mut().zip(total) {
            while amount >> *shift > LARGEST {
                *shift += 1;
            }
        }
        *self != before
    }

    /// Packs amounts; what is more than the largest agent has becomes the largest number, which no
    /// smaller agent has.
    #[inline]
    pub(super) fn pack(&self, amounts: &[u64]) -> Word {
        let lane = |(j, (&amount, &shift)): (u32, (&u64, &u32))| {
            (amount >> shift).min(LARGEST) << (WIDTH * j)
        };
        let lanes = (0..).zip(amounts.iter().zip(&self.shifts));
        Word(lanes.map(lane).fold(0, |word, lane| word | lane))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts() -> impl Strategy<Value = [u64; LANES]> {
        prop::array::uniform4(prop_oneof![0..5_u64, 0..1_u64 << 15, 0..1_u64 << 40])
    }

    proptest! {
        #[test]
        fn what_fits_exactly_fits_packed(free in amounts(), need in amounts()) {
            let mut packing = Packing::FINEST;
            packing.admit(&free);
            let fits = free.iter().zip(need).all(|(free, need)| *free >= need);
            let packed = packing.pack(&free).fits(packing.pack(&need));
            prop_assert!(packed || !fits);
            let units_are_one = !packing.admit(&free) && packing == Packing::FINEST;
            let small = need.iter().all(|need| *need <= LARGEST);
            prop_assert!(!(units_are_one && small && packed) || fits);
        }

        #[test]
        fn the_maximum_is_that_of_each_lane(a in amounts(), b in amounts()) {
            let mut packing = Packing::FINEST;
            packing.admit(&a);
            packing.admit(&b);
            let larger: [u64; LANES] = std::array::from_fn(|j| a[j].max(b[j]));
            prop_assert_eq!(packing.pack(&a).max(packing.pack(&b)), packing.pack(&larger));
        }
    }
}
