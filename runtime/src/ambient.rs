//! The node that the code at hand runs on: set while an actor runs, so that a PID that came in a
//! message can be used as it is.

use std::cell::RefCell;

use crate::Node;

thread_local! {
    static CURRENT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

#[cfg(feature = "testkit")]
thread_local! {
    static ENTERED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often an actor of this thread had its turn.
#[cfg(feature = "testkit")]
pub(crate) fn turns() -> u64 {
    ENTERED.get()
}

/// Gives the node back, and restores what was there before.
pub(crate) struct Guard<'a> {
    node: &'a mut Option<Node>,
}

/// Makes the node in `node` the current one until the guard is dropped; it is moved there and back,
/// because counting references would cost more than the rest of a short turn.
pub(crate) fn enter(node: &mut Option<Node>) -> Guard<'_> {
    #[cfg(feature = "testkit")]
    ENTERED.set(ENTERED.get() + 1);
    swap(node);
    Guard { node }
}

fn swap(node: &mut Option<Node>) {
    // After the thread-local is gone there is nothing left to restore.
    let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), node));
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        swap(self.node);
    }
}

/// The current node.
pub(crate) fn current() -> Option<Node> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Whether there is a current node: an actor runs.
pub(crate) fn is_set() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()) == Ok(true)
}
