//! Monitors: who wants to know of whose end, here and on other nodes.
//!
//! Watchers of an actor of this node are kept in its cell. Watchers of actors elsewhere are kept
//! here, keyed by the watched PID, and fire when its node says so or is lost. Taking the entry out
//! before telling is what makes a notice arrive once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::oneshot;

use crate::{
    AnyPid, ExitReason, Exited, NodeAddr,
    cell::{AnyCell, Cell},
    frame::Frame,
    rt::{Actor, Handler},
};

use super::Node;

/// Tells an actor of this node.
pub(crate) trait ExitSink: Send + Sync {
    fn pid(&self) -> &AnyPid;
    fn exited(&self, exited: Exited);
}

struct ActorSink<A: Actor>(Arc<Cell<A>>);

impl<A: Actor + Handler<Exited>> ExitSink for ActorSink<A> {
    fn pid(&self) -> &AnyPid {
        &self.0.pid
    }

    fn exited(&self, exited: Exited) {
        self.0.post_first(exited);
    }
}

/// Who is to be told.
pub(crate) enum Watcher {
    /// An actor of this node.
    Actor(Arc<dyn ExitSink>),
    /// An actor of this node that was linked by its peer.
    Linked(Arc<dyn AnyCell>),
    /// A node, about the PID as it wrote it.
    Node(NodeAddr, AnyPid),
    /// A future.
    Once(oneshot::Sender<Exited>),
}

impl Watcher {
    pub(crate) fn actor<A: Actor + Handler<Exited>>(cell: Arc<Cell<A>>) -> Self {
        Watcher::Actor(Arc::new(ActorSink(cell)))
    }

    fn is(&self, pid: &AnyPid) -> bool {
        match self {
            Watcher::Actor(sink) => sink.pid() == pid,
            Watcher::Linked(cell) => cell.pid() == pid,
            Watcher::Node(..) | Watcher::Once(_) => false,
        }
    }
}

/// Watchers of actors on other nodes.
#[derive(Default)]
pub(crate) struct Monitors(Mutex<BTreeMap<AnyPid, Vec<Watcher>>>);

impl Monitors {
    /// Adds a watcher; true if it is the first of `pid`.
    fn add(&self, pid: &AnyPid, watcher: Watcher) -> bool {
        let mut table = self.0.lock().expect("no panic while monitors are held");
        let watchers = table.entry(pid.clone()).or_default();
        watchers.push(watcher);
        watchers.len() == 1
    }

    fn take(&self, pid: &AnyPid) -> Vec<Watcher> {
        self.0
            .lock()
            .expect("no panic while monitors are held")
            .remove(pid)
            .unwrap_or_default()
    }

    /// Removes `watcher` of `pid`; true if that was the last.
    fn remove(&self, pid: &AnyPid, watcher: &AnyPid) -> bool {
        let mut table = self.0.lock().expect("no panic while monitors are held");
        let Some(watchers) = table.get_mut(pid) else {
            return false;
        };
        watchers.retain(|w| !w.is(watcher));
        let last = watchers.is_empty();
        if last {
            table.remove(pid);
        }
        last
    }

    fn take_node(&self, node: &NodeAddr) -> Vec<(AnyPid, Vec<Watcher>)> {
        let mut table = self.0.lock().expect("no panic while monitors are held");
        table.extract_if(.., |pid, _| pid.node() == node).collect()
    }
}

impl Node {
    /// `watcher` is told once when `pid` ends, or at once if it has.
    pub(crate) fn watch(&self, pid: &AnyPid, watcher: Watcher) {
        if pid.node() == self.addr() {
            let refused = match self.cell(pid) {
                Some(cell) => cell.watch(watcher).err(),
                None => Some(watcher),
            };
            if let Some(watcher) = refused {
                self.inform(watcher, pid.clone(), ExitReason::NoSuchActor);
            }
        } else if self.inner.monitors.add(pid, watcher) {
            let frame = Frame::Monitor {
                target: pid.clone(),
            };
            if self.inner.links.send(pid.node(), frame).is_err() {
                self.exited_afar(pid, ExitReason::Unreachable);
            }
        }
    }

    pub(crate) fn unwatch(&self, pid: &AnyPid, watcher: &AnyPid) {
        if pid.node() == self.addr() {
            if let Some(cell) = self.cell(pid) {
                cell.unwatch(&|w| w.is(watcher));
            }
        } else if self.inner.monitors.remove(pid, watcher) {
            // If the link is full or down, a notice that comes later finds nobody.
            let _ = self.inner.links.send(
                pid.node(),
                Frame::Demonitor {
                    target: pid.clone(),
                },
            );
        }
    }

    /// Has `watcher` (anywhere) monitor `target`, an actor of this node.
    pub(crate) fn link_back(&self, watcher: &AnyPid, target: &AnyPid) {
        if watcher.node() != self.addr() {
            let (watcher, target) = (watcher.clone(), target.clone());
            let node = watcher.node().clone();
            let _ = self
                .inner
                .links
                .send(&node, Frame::Link { watcher, target });
        } else if let Some(cell) = self.cell(watcher) {
            self.watch(target, Watcher::Linked(cell));
        }
    }

    /// The node of `pid` says that it has ended.
    pub(crate) fn exited_afar(&self, pid: &AnyPid, reason: ExitReason) {
        for watcher in self.inner.monitors.take(pid) {
            self.inform(watcher, pid.clone(), reason.clone());
        }
    }

    /// A node is lost, with all that lived there and all that was watched from there.
    pub(crate) fn lost_node(&self, addr: &NodeAddr, reason: &ExitReason) {
        for (pid, watchers) in self.inner.monitors.take_node(addr) {
            for watcher in watchers {
                self.inform(watcher, pid.clone(), reason.clone());
            }
        }
        let from_there = |w: &Watcher| matches!(w, Watcher::Node(node, _) if node == addr);
        for cell in self.cells() {
            cell.unwatch(&from_there);
        }
    }

    /// Tells `watcher`.
    pub(crate) fn inform(&self, watcher: Watcher, pid: AnyPid, reason: ExitReason) {
        match watcher {
            Watcher::Actor(sink) => sink.exited(Exited { pid, reason }),
            Watcher::Linked(cell) => cell.notify(Exited { pid, reason }),
            Watcher::Node(node, target) => {
                // A full or broken link: the peer learns it from the loss of the node.
                let _ = self
                    .inner
                    .links
                    .send(&node, Frame::Exited { target, reason });
            }
            Watcher::Once(sender) => drop(sender.send(Exited { pid, reason })),
        }
    }
}
