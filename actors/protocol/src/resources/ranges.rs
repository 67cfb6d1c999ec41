//! Sets of whole numbers kept as ranges, such as the free ports of a machine.

use std::{
    fmt,
    ops::{AddAssign, RangeInclusive, SubAssign},
};

use serde::{Deserialize, Serialize};

/// A set of numbers as inclusive ranges: sorted, disjoint, and never adjacent (1-2 and 3-4 become
/// 1-4), so that equal sets are equal values. Prints as `[31000-32000,40000-40010]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// No number.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are in the set (not how many ranges); stops at `u64::MAX`.
    pub fn len(&self) -> u64 {
        let size = |(begin, end): &(u64, u64)| (end - begin).saturating_add(1);
        self.0.iter().map(size).fold(0, u64::saturating_add)
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + '_ {
        self.0.iter().map(|&(begin, end)| begin..=end)
    }

    /// The numbers one by one, ascending.
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.iter().flatten()
    }

    /// Whether `number` is in the set. O(log ranges).
    pub fn contains_number(&self, number: u64) -> bool {
        let next = self.0.partition_point(|&(_, end)| end < number);
        self.0.get(next).is_some_and(|&(begin, _)| begin <= number)
    }

    /// Whether every number of `other` is in this set. O(ranges of both).
    pub fn contains(&self, other: &Ranges) -> bool {
        let mut have = self.0.iter().peekable();
        other.0.iter().all(|&(begin, end)| {
            while have.next_if(|&&(_, last)| last < begin).is_some() {}
            // No two ranges of a set are adjacent, so that one range of ours holds all of it.
            have.peek()
                .is_some_and(|&&(first, last)| first <= begin && end <= last)
        })
    }

    /// Adds the numbers of `range`; an empty range adds nothing.
    pub fn insert(&mut self, range: RangeInclusive<u64>) {
        if !range.is_empty() {
            self.0.push(range.into_inner());
            self.normalise();
        }
    }

    /// The numbers that are in both sets. O(ranges of both).
    pub fn intersection(&self, other: &Ranges) -> Ranges {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(&&(a, b)), Some(&&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                common.push((a.max(c), b.min(d)));
            }
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        Ranges(common)
    }

    fn normalise(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1.saturating_add(1);
            if joined {
                kept.1 = kept.1.max(next.1);
            }
            joined
        });
    }
}

impl AddAssign<&Ranges> for Ranges {
    fn add_assign(&mut self, other: &Ranges) {
        self.0.extend_from_slice(&other.0);
        self.normalise();
    }
}

impl SubAssign<&Ranges> for Ranges {
    fn sub_assign(&mut self, other: &Ranges) {
        let mut taken = other.0.iter().peekable();
        let mut left = Vec::with_capacity(self.0.len());
        for &(mut begin, end) in &self.0 {
            while taken.next_if(|&&(_, last)| last < begin).is_some() {}
            let mut used_up = false;
            while let Some(&&(first, last)) = taken.peek().filter(|&&&(first, _)| first <= end) {
                if begin < first {
                    left.push((begin, first - 1));
                }
                if last >= end {
                    // This one may reach into our next range: it stays.
                    used_up = true;
                    break;
                }
                begin = last + 1;
                taken.next();
            }
            if !used_up {
                left.push((begin, end));
            }
        }
        self.0 = left;
    }
}

impl FromIterator<RangeInclusive<u64>> for Ranges {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u64>>>(ranges: I) -> Self {
        let full = ranges.into_iter().filter(|range| !range.is_empty());
        full.map(RangeInclusive::into_inner)
            .collect::<Vec<_>>()
            .into()
    }
}

impl From<RangeInclusive<u64>> for Ranges {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self::from_iter([range])
    }
}

impl From<Vec<(u64, u64)>> for Ranges {
    /// Pairs of first and last number; a pair in the wrong order adds nothing.
    fn from(mut pairs: Vec<(u64, u64)>) -> Self {
        pairs.retain(|(begin, end)| begin <= end);
        let mut ranges = Self(pairs);
        ranges.normalise();
        ranges
    }
}

impl From<Ranges> for Vec<(u64, u64)> {
    fn from(ranges: Ranges) -> Self {
        ranges.0
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, (begin, end)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{begin}-{end}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Ranges {
        pairs.to_vec().into()
    }

    #[test]
    fn overlapping_and_adjacent_ranges_become_one() {
        let all = ranges(&[
            (40_000, 40_010),
            (31_000, 31_500),
            (31_501, 31_900),
            (31_600, 32_000),
        ]);
        assert_eq!(all.to_string(), "[31000-32000,40000-40010]");
        assert_eq!(all.len(), 1001 + 11);
        assert_eq!(ranges(&[(5, 4)]), Ranges::new());
    }

    #[test]
    fn subtraction_splits_ranges() {
        let mut ports = ranges(&[(1, 10), (20, 30)]);
        ports -= &ranges(&[(3, 4), (8, 22), (30, 99)]);
        assert_eq!(ports.to_string(), "[1-2,5-7,23-29]");
    }

    #[test]
    fn the_ends_of_the_number_line_are_safe() {
        let mut all = Ranges::from(0..=u64::MAX);
        assert_eq!(all.len(), u64::MAX);
        all += &Ranges::from(u64::MAX..=u64::MAX);
        all -= &ranges(&[(0, 0), (u64::MAX, u64::MAX)]);
        assert_eq!(all, ranges(&[(1, u64::MAX - 1)]));
        all -= &Ranges::from(0..=u64::MAX);
        assert!(all.is_empty());
    }

    #[test]
    fn ranges_from_the_wire_are_put_in_order() {
        let read: Ranges = serde_json::from_str("[[5,9],[1,4],[7,3]]").unwrap();
        assert_eq!(read.to_string(), "[1-9]");
    }

    fn any_ranges() -> impl Strategy<Value = Ranges> {
        prop::collection::vec((0u64..60, 0u64..8), 0..8).prop_map(|list| {
            list.into_iter()
                .map(|(begin, size)| begin..=begin + size)
                .collect()
        })
    }

    proptest! {
        #[test]
        fn ranges_behave_as_sets_of_numbers(a in any_ranges(), b in any_ranges(), n in 0u64..80) {
            let (x, y) = (a.numbers().collect::<BTreeSet<_>>(), b.numbers().collect::<BTreeSet<_>>());
            let (mut sum, mut rest) = (a.clone(), a.clone());
            sum += &b;
            rest -= &b;
            prop_assert_eq!(sum.numbers().collect::<BTreeSet<_>>(), &x | &y);
            prop_assert_eq!(rest.numbers().collect::<BTreeSet<_>>(), &x - &y);
            prop_assert_eq!(a.intersection(&b).numbers().collect::<BTreeSet<_>>(), &x & &y);
            prop_assert_eq!(a.contains(&b), y.is_subset(&x));
            prop_assert_eq!(a.contains_number(n), x.contains(&n));
            prop_assert_eq!(a.len(), x.len() as u64);
            for made in [sum, rest, a.intersection(&b)] {
                prop_assert_eq!(&Ranges::from_iter(made.iter()), &made);
            }
        }
    }
}
