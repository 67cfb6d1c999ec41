//! Describing a node before it starts.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    num::NonZero,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use dashmap::DashMap;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{sync::Notify, time::Instant};

use super::{
    Clock, Inner, Node, asks::Asks, monitors::Monitors, remote::Receiver, workers::Placement,
};
use crate::{
    NodeAddr,
    http::{HttpAccess, HttpLimits, Server},
    links::{BindError, LinkConfig, Links},
    secret::Secret,
    trace,
    transport::{Tcp, Transport},
};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its worker threads cannot be started.
    #[error("cannot start worker threads")]
    Workers(#[source] std::io::Error),
}

/// A node to be; see [`Node::builder`].
pub struct NodeBuilder {
    addr: NodeAddr,
    advertise: Option<NodeAddr>,
    workers: Option<usize>,
    local: bool,
    spin: Duration,
    transport: Arc<dyn Transport>,
    seed: Option<u64>,
    start_micros: Option<u64>,
    mailbox: usize,
    links: LinkConfig,
    http: (HttpAccess, HttpLimits),
    #[cfg(feature = "testkit")]
    filters: Option<crate::filter::Filters>,
    #[cfg(feature = "testkit")]
    wall_clock: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
}

impl NodeBuilder {
    pub(super) fn new(addr: NodeAddr) -> Self {
        Self {
            addr,
            advertise: None,
            workers: None,
            local: false,
            spin: Duration::ZERO,
            transport: Arc::new(Tcp),
            seed: None,
            start_micros: None,
            mailbox: 65_536,
            links: LinkConfig::default(),
            http: Default::default(),
            #[cfg(feature = "testkit")]
            filters: None,
            #[cfg(feature = "testkit")]
            wall_clock: None,
        }
    }

    /// The address that other nodes are told, where it is not the one listened on.
    pub fn advertise(mut self, addr: NodeAddr) -> Self {
        self.advertise = Some(addr);
        self
    }

    /// How many threads run actors; default: one per core.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// A worker that has run out of work looks out for more for so long before it sleeps; default: not at
    /// all. That saves waking up, which is most of the latency between nodes that have little to do
    /// (tens of microseconds in a virtual machine), and burns as much CPU time each time. 50 us to
    /// 1 ms are sensible, on machines with cores to spare. Nothing for [`NodeBuilder::local`].
    pub fn spin(mut self, patience: Duration) -> Self {
        self.spin = patience;
        self
    }

    /// Actors run on the `LocalSet` of the caller and not on threads of the node's own.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// How bytes travel; default: TCP.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = transport;
        self
    }

    /// Listens where anybody can connect, although the transport asks nobody who they are. Without
    /// this, plain TCP listens on loopback only.
    pub fn insecure(mut self) -> Self {
        self.links.insecure = true;
        self
    }

    /// What this node and others of its machine prove to each other to know, where the transport
    /// does not say who they are: nobody else is let in, or talked to, without a certificate. With
    /// [`NodeAddr::door`] as its address the node is *behind a door*.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.links.secret = Some(secret);
        self
    }

    /// Opens a door: a second listener, on loopback and without TLS, for nodes behind it, which
    /// know `secret`. They call themselves by an address of [`NodeAddr::door`], and can call
    /// themselves nothing else. Port 0 takes a free one; see [`Node::door`].
    pub fn door(mut self, port: u16, secret: Secret) -> Self {
        self.links.door = Some(port);
        self.secret(secret)
    }

    /// The seed of the node's random generator; default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What the clock shows at the start, in microseconds since the Unix epoch; default: the
    /// system's clock. A later life of the node must start later: incarnations come from it.
    pub fn start_time(mut self, micros: u64) -> Self {
        self.start_micros = Some(micros);
        self
    }

    /// Messages that may wait for an actor that does not say otherwise; default 65,536.
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.mailbox = capacity;
        self
    }

    /// An idle link sends a sign of life `every` so often, and a peer silent for `lost_after` is
    /// lost; default 1 s and 10 s.
    pub fn heartbeat(mut self, every: Duration, lost_after: Duration) -> Self {
        self.links.heartbeat = every;
        self.links.lost_after = lost_after;
        self
    }

    /// The largest frame, in bytes; default 16 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.links.max_frame = bytes;
        self
    }

    /// Who may use HTTP on the node's port; default: clients on the same machine.
    pub fn http(mut self, access: HttpAccess) -> Self {
        self.http.0 = access;
        self
    }

    /// What HTTP may cost the node.
    pub fn http_limits(mut self, limits: HttpLimits) -> Self {
        self.http.1 = limits;
        self
    }

    /// Has `clock` tell the time of day, in microseconds since the Unix epoch, in place of a start and
    /// what has passed since: a clock that is wrong, or steps. Timers do not follow it.
    #[cfg(feature = "testkit")]
    pub fn wall_clock(mut self, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        self.wall_clock = Some(clock);
        self
    }

    /// The filters, and the trace, that its messages pass.
    #[cfg(feature = "testkit")]
    pub fn filters(mut self, filters: crate::filter::Filters) -> Self {
        self.filters = Some(filters);
        self
    }

    /// Starts the node. With [`NodeBuilder::local`] the caller must be in a `LocalSet`.
    ///
    /// # Errors
    /// [`StartError`], above all when the address is in use.
    pub async fn start(mut self) -> Result<Node, StartError> {
        #[cfg(feature = "testkit")]
        if let Some(clock) = &self.wall_clock {
            self.start_micros = Some(clock());
        }
        let start_micros = self.start_micros.unwrap_or_else(system_micros);
        let seed = *self.seed.get_or_insert_with(system_seed);
        self.links.incarnation = start_micros;
        self.links.seed = seed;
        let placement = match self.local {
            true => Placement::here(),
            false => {
                let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
                Placement::workers(self.workers.unwrap_or_else(cores), self.spin)
                    .map_err(StartError::Workers)?
            }
        };
        let (addr, advertise) = (self.addr.clone(), self.advertise.take());
        let (links, transport) = (self.links.clone(), self.transport.clone());
        let binding = async move { Links::bind(&addr, advertise, links, transport).await };
        let links = placement.first(binding).await?;
        let inner = Arc::new_cyclic(|weak| self.inner(weak, start_micros, placement, links));
        let receiver: Weak<Receiver> = Arc::downgrade(&inner.receiver);
        let links = inner.links.clone();
        inner
            .placement
            .first(async move { links.serve(receiver) })
            .await;
        let node = Node { inner };
        #[cfg(feature = "testkit")]
        if let Some(filters) = &node.inner.filters {
            filters.know(&node);
        }
        Ok(node)
    }

    fn inner(
        self,
        weak: &Weak<Inner>,
        start_micros: u64,
        placement: Placement,
        links: Links,
    ) -> Inner {
        let seed = self.seed.unwrap_or_else(system_seed);
        let addr = links.addr().clone();
        Inner {
            // Room for 4,096 lives a microsecond between two starts of the node.
            next_incarnation: AtomicU64::new((start_micros << 12) | 1),
            links,
            registry: DashMap::default(),
            routes: DashMap::default(),
            monitors: Monitors::default(),
            asks: Asks::default(),
            http: Server::new(self.http.0, self.http.1),
            ended: Mutex::default(),
            trace_ids: trace::Ids::new(id_seed(&addr, start_micros)),
            dead_letters: crate::dead_letters::Office::default(),
            reliable: Mutex::default(),
            pausing: crate::supervision::keeper::Pausing::default(),
            blocking: tokio::sync::Semaphore::new(crate::blocking::AT_ONCE),
            clock: Clock {
                start_micros,
                started: Instant::now(),
                #[cfg(feature = "testkit")]
                wall: self.wall_clock,
            },
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            placement,
            next_name: AtomicU64::new(1),
            stopped: AtomicBool::new(false),
            buried: Notify::new(),
            mailbox_capacity: self.mailbox,
            receiver: Arc::new(Receiver(weak.clone())),
            #[cfg(feature = "testkit")]
            filters: self.filters,
            addr,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a node reads the wall clock"
)]
fn system_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// The same for the same life of a node, and for no other.
fn id_seed(addr: &NodeAddr, start_micros: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (addr, start_micros).hash(&mut hasher);
    hasher.finish()
}

/// A number from the operating system, by way of the standard library's hash keys.
fn system_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
