//! A node: the actors of one process (or simulated host), their names, and the links to others.
//!
//! Owns the registry of names, the clock and the random generator that actors use, and the sending
//! of messages, wherever the receiver lives. Continue with `node/asks.rs` (answers),
//! `node/monitors.rs` (exits), `node/remote.rs` (what comes from afar), `node/builder.rs`.

mod asks;
mod builder;
mod inspect;
pub(crate) mod monitors;
mod names;
mod relink;
pub(crate) mod remote;
mod spawning;
mod workers;

use std::{
    any::{Any, TypeId},
    cell::Cell,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
};

pub use crate::links::BindError;
pub(crate) use asks::undeliverable;
pub use builder::{NodeBuilder, StartError};
use dashmap::DashMap;
use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
pub(crate) use inspect::Ended;
pub use inspect::{ActorInfo, tree};
pub(crate) use names::NODE;
use rand::{RngExt, SeedableRng, rngs::StdRng};
pub use relink::Relinked;
pub use spawning::{Place, SpawnError, SpawnOptions};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
pub(crate) use workers::spawn_task;

use crate::{
    AnyPid, ExitReason, Exited, Message, NodeAddr, Overflow, Pid, TellError, Undeliverable,
    cell::AnyCell,
    http,
    links::{Links, Outlet, Refused, Traffic},
    rt::{
        Actor,
        envelope::{Letter, Reply},
    },
    trace::{self, TraceContext},
};

/// Actors by name.
type Registry = DashMap<Arc<str>, Arc<dyn AnyCell>, RandomState>;

/// A running node; a clone is the same node.
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    addr: NodeAddr,
    /// Counts the lives of actors; starts at a number that no earlier life of this node reached.
    next_incarnation: AtomicU64,
    pub(crate) links: Links,
    registry: Registry,
    /// `Routes<A>` by actor type: built once.
    routes: DashMap<TypeId, Arc<dyn Any + Send + Sync>, RandomState>,
    pub(crate) monitors: monitors::Monitors,
    asks: asks::Asks,
    /// Of spans and traces.
    pub(crate) trace_ids: trace::Ids,
    pub(crate) dead_letters: crate::dead_letters::Office,
    /// What reliable messages have arrived.
    pub(crate) reliable: Mutex<crate::reliable::inbox::Inbox>,
    /// Actors that wait for a restart.
    pub(crate) pausing: crate::supervision::keeper::Pausing,
    http: http::Server,
    /// What the actors that have ended did, by type.
    ended: Mutex<BTreeMap<&'static str, Arc<inspect::Ended>>>,
    /// Turns for blocking work.
    pub(crate) blocking: tokio::sync::Semaphore,
    clock: Clock,
    rng: Mutex<StdRng>,
    placement: workers::Placement,
    next_name: AtomicU64,
    stopped: AtomicBool,
    /// Signalled at each burial.
    buried: Notify,
    pub(crate) mailbox_capacity: usize,
    /// Keeps what the links report to.
    receiver: Arc<remote::Receiver>,
    #[cfg(feature = "testkit")]
    filters: Option<crate::filter::Filters>,
}

/// The node's time: a start, and what has passed since on tokio's clock, which tests and the
/// simulation drive.
#[derive(Clone)]
struct Clock {
    start_micros: u64,
    started: Instant,
    /// A test's clock, which may be wrong.
    #[cfg(feature = "testkit")]
    wall: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
}

impl Clock {
    fn now(&self) -> u64 {
        #[cfg(feature = "testkit")]
        if let Some(wall) = &self.wall {
            return wall();
        }
        let passed = self.started.elapsed().as_micros();
        self.start_micros
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.addr())
    }
}

impl Node {
    /// Starts to describe a node that listens on `addr`; port 0 takes a free one.
    pub fn builder(addr: NodeAddr) -> NodeBuilder {
        NodeBuilder::new(addr)
    }

    /// Whether the two are the same node.
    pub(crate) fn is(&self, other: &Node) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Where other nodes reach this one.
    pub fn addr(&self) -> &NodeAddr {
        &self.inner.addr
    }

    /// Where nodes of this machine that know the secret reach this one without TLS, if it has a
    /// [door](NodeBuilder::door).
    pub fn door(&self) -> Option<&NodeAddr> {
        self.inner.links.door()
    }

    /// Microseconds since the Unix epoch; virtual in simulations and tests.
    pub fn now(&self) -> u64 {
        self.inner.clock.now()
    }

    /// A number from the node's generator, which tests and simulations seed.
    pub fn random_u64(&self) -> u64 {
        self.inner
            .rng
            .lock()
            .expect("no panic while the generator is held")
            .random()
    }

    /// A random (version 4) UUID from the node's generator.
    pub fn uuid(&self) -> uuid::Uuid {
        let bytes = u128::from(self.random_u64()) << 64 | u128::from(self.random_u64());
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }

    /// A generator of its own for an actor, seeded from the node's.
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.random_u64())
    }

    /// The beginning of a trace: a context with ids that were never used.
    ///
    /// Messages belong to the trace when they are sent while the context is current; see
    /// [`trace::enter`] and [`trace::within`].
    pub fn new_trace(&self) -> TraceContext {
        let ids = &self.inner.trace_ids;
        TraceContext::new(ids.trace(), ids.span(), true)
    }

    /// The actors of this node: PID, messages waiting, messages handled; in order of PID.
    pub fn actors(&self) -> Vec<(AnyPid, usize, u64)> {
        let counts = |cell: Arc<dyn AnyCell>| {
            let (waiting, handled) = cell.counts();
            (cell.pid().clone(), waiting, handled)
        };
        self.cells().into_iter().map(counts).collect()
    }

    /// Messages that wait for an actor of this node.
    pub(crate) fn waiting(&self, pid: &AnyPid) -> Option<u64> {
        let (waiting, _) = self.cell(pid)?.counts();
        u64::try_from(waiting).ok()
    }

    pub(crate) fn cells(&self) -> Vec<Arc<dyn AnyCell>> {
        let mut cells: Vec<_> = self
            .inner
            .registry
            .iter()
            .map(|e| e.value().clone())
            .collect();
        cells.sort_by(|a, b| a.pid().cmp(b.pid()));
        cells
    }

    /// The actor of this node that `pid` means now.
    pub(crate) fn cell(&self, pid: &AnyPid) -> Option<Arc<dyn AnyCell>> {
        let cell = self.inner.registry.get(pid.name())?.value().clone();
        let meant = pid.incarnation() == 0 || pid.incarnation() == cell.pid().incarnation();
        meant.then_some(cell)
    }

    /// The actor that bears the name.
    pub(crate) fn cell_named(&self, name: &str) -> Option<Arc<dyn AnyCell>> {
        Some(self.inner.registry.get(name)?.value().clone())
    }

    pub(crate) fn http(&self) -> &http::Server {
        &self.inner.http
    }

    /// HTTP connections at the moment.
    pub fn http_connections(&self) -> usize {
        self.inner.http.connections()
    }

    /// What went through the links so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.inner.links.traffic()
    }

    /// Questions to other nodes that have no answer yet.
    pub(crate) fn asks_in_flight(&self) -> usize {
        self.inner.asks.len()
    }

    /// The PID of the actor named `name` on this node, if there is one.
    pub fn lookup(&self, name: &str) -> Option<AnyPid> {
        Some(self.inner.registry.get(name)?.value().pid().clone())
    }

    /// A typed PID that can be used outside of actors. The type is taken on trust: an actor that
    /// does not accept a message answers so.
    pub fn bind<A: Actor>(&self, pid: &AnyPid) -> Pid<A> {
        Pid::via(self.clone(), pid.clone())
    }

    /// Sends `message` to `pid` without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message: the receiver is gone or does not accept it, or the mailbox
    /// or the link is full. A message to another node may still be lost after it left.
    pub fn tell<M: Message>(&self, pid: &AnyPid, message: M) -> Result<(), TellError<M>> {
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        self.post(pid, letter)
            .or_else(|(reason, letter)| self.undelivered(pid, reason, letter.message))
    }

    /// What a teller is told of a message that was not taken.
    fn undelivered<M: Message>(
        &self,
        pid: &AnyPid,
        reason: Undeliverable,
        message: M,
    ) -> Result<(), TellError<M>> {
        let drops = |cell: Arc<dyn AnyCell>| cell.overflow() == Overflow::DropNewest;
        let full = reason == Undeliverable::MailboxFull;
        let dropped = full && self.cell(pid).is_some_and(drops);
        if dropped || reason == Undeliverable::NoSuchActor {
            self.dead_letter(pid, M::NAME, &reason);
        }
        if dropped {
            return Ok(());
        }
        Err(TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    fn post<M: Message>(
        &self,
        pid: &AnyPid,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)> {
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(pid, letter) else {
            return Ok(());
        };
        if pid.node() == self.addr() {
            let Some(cell) = self.cell(pid) else {
                return Err((Undeliverable::NoSuchActor, letter));
            };
            let mut letter = Some(letter);
            return match (cell.post_any(&mut letter), letter) {
                (Err(reason), Some(letter)) => Err((reason, letter)),
                _ => Ok(()),
            };
        }
        let outlet = self.inner.links.outlet(pid.clone());
        match post_afar(&outlet, &letter.message, None) {
            Ok(()) => Ok(()),
            Err(reason) => Err((reason, letter)),
        }
    }

    /// As [`Node::tell`], to another node by a way that is known already.
    pub(crate) fn tell_afar<M: Message>(
        &self,
        pid: &AnyPid,
        outlet: &Outlet,
        message: M,
    ) -> Result<(), TellError<M>> {
        #[cfg(feature = "testkit")]
        let Some(message) = self.filter_tell(pid, message) else {
            return Ok(());
        };
        post_afar(outlet, &message, None).map_err(|reason| TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    /// As [`Node::tell_wait`], to another node by a way that is known already.
    pub(crate) async fn tell_wait_afar<M: Message>(
        &self,
        pid: &AnyPid,
        outlet: &Outlet,
        message: M,
    ) -> Result<(), TellError<M>> {
        #[cfg(feature = "testkit")]
        let Some(message) = self.filter_tell(pid, message) else {
            return Ok(());
        };
        let waiting = post_afar_wait(outlet, &message, None);
        let sent = match waiting {
            Ok(None) => return Ok(()),
            Ok(Some(waiting)) => waiting.await.map_err(refusal),
            Err(reason) => Err(reason),
        };
        sent.map_err(|reason| TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    #[cfg(feature = "testkit")]
    fn filter_tell<M: Message>(&self, pid: &AnyPid, message: M) -> Option<M> {
        let reply = Reply::Nowhere;
        let letter = self.filter(pid, Letter { message, reply })?;
        Some(letter.message)
    }

    /// The way to an actor of another node; `None` for one of this.
    pub(crate) fn outlet(&self, pid: &AnyPid) -> Option<Outlet> {
        (pid.node() != self.addr()).then(|| self.inner.links.outlet(pid.clone()))
    }

    #[cfg(feature = "testkit")]
    fn filter<M: Message>(&self, pid: &AnyPid, letter: Letter<M>) -> Option<Letter<M>> {
        match &self.inner.filters {
            Some(filters) => filters.pass(pid, letter),
            None => Some(letter),
        }
    }

    /// Sends `message` to `pid`, waiting for room in the mailbox or on the link.
    ///
    /// # Errors
    /// As [`Node::tell`], but never because something is full on this node.
    pub async fn tell_wait<M: Message>(
        &self,
        pid: &AnyPid,
        message: M,
    ) -> Result<(), TellError<M>> {
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(pid, letter) else {
            return Ok(());
        };
        self.post_wait(pid, letter)
            .await
            .or_else(|(reason, letter)| self.undelivered(pid, reason, letter.message))
    }

    async fn post_wait<M: Message>(
        &self,
        pid: &AnyPid,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)> {
        if pid.node() == self.addr() {
            let Some(cell) = self.cell(pid) else {
                return Err((Undeliverable::NoSuchActor, letter));
            };
            let mut letter = Some(letter);
            return match (cell.post_any_wait(&mut letter).await, letter) {
                (Err(reason), Some(letter)) => Err((reason, letter)),
                _ => Ok(()),
            };
        }
        let outlet = self.inner.links.outlet(pid.clone());
        match post_afar_wait(&outlet, &letter.message, None) {
            Ok(None) => Ok(()),
            Ok(Some(waiting)) => waiting.await.map_err(|refused| (refusal(refused), letter)),
            Err(reason) => Err((reason, letter)),
        }
    }

    /// Asks the actor to stop; its name is free again once it has.
    pub fn stop(&self, pid: &AnyPid) {
        if let Some(cell) = self.cell(pid) {
            self.order_stop(&*cell);
        }
    }

    /// Ends an actor of this node as soon as the handler at hand returns, without asking `stopping`
    /// and without a restart, unless it is a supervisor's child: then the supervisor decides.
    pub fn kill(&self, pid: &AnyPid) {
        if let Some(cell) = self.cell(pid) {
            self.order_kill(&*cell);
        }
    }

    pub(crate) fn order_stop(&self, cell: &dyn AnyCell) {
        cell.stop();
        self.inner.pausing.wake(cell.pid());
    }

    pub(crate) fn order_kill(&self, cell: &dyn AnyCell) {
        cell.kill();
        self.inner.pausing.wake(cell.pid());
    }

    /// A number that no other call on this node returns.
    pub(crate) fn unique(&self) -> u64 {
        self.inner.next_incarnation.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Acquire)
    }

    /// Waits for the end of `pid`; at once if it has ended.
    pub async fn monitor(&self, pid: &AnyPid) -> Exited {
        let (sender, receiver) = oneshot::channel();
        self.watch(pid, monitors::Watcher::Once(sender));
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

    fn inform_of(&self, watcher: monitors::Watcher, pid: &AnyPid, reason: &ExitReason) {
        self.inform(watcher, pid.clone(), reason.clone());
    }

    /// Stops all actors, says goodbye to all peers, and ends the worker threads.
    pub async fn shutdown(&self) {
        self.inner.stopped.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Supervisors stop their children themselves, in order.
        for cell in self.cells() {
            if !cell.asked().by_supervisor {
                self.order_stop(&*cell);
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

thread_local! {
    /// Where messages to other nodes are encoded before they go into the link's memory: no code of
    /// theirs runs while the link is locked.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
/// A scratch buffer that a large message has stretched beyond this is not kept.
const SCRATCH_BYTES_MAX: usize = 128 * 1024;

/// Runs `post` with the encoded message.
fn encoded<M: Message, T>(
    message: &M,
    post: impl FnOnce(&mut Vec<u8>) -> Result<T, Undeliverable>,
) -> Result<T, Undeliverable> {
    let mut body = SCRATCH.take();
    let encoded = message.encode_to(&mut body).map_err(Undeliverable::from);
    let posted = encoded.and_then(|()| post(&mut body));
    if body.capacity() <= SCRATCH_BYTES_MAX {
        body.clear();
        SCRATCH.set(body);
    }
    posted
}

/// Queues `message` for another node; `ask`: the question's number.
fn post_afar<M: Message>(
    outlet: &Outlet,
    message: &M,
    ask: Option<u64>,
) -> Result<(), Undeliverable> {
    encoded(message, |body| {
        let trace = trace::current();
        let posted = outlet.post(M::NAME, M::VERSION, ask, trace, body);
        posted.map_err(refusal)
    })
}

type Waiting = BoxFuture<'static, Result<(), Refused>>;

/// As [`post_afar`]; the future, if any, is done when there is room.
fn post_afar_wait<M: Message>(
    outlet: &Outlet,
    message: &M,
    ask: Option<u64>,
) -> Result<Option<Waiting>, Undeliverable> {
    encoded(message, |body| {
        let trace = trace::current();
        Ok(outlet.post_wait(M::NAME, M::VERSION, ask, trace, body))
    })
}

fn refusal(refused: Refused) -> Undeliverable {
    match refused {
        Refused::Full => Undeliverable::LinkFull,
        Refused::Held => Undeliverable::MailboxFull,
        Refused::TooLarge { bytes, limit } => Undeliverable::TooLarge { bytes, limit },
        Refused::Stopped => Undeliverable::NodeStopped,
    }
}
