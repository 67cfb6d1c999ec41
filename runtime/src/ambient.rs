//! The node that the code at hand runs on: set while an actor runs, so that a PID that came in a
//! message can be used as it is.

use std::cell::RefCell;

use crate::Node;

thread_local! {
    static CURRENT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Restores what was there before.
pub(crate) struct Guard(Option<Node>);

#[cfg(feature = "testkit")]
thread_local! {
    static ENTERED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often an actor of this thread had its turn.
#[cfg(feature = "testkit")]
pub(crate) fn turns() -> u64 {
    ENTERED.get()
}

/// Makes `node` the current one until the guard is dropped.
pub(crate) fn enter(node: &Node) -> Guard {
    #[cfg(feature = "testkit")]
    ENTERED.set(ENTERED.get() + 1);
    Guard(CURRENT.with(|current| current.replace(Some(node.clone()))))
}

impl Drop for Guard {
    fn drop(&mut self) {
        let before = self.0.take();
        // After the thread-local is gone there is nothing left to restore.
        let _ = CURRENT.try_with(|current| current.replace(before));
    }
}

/// The current node.
pub(crate) fn current() -> Option<Node> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}
