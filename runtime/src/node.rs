//! A node: the actors of one process (or simulated host), their names, and the links to others.
//!
//! Owns the registry of names, the clock and the random generator that actors use. Continue with
//! `node/sending.rs` (messages, wherever the receiver lives), `node/ending.rs`, `node/asks.rs` (answers),
//! `node/monitors.rs` (exits), `node/remote.rs` (what comes from afar), `node/builder.rs`.

mod asks;
mod builder;
mod ending;
mod inspect;
pub(crate) mod monitors;
mod names;
mod relink;
pub(crate) mod remote;
mod sending;
mod spawning;
pub(crate) mod workers;

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub use crate::links::BindError;
pub(crate) use asks::undeliverable;
pub use builder::{NodeBuilder, StartError};
use dashmap::DashMap;
use foldhash::fast::RandomState;
pub(crate) use inspect::Ended;
pub use inspect::{ActorInfo, tree};
pub(crate) use names::NODE;
use rand::{RngExt, SeedableRng, rngs::StdRng};
pub use relink::Relinked;
pub use spawning::{Place, SpawnError, SpawnOptions};
use tokio::sync::Notify;
use tokio::time::Instant;
pub(crate) use workers::spawn_task;

use crate::{
    AnyPid, NodeAddr, Pid,
    cell::AnyCell,
    http,
    links::{Links, Traffic},
    rt::Actor,
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

    /// A number that no other call on this node returns.
    pub(crate) fn unique(&self) -> u64 {
        self.inner.next_incarnation.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Acquire)
    }
}
