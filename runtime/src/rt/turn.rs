//! Turns: an actor's life from start to end, a turn at a time, as its thread gives them.
//!
//! ```text
//!  a turn:  signals -> async handler under way -> waits -> { system lane, timers, messages } -> futures
//!              ^                                                                                    |
//!              +------------------------------- while anything is new ------------------------------+
//! ```
//!
//! What comes later in that order is not looked at while something before it is pending, as with
//! actix's contexts: a `wait` (so an `AtomicResponse`) keeps messages, timers and futures out. After
//! `BUDGET` messages the turn ends, so that timers and the other actors of the thread have theirs; at
//! `PARTS` times that if the messages take next to no time.

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
        mailbox::{Receiving, signal},
        place::{Taken, taken},
    },
    vitals::{Stopwatch, Turn},
};
use crate::{ExitReason, Node, blocking::Watch, cell::Cell, supervision::keeper::End};

/// Messages in a turn, and in a further part of one that took no longer than `LONG` so far.
const BUDGET: usize = 256;
/// Parts of a turn.
const PARTS: usize = 8;
/// After that long a turn ends with the part at hand.
const LONG: Duration = Duration::from_micros(50);
/// So many messages before the end of a turn's first part the turn looks at the clock.
const EARLY: usize = BUDGET - 16;
/// Messages between two looks at the clock, for an actor with timers.
const TIMER_BUDGET: usize = 32;

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

/// What a step of a turn found.
enum Step {
    /// Nothing more to do here.
    Done,
    /// The rest of the turn must not run.
    Blocked,
    /// More is waiting, but the turn is over.
    Spent,
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
        loop {
            let signals = cell.mailbox.signals();
            if signals & signal::KILL != 0 {
                return Poll::Ready(self.end_as(ExitReason::Killed));
            }
            if signals & signal::OVERFLOW != 0 {
                let why = "its mailbox overflowed".to_owned();
                return Poll::Ready(self.end_as(ExitReason::Failed(why)));
            }
            if self.is_blocked(cell, cx) {
                if receiving.sleep_deaf(cx.waker()) {
                    return Poll::Pending;
                }
                continue;
            }
            if cell.mailbox.signals() & signal::STOP != 0 {
                receiving.clear(signal::STOP);
                self.core().ctx.stop();
            }
            let messages = self.messages(cell, &mut receiving, cx);
            if self.body.is_lent() || !matches!(messages, Step::Blocked) && self.futures(cx) {
                continue;
            }
            let phase = self.core().ctx.phase;
            match phase {
                Phase::Running => {}
                Phase::Stopping if self.refuses_to_stop() => continue,
                Phase::Stopping | Phase::Stopped => return Poll::Ready(self.end()),
            }
            match messages {
                Step::Spent => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Done if receiving.sleep(cx.waker()) => return Poll::Pending,
                Step::Done | Step::Blocked => {}
            }
        }
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

    /// Handles what is due, up to the budget.
    fn messages(
        &mut self,
        cell: &Cell<A>,
        receiving: &mut Receiving<'_, Envelope<A>>,
        cx: &mut task::Context<'_>,
    ) -> Step {
        let (mut left, mut look) = (BUDGET, 0);
        let (mut parts, mut began) = (PARTS, None);
        loop {
            let Some(core) = self.body.get() else {
                return Step::Blocked;
            };
            if core.ctx.waiting() || cell.mailbox.signals() != 0 {
                return Step::Blocked;
            }
            if let Some(notice) = receiving.pop_system() {
                taken(notice, |notice| self.open(notice, cell));
                continue;
            }
            if let Some(extras) = &mut core.ctx.extras
                && (look == 0 || extras.timers.is_changed())
            {
                if let Some(timer) = extras.timers.poll(cx) {
                    timer(&mut core.actor, &mut core.ctx);
                    continue;
                }
                look = TIMER_BUDGET;
            }
            if left == EARLY {
                began.get_or_insert_with(Instant::now);
            }
            if left == 0 {
                parts -= 1;
                if parts == 0 || began.is_none_or(|began: Instant| began.elapsed() > LONG) {
                    return Step::Spent;
                }
                left = BUDGET;
            }
            let opened = receiving.pop_with(|envelope| self.open(envelope, cell));
            if opened.is_none() {
                return Step::Done;
            }
            left -= 1;
            look = look.saturating_sub(1);
        }
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
