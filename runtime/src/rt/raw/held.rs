//! A value that a future may hold: `&mut` across awaits, without moving the value into the future.
//!
//! While the future is pending the value belongs to it and cannot be reached. When the future ends
//! or is dropped the value is back. This is how an `async fn` handler holds its actor.

use std::{
    future::Future,
    pin::Pin,
    ptr::NonNull,
    task::{Context, Poll},
};

/// A future that borrows for `'a`.
pub(crate) type Borrowing<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// See the module.
pub(crate) struct Held<T> {
    value: NonNull<T>,
    /// Borrows `value`: dropped before it, and while it is here nobody else touches `value`. The
    /// lifetime is not the true one.
    future: Option<Borrowing<'static>>,
}

impl<T> Held<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: NonNull::from(Box::leak(Box::new(value))),
            future: None,
        }
    }

    /// Whether a future has the value.
    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        self.future.is_some()
    }

    /// The value, unless a future has it.
    #[inline]
    pub(crate) fn get(&mut self) -> Option<&mut T> {
        if self.future.is_some() {
            return None;
        }
        // SAFETY: the value came from a box, lives until drop, and no future borrows it.
        Some(unsafe { self.value.as_mut() })
    }

    /// Lends the value to the future that `f` makes; false, and nothing done, while one has it.
    pub(crate) fn lend(&mut self, f: impl for<'a> FnOnce(&'a mut T) -> Borrowing<'a>) -> bool {
        let Some(value) = self.get() else {
            return false;
        };
        let future = f(value);
        // SAFETY: only the lifetime changes. The future is dropped before the value (`drop`,
        // `take_back`, `poll`), and `get` gives nothing meanwhile. `f` works for every lifetime,
        // so nothing of the borrow can be kept elsewhere.
        let future = unsafe { std::mem::transmute::<Borrowing<'_>, Borrowing<'static>>(future) };
        self.future = Some(future);
        true
    }

    /// Polls the future; ready when none has the value (any more).
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(());
        };
        std::task::ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(())
    }

    /// Drops the future, if one has the value, and gives the value.
    pub(crate) fn take_back(&mut self) -> &mut T {
        self.future = None;
        // SAFETY: as in `get`; the future is gone.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        /// Frees the value even if dropping the future panics.
        struct Free<T>(NonNull<T>);
        impl<T> Drop for Free<T> {
            fn drop(&mut self) {
                // SAFETY: the value came from a box; the future that borrowed it is dropped.
                drop(unsafe { Box::from_raw(self.0.as_ptr()) });
            }
        }
        let _free = Free(self.value);
        self.future = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    async fn turn() {
        let mut turned = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut turned, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    #[test]
    fn a_lent_value_is_back_when_the_future_ends_or_is_dropped() {
        let mut held = Held::new(vec![1]);
        let mut cx = Context::from_waker(Waker::noop());
        let lent = held.lend(|value| {
            Box::pin(async move {
                value.push(2);
                turn().await;
                value.push(3);
            })
        });
        assert!(lent && held.is_lent() && held.get().is_none());
        assert!(held.poll(&mut cx).is_pending() && held.get().is_none());
        assert!(held.poll(&mut cx).is_ready());
        assert_eq!(held.get().map(|value| value.clone()), Some(vec![1, 2, 3]));
        held.lend(|value| {
            Box::pin(async move {
                value.clear();
                turn().await;
                value.push(4);
            })
        });
        assert!(held.poll(&mut cx).is_pending());
        assert!(held.take_back().is_empty());
        held.lend(|value| Box::pin(async move { value.push(5) }));
        drop(held);
    }
}
