//! The system lane: a list that senders push onto and the receiver takes whole, then turns round.
//!
//! One pointer while it is empty. Unbounded: what travels here are exit notices, of which there is
//! one for each monitor that the actor itself has set.

use crate::sync::{
    UnsafeCell,
    atomic::{AtomicPtr, Ordering},
};

struct Node<T> {
    value: T,
    next: *mut Node<T>,
}

/// A queue for few messages.
pub(crate) struct Lane<T> {
    /// Newest first.
    pushed: AtomicPtr<Node<T>>,
    /// Oldest first; the receiver's.
    turned: UnsafeCell<*mut Node<T>>,
}

// SAFETY: nodes are owned by one thread at a time: the sender until the push, then the list, then
// the receiver that took the list; `pop` demands that there is one receiver at a time.
unsafe impl<T: Send> Send for Lane<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lane<T> {}

impl<T> Lane<T> {
    pub(crate) fn new() -> Self {
        Self {
            pushed: AtomicPtr::new(std::ptr::null_mut()),
            turned: UnsafeCell::new(std::ptr::null_mut()),
        }
    }

    pub(crate) fn push(&self, value: T) {
        let mut next = self.pushed.load(Ordering::Relaxed);
        let node = Box::into_raw(Box::new(Node { value, next }));
        while let Err(now) =
            self.pushed
                .compare_exchange_weak(next, node, Ordering::SeqCst, Ordering::Relaxed)
        {
            next = now;
            // SAFETY: not yet pushed, the node is ours.
            unsafe { (*node).next = next };
        }
    }

    /// Whether nothing was pushed since the last `pop` that returned `None`.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.pushed.load(Ordering::SeqCst).is_null()
    }

    /// The oldest message.
    ///
    /// # Safety
    /// No other thread is in `pop`, and what one did before is visible.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Option<T> {
        self.turned.with_mut(|turned| {
            // SAFETY: the caller is the only receiver.
            let turned = unsafe { &mut *turned };
            if turned.is_null() {
                if self.pushed.load(Ordering::Relaxed).is_null() {
                    return None;
                }
                // SAFETY: taken off the list, the nodes are the receiver's.
                *turned = unsafe { turn(self.pushed.swap(std::ptr::null_mut(), Ordering::SeqCst)) };
            }
            // SAFETY: a node of the turned list came from a box and is the receiver's.
            let node = unsafe { Box::from_raw(*turned) };
            *turned = node.next;
            Some(node.value)
        })
    }
}

/// Turns a list round.
///
/// # Safety
/// The caller owns its nodes.
unsafe fn turn<T>(mut node: *mut Node<T>) -> *mut Node<T> {
    let mut turned = std::ptr::null_mut();
    while !node.is_null() {
        // SAFETY: the caller owns the nodes.
        let next = unsafe { std::mem::replace(&mut (*node).next, turned) };
        turned = std::mem::replace(&mut node, next);
    }
    turned
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the lane.
        while unsafe { self.pop() }.is_some() {}
    }
}
