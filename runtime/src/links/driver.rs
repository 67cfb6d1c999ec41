//! The driver of one peer: decides when to dial, which connection carries the frames, and when the
//! link is lost. See [`crate::links`] for the states. One task per peer; it ends when there is
//! neither a link nor anything to send.

mod bulk;
mod itself;

use std::{future::pending, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use self::bulk::BulkDial;
use super::{
    LinkConfig, Loss, Origin, PeerId,
    connection::Connection,
    core::Core,
    handshake::{self, Greeted},
    life::Life,
    mending::Mending,
    outgoing::Outgoing,
    pauses::until,
    peer::{Event, Peer},
    problem::{DialFailure, Problem},
    task::Task,
};
use crate::frame::{
    Hello,
    wire::{BULK, MAIN, WITH_TABLES},
};

/// Connections of one life, at most. More than two only come from a peer that errs.
const CONNECTIONS_MAX: usize = 4;
/// How long a connection stays open for the peer to read why it was closed.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

type Dial = BoxFuture<'static, Result<Greeted, DialFailure>>;

/// What happens to the frames that wait when a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queued {
    /// They go to the peer's next life.
    Keep,
    /// They are handed back.
    GiveUp,
}

/// The driver. See the module.
pub(super) struct Driver {
    core: Arc<Core>,
    peer: Arc<Peer>,
    events: mpsc::UnboundedReceiver<Event>,
    life: Option<Arc<Life>>,
    /// Oldest first; the last one carries the frames.
    connections: Vec<Connection>,
    dial: Option<Dial>,
    /// For the second lane.
    bulk: BulkDial,
    mending: Option<Mending>,
    /// When the peer was last heard of on a connection that has ended.
    heard: Instant,
    stopping: Option<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn new(
        core: Arc<Core>,
        peer: Arc<Peer>,
        events: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        let (life, dial, mending, stopping) = (None, None, None, None);
        let bulk = BulkDial::default();
        let (connections, heard) = (Vec::new(), Instant::now());
        Self {
            core,
            peer,
            events,
            life,
            connections,
            dial,
            bulk,
            mending,
            heard,
            stopping,
        }
    }

    /// Runs until the record is retired.
    pub(super) async fn run(mut self) {
        while !self.is_done() {
            let dialling = self.dial.is_some();
            let (unserved, patience) = (self.bulk_missed_since(), self.core.config.lost_after);
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(event).await,
                    None => return,
                },
                result = outcome(&mut self.dial) => {
                    self.dial = None;
                    self.on_dialled(result).await;
                }
                result = self.bulk.outcome() => self.on_bulk_dialled(result).await,
                () = due(self.mending.as_ref(), dialling) => self.on_time().await,
                () = bulk::missed(unserved, patience) => self.on_bulk_missed().await,
            }
            self.pursue();
        }
    }

    fn is_done(&self) -> bool {
        if self.life.is_some() || self.dial.is_some() {
            return false;
        }
        self.stopping.is_some() || self.peer.outbox.is_closed() || self.core.retire(&self.peer)
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Wanted | Event::Check => {}
            Event::BulkWanted => self.want_bulk(),
            Event::BulkAsked => self.on_bulk_asked(),
            Event::Opened(greeted, _hold) => self.admit(greeted).await,
            Event::Closed {
                connection,
                heard,
                why,
            } => {
                self.on_closed(connection, heard, why).await;
            }
            Event::Stop(done) => self.stop(done).await,
        }
    }

    /// Dials if frames wait and nothing else is being done about it.
    fn pursue(&mut self) {
        let idle = self.life.is_none() && self.dial.is_none() && self.stopping.is_none();
        if idle && !self.peer.outbox.is_empty() {
            self.start_dial(self.core.dial_due(&self.peer.dial()));
        }
    }

    fn start_dial(&mut self, at: Instant) {
        let (core, peer) = (self.core.clone(), self.peer.clone());
        self.dial = Some(Box::pin(async move {
            until(at).await;
            handshake::dial(&core, peer.dial(), peer.epoch(), MAIN).await
        }));
    }

    async fn on_dialled(&mut self, result: Result<Greeted, DialFailure>) {
        match result {
            Ok(greeted) if greeted.hello.addr != self.peer.addr => self.on_alias(greeted).await,
            Ok(greeted) => self.admit(greeted).await,
            Err(failure) => self.on_failure(failure).await,
        }
    }

    /// The dialled node calls itself otherwise: from now on it is known by that name, and dialled
    /// by the one that worked.
    async fn on_alias(&mut self, greeted: Greeted) {
        let addr = greeted.hello.addr;
        self.bury(Loss::NodeDown, "another node has its address", Queued::Keep)
            .await;
        tracing::debug!(alias = %self.peer.addr, %addr, "two names of one node");
        self.core.merge(&self.peer, &addr);
    }

    async fn on_failure(&mut self, failure: DialFailure) {
        tracing::debug!("{}", failure.problem);
        if failure.itself {
            self.bury(Loss::NodeDown, &failure.problem, Queued::Keep)
                .await;
            return self.loop_back().await;
        }
        let random = self.core.random_below(1 << 20) as f64 / f64::from(1 << 20);
        let Some(mending) = &mut self.mending else {
            self.core.dial_failed(&self.peer.dial(), random);
            return self.give_up(failure.loss, &failure.problem);
        };
        if failure.usurped || mending.failed(Instant::now(), failure.refused, random) {
            self.bury(Loss::NodeDown, &failure.problem, Queued::GiveUp)
                .await;
        }
    }

    /// The time for another attempt, or for none.
    async fn on_time(&mut self) {
        let Some(mending) = &self.mending else { return };
        if Instant::now() >= mending.deadline {
            let silence = Problem::Silent(self.core.config.lost_after);
            let problem = silence.of(&self.peer.addr);
            self.bury(Loss::Unreachable, &problem, Queued::GiveUp).await;
        } else {
            self.start_dial(Instant::now());
        }
    }

    /// A connection is ready for use: it carries on the present life of the link, or begins one.
    async fn admit(&mut self, greeted: Greeted) {
        let (incarnation, epoch) = (greeted.hello.incarnation, greeted.hello.epoch);
        if greeted.epoch != self.peer.epoch() || self.stopping.is_some() {
            return;
        }
        if greeted.lane == BULK {
            return self.admit_bulk(greeted);
        }
        if let Some(life) = self.life.clone() {
            if life.id().incarnation != incarnation {
                let problem = "the node runs as another incarnation";
                self.bury(Loss::NodeDown, problem, Queued::Keep).await;
            } else if epoch > life.their_epoch {
                self.bury(Loss::Unreachable, "the peer began anew", Queued::Keep)
                    .await;
            } else if epoch < life.their_epoch {
                return;
            }
        }
        let id = PeerId {
            addr: self.peer.addr.clone(),
            incarnation,
        };
        let life = match &self.life {
            Some(life) => life.clone(),
            None => self.begin(id, &greeted),
        };
        self.core.dial_reached(&self.peer.dial());
        self.peer.outbox.forget_holds();
        self.dial = None;
        self.mending = None;
        self.open(&life, greeted);
    }

    /// Begins a life of the link.
    fn begin(&mut self, id: PeerId, greeted: &Greeted) -> Arc<Life> {
        let peer = self.peer.clone();
        let windows = windows(&self.core.config, &greeted.hello, greeted.version);
        let (epoch, version) = (greeted.hello.epoch, greeted.version);
        let bounds = self.core.bounds();
        let life = Life::new(Origin { id, peer }, epoch, version, windows, bounds);
        let life = Arc::new(life);
        self.life = Some(life.clone());
        let windows = windows.map(|window| window as u64);
        self.peer
            .outbox
            .begin(Outgoing::new(greeted.version, windows));
        life
    }

    fn open(&mut self, life: &Arc<Life>, greeted: Greeted) {
        let lane = greeted.lane;
        self.make_way(lane, greeted.dialled);
        let connection = Connection::open(&self.core, &self.peer, life, greeted);
        tracing::debug!(peer = %life.id().addr, lane, dialled = connection.dialled, "connected");
        self.connections.push(connection);
        self.appoint(lane);
    }

    fn newest(&self, lane: usize) -> Option<&Connection> {
        let mut connections = self.connections.iter().rev();
        connections.find(|connection| connection.shared.lane == lane)
    }

    /// A peer that dials again has given up what it dialled before.
    fn make_way(&mut self, lane: usize, dialled: bool) {
        self.connections
            .retain(|connection| connection.shared.lane != lane || connection.dialled != dialled);
        if self.connections.len() >= CONNECTIONS_MAX {
            self.connections.remove(0);
        }
    }

    /// Lets the newest connection of a lane carry its frames.
    fn appoint(&mut self, lane: usize) {
        let newest = self
            .newest(lane)
            .map(|connection| connection.shared.clone());
        let has_one = newest.is_some();
        if let Some(connection) = &newest {
            connection.wake.notify_one();
        }
        let needs_bulk = self.peer.outbox.appoint(lane, newest);
        if needs_bulk || (lane == MAIN && has_one && self.lacks_bulk()) {
            self.want_bulk();
        }
    }

    async fn on_closed(&mut self, number: u64, heard: Instant, why: Problem) {
        let mut open = self.connections.iter();
        let Some(at) = open.position(|connection| connection.shared.number == number) else {
            return;
        };
        let connection = self.connections.remove(at);
        let problem = why.of(&self.peer.addr);
        tracing::debug!("{problem}");
        match why {
            Problem::Goodbye => self.bury(Loss::NodeDown, &problem, Queued::GiveUp).await,
            Problem::Rejected { .. } => {
                self.core.warn_once(&problem);
                self.bury(Loss::Unreachable, &problem, Queued::GiveUp).await;
            }
            Problem::Frame(_)
            | Problem::OutOfTurn
            | Problem::Gap { .. }
            | Problem::Table
            | Problem::Chunk => {
                self.core.warn_once(&problem);
                self.linger(connection.reject(why.to_peer()));
                self.bury(Loss::Unreachable, &problem, Queued::GiveUp).await;
            }
            _ if connection.shared.lane == BULK => self.appoint(BULK),
            _ => self.mend(connection.dialled, heard, &why),
        }
    }

    /// Goes on with another connection, or begins to look for one.
    fn mend(&mut self, dialled: bool, heard: Instant, why: &Problem) {
        let now = Instant::now();
        let heard = if matches!(why, Problem::Silent(_)) {
            heard
        } else {
            now
        };
        self.heard = self.heard.max(heard);
        self.appoint(MAIN);
        let none = self.newest(MAIN).is_none();
        if none && self.stopping.is_some() {
            self.connections.clear();
            self.life = None;
        } else if none {
            self.bulk.is_not_missed();
            let patience = self.core.config.lost_after;
            self.mending = Some(Mending::begin(now, self.heard, patience, dialled));
        }
    }

    fn linger(&self, writer: Option<Task>) {
        let until = Instant::now() + LINGER;
        self.core.runtime.spawn(async move {
            sleep_until(until).await;
            drop(writer);
        });
    }

    /// Ends the life of the link, and tells the node.
    async fn bury(&mut self, loss: Loss, problem: &str, queued: Queued) {
        self.connections.clear();
        self.dial = None;
        self.bulk = BulkDial::default();
        self.mending = None;
        let Some(life) = self.life.take() else { return };
        if queued == Queued::GiveUp {
            // Whoever still knows this life's epoch must not carry it on. With another life at
            // hand the peer's side of the pair has changed already.
            self.peer.set_epoch(self.core.next_epoch());
        }
        tracing::debug!(peer = %life.id().addr, ?loss, problem, "link lost");
        let dropped = life.arrival().end();
        life.eased.notify_waiters();
        self.peer.outbox.end(&self.peer.addr);
        if queued == Queued::GiveUp {
            self.give_up(loss, problem);
        }
        let Some(inbound) = self.core.inbound() else {
            return;
        };
        for (to, name) in dropped {
            inbound.on_dropped(&to, &name);
        }
        for addr in self.peer.names() {
            inbound.on_lost(
                &PeerId {
                    addr,
                    incarnation: life.id().incarnation,
                },
                loss,
            );
        }
    }

    /// Hands back what waits.
    fn give_up(&self, loss: Loss, problem: &str) {
        let frames = self.peer.outbox.take_all();
        if let Some(inbound) = self.core.inbound() {
            for frame in frames {
                inbound.on_undelivered(&self.peer.addr, frame, loss, problem);
            }
        }
    }

    /// Says goodbye; done when the peer has closed, at once when there is none.
    async fn stop(&mut self, done: oneshot::Sender<()>) {
        self.stopping = Some(done);
        self.dial = None;
        self.mending = None;
        match self.newest(MAIN) {
            Some(connection) => connection.say_goodbye(),
            None => {
                self.life = None;
                self.peer.outbox.end(&self.peer.addr);
                self.give_up(Loss::NodeDown, "this node is shutting down");
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(life) = self.life.take() {
            life.arrival().end();
        }
    }
}

/// Bytes that may be under way on each lane: what both ends allow.
fn windows(config: &LinkConfig, theirs: &Hello, version: u16) -> [usize; 2] {
    let own = config.windows;
    if version < WITH_TABLES {
        return own;
    }
    [MAIN, BULK].map(|lane| {
        let theirs = usize::try_from(theirs.windows[lane]).unwrap_or(usize::MAX);
        own[lane].min(theirs).max(1)
    })
}

async fn outcome(dial: &mut Option<Dial>) -> Result<Greeted, DialFailure> {
    match dial {
        Some(dial) => dial.await,
        None => pending().await,
    }
}

/// When the mending has something to do.
async fn due(mending: Option<&Mending>, dialling: bool) {
    match mending {
        Some(mending) if dialling => sleep_until(mending.deadline).await,
        Some(mending) => sleep_until(mending.next.min(mending.deadline)).await,
        None => pending().await,
    }
}
