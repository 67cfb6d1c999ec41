//! Scalar amounts: fixed point with three decimals, never negative, so that sums are exact.

use std::{fmt, iter::Sum, ops};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount such as 0.5 cpus or 4096 MiB of memory, counted in 1/1000.
///
/// Always between [`Scalar::ZERO`] and [`Scalar::MAX`]; every value in this interval is kept exactly by
/// the number (a double) that serialisation makes of it. Arithmetic with operators stays in the
/// interval: sums stop at the maximum. `checked_*` tell instead.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(i64);

/// Why a text or number is not a [`Scalar`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {problem}")]
pub struct InvalidScalar {
    /// The refused text or number.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl InvalidScalar {
    /// Whether the text is no number at all.
    pub(super) fn is_not_a_number(&self) -> bool {
        self.problem == NOT_A_NUMBER
    }
}

const NOT_A_NUMBER: &str = "is not a decimal number such as 4 or 0.5";
const NEGATIVE: &str = "must not be negative";
const TOO_LARGE: &str = "must be at most 1000000000000";

impl Scalar {
    /// Nothing.
    pub const ZERO: Scalar = Scalar(0);
    /// The largest amount, 10^12.
    pub const MAX: Scalar = Scalar(1_000_000_000_000_000);

    /// `milli` thousandths; what lies below zero or above [`Scalar::MAX`] becomes that bound.
    pub const fn from_milli(milli: i64) -> Self {
        if milli < 0 {
            Self::ZERO
        } else if milli > Self::MAX.0 {
            Self::MAX
        } else {
            Self(milli)
        }
    }

    /// `whole` units; what lies above [`Scalar::MAX`] becomes that bound.
    pub const fn from_whole(whole: u64) -> Self {
        if whole > (Self::MAX.0 / 1000) as u64 {
            Self::MAX
        } else {
            Self(whole as i64 * 1000)
        }
    }

    /// The amount in thousandths.
    pub const fn milli(self) -> i64 {
        self.0
    }

    /// The amount as a floating point number, for display and shares that need not be exact.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether the amount has no decimals, as that of GPUs must.
    pub const fn is_whole(self) -> bool {
        self.0 % 1000 == 0
    }

    /// Reads a decimal number such as `4` or `0.5`; further decimals than three are rounded.
    ///
    /// # Errors
    /// [`InvalidScalar`] for anything else: signs, exponents, `nan`, `inf`, more than [`Scalar::MAX`].
    pub fn parse(text: &str) -> Result<Self, InvalidScalar> {
        parse_milli(text)
            .map(Self)
            .map_err(|problem| InvalidScalar {
                text: text.to_owned(),
                problem,
            })
    }

    /// Rounds `value` to three decimals, half away from zero.
    ///
    /// # Errors
    /// [`InvalidScalar`] for negative, infinite and too large numbers and not-a-number.
    pub fn from_f64(value: f64) -> Result<Self, InvalidScalar> {
        let milli = (value * 1000.0).round();
        let problem = if value.is_nan() {
            NOT_A_NUMBER
        } else if milli < 0.0 {
            NEGATIVE
        } else if milli > Self::MAX.0 as f64 {
            TOO_LARGE
        } else {
            return Ok(Self(milli as i64));
        };
        Err(InvalidScalar {
            text: value.to_string(),
            problem,
        })
    }

    /// The sum, or none when it is more than [`Scalar::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        // Both are at most 10^15, so that the sum is far from overflowing.
        Some(Self(self.0 + other.0)).filter(|sum| *sum <= Self::MAX)
    }

    /// The difference, or none when `other` is more.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        (self >= other).then(|| Self(self.0 - other.0))
    }

    /// The difference, zero when `other` is more.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self::from_milli(self.0 - other.0)
    }
}

fn parse_milli(text: &str) -> Result<i64, &'static str> {
    if text.starts_with('-') && text.len() > 1 {
        return Err(NEGATIVE);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return Err(NOT_A_NUMBER);
    }
    let mut milli: i64 = 0;
    for digit in whole
        .bytes()
        .chain(fraction.bytes().chain([b'0'; 3]).take(3))
    {
        milli = milli * 10 + i64::from(digit - b'0');
        if milli > Scalar::MAX.0 {
            return Err(TOO_LARGE);
        }
    }
    let round_up = fraction
        .as_bytes()
        .get(3)
        .is_some_and(|digit| *digit >= b'5');
    milli += i64::from(round_up);
    if milli > Scalar::MAX.0 {
        Err(TOO_LARGE)
    } else {
        Ok(milli)
    }
}

impl ops::Add for Scalar {
    type Output = Scalar;
    fn add(self, other: Scalar) -> Scalar {
        Scalar::from_milli(self.0 + other.0)
    }
}

impl ops::AddAssign for Scalar {
    fn add_assign(&mut self, other: Scalar) {
        *self = *self + other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Scalar>>(amounts: I) -> Scalar {
        amounts.fold(Scalar::ZERO, ops::Add::add)
    }
}

impl std::str::FromStr for Scalar {
    type Err = InvalidScalar;
    fn from_str(text: &str) -> Result<Self, InvalidScalar> {
        Self::parse(text)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, milli) = (self.0 / 1000, self.0 % 1000);
        if milli == 0 {
            return f.pad(&whole.to_string());
        }
        f.pad(format!("{whole}.{milli:03}").trim_end_matches('0'))
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Integers are taken as well: every format's `f64` accepts them.
        Self::from_f64(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_read_and_printed_shortest() {
        for (text, milli, printed) in [
            ("4", 4000, "4"),
            ("0.5", 500, "0.5"),
            (".5", 500, "0.5"),
            ("5.", 5000, "5"),
            ("007.250", 7250, "7.25"),
            ("1.2344", 1234, "1.234"),
            ("1.2345", 1235, "1.235"),
            ("0.9996", 1000, "1"),
            ("0.001", 1, "0.001"),
            ("1000000000000", Scalar::MAX.milli(), "1000000000000"),
        ] {
            let scalar = Scalar::parse(text).unwrap();
            assert_eq!(
                (scalar.milli(), scalar.to_string().as_str()),
                (milli, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", NOT_A_NUMBER),
            (".", NOT_A_NUMBER),
            ("-", NOT_A_NUMBER),
            ("x", NOT_A_NUMBER),
            ("nan", NOT_A_NUMBER),
            ("inf", NOT_A_NUMBER),
            ("1e3", NOT_A_NUMBER),
            ("+1", NOT_A_NUMBER),
            ("1.2.3", NOT_A_NUMBER),
            ("1 2", NOT_A_NUMBER),
            ("٣", NOT_A_NUMBER),
            ("-1", NEGATIVE),
            ("1000000000000.0009", TOO_LARGE),
            ("99999999999999999999999999", TOO_LARGE),
        ] {
            assert_eq!(Scalar::parse(text).unwrap_err().problem, reason, "{text:?}");
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001, 1e13] {
            assert!(Scalar::from_f64(value).is_err(), "{value}");
        }
    }

    #[test]
    fn arithmetic_stays_between_the_bounds() {
        let (one, two) = (Scalar::from_whole(1), Scalar::from_whole(2));
        assert_eq!(one + one, two);
        assert_eq!(two.checked_sub(one), Some(one));
        assert_eq!(one.checked_sub(two), None);
        assert_eq!(one.saturating_sub(two), Scalar::ZERO);
        assert_eq!(Scalar::MAX.checked_add(Scalar::from_milli(1)), None);
        assert_eq!(Scalar::MAX + one, Scalar::MAX);
        assert_eq!(Scalar::from_milli(-1), Scalar::ZERO);
        assert_eq!(Scalar::from_whole(u64::MAX), Scalar::MAX);
        assert_eq!([one, one].into_iter().sum::<Scalar>(), two);
    }

    #[test]
    fn floating_point_noise_does_not_accumulate() {
        let tenth = Scalar::parse("0.1").unwrap();
        let sum = (0..1000).fold(Scalar::ZERO, |sum, _| sum + tenth);
        assert_eq!(sum, Scalar::from_whole(100));
    }

    #[test]
    fn serde_takes_integers_and_refuses_what_is_no_amount() {
        assert_eq!(
            serde_json::from_str::<Scalar>("4").unwrap(),
            Scalar::from_whole(4)
        );
        assert_eq!(
            serde_json::to_string(&Scalar::from_milli(4500)).unwrap(),
            "4.5"
        );
        assert!(serde_json::from_str::<Scalar>("-1").is_err());
        assert!(serde_json::from_str::<Scalar>("\"4\"").is_err());
        let four = rmp_serde::to_vec(&4u8).unwrap();
        assert_eq!(
            rmp_serde::from_slice::<Scalar>(&four).unwrap(),
            Scalar::from_whole(4)
        );
    }

    proptest! {
        #[test]
        fn every_amount_survives_text_json_and_messagepack(milli in 0..=Scalar::MAX.milli()) {
            let scalar = Scalar::from_milli(milli);
            prop_assert_eq!(Scalar::parse(&scalar.to_string()).unwrap(), scalar);
            let json = serde_json::to_string(&scalar).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scalar>(&json).unwrap(), scalar);
            let packed = rmp_serde::to_vec(&scalar).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<Scalar>(&packed).unwrap(), scalar);
        }
    }
}
