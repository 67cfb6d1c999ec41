//! A peer that turned out to be this node itself: what is sent there comes in again.

use std::sync::Arc;

use tokio::{sync::Notify, task::yield_now};

use super::Driver;
use crate::{
    frame::Frame,
    links::{Arriving, Origin, PeerId, peer::Event},
};

/// Frames that come in again at a time, when a node sends to itself.
const LOOP_FRAMES: usize = 64;

impl Driver {
    /// The address is this node's own: what is sent there comes in again, until the node stops.
    pub(super) async fn loop_back(&mut self) {
        let (own, incarnation) = (self.core.own.clone(), self.core.config.incarnation);
        let itself = PeerId {
            addr: own,
            incarnation,
        };
        let wake = Arc::new(Notify::new());
        self.peer.outbox.loop_to(wake.clone());
        let origin = Arc::new(Origin {
            id: itself,
            peer: self.peer.clone(),
        });
        let mut batch = Vec::new();
        while let Some(inbound) = self.core.inbound() {
            self.peer.outbox.take(&mut batch, LOOP_FRAMES);
            let idle = batch.is_empty();
            for frame in batch.drain(..) {
                let message = match &frame.arrived_at(&origin.id.addr) {
                    Frame::Tell(parcel) => {
                        inbound.on_message(&origin, Arriving::parcel(parcel, None))
                    }
                    Frame::Ask { id, parcel } => {
                        inbound.on_message(&origin, Arriving::parcel(parcel, Some(*id)))
                    }
                    other => {
                        inbound.on_frame(&origin, other.clone());
                        None
                    }
                };
                if let Some(room) = message {
                    room.await;
                }
            }
            drop(inbound);
            if idle {
                tokio::select! {
                    biased;
                    event = self.events.recv() => match event {
                        Some(Event::Stop(done)) => return self.stop(done).await,
                        Some(_) => {}
                        None => return,
                    },
                    () = wake.notified() => {}
                }
            } else {
                yield_now().await;
            }
        }
    }
}
