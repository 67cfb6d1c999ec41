//! What was used in the past: for fair shares with a memory, and for limits that fit.
//!
//! - [`DecayedUsage`]: what a role held, weighed so that what is older by one half-life counts half. As a
//!   share it lets those go first who have had less lately, not only those who hold less now.
//! - [`HistoryOrder`]: roles in the order of that share.
//! - [`Histogram`]: how much a task used at a time, weighed the same way; a [`Rule`] makes a limit of it.
//!
//! Arithmetic is in integers, so that equal calls give equal answers on any machine. Times are since any fixed one.
//
//= autopilot-2020, recommenders over a moving window

mod decay;
mod limit;
mod order;

pub use self::{
    decay::DecayedUsage,
    limit::{Histogram, Rule},
    order::HistoryOrder,
};

use std::time::Duration;

/// Bits of the fraction of a [`power`].
const FRACTION: u32 = 63;
/// Bits of a half-life that are told apart.
const STEPS: usize = 32;

/// `ROOTS[i]` is 2^(-2^-i).
const ROOTS: [u64; STEPS + 1] = {
    let mut roots = [1 << (FRACTION - 1); STEPS + 1];
    let mut i = 1;
    while i <= STEPS {
        roots[i] = ((roots[i - 1] as u128) << FRACTION).isqrt() as u64;
        i += 1;
    }
    roots
};

/// `value` times 2 to the power of -`passed`/`half_life`, rounded down; exact for whole half-lives as far as the
/// bits of `value` go.
///
/// # Panics
/// When the half-life is zero.
fn power(value: u128, passed: Duration, half_life: Duration) -> u128 {
    let (passed, half_life) = (passed.as_nanos(), half_life.as_nanos());
    assert!(half_life > 0, "a half-life takes time");
    let whole = passed / half_life;
    let Ok(whole @ 0..128) = u32::try_from(whole) else {
        return 0;
    };
    // Nanoseconds take 94 bits at most, so that 32 more fit.
    let part = ((passed % half_life) << STEPS) / half_life;
    let mut factor = 1_u128 << FRACTION;
    for (i, root) in ROOTS.iter().enumerate().skip(1) {
        if part >> (STEPS - i) & 1 == 1 {
            factor = (factor * u128::from(*root)) >> FRACTION;
        }
    }
    scaled(value >> whole, factor)
}

/// `value` * `factor` / 2^63 without overflow, for factors up to 2^63.
fn scaled(value: u128, factor: u128) -> u128 {
    let (high, low) = (value >> 64, value & u128::from(u64::MAX));
    ((high * factor) << (64 - FRACTION)) + ((low * factor) >> FRACTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_come_out_exactly_and_others_closely() {
        let hour = Duration::from_secs(3600);
        for k in 0..60 {
            assert_eq!(power(1 << 60, k * hour, hour), 1 << (60 - k));
        }
        assert_eq!(power(u128::MAX, 200 * hour, hour), 0);
        let half = power(1 << 62, hour / 2, hour) as f64 / (1_u64 << 62) as f64;
        assert!((half - 0.5_f64.sqrt()).abs() < 1e-9, "{half}");
        let third = power(1 << 62, hour / 3, hour) as f64 / (1_u64 << 62) as f64;
        assert!((third - 0.5_f64.cbrt()).abs() < 1e-9, "{third}");
    }
}
