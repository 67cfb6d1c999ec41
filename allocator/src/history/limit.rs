//! Limits that fit what was used.

use std::time::Duration;

use super::power;

/// Buckets of a histogram. The largest holds what is beyond.
const BUCKETS: usize = 512;
/// A bucket is wider than the one before by 1/16: the error of an answer.
const WIDTH: u64 = 16;
/// The weight of a fresh sample.
const FRESH: u128 = 1 << 60;
/// A bucket below this part of a fresh sample does not count for the peak.
const FORGOTTEN: u128 = FRESH >> 8;

/// How much a task used, sample by sample, where what is older by a half-life counts half.
///
/// Its size is fixed (8 KiB). An answer is at most a sixteenth above what was used.
#[derive(Clone, Debug)]
pub struct Histogram {
    half_life: Duration,
    at: Duration,
    weights: Box<[u128; BUCKETS]>,
}

/// How a limit comes of what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many thousandths of the samples lie at or below it; for what can be throttled.
    Percentile(u16),
    /// All samples that are not forgotten (8 half-lives) lie at or below it; for what cannot be throttled.
    Peak,
}

impl Histogram {
    /// Without samples.
    ///
    /// # Panics
    /// When the half-life is zero.
    pub fn new(half_life: Duration) -> Self {
        assert!(!half_life.is_zero(), "a half-life takes time");
        Self {
            half_life,
            at: Duration::ZERO,
            weights: Box::new([0; BUCKETS]),
        }
    }

    /// At `now` so much was used. A time before the last one counts as that.
    pub fn add(&mut self, now: Duration, used: u64) {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if !passed.is_zero() {
            for weight in self.weights.iter_mut().filter(|weight| **weight > 0) {
                *weight = power(*weight, passed, self.half_life);
            }
        }
        let weight = &mut self.weights[bucket(used)];
        *weight = weight.saturating_add(FRESH);
    }

    /// The limit by `rule` with a margin of so many thousandths above; none without samples.
    pub fn limit(&self, rule: Rule, margin: u16) -> Option<u64> {
        let at = match rule {
            Rule::Peak => self
                .weights
                .iter()
                .rposition(|&weight| weight >= FORGOTTEN)?,
            Rule::Percentile(thousandths) => {
                // In 2^-20, so that the product fits.
                let all: u128 = self.weights.iter().map(|weight| weight >> 20).sum();
                let wanted = (all * u128::from(thousandths.min(1000))).div_ceil(1000);
                let mut seen = 0;
                self.weights.iter().position(|weight| {
                    seen += weight >> 20;
                    seen >= wanted.max(1)
                })?
            }
        };
        let limit = u128::from(upper(at)) * (1000 + u128::from(margin)) / 1000;
        Some(u64::try_from(limit).unwrap_or(u64::MAX))
    }
}

/// The largest value of a bucket: 0 to 16 have their own, then each is a sixteenth wider.
fn upper(bucket: usize) -> u64 {
    UPPERS[bucket]
}

const UPPERS: [u64; BUCKETS] = {
    let mut uppers = [0; BUCKETS];
    let mut i = 1;
    while i < BUCKETS {
        let before: u64 = uppers[i - 1];
        let step = if before < WIDTH { 1 } else { before / WIDTH };
        uppers[i] = before.saturating_add(step);
        i += 1;
    }
    uppers
};

fn bucket(used: u64) -> usize {
    let at = UPPERS.partition_point(|&upper| upper < used);
    at.min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn percentiles_and_peaks_with_a_margin() {
        let mut histogram = Histogram::new(HOUR);
        assert_eq!(histogram.limit(Rule::Peak, 0), None);
        for used in 1..=16 {
            histogram.add(HOUR, used);
        }
        assert_eq!(histogram.limit(Rule::Percentile(500), 0), Some(8));
        assert_eq!(histogram.limit(Rule::Percentile(1000), 0), Some(16));
        assert_eq!(histogram.limit(Rule::Percentile(0), 0), Some(1));
        assert_eq!(histogram.limit(Rule::Peak, 500), Some(24));
    }

    #[test]
    fn a_peak_is_forgotten_after_eight_half_lives() {
        let mut histogram = Histogram::new(HOUR);
        histogram.add(Duration::ZERO, 16);
        histogram.add(8 * HOUR, 2);
        assert_eq!(histogram.limit(Rule::Peak, 0), Some(16));
        histogram.add(9 * HOUR, 2);
        assert_eq!(histogram.limit(Rule::Peak, 0), Some(2));
    }

    #[test]
    fn what_is_recent_weighs_more() {
        let mut histogram = Histogram::new(HOUR);
        for _ in 0..100 {
            histogram.add(Duration::ZERO, 4);
        }
        histogram.add(10 * HOUR, 8);
        assert_eq!(histogram.limit(Rule::Percentile(500), 0), Some(8));
    }

    proptest! {
        /// The answer covers the percentile, and is not more than a sixteenth above it.
        #[test]
        fn answers_are_within_a_sixteenth(
            samples in prop::collection::vec(0..1_u64 << 40, 1..200),
            thousandths in 1..=1000_u16,
        ) {
            let mut histogram = Histogram::new(HOUR);
            samples.iter().for_each(|&used| histogram.add(HOUR, used));
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let at = (samples.len() * usize::from(thousandths)).div_ceil(1000) - 1;
            let limit = histogram.limit(Rule::Percentile(thousandths), 0).unwrap();
            prop_assert!(limit >= sorted[at], "{limit} {}", sorted[at]);
            prop_assert!(limit <= sorted[at] + sorted[at] / WIDTH + 1, "{limit} {}", sorted[at]);
        }
    }
}
