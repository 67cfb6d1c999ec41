//! What was held lately, on average.

use std::time::Duration;

use super::power;
use crate::order::Amounts;

/// Bits of the fraction in which means are kept.
const FINE: u32 = 40;

/// The mean of what was held, where what is older by a half-life counts half.
///
/// Who begins to hold an amount is at half of it after one half-life and at three quarters after two; who lets
/// go is at 2^-k of what it was at after k. Amounts are below 2^64 in any unit.
#[derive(Clone, Debug)]
pub struct DecayedUsage<const L: usize> {
    half_life: Duration,
    at: Duration,
    held: Amounts<L>,
    /// In 2^-40.
    mean: [u128; L],
}

impl<const L: usize> DecayedUsage<L> {
    /// Nothing was held before `now`.
    ///
    /// # Panics
    /// When the half-life is zero.
    pub fn new(half_life: Duration, now: Duration) -> Self {
        assert!(!half_life.is_zero(), "a half-life takes time");
        Self {
            half_life,
            at: now,
            held: [0; L],
            mean: [0; L],
        }
    }

    /// From `now` on so much is held. A time before the last one counts as that.
    pub fn hold(&mut self, now: Duration, held: Amounts<L>) {
        self.mean = self.fine_mean(now);
        self.at = self.at.max(now);
        self.held = held;
    }

    /// The mean at `now`, rounded down.
    pub fn mean(&self, now: Duration) -> Amounts<L> {
        let whole = |mean: u128| u64::try_from(mean >> FINE).unwrap_or(u64::MAX);
        self.fine_mean(now).map(whole)
    }

    /// The largest mean part of a resource's capacity at `now`, in 2^-40; resources without capacity do not count.
    pub fn share(&self, now: Duration, capacity: &Amounts<L>) -> u64 {
        let mean = self.fine_mean(now);
        let parts = mean.iter().zip(capacity).filter(|(_, of)| **of > 0);
        let share = parts.map(|(mean, &of)| mean / u128::from(of)).max();
        u64::try_from(share.unwrap_or(0)).unwrap_or(u64::MAX)
    }

    fn fine_mean(&self, now: Duration) -> [u128; L] {
        let passed = now.saturating_sub(self.at);
        std::array::from_fn(|j| {
            // Towards what is held: the gap halves with each half-life.
            let (mean, held) = (self.mean[j], u128::from(self.held[j]) << FINE);
            match held.checked_sub(mean) {
                Some(gap) => held - power(gap, passed, self.half_life),
                None => held + power(mean - held, passed, self.half_life),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_burst_is_at_2_to_the_minus_k_after_k_half_lives() {
        let mut usage = DecayedUsage::new(HOUR, Duration::ZERO);
        usage.hold(Duration::ZERO, [1 << 40, 0]);
        assert_eq!(usage.mean(HOUR), [1 << 39, 0]);
        assert_eq!(usage.mean(2 * HOUR), [3 << 38, 0]);
        // A burst that was held for ever, as good as.
        let end = 200 * HOUR;
        usage.hold(end, [0, 0]);
        for k in 0..40 {
            assert_eq!(usage.mean(end + k * HOUR), [1 << (40 - k), 0], "{k}");
        }
        assert_eq!(usage.share(end + 3 * HOUR, &[1 << 40, 7]), 1 << 37);
    }

    #[test]
    fn resources_without_capacity_and_times_that_go_back_count_for_nothing() {
        let mut usage = DecayedUsage::new(HOUR, HOUR);
        usage.hold(HOUR, [8, 8]);
        usage.hold(2 * HOUR, [0, 8]);
        assert_eq!(usage.share(2 * HOUR, &[16, 0]), 1 << 38);
        let before = usage.clone();
        usage.hold(Duration::ZERO, [0, 8]);
        assert_eq!(usage.mean(3 * HOUR), before.mean(3 * HOUR));
    }

    proptest! {
        /// Looking in between changes nothing but the last bits.
        #[test]
        fn the_mean_does_not_depend_on_how_often_it_is_kept(
            steps in prop::collection::vec((1..10_000_u64, 0..1_000_000_u64), 1..20),
            looks in 1..5_u64,
        ) {
            let mut plain = DecayedUsage::new(HOUR, Duration::ZERO);
            let mut often = plain.clone();
            let mut now = Duration::ZERO;
            for (secs, held) in steps {
                plain.hold(now, [held << 20]);
                for look in 0..looks {
                    often.hold(now + Duration::from_secs(secs) * look as u32 / looks as u32, [held << 20]);
                }
                now += Duration::from_secs(secs);
            }
            let (plain, often) = (plain.mean(now)[0], often.mean(now)[0]);
            prop_assert!(plain.abs_diff(often) <= 1 + (plain >> 24), "{plain} {often}");
        }
    }
}
