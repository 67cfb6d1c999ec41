//! An actor's life: started, restarted as its supervision allows, ended, and mourned.
//!
//! ```text
//!  running --stop--> Stopped --------+
//!     |  ^                           v
//!   panic, fail(), kill --------> a keeper? --no--> buried: name free, mailbox closed,
//!        |                           | yes             watchers told
//!        +--- another life <---------+ ---- no other --^
//! ```

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use super::{Actor, turn::Turns};
use crate::{
    ExitReason, Node, ambient,
    cell::Cell,
    supervision::keeper::{End, Keeper, Next},
};

/// Where an actor's lives come from.
pub(crate) enum Source<A> {
    /// It was given, and lives once.
    Given(Option<A>),
    /// Makes the actor; again for each restart.
    Made(Box<dyn FnMut() -> A>),
}

impl<A> Source<A> {
    fn make(&mut self) -> A {
        match self {
            Source::Given(actor) => actor.take().expect("given for one life"),
            Source::Made(make) => make(),
        }
    }
}

pub(crate) struct Life<A: Actor> {
    /// Lent to the code that runs: [`ambient`] has it meanwhile.
    node: Option<Node>,
    cell: Arc<Cell<A>>,
    source: Source<A>,
    /// Decides on another life; none: the first is the only one.
    keeper: Option<Box<dyn Keeper>>,
    running: Option<Turns<A>>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be started.
    New,
    /// `started` has returned.
    Running,
    /// Over; the keeper decides.
    Over,
}

impl<A: Actor> Life<A> {
    pub(crate) fn new(
        node: Node,
        cell: Arc<Cell<A>>,
        source: Source<A>,
        keeper: Option<Box<dyn Keeper>>,
    ) -> Self {
        Self {
            node: Some(node),
            cell,
            source,
            keeper,
            running: None,
            stage: Stage::New,
        }
    }

    /// Runs the actor until it ends once; `Poll::Ready` with how.
    fn run(&mut self, cx: &mut task::Context<'_>) -> Poll<End> {
        let (cell, source) = (&self.cell, &mut self.source);
        let running = &mut self.running;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let turns =
                running.get_or_insert_with(|| Turns::new(lent(), cell.clone(), source.make()));
            turns.poll(cell, cx)
        }));
        if self.stage == Stage::New && polled.is_ok() {
            self.stage = Stage::Running;
            if let Some(keeper) = &mut self.keeper {
                keeper.started();
            }
        }
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(end)) => {
                self.discard();
                Poll::Ready(end)
            }
            Err(panic) => {
                let reason = ExitReason::Crashed(panic_text(panic));
                self.discard();
                let for_good = false;
                Poll::Ready(End { reason, for_good })
            }
        }
    }

    /// Lets the actor end and drops it; whatever it does in `stopped` or `drop`, the thread lives on.
    fn discard(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        // One at a time: two panics at once would end the process.
        let stopped = catch_unwind(AssertUnwindSafe(|| running.say_last()));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(running)));
        for panic in [stopped, dropped].into_iter().filter_map(Result::err) {
            let why = panic_text(panic);
            tracing::warn!(pid = %self.cell.pid, why, "panicked after its end");
        }
    }

    /// What comes after the end.
    fn next(&mut self, cx: &mut task::Context<'_>) -> Poll<Next> {
        match &mut self.keeper {
            Some(keeper) => keeper.poll_next(cx),
            None => unreachable!("an actor without a keeper is buried at once"),
        }
    }
}

impl<A: Actor> Future for Life<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut node = this.node.take();
        let entered = ambient::enter(&mut node, this.cell.pid.incarnation());
        let polled = this.live(cx);
        drop(entered);
        this.node = node;
        polled
    }
}

/// The node of the life that is being polled.
fn lent() -> Node {
    ambient::current().expect("`Life::poll` has entered it")
}

impl<A: Actor> Life<A> {
    fn live(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self;
        loop {
            if this.stage == Stage::Over {
                match task::ready!(this.next(cx)) {
                    Next::Life => {}
                    Next::FreshLife => this.cell.refresh(),
                    Next::Burial(reason) => {
                        lent().bury(&*this.cell, reason);
                        return Poll::Ready(());
                    }
                }
                this.cell.vitals.restarted();
                this.stage = Stage::New;
            }
            let end = task::ready!(this.run(cx));
            this.stage = Stage::Over;
            match &mut this.keeper {
                Some(keeper) => {
                    this.cell.vitals.ended(&end.reason.to_string());
                    keeper.ended(end);
                }
                None => {
                    lent().bury(&*this.cell, end.reason);
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl<A: Actor> Drop for Life<A> {
    /// The thread or the simulated host ends before the actor does.
    fn drop(&mut self) {
        if self.running.is_some() {
            let mut node = self.node.take();
            let _ambient = ambient::enter(&mut node, self.cell.pid.incarnation());
            self.discard();
        }
    }
}

/// What a panic says. Its payload may be anything, also something that panics when it is dropped.
pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned());
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    text
}
