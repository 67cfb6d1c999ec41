//! Turns: an actor's life from start to end, a turn at a time, as its thread gives them. In which
//! order a turn does things is [`round`](super::raw::round)'s; here is what it does with an actor.
//!
//! As with actix's contexts, a `wait` (so an `AtomicResponse`) keeps messages, timers and futures out;
//! so does an async handler, which has the actor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::{self, Poll},
    time::Duration,
};

use actix::{ActorContext, AsyncContext, Running};
use tokio::time::Instant;

use super::{
    ActixActor, Actor, Context,
    context::Phase,
    envelope::Envelope,
    raw::{
        held::Held,
        mailbox::signal,
        place::Taken,
        round::{self, Ending, Handed, Life, Timers},
    },
    vitals::{Stopwatch, Turn},
};
use crate::{ExitReason, Node, blocking::Watch, cell::Cell, supervision::keeper::End};

/// After that long a turn ends with the part at hand.
const LONG: Duration = Duration::from_micros(50);

/// An actor with its context.
pub(crate) struct Core<A: ActixActor<Context = Context<A>>> {
    pub(crate) actor: A,
    pub(crate) ctx: Context<A>,
}

/// What an envelope is opened to: the actor, which an async handler may hold.
pub(crate) type Body<A> = Held<Core<A>>;

/// A running actor.
pub(super) struct Turns<A: Actor> {
    body: Body<A>,
    started: bool,
    ended: bool,
    watch: Stopwatch,
}

/// A running actor in its turn.
struct InTurn<'a, A: Actor> {
    turns: &'a mut Turns<A>,
    cell: &'a Cell<A>,
    /// When the turn looked at the clock.
    looked: Option<Instant>,
}

impl<A: Actor> Life<Envelope<A>> for InTurn<'_, A> {
    type End = End;

    fn end_at_once(&mut self, signals: u8) -> End {
        let reason = if signals & signal::KILL != 0 {
            ExitReason::Killed
        } else {
            ExitReason::Failed("its mailbox overflowed".to_owned())
        };
        self.turns.end_as(reason)
    }

    #[inline]
    fn is_blocked(&mut self, cx: &mut task::Context<'_>) -> bool {
        self.turns.is_blocked(self.cell, cx)
    }

    fn stop(&mut self) {
        self.turns.core().ctx.stop();
    }

    #[inline]
    fn receives(&mut self) -> bool {
        let core = self.turns.body.get();
        core.is_some_and(|core| !core.ctx.waiting())
    }

    #[inline]
    fn timer(&mut self, look: bool, cx: &mut task::Context<'_>) -> Timers {
        let Some(core) = self.turns.body.get() else {
            return Timers::Unasked;
        };
        let Some(extras) = &mut core.ctx.extras else {
            return Timers::Unasked;
        };
        if !look && !extras.timers.is_changed() {
            return Timers::Unasked;
        }
        let Some(timer) = extras.timers.poll(cx) else {
            return Timers::NoneDue;
        };
        timer(&mut core.actor, &mut core.ctx);
        Timers::Handled
    }

    #[inline]
    fn open(&mut self, envelope: Taken<'_, Envelope<A>>) {
        self.turns.open(envelope, self.cell);
    }

    fn look_at_clock(&mut self) {
        self.looked = Some(Instant::now());
    }

    fn has_time(&mut self) -> bool {
        self.looked.is_some_and(|looked| looked.elapsed() <= LONG)
    }

    #[inline]
    fn beside(&mut self, handed: Handed, cx: &mut task::Context<'_>) -> bool {
        self.turns.body.is_lent() || handed != Handed::Blocked && self.turns.futures(cx)
    }

    #[inline]
    fn ending(&mut self) -> Ending<End> {
        let phase = self.turns.core().ctx.phase;
        match phase {
            Phase::Running => Ending::Lives,
            Phase::Stopping if self.turns.refuses_to_stop() => Ending::Refuses,
            Phase::Stopping | Phase::Stopped => Ending::Ends(self.turns.end()),
        }
    }
}

impl<A: Actor> Turns<A> {
    pub(super) fn new(node: Node, cell: Arc<Cell<A>>, actor: A) -> Self {
        let ctx = Context::new(node, cell);
        Self {
            body: Held::new(Core { actor, ctx }),
            started: false,
            ended: false,
            watch: Stopwatch::default(),
        }
    }

    /// Takes a turn; ready when the actor has ended.
    pub(super) fn poll(&mut self, cell: &Cell<A>, cx: &mut task::Context<'_>) -> Poll<End> {
        let turn = match self.is_idle(cell) {
            true => Turn::untimed(),
            false => self.watch.begin(),
        };
        let polled = self.take(cell, cx);
        turn.end(&cell.vitals);
        polled
    }

    fn take(&mut self, cell: &Cell<A>, cx: &mut task::Context<'_>) -> Poll<End> {
        let Some(mut receiving) = cell.mailbox.receive() else {
            // Cannot be: an actor has one life at a time.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        if !std::mem::replace(&mut self.started, true)
            && let Some(core) = self.body.get()
        {
            core.actor.started(&mut core.ctx);
        }
        let mut life = InTurn {
            turns: self,
            cell,
            looked: None,
        };
        round::turn(&cell.mailbox, &mut receiving, &mut life, cx)
    }

    /// Whether there is nothing for it but to start or to end: not worth a look at the clock.
    fn is_idle(&mut self, cell: &Cell<A>) -> bool {
        let core = self.body.get();
        cell.mailbox.is_idle() && core.is_some_and(|core| core.ctx.extras.is_none())
    }

    /// The core, where no handler has it.
    fn core(&mut self) -> &mut Core<A> {
        debug_assert!(!self.body.is_lent(), "an async handler has the actor");
        self.body.take_back()
    }

    /// Goes on with what keeps everything else out: an async handler, then waits, the last first.
    fn is_blocked(&mut self, cell: &Cell<A>, cx: &mut task::Context<'_>) -> bool {
        loop {
            if self.body.is_lent() {
                if self.poll_lent(cell, cx).is_pending() {
                    return true;
                }
                continue;
            }
            let core = self.core();
            let Some(extras) = &mut core.ctx.extras else {
                return false;
            };
            if core.ctx.phase != Phase::Running {
                return false;
            }
            if let Some(begin) = extras.begin.take() {
                begin(&mut self.body);
                continue;
            }
            let Some(mut wait) = extras.waits.pop() else {
                return false;
            };
            let pending = wait
                .as_mut()
                .poll(&mut core.actor, &mut core.ctx, cx)
                .is_pending();
            if pending && core.ctx.phase == Phase::Running {
                // Before those that it has set meanwhile, as with actix.
                core.ctx.extras().waits.push(wait);
                return true;
            }
        }
    }

    fn poll_lent(&mut self, cell: &Cell<A>, cx: &mut task::Context<'_>) -> Poll<()> {
        if !cell.resumes {
            return self.body.poll(cx);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| self.body.poll(cx)));
        polled.unwrap_or_else(|panic| {
            self.body.take_back();
            cell.resumed("an async handler", panic);
            Poll::Ready(())
        })
    }

    #[inline]
    fn open(&mut self, envelope: Taken<'_, Envelope<A>>, cell: &Cell<A>) {
        // Only this thread counts.
        let handled = cell.handled.load(Ordering::Relaxed);
        cell.handled.store(handled + 1, Ordering::Relaxed);
        #[cfg(feature = "testkit")]
        cell.trace_handled(envelope.get());
        let name = envelope.get().name();
        let watch = cfg!(debug_assertions).then(Watch::start);
        self.open_guarded(envelope, name, cell);
        if let Some(watch) = watch {
            watch.stop(&cell.pid, name);
        }
    }

    #[inline]
    fn open_guarded(
        &mut self,
        envelope: Taken<'_, Envelope<A>>,
        name: &'static str,
        cell: &Cell<A>,
    ) {
        if !cell.resumes {
            return Envelope::open(envelope, &mut self.body);
        }
        let opened = catch_unwind(AssertUnwindSafe(|| {
            Envelope::open(envelope, &mut self.body);
        }));
        if let Err(panic) = opened {
            cell.resumed(name, panic);
        }
    }

    /// Polls the futures that run beside messages, and what came through a plain actix address.
    /// True when that brought something new.
    fn futures(&mut self, cx: &mut task::Context<'_>) -> bool {
        let Core { actor, ctx } = self.core();
        if let Some(mut mailbox) = ctx.take_actix_mailbox() {
            mailbox.poll(actor, ctx, cx);
            ctx.return_actix_mailbox(mailbox);
            if ctx.waiting() {
                return ctx.phase == Phase::Running;
            }
        }
        let Some(extras) = &mut ctx.extras else {
            return false;
        };
        let mut items = std::mem::take(&mut extras.items);
        extras.cancel(&mut items);
        let mut blocked = false;
        let mut at = 0;
        while at < items.len() && ctx.phase == Phase::Running && !blocked {
            let ended = items[at].1.as_mut().poll(actor, ctx, cx).is_ready();
            if ended {
                drop(items.swap_remove(at));
            }
            blocked = ctx.waiting();
            if blocked && !ended {
                // Last in line, so that its waits do not keep the others out for ever.
                let last = items.len() - 1;
                items.swap(at, last);
            } else if !ended {
                at += 1;
            }
            blocked |= ctx
                .extras
                .as_ref()
                .is_some_and(|extras| !extras.cancelled.is_empty());
        }
        let extras = ctx.extras();
        let new = !extras.items.is_empty() || !extras.cancelled.is_empty();
        items.append(&mut extras.items);
        extras.cancel(&mut items);
        extras.items = items;
        let unset = extras.timers.is_changed() || extras.begin.is_some();
        (new || blocked || unset) && ctx.phase == Phase::Running
    }

    fn refuses_to_stop(&mut self) -> bool {
        let core = self.core();
        let refuses = core.actor.stopping(&mut core.ctx) == Running::Continue;
        if refuses {
            core.ctx.phase = Phase::Running;
        }
        refuses
    }

    /// Ends at once, whoever has the actor.
    fn end_as(&mut self, reason: ExitReason) -> End {
        self.body.take_back().ctx.end_as(reason);
        self.end()
    }

    fn end(&mut self) -> End {
        self.ended = true;
        let core = self.body.take_back();
        core.ctx.phase = Phase::Stopped;
        core.actor.stopped(&mut core.ctx);
        core.ctx.end()
    }

    /// Crashed, or the thread ends before the actor does: it has its last say, as with actix.
    pub(super) fn say_last(&mut self) {
        if self.started && !std::mem::replace(&mut self.ended, true) {
            let core = self.body.take_back();
            core.ctx.stop();
            if core.actor.stopping(&mut core.ctx) == Running::Stop {
                core.ctx.phase = Phase::Stopped;
                core.actor.stopped(&mut core.ctx);
            }
        }
    }
}
