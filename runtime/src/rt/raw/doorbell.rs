//! The doorbell: wakes the receiver, and only when it is asleep.
//!
//! ```text
//!              sleep()                 ring(), one sender
//!   AWAKE --------------> ASLEEP, DEAF ------------------> RINGING
//!     ^                        |                              |
//!     +------- awake() --------+                              |
//!     +-------------------------- waker called ---------------+
//! ```
//!
//! The waker is written in AWAKE, by the receiver, and read in RINGING, by the one sender that set
//! it. A sender that finds AWAKE or RINGING does nothing: the receiver will look again before it
//! sleeps, and it looks after it has set ASLEEP, all of it sequentially consistent. DEAF is sleep
//! from which only a loud ring wakes.

use std::task::Waker;

use crate::sync::{
    UnsafeCell,
    atomic::{AtomicU8, Ordering},
    pause,
};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RINGING: u8 = 2;
const DEAF: u8 = 3;

/// See the module.
pub(crate) struct Doorbell {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the state says who may touch the waker; see the module.
unsafe impl Send for Doorbell {}
// SAFETY: as above.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU8::new(AWAKE),
            waker: UnsafeCell::new(None),
        }
    }

    /// Wakes the receiver if it is asleep and not deaf.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.state.load(Ordering::SeqCst) == ASLEEP {
            self.wake(ASLEEP);
        }
    }

    /// Wakes the receiver if it is asleep.
    pub(crate) fn ring_loud(&self) {
        match self.state.load(Ordering::SeqCst) {
            AWAKE | RINGING => {}
            asleep => self.wake(asleep),
        }
    }

    #[inline]
    fn wake(&self, asleep: u8) {
        if !self.leave(asleep, RINGING) {
            return;
        }
        self.waker.with(|waker| {
            // SAFETY: RINGING: nobody writes the waker until the state is left below.
            if let Some(waker) = unsafe { &*waker } {
                waker.wake_by_ref();
            }
        });
        self.state.store(AWAKE, Ordering::Release);
    }

    #[inline]
    fn leave(&self, from: u8, to: u8) -> bool {
        let (success, failure) = (Ordering::SeqCst, Ordering::Relaxed);
        self.state
            .compare_exchange(from, to, success, failure)
            .is_ok()
    }

    /// The receiver runs, whoever woke it.
    #[inline]
    pub(crate) fn awake(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state == ASLEEP || state == DEAF {
            // Failing, a sender rings: no need for it, and no harm.
            self.leave(state, AWAKE);
        }
    }

    /// Goes to sleep: the next ring wakes `waker`. False when a ring is just being finished: the
    /// receiver must look again, and its own wake may already be spent.
    ///
    /// # Safety
    /// Only the receiver calls this, one thread at a time, and it is awake.
    #[inline]
    pub(crate) unsafe fn sleep(&self, waker: &Waker, deaf: bool) -> bool {
        if self.state.load(Ordering::Acquire) != AWAKE {
            return false;
        }
        self.waker.with_mut(|kept| {
            // SAFETY: AWAKE: no sender reads the waker, nor will before ASLEEP is set.
            let kept = unsafe { &mut *kept };
            if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
                *kept = Some(waker.clone());
            }
        });
        self.state
            .store(if deaf { DEAF } else { ASLEEP }, Ordering::SeqCst);
        true
    }

    /// Lets go of the waker.
    ///
    /// # Safety
    /// As [`Doorbell::sleep`].
    pub(crate) unsafe fn remove(&self) {
        self.awake();
        let mut round = 0;
        while self.state.load(Ordering::Acquire) != AWAKE {
            pause(round);
            round += 1;
        }
        // SAFETY: AWAKE, and the receiver does not set ASLEEP meanwhile.
        drop(self.waker.with_mut(|waker| unsafe { (*waker).take() }));
    }
}
