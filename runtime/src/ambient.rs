//! The node that the code at hand runs on: set while an actor runs, so that a PID that came in a
//! message can be used as it is.

use std::cell::{Cell, RefCell};

use crate::{Node, node::workers::spin::worked};

thread_local! {
    static CURRENT: RefCell<Option<Node>> = const { RefCell::new(None) };
    /// The incarnation of the actor that runs; 0: none.
    static ACTOR: Cell<u64> = const { Cell::new(0) };
}

#[cfg(feature = "testkit")]
thread_local! {
    static ENTERED: Cell<u64> = const { Cell::new(0) };
}

/// How often an actor of this thread had its turn.
#[cfg(feature = "testkit")]
pub(crate) fn turns() -> u64 {
    ENTERED.get()
}

/// Gives the node back, and restores what was there before.
pub(crate) struct Guard<'a> {
    node: &'a mut Option<Node>,
    actor: u64,
}

/// Makes the node in `node`, and the actor of that incarnation, the current ones until the guard is
/// dropped; the node is moved there and back, because counting references would cost more than the rest of a short turn.
pub(crate) fn enter(node: &mut Option<Node>, actor: u64) -> Guard<'_> {
    worked();
    #[cfg(feature = "testkit")]
    ENTERED.set(ENTERED.get() + 1);
    swap(node);
    let actor = ACTOR.replace(actor);
    Guard { node, actor }
}

fn swap(node: &mut Option<Node>) {
    // After the thread-local is gone there is nothing left to restore.
    let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), node));
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        swap(self.node);
        ACTOR.set(self.actor);
    }
}

/// The current node.
pub(crate) fn current() -> Option<Node> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// The incarnation of the actor that runs, if it runs on `node`.
pub(crate) fn actor_of(node: &Node) -> Option<u64> {
    let here = |current: &RefCell<Option<Node>>| {
        let current = current.borrow();
        current.as_ref().is_some_and(|current| current.is(node))
    };
    let runs = CURRENT.try_with(here) == Ok(true);
    Some(ACTOR.get()).filter(|actor| runs && *actor != 0)
}

/// Whether there is a current node: an actor runs.
pub(crate) fn is_set() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()) == Ok(true)
}
