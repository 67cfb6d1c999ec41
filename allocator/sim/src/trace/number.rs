//! Numbers in traces.

use crate::time::Time;

/// A finite number; whole ones without a detour through text.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit) {
        let value = digits
            .iter()
            .fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'))
            as f64;
        return Some(if digits.len() < text.len() {
            -value
        } else {
            value
        });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// A number of the field called `name`, at least zero.
pub(super) fn amount(name: &str, text: &[u8]) -> Result<f64, String> {
    match number(text) {
        Some(value) if value >= 0.0 => Ok(value),
        _ => Err(format!("{name} {}: must be a number >= 0", shown(text))),
    }
}

/// A number of seconds in the field called `name`.
pub(super) fn seconds(name: &str, text: &[u8]) -> Result<Time, String> {
    span(name, amount(name, text)?)
}

/// Seconds as virtual time.
pub(super) fn span(name: &str, seconds: f64) -> Result<Time, String> {
    let most = Time::SECONDS_MAX;
    Time::from_secs_f64(seconds)
        .ok_or_else(|| format!("{name} {seconds}: must be from 0 to {most} s"))
}

/// `value` times `factor` as an amount of a lane, rounded up.
pub(crate) fn lane(name: &str, value: f64, factor: f64) -> Result<u32, String> {
    let scaled = value * factor;
    // What decimals cannot say exactly, as 0.1 cpus, is not to become one unit more.
    let near = scaled.round();
    let whole = if (scaled - near).abs() < 1e-6 {
        near
    } else {
        scaled.ceil()
    };
    if (0.0..=f64::from(crate::amounts::Amounts::LANE_MAX)).contains(&whole) {
        return Ok(whole as u32);
    }
    let most = f64::from(crate::amounts::Amounts::LANE_MAX) / factor;
    Err(format!("{name} {value}: must be from 0 to {most:.0}"))
}

/// Text of an input for a message: in quotes, no longer than a few words.
pub(super) fn shown(text: &[u8]) -> String {
    let start = &text[..text.len().min(40)];
    let dots = if start.len() < text.len() { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_finite() {
        for (text, value) in [
            ("12", 12.0),
            ("-1", -1.0),
            ("1.5", 1.5),
            ("-0.25", -0.25),
            ("12345678901234567890", 12_345_678_901_234_567_890.0),
        ] {
            assert_eq!(number(text.as_bytes()), Some(value));
        }
        for bad in [
            "", "-", "NaN", "inf", "1e999", "0x10", "1 2", "--1", "\u{663}",
        ] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lanes_are_rounded_up_but_not_for_what_decimals_cannot_say() {
        assert_eq!(lane("cpus", 0.1, 1000.0), Ok(100));
        assert_eq!(lane("cpus", 4.35, 1000.0), Ok(4350));
        assert_eq!(lane("mem", 1.2, 1.0), Ok(2));
        assert!(
            lane("cpus", 1e9, 1000.0)
                .unwrap_err()
                .contains("from 0 to 2147484")
        );
        assert!(lane("cpus", -1.0, 1000.0).is_err());
    }
}
