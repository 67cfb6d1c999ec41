//! What all links of a node share: its identity, the transport and the table of peers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{runtime::Handle, sync::mpsc, time::Instant};

use super::{
    Inbound, LinkConfig,
    arrival::Bounds,
    driver::Driver,
    locked,
    pauses::Pauses,
    peer::{Event, Peer},
    task::Task,
    traffic::{Counters, Traffic},
};
use crate::{frame::Preamble, pid::NodeAddr, transport::Transport};

/// Different warnings, at most; each is given once, so that nobody can fill the log.
const WARNINGS_MAX: usize = 1024;

/// The shared part. See the module.
pub(super) struct Core {
    /// The address that other nodes know this one by.
    pub(super) own: NodeAddr,
    pub(super) config: LinkConfig,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) runtime: Handle,
    inbound: OnceLock<Weak<dyn Inbound>>,
    peers: RwLock<Peers>,
    epochs: AtomicU64,
    connections: AtomicU64,
    stopped: AtomicBool,
    pub(super) counters: Counters,
    warned: Mutex<BTreeSet<String>>,
    pauses: Mutex<Pauses>,
    rng: Mutex<StdRng>,
}

type Peers = BTreeMap<NodeAddr, Arc<Peer>>;

impl Core {
    pub(super) fn new(own: NodeAddr, config: LinkConfig, transport: Arc<dyn Transport>) -> Self {
        let rng = StdRng::seed_from_u64(config.seed);
        Self {
            own,
            config,
            transport,
            runtime: Handle::current(),
            inbound: OnceLock::new(),
            peers: RwLock::default(),
            epochs: AtomicU64::new(1),
            connections: AtomicU64::new(1),
            stopped: AtomicBool::new(false),
            counters: Counters::default(),
            warned: Mutex::default(),
            pauses: Mutex::default(),
            rng: Mutex::new(rng),
        }
    }

    pub(super) fn preamble(&self) -> Preamble {
        self.config.versions
    }

    /// How much may be parked of what a peer sends.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            hold: self.config.hold,
            windows: self.config.windows,
            frame: self.config.max_frame,
        }
    }

    /// A number from the links' generator, below `bound`.
    pub(super) fn random_below(&self, bound: u64) -> u64 {
        locked(&self.rng).random_range(0..bound.max(1))
    }

    /// Sets whom to tell. Only the first call counts.
    pub(super) fn set_inbound(&self, inbound: Weak<dyn Inbound>) {
        let _ = self.inbound.set(inbound);
    }

    /// Whom to tell, while it lives.
    pub(super) fn inbound(&self) -> Option<Arc<dyn Inbound>> {
        self.inbound.get()?.upgrade()
    }

    /// What went through so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.counters.traffic(self.read_peers().len())
    }

    /// An epoch that was never used.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }

    /// When `addr` may be dialled for the first connection of a life.
    pub(super) fn dial_due(&self, addr: &NodeAddr) -> Instant {
        locked(&self.pauses).due(addr, Instant::now())
    }

    /// `addr` could not be reached; as [`Pauses::failed`].
    pub(super) fn dial_failed(&self, addr: &NodeAddr, random: f64) {
        locked(&self.pauses).failed(addr, Instant::now(), random);
    }

    /// `addr` answers.
    pub(super) fn dial_reached(&self, addr: &NodeAddr) {
        locked(&self.pauses).reached(addr);
    }

    /// A number for a connection.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Warns, unless the same was said before or much else was.
    pub(super) fn warn_once(&self, line: &str) {
        let mut warned = locked(&self.warned);
        if warned.len() < WARNINGS_MAX && warned.insert(line.to_owned()) {
            tracing::warn!("{line}");
        } else {
            tracing::debug!("{line}");
        }
    }

    fn read_peers(&self) -> RwLockReadGuard<'_, Peers> {
        self.peers
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write_peers(&self) -> RwLockWriteGuard<'_, Peers> {
        self.peers
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The record of the peer at `addr`, made if there is none; `None` when this node stops.
    pub(super) fn peer(self: &Arc<Self>, addr: &NodeAddr) -> Option<Arc<Peer>> {
        if let Some(peer) = self.read_peers().get(addr) {
            return Some(peer.clone());
        }
        self.peer_in(&mut self.write_peers(), addr)
    }

    fn peer_in(self: &Arc<Self>, peers: &mut Peers, addr: &NodeAddr) -> Option<Arc<Peer>> {
        if self.is_stopped() {
            return None;
        }
        if let Some(peer) = peers.get(addr) {
            return Some(peer.clone());
        }
        let (sender, events) = mpsc::unbounded_channel();
        let peer = Arc::new(Peer::new(
            addr.clone(),
            self.next_epoch(),
            sender,
            &self.config,
        ));
        peers.insert(addr.clone(), peer.clone());
        let driver = Driver::new(self.clone(), peer.clone(), events);
        peer.driven_by(Task::spawn(&self.runtime, driver.run()));
        Some(peer)
    }

    /// As [`Core::peer`], and the record stays until the hold is dropped.
    pub(super) fn hold(self: &Arc<Self>, addr: &NodeAddr) -> Option<Hold> {
        let mut peers = self.write_peers();
        let peer = self.peer_in(&mut peers, addr)?;
        peer.hold();
        Some(Hold(peer))
    }

    /// Removes the record of a peer that nobody needs. False: somebody does.
    pub(super) fn retire(&self, peer: &Peer) -> bool {
        let mut peers = self.write_peers();
        if peer.is_held() || !peer.outbox.close_if_empty() {
            return false;
        }
        for name in peer.names() {
            peers.remove(&name);
        }
        true
    }

    /// `alias` turned out to be the node that calls itself `addr`: makes the two one.
    pub(super) fn merge(self: &Arc<Self>, alias: &Peer, addr: &NodeAddr) {
        let mut peers = self.write_peers();
        let frames = alias.outbox.close();
        let Some(peer) = self.peer_in(&mut peers, addr) else {
            return;
        };
        for name in alias.names() {
            peers.insert(name.clone(), peer.clone());
            peer.add_name(name);
        }
        peer.set_dial(alias.dial());
        peer.outbox.append(frames);
    }

    /// Whether nothing may begin any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Says goodbye to all peers, and returns when they have closed.
    pub(super) async fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let peers: Vec<Arc<Peer>> = self.read_peers().values().cloned().collect();
        join_all(peers.iter().map(|peer| peer.stop())).await;
    }

    /// Ends everything at once.
    pub(super) fn abort(&self) {
        self.stopped.store(true, Ordering::Release);
        let peers = std::mem::take(&mut *self.write_peers());
        for peer in peers.values() {
            peer.abort();
        }
    }
}

/// Keeps a peer's record while a handshake with the peer is under way.
pub(super) struct Hold(Arc<Peer>);

impl Hold {
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release();
        self.0.tell(Event::Check);
    }
}
