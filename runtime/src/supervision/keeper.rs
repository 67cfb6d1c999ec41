//! A keeper: decides, when one life of an actor is over, whether there is another.
//!
//! An actor that is never made anew has none. [`Own`] carries out a [`Supervision`]; the child of
//! a supervisor has the keeper of `slot.rs`, which asks the supervisor.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll, Waker},
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Supervision,
    intensity::{BackOff, Limit, Restarts},
};
use crate::{AnyPid, ExitReason, Node, cell::AnyCell};

/// How a life ended.
pub(crate) struct End {
    pub(crate) reason: ExitReason,
    /// The actor wants no other life, whatever its supervision says.
    pub(crate) for_good: bool,
}

/// What comes after the end.
pub(crate) enum Next {
    /// Another life.
    Life,
    /// Another life, for which orders to stop that came before count no more.
    FreshLife,
    /// None: the actor is buried.
    Burial(ExitReason),
}

/// See the module.
pub(crate) trait Keeper: Send {
    /// A life has begun: `started` has returned.
    fn started(&mut self) {}

    /// A life is over.
    fn ended(&mut self, end: End);

    /// What comes next; called after `ended` until it is known.
    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Next>;
}

/// The actors that wait for a restart, so that an order to stop need not wait for it.
#[derive(Default)]
pub(crate) struct Pausing {
    /// How many there are: most orders to stop find none, without the lock.
    count: AtomicUsize,
    wakers: Mutex<BTreeMap<AnyPid, Waker>>,
}

impl Pausing {
    /// Before it looks at its orders: one that comes after will see it, as the count and the orders
    /// are sequentially consistent.
    fn insert(&self, pid: &AnyPid, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.insert(pid.clone(), waker.clone());
        self.count.store(wakers.len(), Ordering::SeqCst);
    }

    fn remove(&self, pid: &AnyPid) -> Option<Waker> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = wakers.remove(pid);
        self.count.store(wakers.len(), Ordering::SeqCst);
        waker
    }

    /// Has the actor, which was just given an order, look at its orders, if it waits.
    pub(crate) fn wake(&self, pid: &AnyPid) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(waker) = self.remove(pid) {
            waker.wake();
        }
    }
}

/// Carries out a [`Supervision`].
pub(crate) struct Own {
    node: Node,
    cell: Arc<dyn AnyCell>,
    supervision: Supervision,
    restarts: Restarts,
    next: Option<ExitReason>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Own {
    pub(crate) fn new(node: Node, cell: Arc<dyn AnyCell>, supervision: Supervision) -> Self {
        Self {
            node,
            cell,
            supervision,
            restarts: Restarts::default(),
            next: None,
            pause: None,
        }
    }

    fn another(&mut self, end: &End) -> bool {
        let crashed = matches!(end.reason, ExitReason::Crashed(_) | ExitReason::Failed(_));
        if !crashed || end.for_good || self.told().is_some() {
            return false;
        }
        let limit = Limit {
            max: self.supervision.max_restarts,
            within: self.supervision.within,
        };
        let Some(earlier) = self.restarts.count(limit, self.node.now()) else {
            return false;
        };
        let back_off = BackOff {
            min: self.supervision.pause_min,
            max: self.supervision.pause_max,
        };
        let pause = back_off.pause(earlier);
        let (pid, reason) = (self.cell.pid(), &end.reason);
        tracing::warn!(%pid, %reason, ?pause, "actor ended badly; restarting it");
        self.pause = (!pause.is_zero()).then(|| Box::pin(sleep_until(Instant::now() + pause)));
        true
    }

    /// How it ends if it was told to end.
    fn told(&self) -> Option<ExitReason> {
        let asked = self.cell.asked();
        if asked.kill {
            Some(ExitReason::Killed)
        } else if asked.stop || self.node.is_stopped() {
            Some(ExitReason::Stopped)
        } else {
            None
        }
    }
}

impl Keeper for Own {
    fn ended(&mut self, end: End) {
        if !self.another(&end) {
            self.next = Some(end.reason);
        }
    }

    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Next> {
        if let Some(reason) = self.next.take() {
            return Poll::Ready(Next::Burial(reason));
        }
        let Some(pause) = &mut self.pause else {
            return Poll::Ready(Next::Life);
        };
        if pause.as_mut().poll(cx).is_ready() {
            self.pause = None;
            self.node.inner.pausing.remove(self.cell.pid());
            return Poll::Ready(Next::Life);
        }
        // Registered before it looks, so that an order in between wakes it.
        self.node.inner.pausing.insert(self.cell.pid(), cx.waker());
        match self.told() {
            Some(reason) => {
                self.node.inner.pausing.remove(self.cell.pid());
                Poll::Ready(Next::Burial(reason))
            }
            None => Poll::Pending,
        }
    }
}
