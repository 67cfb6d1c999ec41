//! [`Context`]: what a handler gets in hand. actix's `AsyncContext`, plus the actor's place in the
//! cluster: its PID, its node, the clock, links and monitors.
//!
//! The context only takes note of what the handler wants (futures, waits, timers, the end); `turn`
//! carries it out, in actix's order.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    pin::Pin,
    sync::Arc,
    task,
    time::Duration,
};

use actix::{
    ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, SpawnHandle,
    dev::{Envelope, Mailbox as ActixMailbox, ToEnvelope},
};
use tokio::sync::oneshot;

use super::{
    ActixActor, Actor,
    timers::{TimerHandle, Timers},
    turn::Body,
};
use crate::{
    AnyPid, ExitReason, Exited, Message, Node, Pid, TellError, cell::Cell,
    supervision::keeper::End, trace::Handling,
};

pub(super) type TimerFn<A> = Box<dyn FnOnce(&mut A, &mut Context<A>)>;
pub(super) type BoxActorFuture<A> = Pin<Box<dyn ActorFuture<A, Output = ()>>>;
type Begin<A> = Box<dyn FnOnce(&mut Body<A>)>;

/// The execution context of an actor on a node.
pub struct Context<A: ActixActor<Context = Context<A>>> {
    node: Node,
    cell: Arc<Cell<A>>,
    pub(super) phase: Phase,
    /// Most actors have none of it most of the time.
    pub(super) extras: Option<Box<Extras<A>>>,
    address: OnceCell<Box<Address<A>>>,
}

/// Where an actor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// `stop` was called; `stopping` has its say.
    Stopping,
    Stopped,
}

/// What an actor has besides messages.
pub(super) struct Extras<A: ActixActor<Context = Context<A>>> {
    /// Futures that run beside messages.
    pub(super) items: Vec<(SpawnHandle, BoxActorFuture<A>)>,
    /// Futures to be taken off the items that are being polled.
    pub(super) cancelled: Vec<SpawnHandle>,
    last_handle: SpawnHandle,
    /// Futures that keep everything else waiting; the last goes first.
    pub(super) waits: Vec<BoxActorFuture<A>>,
    pub(super) timers: Timers<TimerFn<A>>,
    /// An async handler that came through a plain actix address.
    pub(super) begin: Option<Begin<A>>,
    /// How it ends, where that is not a stop.
    exit: Option<ExitReason>,
    for_good: bool,
}

impl<A: ActixActor<Context = Context<A>>> Default for Extras<A> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            cancelled: Vec::new(),
            last_handle: SpawnHandle::default(),
            waits: Vec::new(),
            timers: Timers::new(),
            begin: None,
            exit: None,
            for_good: false,
        }
    }
}

impl<A: ActixActor<Context = Context<A>>> Extras<A> {
    /// Takes the cancelled futures off `items`.
    pub(super) fn cancel(&mut self, items: &mut Vec<(SpawnHandle, BoxActorFuture<A>)>) {
        for handle in self.cancelled.drain(..) {
            items.retain(|(kept, _)| *kept != handle);
        }
    }
}

/// `future`, in the trace of the handler that leaves it behind.
fn within_trace<A, F>(future: F) -> BoxActorFuture<A>
where
    A: ActixActor<Context = Context<A>>,
    F: ActorFuture<A, Output = ()> + 'static,
{
    match Handling::current() {
        None => Box::pin(future),
        Some(handling) => Box::pin(Traced {
            handling,
            future: Box::pin(future),
        }),
    }
}

/// A future that goes on with a handling.
struct Traced<A: ActixActor<Context = Context<A>>> {
    handling: Handling,
    future: BoxActorFuture<A>,
}

impl<A: ActixActor<Context = Context<A>>> ActorFuture<A> for Traced<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<()> {
        let this = self.get_mut();
        let _inside = this.handling.enter();
        this.future.as_mut().poll(actor, ctx, cx)
    }
}

/// A plain actix address of the actor, and what comes through it.
pub(super) struct Address<A: ActixActor<Context = Context<A>>> {
    addr: Addr<A>,
    pub(super) mailbox: RefCell<Option<ActixMailbox<A>>>,
}

impl<A: ActixActor<Context = Context<A>>> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.cell.pid)
    }
}

impl<A: ActixActor<Context = Context<A>>> ActorContext for Context<A> {
    fn stop(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
        }
    }

    fn terminate(&mut self) {
        self.phase = Phase::Stopped;
    }

    fn state(&self) -> ActorState {
        match self.phase {
            Phase::Running => ActorState::Running,
            Phase::Stopping => ActorState::Stopping,
            Phase::Stopped => ActorState::Stopped,
        }
    }
}

impl<A: ActixActor<Context = Context<A>>> AsyncContext<A> for Context<A> {
    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        let extras = self.extras();
        extras.last_handle = extras.last_handle.next();
        let handle = extras.last_handle;
        let future = within_trace(future);
        self.extras().items.push((handle, future));
        handle
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        let future = within_trace(future);
        self.extras().waits.push(future);
    }

    fn waiting(&self) -> bool {
        self.phase != Phase::Running
            || self
                .extras
                .as_ref()
                .is_some_and(|extras| !extras.waits.is_empty() || extras.begin.is_some())
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.extras().cancelled.push(handle);
        true
    }

    /// A plain actix address. What is sent through it passes by the mailbox: it has actix's bound
    /// of 16, is neither counted nor filtered, and is taken in no particular order with the rest.
    fn address(&self) -> Addr<A> {
        let make = || {
            let mailbox = ActixMailbox::default();
            Box::new(Address {
                addr: mailbox.address(),
                mailbox: RefCell::new(Some(mailbox)),
            })
        };
        self.address.get_or_init(make).addr.clone()
    }
}

impl<A, M> ToEnvelope<A, M> for Context<A>
where
    A: ActixActor<Context = Context<A>> + Handler<M>,
    M: actix::Message<Result: Send> + Send + 'static,
{
    fn pack(message: M, sender: Option<oneshot::Sender<M::Result>>) -> Envelope<A> {
        Envelope::new(message, sender)
    }
}

impl<A: ActixActor<Context = Context<A>>> Context<A> {
    pub(super) fn extras(&mut self) -> &mut Extras<A> {
        self.extras.get_or_insert_default()
    }

    /// The mailbox behind [`AsyncContext::address`], if there is one that is not being polled.
    pub(super) fn take_actix_mailbox(&mut self) -> Option<ActixMailbox<A>> {
        self.address.get_mut()?.mailbox.get_mut().take()
    }

    pub(super) fn return_actix_mailbox(&mut self, mailbox: ActixMailbox<A>) {
        if let Some(address) = self.address.get_mut() {
            *address.mailbox.get_mut() = Some(mailbox);
        }
    }

    pub(super) fn begin_later(&mut self, begin: Begin<A>) {
        self.extras().begin = Some(begin);
    }
}

impl<A: Actor> Context<A> {
    pub(super) fn new(node: Node, cell: Arc<Cell<A>>) -> Self {
        Self {
            node,
            cell,
            phase: Phase::Running,
            extras: None,
            address: OnceCell::new(),
        }
    }

    /// This actor's PID.
    pub fn pid(&self) -> Pid<A> {
        Pid::local(self.cell.clone())
    }

    /// This actor's PID without its type, as it goes into messages.
    pub fn any_pid(&self) -> AnyPid {
        self.cell.pid.clone()
    }

    /// The same, to look at.
    pub(crate) fn as_any_pid(&self) -> &AnyPid {
        &self.cell.pid
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
        self.extras().timers.set(after, Box::new(f))
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
        let timers = self.extras.as_mut().map(|extras| &mut extras.timers);
        timers.is_some_and(|timers| timers.cancel(handle).is_some())
    }

    /// Ends the actor as failed: its supervisor, links and monitors are told why.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.extras().exit = Some(ExitReason::Failed(why.into()));
        self.stop();
    }

    /// Stops the actor, and no supervisor makes it anew, even where it is a permanent child.
    pub fn stop_for_good(&mut self) {
        self.extras().for_good = true;
        self.stop();
    }

    /// Ends the actor at once.
    pub(super) fn end_as(&mut self, reason: ExitReason) {
        self.extras().exit = Some(reason);
        self.phase = Phase::Stopped;
    }

    /// How the actor ended, once it has.
    pub(super) fn end(&mut self) -> End {
        let extras = self.extras.as_deref_mut();
        let (reason, for_good) = extras.map_or((None, false), |extras| {
            (extras.exit.take(), extras.for_good)
        });
        End {
            reason: reason.unwrap_or(ExitReason::Stopped),
            for_good,
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

    /// Takes [`Context::monitor`] back. An [`Exited`] that is in the mailbox already is handled.
    pub fn demonitor(&self, pid: &AnyPid) {
        self.node.unwatch(pid, |w| w.is_monitor_of(&self.cell.pid));
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

    /// Takes a link back on both sides, whichever of the two actors made it. An [`Exited`] that is in a
    /// mailbox already, or on its way from the other node, is handled. Peers of the previous protocol
    /// version keep their side.
    pub fn unlink(&self, pid: &AnyPid) {
        self.node.unlink(&self.cell.pid, pid);
    }

    fn watcher(&self) -> crate::node::monitors::Watcher
    where
        A: Handler<Exited>,
    {
        crate::node::monitors::Watcher::actor(self.cell.clone())
    }
}
