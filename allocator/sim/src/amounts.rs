//! Amounts of resources, four lanes in one word.
//!
//! Lanes are cpus (1/1000), memory (MiB), GPUs (1/1000) and disk (MiB), 31 bits each; the top bit of each lane is
//! a guard, so that a comparison or a sum of all four is one operation without carries. Amounts are
//! exact in these units: what a trace says in finer ones is rounded up, what a node has is rounded down.

use std::fmt;

/// How many lanes there are.
pub const LANES: usize = 4;
/// The lane of cpus, in 1/1000.
pub const CPUS: usize = 0;
/// The lane of memory, in MiB.
pub const MEM: usize = 1;
/// The lane of GPUs, in 1/1000.
pub const GPUS: usize = 2;
/// The lane of disk, in MiB.
pub const DISK: usize = 3;
/// What the lanes are called in outputs and messages.
pub const NAMES: [&str; LANES] = ["cpus", "mem", "gpus", "disk"];

const GUARDS: u128 = 0x8000_0000_8000_0000_8000_0000_8000_0000;

/// Four amounts, each below 2^31.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amounts(u128);

impl Amounts {
    /// Nothing.
    pub const ZERO: Amounts = Amounts(0);
    /// The largest amount of a lane.
    pub const LANE_MAX: u32 = i32::MAX as u32;

    /// Amounts by lane; none if one is above [`Amounts::LANE_MAX`].
    pub fn new(lanes: [u32; LANES]) -> Option<Self> {
        lanes.iter().all(|&lane| lane <= Self::LANE_MAX).then(|| {
            let packed = lanes.iter().rev();
            Self(packed.fold(0, |word, &lane| (word << 32) | u128::from(lane)))
        })
    }

    /// The amounts by lane.
    pub fn lanes(self) -> [u32; LANES] {
        std::array::from_fn(|lane| self.lane(lane))
    }

    /// The amount of one lane.
    #[inline]
    pub fn lane(self, lane: usize) -> u32 {
        (self.0 >> (32 * lane)) as u32
    }

    /// The same with one lane zero.
    pub fn without(self, lane: usize) -> Self {
        Self(self.0 & !(u128::from(u32::MAX) << (32 * lane)))
    }

    /// Whether all lanes are zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether `demand` is at most this, lane by lane.
    #[inline]
    pub fn fits(self, demand: Amounts) -> bool {
        (self.0 | GUARDS).wrapping_sub(demand.0) & GUARDS == GUARDS
    }

    /// The sum; the caller knows that no lane overflows (it is at most a node's total).
    #[inline]
    pub fn plus(self, other: Amounts) -> Self {
        let sum = Self(self.0.wrapping_add(other.0));
        debug_assert!(sum.0 & GUARDS == 0, "SI-1 a lane never overflows");
        sum
    }

    /// The difference; `other` fits.
    #[inline]
    pub fn minus(self, other: Amounts) -> Self {
        debug_assert!(self.fits(other), "SI-1 claimed <= free");
        Self(self.0.wrapping_sub(other.0))
    }

    /// The larger amount of each lane.
    #[inline]
    pub fn larger(self, other: Amounts) -> Self {
        let at_least = (self.0 | GUARDS).wrapping_sub(other.0) & GUARDS;
        let mask = at_least - (at_least >> 31);
        Self((self.0 & mask) | (other.0 & !mask & !GUARDS))
    }

    /// This `count` times; the caller knows that no lane overflows.
    #[inline]
    pub fn times(self, count: u32) -> Self {
        if count == 1 {
            return self;
        }
        let product = Self(self.0.wrapping_mul(u128::from(count)));
        debug_assert!(
            product.0 & GUARDS == 0 && self.lane(0).wrapping_mul(count) == product.lane(0),
            "SI-1 a lane never overflows"
        );
        product
    }

    /// How many times `demand` fits; `u32::MAX` if it is nothing.
    #[inline]
    pub fn count_of(self, demand: Amounts) -> u32 {
        let lanes = (0..LANES).filter(|&lane| demand.lane(lane) > 0);
        let counts = lanes.map(|lane| self.lane(lane) / demand.lane(lane));
        counts.min().unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Amounts {
    /// As `cpus:2.5;mem:1024`, leaving out what is zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (lane, name) in NAMES.iter().enumerate() {
            match (lane, self.lane(lane)) {
                (_, 0) => {}
                (CPUS | GPUS, milli) => parts.push(format!("{name}:{}", f64::from(milli) / 1000.0)),
                (_, amount) => parts.push(format!("{name}:{amount}")),
            }
        }
        f.pad(&if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join(";")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lane() -> impl Strategy<Value = u32> {
        prop_oneof![0..4_u32, 0..=Amounts::LANE_MAX, Just(Amounts::LANE_MAX)]
    }

    proptest! {
        #[test]
        fn words_do_what_lanes_would(a in [lane(), lane(), lane(), lane()], b in [lane(), lane(), lane(), lane()]) {
            let (x, y) = (Amounts::new(a).unwrap(), Amounts::new(b).unwrap());
            prop_assert_eq!(x.lanes(), a);
            let fits = (0..LANES).all(|lane| b[lane] <= a[lane]);
            prop_assert_eq!(x.fits(y), fits);
            let largest: [u32; LANES] = std::array::from_fn(|lane| a[lane].max(b[lane]));
            prop_assert_eq!(x.larger(y).lanes(), largest);
            if fits {
                prop_assert_eq!(x.minus(y).plus(y), x);
                let count = x.count_of(y);
                prop_assert!(count >= 1);
                if count < 1000 {
                    prop_assert!(x.fits(y.times(count)));
                }
            } else {
                prop_assert_eq!(x.count_of(y), 0);
            }
        }
    }

    #[test]
    fn amounts_that_do_not_fit_into_a_lane_are_refused() {
        assert_eq!(Amounts::new([0, 0, 0, Amounts::LANE_MAX + 1]), None);
        assert_eq!(
            Amounts::new([2500, 0, 1000, 7]).unwrap().to_string(),
            "cpus:2.5;gpus:1;disk:7"
        );
    }
}
