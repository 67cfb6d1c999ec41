//! Monitors: who wants to know of whose end, here and on other nodes.
//!
//! Watchers of an actor of this node are kept in its cell. Watchers of actors elsewhere are kept
//! here, keyed by the watched PID, and fire when its node says so or is lost. Taking the entry out
//! before telling is what makes a notice arrive once. Frames to one node go in batches, so that many
//! monitors of its actors cost one.

pub(crate) mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{
    AnyPid, ExitReason, Exited, NodeAddr,
    cell::{AnyCell, Cell},
    frame::Frame,
    rt::{Actor, Handler},
};

use super::Node;
use table::Table;

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
    /// An actor of this node that monitors.
    Actor(Arc<dyn ExitSink>),
    /// An actor of this node that linked itself: however often, it is told once.
    Link(Arc<dyn ExitSink>),
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

    pub(crate) fn link<A: Actor + Handler<Exited>>(cell: Arc<Cell<A>>) -> Self {
        Watcher::Link(Arc::new(ActorSink(cell)))
    }

    /// Whether it is a monitor that the actor asked for.
    pub(crate) fn is_monitor_of(&self, pid: &AnyPid) -> bool {
        matches!(self, Watcher::Actor(sink) if sink.pid() == pid)
    }

    /// Whether it is the actor's side of a link.
    pub(crate) fn is_link_of(&self, pid: &AnyPid) -> bool {
        self.linked().is_some_and(|own| pid.means(own))
    }

    fn linked(&self) -> Option<&AnyPid> {
        match self {
            Watcher::Link(sink) => Some(sink.pid()),
            Watcher::Linked(cell) => Some(cell.pid()),
            _ => None,
        }
    }

    /// Whether one of the two is enough: both are the link of one actor, or the same node's.
    pub(crate) fn same(&self, other: &Watcher) -> bool {
        match (self, other) {
            (Watcher::Node(a, of), Watcher::Node(b, of_too)) => a == b && of == of_too,
            _ => self.linked().is_some() && self.linked() == other.linked(),
        }
    }
}

/// Who watches what across nodes.
pub(crate) struct Monitors {
    /// Watchers of actors on other nodes.
    afar: Table<AnyPid, Watcher>,
    /// Actors of this node that other nodes watch.
    from_afar: Mutex<BTreeMap<NodeAddr, BTreeSet<AnyPid>>>,
}

impl Default for Monitors {
    fn default() -> Self {
        Self {
            afar: Table::new(),
            from_afar: Mutex::default(),
        }
    }
}

impl Monitors {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<NodeAddr, BTreeSet<AnyPid>>> {
        self.from_afar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, node: &NodeAddr, target: &AnyPid) {
        let mut from_afar = self.watched();
        if let Some(targets) = from_afar.get_mut(node) {
            targets.remove(target);
            if targets.is_empty() {
                from_afar.remove(node);
            }
        }
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
            return;
        }
        let register = || {
            let target = pid.clone();
            let sent = self.inner.links.send(pid.node(), Frame::Monitor { target });
            sent.is_ok()
        };
        for watcher in self
            .inner
            .monitors
            .afar
            .add(pid, watcher, Watcher::same, register)
        {
            self.inform(watcher, pid.clone(), ExitReason::Unreachable);
        }
    }

    /// The watchers of `pid` that `gone` names are not told any more.
    pub(crate) fn unwatch(&self, pid: &AnyPid, gone: impl Fn(&Watcher) -> bool) {
        if pid.node() == self.addr() {
            if let Some(cell) = self.cell(pid) {
                cell.unwatch(&gone);
            }
            return;
        }
        self.inner.monitors.afar.remove(pid, gone, || {
            let target = pid.clone();
            // If the link is full or down, a notice that comes later finds nobody.
            let _ = self
                .inner
                .links
                .send(pid.node(), Frame::Demonitor { target });
        });
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

    /// Takes the link between `own`, an actor of this node, and `peer` back, on both sides.
    pub(crate) fn unlink(&self, own: &AnyPid, peer: &AnyPid) {
        self.forget_link(own, peer);
        if peer.node() == self.addr() {
            self.forget_link(peer, own);
        } else {
            let (watcher, target) = (peer.clone(), own.clone());
            // A link that is down told both sides, or will.
            let _ = self
                .inner
                .links
                .send(peer.node(), Frame::Unlink { watcher, target });
        }
    }

    /// Forgets that `watcher`, an actor of this node, is linked to `target`, by whichever of its
    /// addresses.
    pub(crate) fn forget_link(&self, watcher: &AnyPid, target: &AnyPid) {
        self.unwatch(target, |w| w.is_link_of(watcher));
        if target.incarnation() != 0 {
            self.unwatch(&target.any_incarnation(), |w| w.is_link_of(watcher));
        }
    }

    /// The node at `peer` wants to know when `target`, an actor of this node, ends.
    pub(crate) fn watch_for(&self, peer: &NodeAddr, target: AnyPid) {
        let watcher = Watcher::Node(peer.clone(), target.clone());
        // Before the actor can end and be forgotten.
        let mut from_afar = self.inner.monitors.watched();
        from_afar
            .entry(peer.clone())
            .or_default()
            .insert(target.clone());
        drop(from_afar);
        let refused = match self.cell(&target) {
            Some(cell) => cell.watch(watcher).err(),
            None => Some(watcher),
        };
        if let Some(watcher) = refused {
            self.inform(watcher, target, ExitReason::NoSuchActor);
        }
    }

    /// Takes [`Node::watch_for`] back.
    pub(crate) fn unwatch_for(&self, peer: &NodeAddr, target: &AnyPid) {
        let theirs = |w: &Watcher| matches!(w, Watcher::Node(n, t) if n == peer && t == target);
        if let Some(cell) = self.cell(target) {
            cell.unwatch(&theirs);
        }
        self.inner.monitors.forget(peer, target);
    }

    /// The node of `pid` says that it has ended.
    pub(crate) fn exited_afar(&self, pid: &AnyPid, reason: ExitReason) {
        for watcher in self.inner.monitors.afar.take(pid) {
            self.inform(watcher, pid.clone(), reason.clone());
        }
    }

    /// A node is lost, with all that lived there and all that was watched from there.
    pub(crate) fn lost_node(&self, addr: &NodeAddr, reason: &ExitReason) {
        let there = |pid: &AnyPid| pid.node() == addr;
        for (pid, watchers) in self.inner.monitors.afar.take_all(there) {
            for watcher in watchers {
                self.inform(watcher, pid.clone(), reason.clone());
            }
        }
        let from_there = |w: &Watcher| matches!(w, Watcher::Node(node, _) if node == addr);
        let watched = self.inner.monitors.watched().remove(addr);
        for target in watched.unwrap_or_default() {
            if let Some(cell) = self.cell(&target) {
                cell.unwatch(&from_there);
            }
        }
    }

    /// Tells `watcher`.
    pub(crate) fn inform(&self, watcher: Watcher, pid: AnyPid, reason: ExitReason) {
        #[cfg(feature = "testkit")]
        let Some((watcher, Exited { pid, reason })) =
            self.filter_exit(watcher, Exited { pid, reason })
        else {
            return;
        };
        match watcher {
            Watcher::Actor(sink) | Watcher::Link(sink) => sink.exited(Exited { pid, reason }),
            Watcher::Linked(cell) => cell.notify(Exited { pid, reason }),
            Watcher::Node(node, target) => {
                self.inner.monitors.forget(&node, &target);
                // A full or broken link: the peer learns it from the loss of the node.
                let _ = self
                    .inner
                    .links
                    .send(&node, Frame::Exited { target, reason });
            }
            Watcher::Once(sender) => drop(sender.send(Exited { pid, reason })),
        }
    }

    #[cfg(feature = "testkit")]
    fn filter_exit(&self, watcher: Watcher, exited: Exited) -> Option<(Watcher, Exited)> {
        match &self.inner.filters {
            Some(filters) => filters.exit(self, watcher, exited),
            None => Some((watcher, exited)),
        }
    }
}
