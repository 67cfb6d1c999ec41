//! Mean and percentiles of many values.

use serde::{Deserialize, Serialize};

/// A distribution. All zero without values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The median: the least value that half of them do not exceed (nearest rank).
    pub p50: f64,
    /// The same for 90 %.
    pub p90: f64,
    /// The same for 95 %.
    pub p95: f64,
    /// The same for 99 %.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// Of these values, none of which is NaN.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let Some(&max) = values.last() else {
            return Self::default();
        };
        let count = values.len();
        let rank = |part: usize| values[(count * part).div_ceil(100).max(1) - 1];
        Self {
            count: count as u64,
            mean: values.iter().sum::<f64>() / count as f64,
            p50: rank(50),
            p90: rank(90),
            p95: rank(95),
            p99: rank(99),
            max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let of = Distribution::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(
            (of.count, of.mean, of.p50, of.p90, of.p99, of.max),
            (200, 100.5, 100.0, 180.0, 198.0, 200.0)
        );
        let one = Distribution::of(vec![7.0]);
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(Distribution::of(vec![]), Distribution::default());
    }
}
