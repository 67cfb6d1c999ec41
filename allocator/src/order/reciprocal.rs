//! Division by numbers that seldom change: one multiplication instead.
//!
//! A share is `held / capacity / weight`, wanted for each resource of each node on the way up; a wide
//! division costs as much as ten multiplications. The error is below 2^-62 of the result, so that
//! equal fractions round to equal numbers unless they lie that close to the middle between two.

/// `numerator / denominator`, kept so that products with it are cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reciprocal {
    /// The ratio is `factor / 2^shift`; the factor has its top bit set, or is zero.
    factor: u64,
    shift: u32,
}

impl Reciprocal {
    /// One.
    pub(super) const ONE: Reciprocal = Reciprocal {
        factor: 1 << 63,
        shift: 63,
    };

    /// The ratio of two numbers, the first from 1 to 2^32; zero for a denominator of zero.
    pub(super) fn of(numerator: u64, denominator: u64) -> Self {
        debug_assert!((1..=1 << 32).contains(&numerator), "a small numerator");
        if denominator == 0 {
            let (factor, shift) = (0, 63);
            return Self { factor, shift };
        }
        let bits = |n: u64| 64 - n.leading_zeros();
        let shift = 64 + bits(denominator) - bits(numerator);
        let ratio = (u128::from(numerator) << shift) / u128::from(denominator);
        // Between 2^63 and 2^65.
        let extra = 64_u32.saturating_sub(ratio.leading_zeros());
        Self {
            factor: (ratio >> extra) as u64,
            shift: shift - extra,
        }
    }

    /// `amount × ratio × 2^bits`, rounded to the nearest; what does not fit becomes the largest number.
    /// `bits` is less than the shift of any ratio that occurs.
    pub(super) fn times(self, amount: u64, bits: i32) -> u64 {
        let product = u128::from(amount) * u128::from(self.factor);
        let down = self.shift.saturating_add_signed(-bits).clamp(1, 127);
        let rounded = ((product >> (down - 1)) + 1) >> 1;
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn powers_of_two_and_zero_are_exact() {
        assert_eq!(Reciprocal::of(1, 1), Reciprocal::ONE);
        assert_eq!(Reciprocal::of(1, 4).times(12, 0), 3);
        assert_eq!(Reciprocal::of(1000, 500).times(7, 3), 112);
        assert_eq!(Reciprocal::of(1, 0).times(u64::MAX, 40), 0);
        assert_eq!(Reciprocal::ONE.times(u64::MAX, 60), u64::MAX);
    }

    proptest! {
        #[test]
        fn products_are_the_quotients_to_a_unit(
            amount in 0..1_u64 << 50, below in 1..1_u64 << 50, above in 1..1001_u64,
        ) {
            let exact = ((u128::from(amount) * u128::from(above)) << 40) / u128::from(below);
            let exact = u64::try_from(exact).unwrap_or(u64::MAX);
            let got = Reciprocal::of(above, below).times(amount, 40);
            let slack = 1 + (exact >> 61);
            prop_assert!(got.abs_diff(exact) <= slack, "{got} for {exact}");
        }

        #[test]
        fn equal_fractions_are_equal_numbers(a in 0..1000_u64, b in 1..1000_u64, c in 1..1000_u64) {
            let plain = Reciprocal::of(1, b).times(a, 60);
            let scaled = Reciprocal::of(1, b * c).times(a * c, 60);
            prop_assert!(plain.abs_diff(scaled) <= 1 + (plain >> 61));
            prop_assert_eq!(plain.saturating_add(1 << 19) >> 20, scaled.saturating_add(1 << 19) >> 20);
        }
    }
}
