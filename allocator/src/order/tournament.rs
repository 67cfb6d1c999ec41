//! A tournament (winner) tree: the least of many keys, any of which may change.
//!
//! `set` plays the matches on the way up, O(log n); `top` is at hand, and [`Tournament::ascending`] goes on
//! from there. Ties go to the lower index, so that the order never hangs on history. Entries whose share is
//! [`ABSENT`] take no part.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The share of an entry that takes no part.
pub const ABSENT: u64 = u64::MAX;

/// By what entries are ordered: the smaller share first, then the smaller count, then the smaller label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// A weighted share in fixed point, or [`ABSENT`].
    pub share: u64,
    /// Past allocations, where they break ties.
    pub count: u64,
    /// Breaks the ties that are left.
    pub label: u32,
}

impl Key {
    /// The key of an entry that takes no part.
    pub const NONE: Key = Key {
        share: ABSENT,
        count: u64::MAX,
        label: u32::MAX,
    };

    /// A key of a share alone.
    pub const fn of(share: u64) -> Key {
        Key {
            share,
            count: 0,
            label: 0,
        }
    }
}

/// The least of `keys[0..n]`.
#[derive(Clone, Debug, Default)]
pub struct Tournament {
    /// By index; a power of two of them, or none.
    keys: Vec<Key>,
    /// `winners[1]` has won all matches; the players of match `p` are the winners of `2p` and `2p + 1`, and
    /// the winner of `keys.len() + i` is `i`. Entry 0 is not used.
    winners: Vec<u32>,
}

impl Tournament {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of the least key; none if all are absent.
    pub fn top(&self) -> Option<u32> {
        let winner = *self.winners.get(1)?;
        (self.keys[winner as usize].share != ABSENT).then_some(winner)
    }

    /// The key of an entry, [`Key::NONE`] if it has none.
    pub fn key(&self, at: u32) -> Key {
        self.keys.get(at as usize).copied().unwrap_or(Key::NONE)
    }

    /// Sets the key of an entry. O(log n); O(n) when the tree grows to twice its width.
    pub fn set(&mut self, at: u32, key: Key) {
        if at as usize >= self.keys.len() {
            if key.share == ABSENT {
                return;
            }
            self.grow(at as usize + 1);
        }
        self.keys[at as usize] = key;
        let mut place = (self.keys.len() + at as usize) / 2;
        while place > 0 {
            let winner = self.play(place);
            if winner == self.winners[place] && winner != at {
                return;
            }
            self.winners[place] = winner;
            place /= 2;
        }
    }

    /// Sets the keys of entries `0..` anew, all others to [`Key::NONE`]. O(n).
    pub fn set_all(&mut self, keys: impl Iterator<Item = Key>) {
        self.keys.clear();
        self.keys.extend(keys);
        let width = match self.keys.len() {
            0 => 0,
            entries => entries.next_power_of_two(),
        };
        self.keys.resize(width, Key::NONE);
        self.winners.clear();
        self.winners
            .resize(if width == 0 { 0 } else { width.max(2) }, 0);
        for place in (1..self.winners.len()).rev() {
            self.winners[place] = self.play(place);
        }
    }

    /// The indices from the least key up, absent ones left out. O(log n) each.
    pub fn ascending(&self) -> Ascending<'_> {
        let ahead = BinaryHeap::new();
        Ascending {
            tree: self,
            ahead,
            last: None,
            begun: false,
        }
    }

    /// The memory it uses, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Key>() + self.winners.capacity() * size_of::<u32>()
    }

    fn winner(&self, place: usize) -> u32 {
        match place.checked_sub(self.keys.len()) {
            Some(at) => narrow(at),
            None => self.winners[place],
        }
    }

    fn play(&self, place: usize) -> u32 {
        if self.keys.len() == 1 {
            return 0;
        }
        let (a, b) = (self.winner(2 * place), self.winner(2 * place + 1));
        // `a` has the lower index.
        if self.keys[b as usize] < self.keys[a as usize] {
            b
        } else {
            a
        }
    }

    fn grow(&mut self, entries: usize) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.resize(entries, Key::NONE);
        self.set_all(keys.into_iter());
    }
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 entries")
}

/// The entries of a [`Tournament`] in order; see [`Tournament::ascending`].
#[derive(Debug)]
pub struct Ascending<'a> {
    tree: &'a Tournament,
    /// Winners of matches whose players have not been seen, with the place of the match.
    ahead: BinaryHeap<Reverse<(Key, u32, usize)>>,
    /// The last answer, and the match that it won; most often nobody asks for the next one.
    last: Option<(u32, usize)>,
    begun: bool,
}

impl Iterator for Ascending<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let next = match self.last.take() {
            None if self.begun => return None,
            None => (self.tree.top()?, 1),
            Some((at, place)) => {
                self.expect_losers(at, place);
                let Reverse((_, at, place)) = self.ahead.pop()?;
                (at, place)
            }
        };
        (self.last, self.begun) = (Some(next), true);
        Some(next.0)
    }
}

impl Ascending<'_> {
    /// Who lost against the winner of a match on the way is next in question.
    fn expect_losers(&mut self, at: u32, mut place: usize) {
        let tree = self.tree;
        while place < tree.keys.len() && tree.keys.len() > 1 {
            let (a, b) = (2 * place, 2 * place + 1);
            let (won, lost) = if tree.winner(a) == at { (a, b) } else { (b, a) };
            let loser = tree.winner(lost);
            let key = tree.keys[loser as usize];
            if key.share != ABSENT {
                self.ahead.push(Reverse((key, loser, lost)));
            }
            place = won;
        }
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
        tree.set(7, Key::NONE);
        assert_eq!(tree.top(), None);
        tree.set(0, Key::of(3));
        assert_eq!((tree.top(), tree.key(0)), (Some(0), Key::of(3)));
        tree.set(0, Key::NONE);
        assert_eq!((tree.top(), tree.key(9)), (None, Key::NONE));
    }

    #[test]
    fn counts_and_then_labels_break_ties() {
        let mut tree = Tournament::new();
        let key = |share, count, label| Key {
            share,
            count,
            label,
        };
        tree.set(0, key(5, 2, 0));
        tree.set(1, key(5, 1, 9));
        tree.set(2, key(5, 1, 4));
        tree.set(3, key(4, 7, 7));
        assert_eq!(tree.ascending().collect::<Vec<_>>(), [3, 2, 1, 0]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_keys_and_the_first_of_equals(
            changes in prop::collection::vec(
                (0..40_u32, prop_oneof![0..6_u64, Just(ABSENT)], 0..2_u64), 1..200),
        ) {
            let (mut tree, mut keys) = (Tournament::new(), [Key::NONE; 40]);
            for (at, share, count) in changes {
                let key = if share == ABSENT { Key::NONE } else { Key { share, count, label: 0 } };
                tree.set(at, key);
                keys[at as usize] = key;
                let mut order: Vec<(Key, u32)> = keys.iter().copied().zip(0..).collect();
                order.retain(|(key, _)| key.share != ABSENT);
                order.sort();
                let order: Vec<u32> = order.into_iter().map(|(_, at)| at).collect();
                prop_assert_eq!(tree.top(), order.first().copied());
                prop_assert_eq!(tree.ascending().collect::<Vec<_>>(), order);
                prop_assert_eq!(tree.key(at), key);
                let mut anew = Tournament::new();
                anew.set_all(keys.iter().copied());
                prop_assert_eq!(anew.top(), tree.top());
            }
        }
    }
}
