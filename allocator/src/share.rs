//! Shares and weights, compared exactly.
//!
//! A share is the fraction `allocated / total / weight`. Amounts and weights are fixed point
//! (1/1000), so a share is a ratio of two integers, and two shares are compared as such: the order
//! of clients never hangs on a rounding error. Who computes shares: [`crate::sorter`].

use std::{cmp::Ordering, fmt, str::FromStr};

/// Why a number is not a weight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weight {text:?}: must be a number from 0.001 to 1000000000")]
pub struct InvalidWeight {
    /// The refused number or text.
    pub text: String,
}

/// How much a role counts against its siblings: a positive decimal with three places, 1 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u64);

impl Weight {
    /// The weight of a role that has none set.
    pub const ONE: Weight = Weight(1000);

    const MAX_MILLI: u64 = 1_000_000_000_000;

    /// The weight of `milli` thousandths.
    ///
    /// # Errors
    /// [`InvalidWeight`] for zero and for more than 10^12 thousandths.
    pub fn from_milli(milli: u64) -> Result<Self, InvalidWeight> {
        if (1..=Self::MAX_MILLI).contains(&milli) {
            Ok(Self(milli))
        } else {
            Err(InvalidWeight {
                text: format!("{milli}/1000"),
            })
        }
    }

    /// The weight in thousandths, at least 1.
    pub fn milli(self) -> u64 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<f64> for Weight {
    type Error = InvalidWeight;

    /// Rounds to three places.
    fn try_from(value: f64) -> Result<Self, InvalidWeight> {
        let milli = (value * 1000.0).round();
        if (1.0..=Self::MAX_MILLI as f64).contains(&milli) {
            Ok(Self(milli as u64))
        } else {
            Err(InvalidWeight {
                text: value.to_string(),
            })
        }
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        let value = text.trim().parse::<f64>().ok();
        value
            .and_then(|value| Self::try_from(value).ok())
            .ok_or_else(|| InvalidWeight {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&(self.0 as f64 / 1000.0).to_string())
    }
}

/// A dimensionless, non-negative fraction of the cluster; ordered and compared by exact value.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    numerator: u128,
    denominator: u128,
}

impl Share {
    /// No share at all.
    pub const ZERO: Share = Share {
        numerator: 0,
        denominator: 1,
    };

    /// The share `allocated / total / weight` of one resource; `None` if the cluster has none of
    /// it. Both amounts are in the same unit.
    pub fn of(allocated: u64, total: u64, weight: Weight) -> Option<Share> {
        (total > 0).then(|| Share {
            numerator: u128::from(allocated) * 1000,
            denominator: u128::from(total) * u128::from(weight.0),
        })
    }

    /// The nearest float, for people and metrics; never compared.
    pub fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.numerator, self.denominator);
        let (c, d) = (other.numerator, other.denominator);
        if b == d {
            return a.cmp(&c);
        }
        match (a.checked_mul(d), c.checked_mul(b)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => compare_by_continued_fraction(a, b, c, d),
        }
    }
}

/// Compares `a/b` with `c/d` where the cross products do not fit: whole parts first, then the
/// reciprocals of what is left, as in Euclid's algorithm.
fn compare_by_continued_fraction(mut a: u128, mut b: u128, mut c: u128, mut d: u128) -> Ordering {
    loop {
        let (whole_left, whole_right) = (a / b, c / d);
        if whole_left != whole_right {
            return whole_left.cmp(&whole_right);
        }
        let (rest_left, rest_right) = (a % b, c % d);
        if rest_left == 0 || rest_right == 0 {
            return rest_left.cmp(&rest_right);
        }
        // rest_left/b < rest_right/d exactly when d/rest_right < b/rest_left.
        (a, b, c, d) = (d, rest_right, b, rest_left);
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(_) => fmt::Display::fmt(&self.to_f64(), f),
            None => f.pad(&format!("{:.4}", self.to_f64())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(allocated: u64, total: u64, weight: u64) -> Share {
        Share::of(allocated, total, Weight(weight)).unwrap()
    }

    #[test]
    fn shares_that_floats_cannot_tell_apart_are_told_apart() {
        let total = u64::MAX;
        let (smaller, larger) = (share(total - 2, total, 1000), share(total - 1, total, 1000));
        assert_eq!(smaller.to_f64(), larger.to_f64());
        assert!(smaller < larger);
    }

    #[test]
    fn shares_that_floats_tell_apart_are_equal_when_they_are() {
        assert_ne!(0.15 / 3.0, 0.10 / 2.0);
        assert_eq!(share(15, 100, 3000), share(10, 100, 2000));
    }

    #[test]
    fn a_weight_is_a_positive_decimal() {
        assert_eq!("2.5".parse::<Weight>().unwrap().milli(), 2500);
        assert_eq!(Weight::try_from(0.1).unwrap().to_string(), "0.1");
        for bad in ["0", "-1", "NaN", "inf", "1e10", "0.0001", "x", ""] {
            let error = bad.parse::<Weight>().unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_comparing_agree(a: u32, b in 1..u32::MAX, c: u32, d in 1..u32::MAX) {
            let (a, b, c, d) = (u128::from(a), u128::from(b), u128::from(c), u128::from(d));
            prop_assert_eq!(compare_by_continued_fraction(a, b, c, d), (a * d).cmp(&(c * b)));
        }

        #[test]
        fn a_common_factor_changes_nothing(a: u32, b in 1..u32::MAX, c: u32, d in 1..u32::MAX) {
            let wide = 1_u128 << 90;
            let (a, b, c, d) = (u128::from(a), u128::from(b), u128::from(c), u128::from(d));
            let left = Share { numerator: a * wide, denominator: b * wide };
            let right = Share { numerator: c, denominator: d };
            prop_assert_eq!(left.cmp(&right), (a * d).cmp(&(c * b)));
        }
    }
}
