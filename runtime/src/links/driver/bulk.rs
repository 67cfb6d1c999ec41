//! The second connection, for large frames: made when the first of them waits, by whoever dialled the
//! first connection. Without it for as long as a silent peer may be silent, the link is lost.

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Dial, Driver, Queued, outcome};
use crate::{
    frame::{
        Control,
        wire::{BULK, MAIN},
    },
    links::{
        Loss,
        handshake::{self, Greeted},
        pauses::until,
        problem::{DialFailure, Problem},
    },
};

/// The attempts to connect for large frames.
#[derive(Default)]
pub(super) struct BulkDial {
    pub(super) dial: Option<Dial>,
    /// The peer has asked for one.
    asked: bool,
    /// In this life of the link.
    attempts: u32,
    /// When the first of the frames that wait could not be sent.
    missed_since: Option<Instant>,
}

impl BulkDial {
    const FIRST_PAUSE_MS: u64 = 50;
    const DOUBLINGS: u32 = 3;

    fn is_idle(&self) -> bool {
        self.dial.is_none()
    }

    /// When to dial: at once, and then after growing pauses.
    fn pause(&mut self, random: u64) -> Instant {
        let most = match self.attempts {
            0 => 0,
            n => Self::FIRST_PAUSE_MS << n.min(Self::DOUBLINGS),
        };
        self.attempts = self.attempts.saturating_add(1);
        let millis = most / 2 + random % (most / 2 + 1);
        Instant::now() + Duration::from_millis(millis)
    }

    pub(super) async fn outcome(&mut self) -> Result<Greeted, DialFailure> {
        outcome(&mut self.dial).await
    }

    /// There is a connection, or the first lane is what is missing.
    pub(super) fn is_not_missed(&mut self) {
        self.missed_since = None;
    }
}

/// When the connection for large frames has been missing for too long.
pub(super) async fn missed(since: Option<Instant>, patience: Duration) {
    match since {
        Some(since) => sleep_until(since + patience).await,
        None => pending().await,
    }
}

impl Driver {
    /// A connection for large frames serves the present life, or none.
    pub(super) fn admit_bulk(&mut self, greeted: Greeted) {
        let Some(life) = self.life.clone() else {
            return;
        };
        let (id, hello) = (life.id(), &greeted.hello);
        if id.incarnation == hello.incarnation && life.their_epoch == hello.epoch {
            (self.bulk.dial, self.bulk.asked) = (None, false);
            self.bulk.is_not_missed();
            self.open(&life, greeted);
        }
    }

    /// Large frames wait. Whoever dialled the first connection dials this one, too: that way round
    /// it is known to work.
    pub(super) fn want_bulk(&mut self) {
        let newest = self.newest(MAIN);
        match newest {
            Some(connection) if !connection.dialled => connection.shared.owe(&Control::WantBulk),
            Some(_) => self.dial_bulk(),
            // Said again when there is a connection.
            None => return,
        }
        self.bulk.missed_since.get_or_insert_with(Instant::now);
    }

    /// The peer has large frames.
    pub(super) fn on_bulk_asked(&mut self) {
        self.bulk.asked = true;
        self.dial_bulk();
    }

    /// The connection for large frames cannot be made, and what waits for it is not to wait for ever.
    pub(super) async fn on_bulk_missed(&mut self) {
        let missing = Problem::NoBulk(self.core.config.lost_after).of(&self.peer.addr);
        self.core.warn_once(&missing);
        self.bury(Loss::Unreachable, &missing, Queued::GiveUp).await;
    }

    pub(super) fn bulk_missed_since(&self) -> Option<Instant> {
        self.bulk.missed_since
    }

    fn dial_bulk(&mut self) {
        let idle = self.life.is_some() && self.newest(BULK).is_none() && self.stopping.is_none();
        if idle && self.bulk.is_idle() {
            let (core, peer) = (self.core.clone(), self.peer.clone());
            let at = self.bulk.pause(core.random_below(1 << 20));
            self.bulk.dial = Some(Box::pin(async move {
                until(at).await;
                handshake::dial(&core, peer.dial(), peer.epoch(), BULK).await
            }));
        }
    }

    pub(super) async fn on_bulk_dialled(&mut self, result: Result<Greeted, DialFailure>) {
        self.bulk.dial = None;
        match result {
            Ok(greeted)
                if self
                    .life
                    .as_ref()
                    .is_some_and(|l| l.id().addr == greeted.hello.addr) =>
            {
                self.admit(greeted).await;
            }
            // The first lane finds out what has become of the peer.
            Ok(_) => {}
            Err(failure) => tracing::debug!("for large frames: {}", failure.problem),
        }
        if self.bulk.asked {
            self.dial_bulk();
        } else if self.lacks_bulk() {
            self.want_bulk();
        }
    }

    pub(super) fn lacks_bulk(&self) -> bool {
        self.newest(BULK).is_none() && self.peer.outbox.needs_bulk()
    }
}
