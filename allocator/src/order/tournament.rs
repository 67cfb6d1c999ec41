//! A tournament (winner) tree: the least of many keys, any of which may change.
//!
//! `set` plays the matches on the way up, O(log n); `top` is at hand. Ties go to the lower index, so that
//! the order never hangs on history. A key of [`ABSENT`] takes no part.

/// The key of an entry that takes no part.
pub const ABSENT: u64 = u64::MAX;

/// The least of `keys[0..n]`.
#[derive(Clone, Debug, Default)]
pub struct Tournament {
    /// Leaves; a power of two, or zero.
    width: usize,
    /// `winners[1]` is the winner of all; the leaf of entry `i` is `winners[width + i]`.
    winners: Vec<(u64, u32)>,
}

impl Tournament {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The least key and its index; none if all are absent.
    pub fn top(&self) -> Option<(u64, u32)> {
        let winner = *self.winners.get(1)?;
        (winner.0 != ABSENT).then_some(winner)
    }

    /// The key of an entry, [`ABSENT`] if it has none.
    pub fn key(&self, at: u32) -> u64 {
        let leaf = self.winners.get(self.width + at as usize);
        leaf.filter(|_| (at as usize) < self.width)
            .map_or(ABSENT, |leaf| leaf.0)
    }

    /// Sets the key of an entry. O(log n); O(n) when the tree grows to twice its width.
    pub fn set(&mut self, at: u32, key: u64) {
        if at as usize >= self.width {
            if key == ABSENT {
                return;
            }
            self.grow(at as usize + 1);
        }
        let mut place = self.width + at as usize;
        self.winners[place].0 = key;
        if self.width == 1 {
            return;
        }
        while place > 1 {
            place /= 2;
            let winner = self.winners[2 * place].min(self.winners[2 * place + 1]);
            if winner == self.winners[place] {
                return;
            }
            self.winners[place] = winner;
        }
    }

    fn grow(&mut self, entries: usize) {
        let width = entries.next_power_of_two();
        let keys: Vec<u64> = (0..self.width)
            .map(|at| self.winners[self.width + at].0)
            .collect();
        // Absent entries compare by index too, so that matches are the same whatever was there before.
        self.winners = vec![(ABSENT, u32::MAX); 2 * width];
        for at in 0..width {
            let key = keys.get(at).copied().unwrap_or(ABSENT);
            let index = u32::try_from(at).expect("fewer than 2^32 entries");
            self.winners[width + at] = (key, index);
        }
        for place in (1..width).rev() {
            self.winners[place] = self.winners[2 * place].min(self.winners[2 * place + 1]);
        }
        self.width = width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_wins_without_entries() {
        let mut tree = Tournament::new();
        assert_eq!(tree.top(), None);
        tree.set(7, ABSENT);
        assert_eq!(tree.top(), None);
        tree.set(0, 3);
        assert_eq!((tree.top(), tree.key(0)), (Some((3, 0)), 3));
        tree.set(0, ABSENT);
        assert_eq!((tree.top(), tree.key(9)), (None, ABSENT));
    }

    proptest! {
        #[test]
        fn the_top_is_the_least_key_and_the_first_of_equals(
            changes in prop::collection::vec((0..40_u32, prop_oneof![0..6_u64, Just(ABSENT)]), 1..200),
        ) {
            let (mut tree, mut keys) = (Tournament::new(), [ABSENT; 40]);
            for (at, key) in changes {
                tree.set(at, key);
                keys[at as usize] = key;
                let least = keys.iter().copied().zip(0..).min().filter(|least| least.0 != ABSENT);
                prop_assert_eq!(tree.top(), least);
                prop_assert_eq!(tree.key(at), key);
            }
        }
    }
}
