//! The sending side: what is to be sent, resent and given up. Pure; times in microseconds.

use std::{collections::VecDeque, time::Duration};

use super::Receipt;
use crate::supervision::micros;

/// How many may be under way at a time.
const UNDER_WAY_MAX: usize = 64;
const PAUSE_MIN: u64 = 50_000;
const PAUSE_MAX: u64 = 2_000_000;

/// A message that is not settled.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) seq: u64,
    pub(crate) item: T,
    pub(crate) deadline: u64,
    under_way: bool,
    attempts: u32,
    not_before: u64,
}

/// The messages of a stream that are not settled, in order.
#[derive(Debug)]
pub(crate) struct Window<T> {
    next: u64,
    entries: VecDeque<Entry<T>>,
    under_way: usize,
}

impl<T> Window<T> {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            entries: VecDeque::new(),
            under_way: 0,
        }
    }

    /// Takes a message that is given up after `patience`.
    pub(crate) fn push(&mut self, item: T, patience: Duration, now: u64) {
        let entry = Entry {
            seq: self.next,
            item,
            deadline: now.saturating_add(micros(patience)),
            under_way: false,
            attempts: 0,
            not_before: 0,
        };
        self.next += 1;
        self.entries.push_back(entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lowest number that is not settled.
    pub(crate) fn base(&self) -> u64 {
        self.entries.front().map_or(self.next, |entry| entry.seq)
    }

    /// The next message that is to be sent now; it is then under way.
    pub(crate) fn due(&mut self, now: u64) -> Option<&Entry<T>> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        // Never one before an earlier one that waits for its turn: it would only be refused.
        let entry = self.entries.iter_mut().find(|entry| !entry.under_way)?;
        if entry.not_before > now {
            return None;
        }
        entry.under_way = true;
        entry.attempts += 1;
        self.under_way += 1;
        Some(entry)
    }

    /// When [`Window::due`] or [`Window::expired`] are to be asked again, if nothing is answered.
    pub(crate) fn wake(&self) -> Option<u64> {
        let idle = self.entries.iter().find(|entry| !entry.under_way);
        let due = idle
            .filter(|_| self.under_way < UNDER_WAY_MAX)
            .map(|entry| entry.not_before);
        let deadline = self.entries.iter().map(|entry| entry.deadline).min();
        due.into_iter().chain(deadline).min()
    }

    /// What the receiver said: `Some` if the message is delivered.
    pub(crate) fn answered(&mut self, seq: u64, receipt: Receipt, now: u64) -> Option<T> {
        match receipt {
            Receipt::Handled => {
                let item = self.settle(seq);
                // Whatever waited for this one goes on.
                if let Some(next) = self.entries.iter_mut().find(|entry| !entry.under_way) {
                    next.not_before = 0;
                }
                item
            }
            _ => {
                self.failed(seq, now);
                None
            }
        }
    }

    /// An attempt came to nothing; there will be another.
    pub(crate) fn failed(&mut self, seq: u64, now: u64) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.seq == seq) else {
            return;
        };
        if entry.under_way {
            entry.under_way = false;
            self.under_way -= 1;
        }
        let doublings = entry.attempts.saturating_sub(1).min(10);
        entry.not_before = now.saturating_add(PAUSE_MAX.min(PAUSE_MIN << doublings));
    }

    /// Takes a message out.
    pub(crate) fn settle(&mut self, seq: u64) -> Option<T> {
        let at = self.entries.iter().position(|entry| entry.seq == seq)?;
        let entry = self.entries.remove(at)?;
        if entry.under_way {
            self.under_way -= 1;
        }
        Some(entry.item)
    }

    /// Takes out a message whose time is over.
    pub(crate) fn expired(&mut self, now: u64) -> Option<T> {
        let over = |entry: &&Entry<T>| entry.deadline <= now;
        let seq = self.entries.iter().find(over)?.seq;
        self.settle(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn due(window: &mut Window<char>, now: u64) -> Vec<char> {
        let mut due = Vec::new();
        while let Some(entry) = window.due(now) {
            due.push(entry.item);
        }
        due
    }

    #[test]
    fn messages_go_in_order_and_again_after_a_pause_that_grows() {
        let mut window = Window::new();
        for item in ['a', 'b'] {
            window.push(item, PATIENCE, 0);
        }
        assert_eq!(due(&mut window, 0), ['a', 'b']);
        window.failed(0, 100);
        assert_eq!(window.answered(1, Receipt::Expected(0), 100), None);
        assert_eq!(due(&mut window, 100), []);
        assert_eq!(window.wake(), Some(50_100));
        assert_eq!(due(&mut window, 50_100), ['a', 'b']);
        window.failed(0, 60_000);
        assert_eq!(window.wake(), Some(160_000));
        assert_eq!(window.answered(1, Receipt::Handled, 70_000), Some('b'));
        assert_eq!((window.base(), window.is_empty()), (0, false));
        assert_eq!(window.settle(0), Some('a'));
        assert_eq!((window.base(), window.is_empty()), (2, true));
    }

    #[test]
    fn what_is_too_old_is_given_up_and_the_base_moves_on() {
        let mut window = Window::new();
        window.push('a', Duration::from_micros(10), 0);
        window.push('b', PATIENCE, 0);
        assert_eq!(due(&mut window, 0), ['a', 'b']);
        assert_eq!(window.expired(9), None);
        assert_eq!(window.wake(), Some(10));
        assert_eq!((window.expired(10), window.expired(10)), (Some('a'), None));
        assert_eq!(window.base(), 1);
    }

    #[test]
    fn not_all_are_under_way_at_once() {
        let mut window = Window::new();
        for _ in 0..100 {
            window.push('x', PATIENCE, 0);
        }
        assert_eq!(due(&mut window, 0).len(), UNDER_WAY_MAX);
        window.settle(0);
        assert_eq!(due(&mut window, 0).len(), 1);
    }
}
