//! The record of a peer: what senders, handshakes and the driver share.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    LinkConfig, core::Hold, handshake::Greeted, locked, outbox::Outbox, problem::Problem,
    task::Task,
};
use crate::pid::NodeAddr;

/// What a driver is told.
pub(super) enum Event {
    /// Frames wait, and there is no connection.
    Wanted,
    /// Large frames wait, and there is no connection for them.
    BulkWanted,
    /// The peer has large frames, and asks for a connection.
    BulkAsked,
    /// The peer dialled.
    Opened(Greeted, Hold),
    /// A connection has ended.
    Closed {
        connection: u64,
        heard: Instant,
        why: Problem,
    },
    /// Somebody let go of the record; is it still needed?
    Check,
    /// Say goodbye, and confirm when that is done.
    Stop(oneshot::Sender<()>),
}

/// The record.
pub(super) struct Peer {
    /// What the peer calls itself, as far as known.
    pub(super) addr: NodeAddr,
    pub(super) outbox: Outbox,
    events: mpsc::UnboundedSender<Event>,
    epoch: AtomicU64,
    holds: AtomicUsize,
    names: Mutex<Names>,
    driver: OnceLock<Task>,
}

struct Names {
    /// Under which the node sends to the peer.
    all: BTreeSet<NodeAddr>,
    /// The one that a connection was made by.
    dial: NodeAddr,
}

impl Peer {
    pub(super) fn new(
        addr: NodeAddr,
        epoch: u64,
        events: mpsc::UnboundedSender<Event>,
        config: &LinkConfig,
    ) -> Self {
        let names = Names {
            all: BTreeSet::from([addr.clone()]),
            dial: addr.clone(),
        };
        Self {
            addr,
            outbox: Outbox::new(config.queue_bytes, events.clone()),
            events,
            epoch: AtomicU64::new(epoch),
            holds: AtomicUsize::new(0),
            names: Mutex::new(names),
            driver: OnceLock::new(),
        }
    }

    /// Keeps the task that drives the record.
    pub(super) fn driven_by(&self, driver: Task) {
        let _ = self.driver.set(driver);
    }

    /// Ends it.
    pub(super) fn abort(&self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }

    /// Tells the driver; one that has ended has nothing to do with it any more.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Says goodbye and waits until that is done.
    pub(super) async fn stop(&self) {
        let (done, wait) = oneshot::channel();
        self.tell(Event::Stop(done));
        let _ = wait.await;
    }

    /// How often this node has begun anew with the peer.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(super) fn hold(&self) {
        self.holds.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn release(&self) {
        self.holds.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// All names of the peer, its own among them.
    pub(super) fn names(&self) -> BTreeSet<NodeAddr> {
        locked(&self.names).all.clone()
    }

    pub(super) fn add_name(&self, name: NodeAddr) {
        locked(&self.names).all.insert(name);
    }

    /// Where to dial it.
    pub(super) fn dial(&self) -> NodeAddr {
        locked(&self.names).dial.clone()
    }

    pub(super) fn set_dial(&self, addr: NodeAddr) {
        locked(&self.names).dial = addr;
    }
}
