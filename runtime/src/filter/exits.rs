//! Notices of exits on their way to actors of this node: the only ones that a filter can keep.

use crate::{AnyPid, Exited, node::monitors::Watcher};

/// The actor of this node that is to be told, if one is.
pub(super) fn receiver(watcher: &Watcher) -> Option<AnyPid> {
    match watcher {
        Watcher::Actor(sink) | Watcher::Link(sink) => Some(sink.pid().clone()),
        Watcher::Linked(cell) => Some(cell.pid().clone()),
        Watcher::Node(..) | Watcher::Once(_) => None,
    }
}

/// Tells it, past all filters.
pub(super) fn tell(watcher: &Watcher, exited: Exited) {
    match watcher {
        Watcher::Actor(sink) | Watcher::Link(sink) => sink.exited(exited),
        Watcher::Linked(cell) => cell.notify(exited),
        Watcher::Node(..) | Watcher::Once(_) => {}
    }
}
