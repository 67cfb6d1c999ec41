//! The node that the code at hand runs on: set while an actor runs, so that a PID that came in a
//! message can be used as it is.

use std::cell::RefCell;

use crate::Node;

thread_local! {
    static CURRENT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Restores what was there before.
pub(crate) struct Guard(Option<Node>);

/// Makes `node` the current one until the guard is dropped.
pub(crate) fn enter(node: &Node) -> Guard {
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
