//! One life of a link: who is at the other end, and what has arrived.
//!
//! Frames are numbered from 1 along a life, in each direction and on each of its two lanes. The
//! sender keeps what it has encoded until the peer acknowledges it (see `sent`), and writes it again
//! when another connection takes over; the receiver drops what it has had already. So a life goes on
//! over any number of connections with each frame once and in order, and a frame is lost only if
//! the life is.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::{
    PeerId,
    arrival::{Arrival, Bounds},
    locked,
    peer::Peer,
};
use crate::{
    frame::{Arrived, Frame, wire::WITH_TABLES},
    links::outbox::Pushed,
};

/// A life of a peer, and the way back to it.
pub(crate) struct Origin {
    pub(crate) id: PeerId,
    pub(super) peer: Arc<Peer>,
}

impl Origin {
    /// Sends an answer back. A full or broken link: the asker's deadline or its own loss of the link
    /// tells it.
    pub(crate) fn answer(&self, frame: Frame) {
        if let Pushed::Queued(poke) = self.peer.outbox.push(&mut Some(frame)) {
            poke.carry_out();
        }
    }
}

/// One life of a link.
pub(super) struct Life {
    pub(super) origin: Arc<Origin>,
    /// The peer's epoch; ours is the peer record's while the life lasts.
    pub(super) their_epoch: u64,
    pub(super) version: u16,
    /// Bytes that may be under way on each lane.
    windows: [usize; 2],
    /// Locked while frames are handed to the node, so that they arrive in order and none comes after
    /// the notice of the life's end.
    arrival: Mutex<Arrival>,
    received: [AtomicU64; 2],
    consumed: [AtomicU64; 2],
    /// Signalled when parked messages have become fewer.
    pub(super) eased: Notify,
}

impl Life {
    pub(super) fn new(
        origin: Origin,
        their_epoch: u64,
        version: u16,
        windows: [usize; 2],
        bounds: Bounds,
    ) -> Self {
        Self {
            origin: Arc::new(origin),
            their_epoch,
            version,
            windows,
            arrival: Mutex::new(Arrival::new(bounds)),
            received: Default::default(),
            consumed: Default::default(),
            eased: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> &PeerId {
        &self.origin.id
    }

    /// What has arrived so far.
    pub(super) fn arrival(&self) -> std::sync::MutexGuard<'_, Arrival> {
        locked(&self.arrival)
    }

    /// What the peer is told of `lane`.
    pub(super) fn arrived(&self, lane: usize) -> Arrived {
        let consumed = self.consumed[lane].load(Ordering::Acquire);
        Arrived {
            received: self.received[lane].load(Ordering::Acquire),
            consumed: (self.version >= WITH_TABLES).then_some(consumed),
        }
    }

    /// Bytes after which the peer is told that they have arrived.
    pub(super) fn ack_bytes(&self, lane: usize) -> usize {
        const ACK_BYTES: usize = 128 * 1024;
        (self.windows[lane] / 4).min(ACK_BYTES)
    }

    /// Makes known to the writers what `arrival` says; whether there is more credit.
    pub(super) fn publish(&self, arrival: &Arrival, lane: usize) -> bool {
        self.received[lane].store(arrival.received(lane), Ordering::Release);
        let consumed = arrival.consumed(lane);
        self.consumed[lane].swap(consumed, Ordering::AcqRel) < consumed
    }
}
