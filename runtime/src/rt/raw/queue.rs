//! The message queue: many senders, one receiver, a bound, blocks of slots in a linked list.
//!
//! A sender claims a message number with one compare-and-swap on the tail, which also holds the
//! closed flag, so that nothing enters after [`Queue::close`]. It then writes its slot and marks it
//! ready. The receiver needs no read-modify-write at all: it reads ready slots in order and
//! publishes how far it got, which is what the bound is measured against.
//!
//! ```text
//!  tail word:  message number | INSTALLING | CLOSED      head: message number, published
//!  blocks:     [slot 0 .. slot B-1] -> next              a block is freed when the receiver leaves it
//! ```
//!
//! A sender that needs a new block sets INSTALLING with its claim; others wait for the few
//! instructions until it is linked. The receiver leaves a block only once `next` is set, which is
//! the last thing any sender does to the block before it.

use std::mem::MaybeUninit;

use super::{
    place::{Filled, Place, Taken},
    pool,
};
use crate::sync::{
    UnsafeCell,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    pause,
};

/// Slots in a block.
#[cfg(not(loom))]
const SLOTS: usize = 16;
#[cfg(loom)]
const SLOTS: usize = 2;

const CLOSED: u64 = 1;
const INSTALLING: u64 = 2;
const SHIFT: u32 = 2;

struct Slot<T> {
    ready: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

pub(super) struct Block<T> {
    next: AtomicPtr<Block<T>>,
    slots: [Slot<T>; SLOTS],
}

impl<T> Block<T> {
    fn empty() -> Self {
        let slot = |_| Slot {
            ready: AtomicBool::new(false),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            next: AtomicPtr::new(std::ptr::null_mut()),
            slots: std::array::from_fn(slot),
        }
    }

    fn new() -> *mut Self {
        match pool::take::<Self>() {
            // Given back empty: no slot ready, `next` reset.
            Some(block) => block,
            None => Box::into_raw(Box::new(Self::empty())),
        }
    }
}

/// What senders write.
struct Tail<T> {
    word: AtomicU64,
    block: AtomicPtr<Block<T>>,
    /// The message number at which the head must be looked at again; never beyond the bound.
    limit: AtomicU64,
}

/// What the receiver writes.
struct Head<T> {
    /// Messages received; the bound counts from here.
    received: AtomicU64,
    at: UnsafeCell<At<T>>,
}

/// Where the receiver is.
struct At<T> {
    block: *mut Block<T>,
    /// Slots of `block` that were received.
    used: usize,
}

/// A bounded queue; see the module.
#[repr(C)]
pub(crate) struct Queue<T> {
    tail: Tail<T>,
    /// The first block, until the receiver has it.
    first: AtomicPtr<Block<T>>,
    capacity: u64,
    /// Senders and receiver do not share a cache line.
    _apart: [u64; 6],
    head: Head<T>,
}

/// Why a message was not taken; what it was to be made of comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected<S> {
    Full(S),
    Closed(S),
}

// SAFETY: a message is written by one thread and read by one other, the receiver, who sees the
// ready flag first; `pop` demands that there is one at a time.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Queue<T> {}

impl<T> Queue<T> {
    /// A queue of at most `capacity` messages; no memory is taken before the first.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = (capacity.max(1) as u64).min(1 << 60);
        Self {
            tail: Tail {
                word: AtomicU64::new(0),
                block: AtomicPtr::new(std::ptr::null_mut()),
                limit: AtomicU64::new(capacity),
            },
            first: AtomicPtr::new(std::ptr::null_mut()),
            capacity,
            _apart: [0; 6],
            head: Head {
                received: AtomicU64::new(0),
                at: UnsafeCell::new(At {
                    block: std::ptr::null_mut(),
                    used: 0,
                }),
            },
        }
    }

    /// Whether message number `n` is within the bound.
    #[inline]
    fn has_room(&self, n: u64) -> bool {
        n < self.tail.limit.load(Ordering::Relaxed) || self.look_for_room(n)
    }

    #[cold]
    fn look_for_room(&self, n: u64) -> bool {
        let limit = self.head.received.load(Ordering::SeqCst) + self.capacity;
        self.tail.limit.store(limit, Ordering::Relaxed);
        n < limit
    }

    /// Has `make` write what it makes of `source` at the end, if there is room. `make` must not panic.
    #[inline]
    pub(crate) fn push_with<S>(
        &self,
        source: S,
        make: impl FnOnce(S, Place<'_, T>) -> Filled,
    ) -> Result<(), Rejected<S>> {
        let mut word = self.tail.word.load(Ordering::Acquire);
        let mut round = 0;
        loop {
            if word & (CLOSED | INSTALLING) != 0 {
                if word & CLOSED != 0 {
                    return Err(Rejected::Closed(source));
                }
                pause(round);
                round += 1;
                word = self.tail.word.load(Ordering::Acquire);
                continue;
            }
            let n = word >> SHIFT;
            if !self.has_room(n) {
                return Err(Rejected::Full(source));
            }
            let (block, at) = (self.tail.block.load(Ordering::Acquire), n as usize % SLOTS);
            let new = at == 0;
            let claimed = (n + 1) << SHIFT | if new { INSTALLING } else { 0 };
            match self.tail.word.compare_exchange_weak(
                word,
                claimed,
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let block = if new { self.install(block) } else { block };
                    // SAFETY: the tail was at `n` from the load of `block` to the claim, so `block`
                    // is the block of `n`; the receiver does not leave it before slot `at` is
                    // ready; and the claim makes the slot ours alone.
                    let slot = unsafe { &(*block).slots[at] };
                    slot.value.with_mut(|slot| {
                        // SAFETY: as above; what the slot held was moved out by the receiver.
                        let place = Place::new(unsafe { &mut *slot });
                        let _: Filled = make(source, place);
                    });
                    slot.ready.store(true, Ordering::Release);
                    return Ok(());
                }
                Err(now) => word = now,
            }
        }
    }

    /// Links a new block behind `last`, and ends INSTALLING.
    #[cold]
    fn install(&self, last: *mut Block<T>) -> *mut Block<T> {
        let block = Block::new();
        self.tail.block.store(block, Ordering::Release);
        if last.is_null() {
            self.first.store(block, Ordering::Release);
        } else {
            // SAFETY: the receiver does not free `last` before its `next` is set, which only the
            // sender that holds INSTALLING does.
            unsafe { &(*last).next }.store(block, Ordering::Release);
        }
        self.tail.word.fetch_and(!INSTALLING, Ordering::Release);
        block
    }

    /// The next message, which stays where it is until the next `pop`. `None` also while its sender
    /// is still writing it.
    ///
    /// # Safety
    /// No other thread is in `pop`, and what one did before is visible. What was popped before has
    /// been dropped or moved out.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Option<Taken<'_, T>> {
        self.head.at.with_mut(|at| {
            // SAFETY: the caller is the only one to receive, and nobody else touches the place.
            let at = unsafe { &mut *at };
            if at.block.is_null() || at.used == SLOTS {
                self.advance(at)?;
            }
            // SAFETY: the receiver's block is not freed but by the receiver.
            let slot = unsafe { &(*at.block).slots[at.used] };
            if !slot.ready.load(Ordering::Acquire) {
                return None;
            }
            slot.ready.store(false, Ordering::Relaxed);
            at.used += 1;
            let received = self.head.received.load(Ordering::Relaxed) + 1;
            self.head.received.store(received, Ordering::Release);
            Some(slot.value.with_mut(|value| {
                // SAFETY: ready: written, and taken only here. A slot is written again only after
                // its block was left, which the next `pop` does at the earliest.
                unsafe { Taken::new(value.cast()) }
            }))
        })
    }

    /// Goes on to the next block, if there is one, and gives the one before back.
    #[cold]
    fn advance(&self, at: &mut At<T>) -> Option<()> {
        let next = if at.block.is_null() {
            self.first.load(Ordering::Acquire)
        } else {
            // SAFETY: the receiver's block is not freed but by the receiver.
            unsafe { &(*at.block).next }.load(Ordering::Acquire)
        };
        if next.is_null() {
            return None;
        }
        let left = std::mem::replace(&mut at.block, next);
        at.used = 0;
        if !left.is_null() {
            // SAFETY: all its slots were received, and `next` was set, so no sender touches it.
            unsafe {
                (*left).next.store(std::ptr::null_mut(), Ordering::Relaxed);
                pool::give(left);
            }
        }
        Some(())
    }

    /// Messages claimed and not received.
    pub(crate) fn len(&self) -> usize {
        let received = self.head.received.load(Ordering::Relaxed);
        (self.tail.word.load(Ordering::Relaxed) >> SHIFT).saturating_sub(received) as usize
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether nothing was claimed that was not received; sequentially consistent with the claims.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let tail = self.tail.word.load(Ordering::SeqCst) >> SHIFT;
        tail == self.head.received.load(Ordering::SeqCst)
    }

    /// Refuses messages from now on; those claimed before can still be received.
    pub(crate) fn close(&self) {
        self.tail.word.fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tail.word.load(Ordering::Acquire) & CLOSED != 0
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the queue.
        while unsafe { self.pop() }.is_some() {}
        let last = self.head.at.with(|at| {
            // SAFETY: as above.
            unsafe { (*at).block }
        });
        if !last.is_null() {
            // SAFETY: blocks come from a box, and all before the last are given back.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}
