//! The reply slot: one value from an answerer to an asker, either of whom may go away first.
//!
//! ```text
//!  EMPTY --asker waits--> WAITING          EMPTY, WAITING --answer--> FULL (or BROKEN, without)
//!    ^                       |             EMPTY, WAITING --asker drops--> GONE
//!    +--asker polls again----+
//! ```
//!
//! The value is written before FULL by the answerer and read after it by the asker. The waker is
//! written in EMPTY by the asker; the answerer reads it when it leaves WAITING, which only it can do
//! from then on.

use std::{
    future::Future,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::sync::{
    Arc, UnsafeCell,
    atomic::{AtomicU8, Ordering},
};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const FULL: u8 = 2;
const BROKEN: u8 = 3;
const GONE: u8 = 4;
/// The asker has the value.
const SPENT: u8 = 5;

struct Slot<R> {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
    value: UnsafeCell<MaybeUninit<R>>,
}

// SAFETY: the state says who may touch waker and value; see the module.
unsafe impl<R: Send> Send for Slot<R> {}
// SAFETY: as above.
unsafe impl<R: Send> Sync for Slot<R> {}

/// The asker's end: resolves to the reply, or to `None` when there will be none.
pub(crate) struct Asked<R>(Arc<Slot<R>>);

/// The answerer's end; dropped unused, it says that no reply will come.
pub(crate) struct Answerer<R>(Option<Arc<Slot<R>>>);

/// A slot with its two ends.
pub(crate) fn slot<R>() -> (Answerer<R>, Asked<R>) {
    let slot = Arc::new(Slot {
        state: AtomicU8::new(EMPTY),
        waker: UnsafeCell::new(None),
        value: UnsafeCell::new(MaybeUninit::uninit()),
    });
    (Answerer(Some(slot.clone())), Asked(slot))
}

impl<R> Answerer<R> {
    /// Gives the reply; it comes back if nobody waits for it.
    #[inline]
    pub(crate) fn answer(mut self, value: R) -> Option<R> {
        let slot = self.0.take()?;
        slot.value.with_mut(|place| {
            // SAFETY: only the answerer writes, once, and the asker reads only after FULL.
            unsafe { (*place).write(value) };
        });
        if slot.finish(FULL) {
            return None;
        }
        // SAFETY: GONE: the asker will not look; the value was written above.
        Some(
            slot.value
                .with(|value| unsafe { (*value).assume_init_read() }),
        )
    }
}

impl<R> Drop for Answerer<R> {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.finish(BROKEN);
        }
    }
}

impl<R> Slot<R> {
    /// Sets FULL or BROKEN and wakes the asker; false if the asker is gone.
    #[inline]
    fn finish(&self, to: u8) -> bool {
        let before = self.state.swap(to, Ordering::AcqRel);
        if before == WAITING {
            self.waker.with(|waker| {
                // SAFETY: the asker writes the waker only in EMPTY, which the state has left.
                if let Some(waker) = unsafe { &*waker } {
                    waker.wake_by_ref();
                }
            });
        }
        before != GONE
    }

    /// Registers `waker`; false when the answerer came first.
    #[inline]
    fn wait(&self, waker: &Waker) -> bool {
        match self.state.load(Ordering::Acquire) {
            EMPTY => {}
            WAITING => {
                let same = self.waker.with(|kept| {
                    // SAFETY: WAITING was set by this end; the other one only reads the waker.
                    let kept = unsafe { &*kept }.as_ref();
                    kept.is_some_and(|kept| kept.will_wake(waker))
                });
                if same {
                    return true;
                }
                let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
                let back = self
                    .state
                    .compare_exchange(WAITING, EMPTY, success, failure);
                if back.is_err() {
                    return false;
                }
            }
            _ => return false,
        }
        self.waker.with_mut(|kept| {
            // SAFETY: EMPTY: the answerer does not look.
            unsafe { *kept = Some(waker.clone()) };
        });
        let (from, to) = (EMPTY, WAITING);
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl<R> Asked<R> {
    /// The reply if it has come: `Ready(None)` if none will.
    #[inline]
    pub(crate) fn try_take(&mut self) -> Poll<Option<R>> {
        match self.0.state.load(Ordering::Acquire) {
            FULL => {
                self.0.state.store(SPENT, Ordering::Relaxed);
                // SAFETY: FULL: written, and SPENT makes sure that it is read once.
                Poll::Ready(Some(
                    self.0.value.with(|v| unsafe { (*v).assume_init_read() }),
                ))
            }
            BROKEN | SPENT => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}

impl<R> Future for Asked<R> {
    type Output = Option<R>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        match self.try_take() {
            Poll::Pending if self.0.wait(cx.waker()) => Poll::Pending,
            Poll::Pending => self.try_take(),
            ready => ready,
        }
    }
}

impl<R> Drop for Asked<R> {
    #[inline]
    fn drop(&mut self) {
        if self.0.state.load(Ordering::Relaxed) != SPENT
            && self.0.state.swap(GONE, Ordering::AcqRel) == FULL
        {
            // SAFETY: the value was written and not taken, and the answerer is done with it.
            self.0
                .value
                .with_mut(|value| unsafe { (*value).assume_init_drop() });
        }
    }
}
