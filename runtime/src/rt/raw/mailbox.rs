//! The mailbox: a bounded queue for messages, a lane that overtakes it for the runtime's own, and
//! signals that overtake both.
//!
//! A sender wakes the receiver only when the receiver has gone to sleep. There is one receiver at a
//! time, which holds a [`Receiving`]. Senders that wait for room are told at the end of each of its
//! turns.

use std::task::Waker;

use super::{
    doorbell::Doorbell,
    lane::Lane,
    place::{Filled, Place, Taken, taken},
    queue::{Queue, Rejected},
};
use crate::sync::{
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    pause, sequenced,
};

/// What the runtime asks of an actor besides handing it messages; bits of [`Mailbox::signal`].
pub(crate) mod signal {
    /// Stop when the handler at hand has finished.
    pub(crate) const STOP: u8 = 1;
    /// End at once.
    pub(crate) const KILL: u8 = 2;
    /// End at once: the mailbox overflowed.
    pub(crate) const OVERFLOW: u8 = 4;
    /// What takes effect even while a handler waits.
    pub(crate) const AT_ONCE: u8 = KILL | OVERFLOW;
}

/// See the module.
#[repr(C)]
pub(crate) struct Mailbox<T> {
    queue: Queue<T>,
    lane: Lane<T>,
    bell: Doorbell,
    signals: AtomicU8,
    /// There is a [`Receiving`].
    receiving: AtomicBool,
    /// Senders take messages out, too, one at a time and never while the receiver does.
    evicts: bool,
    evicting: AtomicBool,
    /// Senders waiting for room.
    waiting: AtomicUsize,
    #[cfg(not(loom))]
    room: tokio::sync::Notify,
}

impl<T> Mailbox<T> {
    /// At most `capacity` messages; `evicts` allows [`Mailbox::evict`].
    pub(crate) fn new(capacity: usize, evicts: bool) -> Self {
        Self {
            queue: Queue::new(capacity),
            lane: Lane::new(),
            bell: Doorbell::new(),
            signals: AtomicU8::new(0),
            receiving: AtomicBool::new(false),
            evicts,
            evicting: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            #[cfg(not(loom))]
            room: tokio::sync::Notify::new(),
        }
    }

    /// Takes what `make` writes of `source` if there is room. `make` must not panic.
    #[inline]
    pub(crate) fn push_with<S>(
        &self,
        source: S,
        make: impl FnOnce(S, Place<'_, T>) -> Filled,
    ) -> Result<(), Rejected<S>> {
        self.queue.push_with(source, make)?;
        sequenced();
        self.bell.ring();
        Ok(())
    }

    /// Takes as many messages as there is room for, and wakes the receiver once; the rest stays.
    pub(crate) fn push_many<S>(
        &self,
        sources: &mut impl Iterator<Item = S>,
        make: impl Fn(S, Place<'_, T>) -> Filled,
    ) -> Result<usize, Rejected<S>> {
        let mut count = 0;
        let result = sources.by_ref().try_for_each(|source| {
            count += 1;
            self.queue.push_with(source, &make)
        });
        sequenced();
        self.bell.ring();
        result.map(|()| count)
    }

    /// Takes what `make` writes of `source`, waiting for room.
    #[cfg(not(loom))]
    pub(crate) async fn push_wait<S>(
        &self,
        mut source: S,
        make: impl Fn(S, Place<'_, T>) -> Filled,
    ) -> Result<(), Rejected<S>> {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // In line before the look at the bound: room made from here on wakes us.
            room.as_mut().enable();
            crate::sync::atomic::fence(Ordering::SeqCst);
            match self.push_with(source, &make) {
                Err(Rejected::Full(back)) => source = back,
                done => return done,
            }
            room.await;
        }
    }

    /// Takes a message of the runtime's own; false when the actor has ended.
    pub(crate) fn push_system(&self, message: T) -> bool {
        if self.queue.is_closed() {
            return false;
        }
        self.lane.push(message);
        sequenced();
        self.bell.ring();
        true
    }

    /// Sets signals and wakes the receiver, even where it sleeps through messages.
    pub(crate) fn signal(&self, signals: u8) {
        self.signals.fetch_or(signals, Ordering::SeqCst);
        sequenced();
        self.bell.ring_loud();
    }

    /// The signals that are set; they stay.
    #[inline]
    pub(crate) fn signals(&self) -> u8 {
        self.signals.load(Ordering::SeqCst)
    }

    /// Takes back all signals.
    pub(crate) fn clear_signals(&self) {
        self.signals.store(0, Ordering::SeqCst);
    }

    /// The right to receive, unless somebody has it.
    #[inline]
    pub(crate) fn receive(&self) -> Option<Receiving<'_, T>> {
        let taken = self.receiving.swap(true, Ordering::Acquire);
        (!taken).then(|| {
            self.bell.awake();
            Receiving {
                mailbox: self,
                received: 0,
            }
        })
    }

    /// Takes the oldest message out, to make room. `None` when there is none.
    pub(crate) fn evict(&self) -> Option<T> {
        assert!(self.evicts, "a mailbox made for it");
        self.pop_exclusively()
    }

    fn pop_exclusively(&self) -> Option<T> {
        let mut round = 0;
        while self.evicting.swap(true, Ordering::Acquire) {
            pause(round);
            round += 1;
        }
        // SAFETY: whoever pops from a mailbox that evicts holds `evicting`.
        let message = unsafe { self.queue.pop() }.map(|message| message.into_inner());
        self.evicting.store(false, Ordering::Release);
        message
    }

    /// Refuses everything from now on; what is queued can still be received.
    pub(crate) fn close(&self) {
        self.queue.close();
        // One that begins to wait from now on finds it closed.
        #[cfg(not(loom))]
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.room.notify_waiters();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// At most how many messages wait.
    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    /// Whether there is no message.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.lane.is_empty()
    }
}

/// Counts a sender that waits.
#[cfg(not(loom))]
struct Waiting<'a>(&'a AtomicUsize);

#[cfg(not(loom))]
impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

#[cfg(not(loom))]
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The right to receive. Dropped, it tells senders that wait for room of what was received.
pub(crate) struct Receiving<'a, T> {
    mailbox: &'a Mailbox<T>,
    received: usize,
}

impl<T> Receiving<'_, T> {
    /// The next message of the runtime's own.
    #[inline]
    pub(crate) fn pop_system(&mut self) -> Option<T> {
        // SAFETY: `self` is the one that receives.
        unsafe { self.mailbox.lane.pop() }
    }

    /// Hands the next message to `take`; waits for a sender that is in the middle of writing it.
    /// `None` when there is no message.
    #[inline]
    pub(crate) fn pop_with<R>(&mut self, take: impl FnOnce(Taken<'_, T>) -> R) -> Option<R> {
        let mut round = 0;
        loop {
            if self.mailbox.evicts {
                if let Some(message) = self.mailbox.pop_exclusively() {
                    self.received += 1;
                    return Some(taken(message, take));
                }
            } else {
                // SAFETY: `self` is the one that receives, and senders never do from this mailbox;
                // what was popped before is gone, as `take` could not keep it.
                if let Some(message) = unsafe { self.mailbox.queue.pop() } {
                    self.received += 1;
                    return Some(take(message));
                }
            }
            if self.mailbox.queue.is_empty() {
                return None;
            }
            pause(round);
            round += 1;
        }
    }

    /// The next message, moved out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.pop_with(|message| message.into_inner())
    }

    /// Takes signals back.
    pub(crate) fn clear(&mut self, signals: u8) {
        self.mailbox.signals.fetch_and(!signals, Ordering::SeqCst);
    }

    /// Goes to sleep: true when nothing is there, and the next message or signal will wake `waker`.
    #[inline]
    pub(crate) fn sleep(&mut self, waker: &Waker) -> bool {
        self.lie_down(waker, false, |mailbox| {
            mailbox.signals() == 0 && mailbox.is_idle()
        })
    }

    /// The same, but only a signal will wake, and only a kill keeps awake.
    pub(crate) fn sleep_deaf(&mut self, waker: &Waker) -> bool {
        self.lie_down(waker, true, |mailbox| {
            mailbox.signals() & signal::AT_ONCE == 0
        })
    }

    #[inline]
    fn lie_down(&mut self, waker: &Waker, deaf: bool, idle: fn(&Mailbox<T>) -> bool) -> bool {
        let mailbox = self.mailbox;
        // SAFETY: `self` is the one that receives.
        let mut asleep = unsafe { mailbox.bell.sleep(waker, deaf) };
        sequenced();
        asleep &= idle(mailbox);
        if !asleep {
            mailbox.bell.awake();
        }
        asleep
    }

    /// Lets go of the waker, at the end of the receiver's life.
    pub(crate) fn forget_waker(&mut self) {
        // SAFETY: `self` is the one that receives.
        unsafe { self.mailbox.bell.remove() };
    }
}

impl<T> Drop for Receiving<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mailbox.receiving.store(false, Ordering::Release);
        #[cfg(not(loom))]
        if self.received > 0 {
            crate::sync::atomic::fence(Ordering::SeqCst);
            let waiting = self.mailbox.waiting.load(Ordering::Relaxed);
            for _ in 0..waiting.min(self.received) {
                self.mailbox.room.notify_one();
            }
        }
    }
}
