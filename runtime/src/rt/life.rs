//! An actor's life: started, restarted as its supervision allows, ended, and mourned.
//!
//! ```text
//!  running --stop--> Stopped ----------------------------+
//!     |  ^                                               v
//!   panic, fail() --> may restart? --no--> Crashed --> buried: name free, mailbox closed,
//!        |               | yes                          watchers told
//!        +--- back-off <-+
//! ```

use std::{
    any::Any,
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use actix::dev::ContextFut;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Actor, Context};
use crate::{ExitReason, Node, Supervision, ambient, cell::Cell};

/// Makes the actor; again for each restart.
pub(crate) type Factory<A> = Box<dyn FnMut() -> A>;

type Running<A> = Pin<Box<ContextFut<A, Context<A>>>>;

pub(crate) struct Life<A: Actor> {
    node: Node,
    cell: Arc<Cell<A>>,
    factory: Factory<A>,
    supervision: Supervision,
    running: Option<Running<A>>,
    restarts: VecDeque<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<A: Actor> Life<A> {
    pub(crate) fn new(
        node: Node,
        cell: Arc<Cell<A>>,
        factory: Factory<A>,
        supervision: Supervision,
    ) -> Self {
        let restarts = VecDeque::new();
        Self {
            node,
            cell,
            factory,
            supervision,
            running: None,
            restarts,
            pause: None,
        }
    }

    /// Runs the actor until it ends once; `Poll::Ready` with how.
    fn run(&mut self, cx: &mut task::Context<'_>) -> Poll<ExitReason> {
        let (node, cell, factory) = (&self.node, &self.cell, &mut self.factory);
        let running = &mut self.running;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let life = running.get_or_insert_with(|| {
                Box::pin(Context::start(node.clone(), cell.clone(), factory()))
            });
            life.as_mut().poll(cx).map(|()| life.ctx().exit_reason())
        }));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(reason)) => {
                self.discard();
                Poll::Ready(reason)
            }
            Err(panic) => {
                self.discard();
                Poll::Ready(ExitReason::Crashed(panic_text(panic.as_ref())))
            }
        }
    }

    /// Drops the actor; whatever it does in `stopped` or `drop`, the thread lives on.
    fn discard(&mut self) {
        let running = self.running.take();
        if catch_unwind(AssertUnwindSafe(|| drop(running))).is_err() {
            tracing::warn!(pid = %self.cell.pid, "panicked while it was dropped");
        }
    }

    /// Whether there is a next life; if so, its back-off is set.
    fn restarts(&mut self, reason: &ExitReason) -> bool {
        let ExitReason::Crashed(why) = reason else {
            return false;
        };
        let now = Instant::now();
        let within = self.supervision.within;
        self.restarts.retain(|&at| now.duration_since(at) < within);
        let count = self.restarts.len();
        if count >= self.supervision.max_restarts || self.cell.is_killed() {
            return false;
        }
        self.restarts.push_back(now);
        let pause = self.supervision.pause(count);
        tracing::warn!(pid = %self.cell.pid, why, ?pause, "actor crashed; restarting it");
        self.pause = (!pause.is_zero()).then(|| Box::pin(sleep_until(now + pause)));
        true
    }
}

impl<A: Actor> Future for Life<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let _ambient = ambient::enter(&this.node);
        loop {
            if let Some(pause) = &mut this.pause {
                task::ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            let reason = task::ready!(this.run(cx));
            if !this.restarts(&reason) {
                this.node.bury(&*this.cell, reason);
                return Poll::Ready(());
            }
        }
    }
}

impl<A: Actor> Drop for Life<A> {
    /// The thread or the simulated host ends before the actor does.
    fn drop(&mut self) {
        if self.running.is_some() {
            let node = self.node.clone();
            let _ambient = ambient::enter(&node);
            self.discard();
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}
