//! [`Context`]: what a handler gets in hand. actix's `AsyncContext`, plus the actor's place in the
//! cluster: its PID, its node, the clock, links and monitors.

use std::{fmt, sync::Arc, time::Duration};

use actix::{
    ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, SpawnHandle,
    dev::{AsyncContextParts, ContextFut, ContextParts, Mailbox as ActixMailbox},
};

use super::{
    ActixActor, Actor,
    timers::{TimerHandle, Timers},
};
use crate::{
    AnyPid, ExitReason, Exited, Message, Node, Pid, TellError, cell::Cell, rt::drain::Drain,
    supervision::keeper::End,
};

type TimerFn<A> = Box<dyn FnOnce(&mut A, &mut Context<A>)>;

/// The execution context of an actor on a node.
pub struct Context<A: ActixActor<Context = Context<A>>> {
    parts: ContextParts<A>,
    node: Node,
    cell: Arc<Cell<A>>,
    timers: Timers<TimerFn<A>>,
    /// How it ends, where that is not a stop.
    exit: Option<ExitReason>,
    for_good: bool,
}

impl<A: ActixActor<Context = Context<A>>> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.cell.pid)
    }
}

impl<A: ActixActor<Context = Context<A>>> ActorContext for Context<A> {
    fn stop(&mut self) {
        self.parts.stop();
    }

    fn terminate(&mut self) {
        self.parts.terminate();
    }

    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl<A: ActixActor<Context = Context<A>>> AsyncContext<A> for Context<A> {
    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.spawn(future)
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.wait(future);
    }

    fn waiting(&self) -> bool {
        self.parts.waiting()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }

    fn address(&self) -> Addr<A> {
        self.parts.address()
    }
}

impl<A: ActixActor<Context = Context<A>>> AsyncContextParts<A> for Context<A> {
    fn parts(&mut self) -> &mut ContextParts<A> {
        &mut self.parts
    }
}

impl<A: Actor> Context<A> {
    /// The future that is the actor's life from here on.
    pub(crate) fn start(node: Node, cell: Arc<Cell<A>>, actor: A) -> ContextFut<A, Self> {
        let mailbox = ActixMailbox::default();
        let parts = ContextParts::new(mailbox.sender_producer());
        let mut ctx = Self {
            parts,
            node,
            cell,
            timers: Timers::new(),
            exit: None,
            for_good: false,
        };
        let drain = Drain::new(ctx.cell.clone());
        ctx.spawn(drain);
        ContextFut::new(ctx, actor, mailbox)
    }

    /// This actor's PID.
    pub fn pid(&self) -> Pid<A> {
        Pid::local(self.cell.clone())
    }

    /// This actor's PID without its type, as it goes into messages.
    pub fn any_pid(&self) -> AnyPid {
        self.cell.pid.clone()
    }

    /// The node that the actor lives on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Microseconds since the Unix epoch; virtual in simulations and tests.
    pub fn now(&self) -> u64 {
        self.node.now()
    }

    /// Sends a message to this actor itself, behind those already waiting.
    ///
    /// # Errors
    /// As [`Pid::tell`].
    pub fn tell_self<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.cell.tell(message)
    }

    /// Calls `f` after a while. All timers of an actor share one sleep, and go before messages.
    pub fn run_later<F>(&mut self, after: Duration, f: F) -> TimerHandle
    where
        F: FnOnce(&mut A, &mut Self) + 'static,
    {
        let handle = self.timers.set(after, Box::new(f));
        // Set by a future of the actor, the drain may have had its turn and not know of it.
        self.cell.mailbox.wake();
        handle
    }

    /// Calls `f` again and again, `every` after the call before ended.
    pub fn run_interval<F>(&mut self, every: Duration, mut f: F)
    where
        F: FnMut(&mut A, &mut Self) + 'static,
    {
        self.run_later(every, move |actor, ctx| {
            f(actor, ctx);
            ctx.run_interval(every, f);
        });
    }

    /// Takes a timer back; false if it has run.
    pub fn cancel_timer(&mut self, handle: TimerHandle) -> bool {
        self.timers.cancel(handle).is_some()
    }

    pub(crate) fn poll_timer(&mut self, cx: &mut std::task::Context<'_>) -> Option<TimerFn<A>> {
        self.timers.poll(cx)
    }

    /// Ends the actor as failed: its supervisor, links and monitors are told why.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.exit = Some(ExitReason::Failed(why.into()));
        self.parts.stop();
    }

    /// Stops the actor, and no supervisor makes it anew, even where it is a permanent child.
    pub fn stop_for_good(&mut self) {
        self.for_good = true;
        self.parts.stop();
    }

    pub(crate) fn kill(&mut self) {
        self.exit = Some(ExitReason::Killed);
        self.parts.terminate();
    }

    /// How the actor ended, once it has.
    pub(crate) fn end(&mut self) -> End {
        End {
            reason: self.exit.take().unwrap_or(ExitReason::Stopped),
            for_good: self.for_good,
        }
    }

    pub(crate) fn cell(&self) -> &Arc<Cell<A>> {
        &self.cell
    }

    /// Wants to know when `pid` ends: one [`Exited`] arrives, whatever happens.
    pub fn monitor(&self, pid: &AnyPid)
    where
        A: Handler<Exited>,
    {
        self.node.watch(pid, self.watcher());
    }

    /// Takes [`Context::monitor`] back.
    pub fn demonitor(&self, pid: &AnyPid) {
        self.node.unwatch(pid, &self.cell.pid);
    }

    /// Monitors `pid`, and has it monitor this actor. The peer must handle [`Exited`] too. However
    /// often two actors link, there is one link.
    pub fn link(&self, pid: &AnyPid)
    where
        A: Handler<Exited>,
    {
        let watcher = crate::node::monitors::Watcher::link(self.cell.clone());
        self.node.watch(pid, watcher);
        self.node.link_back(pid, &self.cell.pid);
    }

    fn watcher(&self) -> crate::node::monitors::Watcher
    where
        A: Handler<Exited>,
    {
        crate::node::monitors::Watcher::actor(self.cell.clone())
    }
}
