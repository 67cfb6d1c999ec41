//! Ends: of actors, as ordered or not, and of the node.

use std::sync::atomic::{Ordering, fence};

use tokio::sync::oneshot;

use super::{Node, monitors::Watcher};
use crate::{AnyPid, ExitReason, Exited, Undeliverable, cell::AnyCell};

impl Node {
    /// Asks the actor to stop; its name is free again once it has.
    pub fn stop(&self, pid: &AnyPid) {
        if let Some(cell) = self.cell(pid) {
            cell.stop();
        }
    }

    /// Ends an actor of this node as soon as the handler at hand returns, without asking `stopping`
    /// and without a restart, unless it is a supervisor's child: then the supervisor decides.
    pub fn kill(&self, pid: &AnyPid) {
        if let Some(cell) = self.cell(pid) {
            cell.kill();
        }
    }

    /// Waits for the end of `pid`; at once if it has ended.
    pub async fn monitor(&self, pid: &AnyPid) -> Exited {
        let (sender, receiver) = oneshot::channel();
        self.watch(pid, Watcher::Once(sender));
        let lost = || Exited {
            pid: pid.clone(),
            reason: ExitReason::Unreachable,
        };
        receiver.await.unwrap_or_else(|_| lost())
    }

    /// Takes an actor that has ended off the registry and tells its watchers.
    pub(crate) fn bury(&self, cell: &dyn AnyCell, reason: ExitReason) {
        let pid = cell.pid();
        // Before it is gone: who finds no actor finds its work counted.
        cell.count_end();
        self.inner.registry.remove_if(pid.name(), |_, kept| {
            kept.pid().incarnation() == pid.incarnation()
        });
        let watchers = cell.close(&mut |message| {
            self.dead_letter(pid, message, &Undeliverable::NoSuchActor);
        });
        match &reason {
            ExitReason::Crashed(_) | ExitReason::Failed(_) => {
                tracing::error!(%pid, %reason, "actor ended badly");
            }
            reason => tracing::debug!(%pid, %reason, "actor ended"),
        }
        for watcher in watchers {
            self.inform_of(watcher, pid, &reason);
        }
        // Either this is seen to be set, or `shutdown` sees that the name is gone.
        fence(Ordering::SeqCst);
        if self.is_stopped() {
            self.inner.buried.notify_waiters();
        }
    }

    fn inform_of(&self, watcher: Watcher, pid: &AnyPid, reason: &ExitReason) {
        self.inform(watcher, pid.clone(), reason.clone());
    }

    /// Stops all actors, says goodbye to all peers, and ends the worker threads.
    pub async fn shutdown(&self) {
        self.inner.stopped.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Supervisors stop their children themselves, in order.
        for cell in self.cells() {
            if !cell.asked().by_supervisor {
                cell.stop();
            }
        }
        loop {
            let buried = self.inner.buried.notified();
            if self.inner.registry.is_empty() {
                break;
            }
            buried.await;
        }
        self.inner.http.stop();
        self.inner.links.shutdown().await;
        self.inner.placement.shutdown();
    }
}
