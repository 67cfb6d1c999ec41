//! Virtual time: microseconds, as integers, so that sums are exact and equal on any machine.

use std::fmt;

/// A point in virtual time, or a span of it, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The beginning.
    pub const ZERO: Time = Time(0);
    /// Never.
    pub const NEVER: Time = Time(u64::MAX);
    /// The largest number of seconds that inputs may name: about 3,000 years.
    pub const SECONDS_MAX: f64 = 1e11;

    /// So many whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Time(seconds * 1_000_000)
    }

    /// So many seconds, rounded to µs; none unless it is a number from 0 to [`Time::SECONDS_MAX`].
    pub fn from_secs_f64(seconds: f64) -> Option<Self> {
        let is_time = (0.0..=Self::SECONDS_MAX).contains(&seconds);
        is_time.then(|| Time((seconds * 1e6).round() as u64))
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Later by `span`; [`Time::NEVER`] at most.
    #[must_use]
    pub fn plus(self, span: Time) -> Self {
        Time(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`, zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Self {
        Time(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    /// Seconds, with as many decimals as it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_secs_f64().to_string())
    }
}

/// Reads a span as people write it: `90`, `1.5h`, `10ms`, `30d`; seconds without a unit.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_span(text: &str) -> Result<Time, String> {
    let wrong = || format!("{text:?}: write a span such as 90s, 10ms, 1.5h or 30d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Time::from_secs_f64(number * unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units() {
        for (text, micros) in [
            ("90", 90_000_000),
            ("1.5h", 5_400_000_000),
            ("10ms", 10_000),
            ("2us", 2),
        ] {
            assert_eq!(parse_span(text), Ok(Time(micros)));
        }
        for bad in ["", "h", "-1s", "NaN", "inf", "1e30d", "3 weeks"] {
            assert!(
                parse_span(bad).unwrap_err().contains("write a span"),
                "{bad}"
            );
        }
    }
}
