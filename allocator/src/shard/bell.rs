//! Wakes the one thread that waits for something, and costs little while it does not.
//!
//! ```text
//!   wait_until(ready):  asleep = true -- fence -- ready? -no-> park -+      ring():  (what makes it ready)
//!                              ^                   | yes             |               -- fence -- asleep? unpark
//!                              +-------------------|-----------------+
//!                                                  v
//!                                            asleep = false
//! ```
//! Of the two fences one comes first: either the waiter sees what was made ready, or the ringer sees that it
//! sleeps. Every ringer that sees it wakes, so that one that is suspended in between keeps nobody asleep.

use std::time::Duration;

use super::sync::{
    AtomicBool, Ordering, PoisonError, RwLock, Thread, current, fence, park, park_timeout,
};

#[derive(Debug)]
pub(super) struct Bell {
    asleep: AtomicBool,
    /// Whom to wake. Written before the first sleep of a thread, read without waiting.
    waiter: RwLock<Option<Thread>>,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            waiter: RwLock::new(None),
        }
    }

    /// Waits until `ready` says yes. Only one thread waits at a time.
    pub(super) fn wait_until(&self, ready: impl Fn() -> bool) {
        if ready() {
            return;
        }
        self.sign_in();
        loop {
            self.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if ready() {
                self.asleep.store(false, Ordering::Relaxed);
                return;
            }
            park();
        }
    }

    /// Waits for a moment at most, and says whether it is ready then.
    pub(super) fn wait_for(&self, moment: Duration, ready: impl Fn() -> bool) -> bool {
        self.sign_in();
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            park_timeout(moment);
        }
        self.asleep.store(false, Ordering::Relaxed);
        ready()
    }

    /// What the waiter waits for may have come about.
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && let Ok(waiter) = self.waiter.try_read()
            && let Some(waiter) = &*waiter
        {
            waiter.unpark();
        }
    }

    fn sign_in(&self) {
        let me = current();
        let is_me = |waiter: &Thread| waiter.id() == me.id();
        let signed = {
            let waiter = self.waiter.read().unwrap_or_else(PoisonError::into_inner);
            waiter.as_ref().is_some_and(is_me)
        };
        if !signed {
            let mut waiter = self.waiter.write().unwrap_or_else(PoisonError::into_inner);
            *waiter = Some(me);
        }
    }
}
