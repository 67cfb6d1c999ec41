//! A bounded queue from one producer to the owner.
//!
//! ```text
//!   slots   [ . | . | e | e | e | . ]      head: the owner's, what it has taken
//!                     ^head       ^tail    tail: the producer's, what it has filled; its low bit closes
//! ```
//! Whose a slot is follows from the two counters, so that its lock is never waited for: it is the safe way to
//! hand a value over. Closing and filling meet in one word: what was taken in before is drained, and what comes
//! after is handed back. A producer that is suspended anywhere stops neither the owner nor other producers.

use super::sync::{AtomicUsize, Mutex, Ordering, PoisonError};

/// Why an event was not taken in; it is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected<T> {
    /// The owner has not kept up.
    #[error("the queue is full")]
    Full(T),
    /// Nothing is taken in any more.
    #[error("the queue is closed")]
    Closed(T),
}

const CLOSED: usize = 1;
const ONE: usize = 2;

/// Keeps what different threads write in different cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Apart(AtomicUsize);

#[derive(Debug)]
pub(super) struct Lane<T> {
    /// A power of two of them.
    slots: Box<[Mutex<Option<T>>]>,
    head: Apart,
    tail: Apart,
}

impl<T> Lane<T> {
    /// A queue for so many, rounded up to a power of two.
    pub(super) fn new(capacity: usize) -> Self {
        let slots = (0..capacity.max(1).next_power_of_two()).map(|_| Mutex::new(None));
        Self {
            slots: slots.collect(),
            head: Apart(AtomicUsize::new(0)),
            tail: Apart(AtomicUsize::new(0)),
        }
    }

    /// Takes a value in. Only for the lane's one producer.
    pub(super) fn push(&self, value: T) -> Result<(), Rejected<T>> {
        let tail = self.tail.0.load(Ordering::Acquire);
        if tail & CLOSED != 0 {
            return Err(Rejected::Closed(value));
        }
        let at = tail / ONE;
        if at - self.head.0.load(Ordering::Acquire) == self.slots.len() {
            return Err(Rejected::Full(value));
        }
        self.put(at, Some(value));
        let filled = tail + ONE;
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match (self.tail.0).compare_exchange(tail, filled, success, failure) {
            Ok(_) => Ok(()),
            // It was closed meanwhile: the owner does not look at this slot.
            Err(_) => match self.put(at, None) {
                Some(value) => Err(Rejected::Closed(value)),
                None => Ok(()),
            },
        }
    }

    /// Moves at most so many to the end of `out`. Only for the owner.
    pub(super) fn take(&self, most: usize, out: &mut Vec<T>) -> usize {
        let head = self.head.0.load(Ordering::Relaxed);
        let count = (self.filled() - head).min(most);
        out.extend((head..head + count).filter_map(|at| self.put(at, None)));
        self.head.0.store(head + count, Ordering::Release);
        count
    }

    pub(super) fn has_room(&self) -> bool {
        self.filled() - self.head.0.load(Ordering::Acquire) < self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled() == self.head.0.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.tail.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.0.load(Ordering::Acquire) & CLOSED != 0
    }

    fn filled(&self) -> usize {
        self.tail.0.load(Ordering::Acquire) / ONE
    }

    fn put(&self, at: usize, value: Option<T>) -> Option<T> {
        let slot = &self.slots[at & (self.slots.len() - 1)];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut slot, value)
    }
}
