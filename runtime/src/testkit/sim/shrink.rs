//! Shrinking a list to what is needed of it: delta debugging.
//!
//! Halves are left out first, then quarters, and so on down to single elements; what is left fails,
//! and does not when any one of it is left out.

use std::collections::BTreeSet;

/// The numbers of the elements, of `count`, without which `fails` no longer holds; it must hold of
/// all. At most `tries` calls of `fails`: what is left after them is as small as was reached.
pub fn shrink(
    count: usize,
    tries: usize,
    mut fails: impl FnMut(&BTreeSet<usize>) -> bool,
) -> BTreeSet<usize> {
    let mut needed: Vec<usize> = (0..count).collect();
    let (mut size, mut left) = (needed.len().div_ceil(2).max(1), tries);
    loop {
        let mut smaller = false;
        let mut at = 0;
        while at < needed.len() {
            if left == 0 {
                return needed.into_iter().collect();
            }
            left -= 1;
            let end = (at + size).min(needed.len());
            let rest = needed[..at].iter().chain(&needed[end..]).copied();
            let rest: BTreeSet<usize> = rest.collect();
            if fails(&rest) {
                needed.drain(at..end);
                smaller = true;
            } else {
                at = end;
            }
        }
        match (size, smaller) {
            // One by one, until none can be left out after the last that was.
            (1, false) => return needed.into_iter().collect(),
            (1, true) => {}
            _ => size = size.div_ceil(2).min(needed.len().max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_needed() {
        for needed in [vec![], vec![7], vec![0, 39], vec![3, 4, 20, 33]] {
            let needed = BTreeSet::from_iter(needed);
            let mut tries = 0;
            let found = shrink(40, usize::MAX, |some| {
                tries += 1;
                needed.is_subset(some)
            });
            assert_eq!(found, needed);
            assert!(tries <= 60, "{tries} tries for {needed:?}");
        }
    }

    #[test]
    fn one_of_several_ways_to_fail_is_enough() {
        // Any two of these.
        let bad = [2, 5, 11];
        let fails =
            |some: &BTreeSet<usize>| bad.iter().filter(|bad| some.contains(bad)).count() >= 2;
        let found = shrink(12, usize::MAX, fails);
        assert_eq!(found.len(), 2);
        assert!(fails(&found));
    }

    #[test]
    fn an_element_that_stands_in_for_another_is_found_to_be_needless_later() {
        // 0 is needed only as long as 1 is there.
        let fails =
            |some: &BTreeSet<usize>| some.contains(&2) && (!some.contains(&1) || some.contains(&0));
        assert_eq!(shrink(3, usize::MAX, fails), BTreeSet::from([2]));
    }

    #[test]
    fn after_so_many_tries_it_is_as_small_as_it_is() {
        let found = shrink(40, 3, |some| some.contains(&0));
        assert!(found.contains(&0) && found.len() < 40, "{found:?}");
    }
}
