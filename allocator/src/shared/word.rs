//! Amounts of four resources in one word, with a guard bit above each lane that is always clear.
//!
//! ```text
//!   u128:  version (32) | G lane3 (23) | G lane2 (23) | G lane1 (23) | G lane0 (23)
//!   u64:                  G lane3 (15) | G lane2 (15) | G lane1 (15) | G lane0 (15)
//!   fits(free, need):     ((free | G) - need) & G == G          no borrow crosses a guard
//! ```
//! What an agent has is rounded down and what a task needs is rounded up, so that what fits packed fits
//! exactly; the sum of what was claimed is never more than there is.

/// Lanes in a word.
pub(super) const LANES: usize = 4;

/// An unsigned integer that holds packed amounts.
pub trait Word: Copy + Eq + std::fmt::Debug + Send + Sync {
    /// The largest amount of a lane.
    const LARGEST: u64;
    /// Nothing in any lane.
    const ZERO: Self;

    /// Packs amounts, each at most [`Word::LARGEST`].
    fn pack(amounts: [u64; LANES]) -> Self;

    /// The amounts.
    fn unpack(self) -> [u64; LANES];

    /// Whether every lane is at least that of `need`.
    fn fits(self, need: Self) -> bool;

    /// The larger of each lane, without version.
    fn larger(self, other: Self) -> Self;

    /// What is left when `need`, which fits, is taken; one version on, where there are versions.
    fn without(self, need: Self) -> Self;

    /// What there is when `more` is given back; one version on, where there are versions.
    fn with(self, more: Self) -> Self;
}

macro_rules! word {
    ($word:ty, $width:literal, $version:expr) => {
        impl Word for $word {
            const LARGEST: u64 = (1 << ($width - 1)) - 1;
            const ZERO: Self = 0;

            fn pack(amounts: [u64; LANES]) -> Self {
                debug_assert!(amounts.iter().all(|amount| *amount <= Self::LARGEST));
                let lanes = (0..).zip(amounts);
                lanes.fold(0, |word, (j, amount)| {
                    word | Self::from(amount.min(Self::LARGEST)) << ($width * j)
                })
            }

            fn unpack(self) -> [u64; LANES] {
                std::array::from_fn(|j| (self >> ($width * j)) as u64 & Self::LARGEST)
            }

            #[inline]
            fn fits(self, need: Self) -> bool {
                const GUARDS: $word = guards($width) as $word;
                (self | GUARDS).wrapping_sub(need) & GUARDS == GUARDS
            }

            #[inline]
            fn larger(self, other: Self) -> Self {
                const GUARDS: $word = guards($width) as $word;
                // All bits below the guards.
                const LANES: $word = GUARDS - (GUARDS >> ($width - 1));
                let (a, b) = (self & LANES, other & LANES);
                let at_least = (a | GUARDS).wrapping_sub(b) & GUARDS;
                let mask = at_least - (at_least >> ($width - 1));
                a & mask | b & !mask
            }

            #[inline]
            fn without(self, need: Self) -> Self {
                self.wrapping_sub(need).wrapping_add($version)
            }

            #[inline]
            fn with(self, more: Self) -> Self {
                self.wrapping_add(more).wrapping_add($version)
            }
        }
    };
}

word!(u64, 16, 0);
word!(u128, 24, 1 << 96);

const fn guards(width: u32) -> u128 {
    let one = 1 << (width - 1);
    one | one << width | one << (2 * width) | one << (3 * width)
}

/// Packed amounts that were rounded one way or the other: see [`Units`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed<W>(pub(super) W);

/// In what each lane counts: units of a power of two, the least such that the largest agent fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    shifts: [u32; LANES],
}

impl Units {
    /// Units for agents that have at most this much.
    pub fn for_agents_up_to<W: Word>(most: [u64; LANES]) -> Self {
        let shift = |amount: u64| {
            let fits = |shift: &u32| amount >> shift <= W::LARGEST;
            (0..64).find(fits).unwrap_or(63)
        };
        let shifts = most.map(shift);
        Self { shifts }
    }

    /// What an agent has, rounded down.
    pub fn capacity<W: Word>(&self, amounts: [u64; LANES]) -> Packed<W> {
        let lane = |j: usize| (amounts[j] >> self.shifts[j]).min(W::LARGEST);
        Packed(W::pack(std::array::from_fn(lane)))
    }

    /// What a task needs, rounded up; none if no agent that these units are for has as much.
    pub fn demand<W: Word>(&self, amounts: [u64; LANES]) -> Option<Packed<W>> {
        let lane = |j: usize| {
            let whole = amounts[j] >> self.shifts[j];
            whole + u64::from(whole << self.shifts[j] < amounts[j])
        };
        let lanes = std::array::from_fn(lane);
        let fits = lanes.iter().all(|&lane| lane <= W::LARGEST);
        fits.then(|| Packed(W::pack(lanes)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<W: Word>(most: [u64; 4], free: [u64; 4], demand: [u64; 4]) {
        let free: [u64; 4] = std::array::from_fn(|j| free[j].min(most[j]));
        let units = Units::for_agents_up_to::<W>(most);
        let (packed, need) = (units.capacity::<W>(free), units.demand::<W>(demand));
        let fits = (0..4).all(|j| demand[j] <= free[j]);
        let Some(need) = need else {
            assert!(!fits, "{demand:?} fits into {free:?}");
            return;
        };
        if packed.0.fits(need.0) {
            assert!(fits, "{demand:?} does not fit into {free:?}");
            let left = packed.0.without(need.0);
            assert_eq!(left.with(need.0).unpack(), packed.0.unpack());
            for j in 0..4 {
                assert!(left.unpack()[j] << units.shifts[j] <= free[j] - demand[j]);
            }
        }
        let larger = packed.0.larger(need.0).unpack();
        let (free, need_of) = (packed.0.unpack(), need.0.unpack());
        assert_eq!(larger, std::array::from_fn(|j| free[j].max(need_of[j])));
        let exact = units.shifts == [0; 4];
        assert!(!exact || packed.0.fits(need.0) == fits);
    }

    proptest! {
        #[test]
        fn what_fits_packed_fits_exactly(
            most in prop::array::uniform4(prop_oneof![0..9_u64, 0..1_u64 << 50]),
            free in prop::array::uniform4(prop_oneof![0..9_u64, 0..1_u64 << 50]),
            demand in prop::array::uniform4(prop_oneof![0..5_u64, 0..1_u64 << 50]),
        ) {
            check::<u64>(most, free, demand);
            check::<u128>(most, free, demand);
        }
    }
}
