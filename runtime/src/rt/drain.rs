//! The drain: feeds an actor from its mailbox, timers and the runtime's own messages first.
//!
//! It is the one long-lived future of every context. After `BUDGET` messages it yields, so that
//! timers and the other actors of the thread have their turn.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{self, Poll},
};

use actix::{ActorContext, ActorFuture, AsyncContext};

use super::{Actor, Context, envelope::Envelope, life::panic_text, vitals::Stopwatch};
use crate::cell::{Cell, Order};

const BUDGET: usize = 256;

pub(crate) struct Drain<A: Actor> {
    cell: Arc<Cell<A>>,
    watch: Stopwatch,
}

impl<A: Actor> Drain<A> {
    pub(crate) fn new(cell: Arc<Cell<A>>) -> Self {
        Self {
            cell,
            watch: Stopwatch::default(),
        }
    }

    fn obey(&self, order: Order<A>, actor: &mut A, ctx: &mut Context<A>) {
        match order {
            Order::Stop => ctx.stop(),
            Order::Kill => {
                ctx.kill();
            }
            Order::Open(envelope) => self.open(envelope, actor, ctx),
        }
    }

    fn open(&self, envelope: Box<dyn Envelope<A>>, actor: &mut A, ctx: &mut Context<A>) {
        self.cell.handled.fetch_add(1, Ordering::Relaxed);
        let name = envelope.name();
        #[cfg(feature = "testkit")]
        self.cell.trace_handled(&*envelope);
        let opened = catch_unwind(AssertUnwindSafe(|| envelope.open(actor, ctx)));
        if let Err(panic) = opened {
            if !self.cell.resumes {
                resume_unwind(panic);
            }
            let why = panic_text(panic);
            tracing::warn!(pid = %self.cell.pid, message = name, why, "handler panicked; actor resumed");
        }
    }

    /// Whether the actor can go on; if not, the context is stopping or waits for a future.
    fn urgent(&self, actor: &mut A, ctx: &mut Context<A>, cx: &mut task::Context<'_>) -> bool {
        while !ctx.waiting() {
            if let Some(order) = self.cell.mailbox.pop_system() {
                self.obey(order, actor, ctx);
            } else if let Some(timer) = ctx.poll_timer(cx) {
                timer(actor, ctx);
            } else {
                return true;
            }
        }
        false
    }
}

impl<A: Actor> ActorFuture<A> for Drain<A> {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        let turn = self.watch.begin();
        let polled = self.turn(actor, ctx, cx);
        turn.end(&self.cell.vitals);
        polled
    }
}

impl<A: Actor> Drain<A> {
    fn turn(&self, actor: &mut A, ctx: &mut Context<A>, cx: &mut task::Context<'_>) -> Poll<()> {
        let mut left = BUDGET;
        loop {
            if !self.urgent(actor, ctx, cx) {
                return Poll::Pending;
            }
            match self.cell.mailbox.pop() {
                Some(envelope) => self.open(envelope, actor, ctx),
                None if self.cell.mailbox.sleep(cx.waker()) => return Poll::Pending,
                None => continue,
            }
            left -= 1;
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}
