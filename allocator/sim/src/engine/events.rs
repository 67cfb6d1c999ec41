//! The events that lie ahead, by time and then in the order in which they were planned.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use crate::time::Time;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// What a job held in this attempt becomes free.
    Free { job: u32, attempt: u16 },
    /// A node fails.
    Fail(u32),
    /// A node is repaired.
    Repair(u32),
    /// The policy wants to be asked.
    Wake,
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    time: Time,
    number: u32,
    what: What,
}

impl Planned {
    fn key(&self) -> u128 {
        (u128::from(self.time.0) << 64) | u128::from(self.number)
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The events ahead.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Planned>>,
    planned: u32,
}

impl Events {
    pub(super) fn plan(&mut self, time: Time, what: What) {
        self.heap.push(Reverse(Planned {
            time,
            number: self.planned,
            what,
        }));
        // After 2^32 events numbers begin anew; by then those of equal times are far from each other.
        self.planned = self.planned.wrapping_add(1);
    }

    /// The time of the next event.
    #[inline]
    pub(super) fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|next| next.0.time)
    }

    /// Takes the next event if it is due.
    #[inline]
    pub(super) fn due(&mut self, now: Time) -> Option<What> {
        if self.next_time()? > now {
            return None;
        }
        self.heap.pop().map(|next| next.0.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_keep_the_order_in_which_they_were_planned() {
        let mut events = Events::default();
        for (time, node) in [(5, 1), (3, 2), (5, 3), (3, 4)] {
            events.plan(Time(time), What::Fail(node));
        }
        assert_eq!(events.next_time(), Some(Time(3)));
        assert_eq!(events.due(Time(2)), None);
        let order: Vec<What> = std::iter::from_fn(|| events.due(Time(9))).collect();
        assert_eq!(order, [2, 4, 1, 3].map(What::Fail));
    }
}
