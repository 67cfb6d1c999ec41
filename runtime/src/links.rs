//! Links: the connections to other nodes, seen from the node.
//!
//! A link joins this node with one life (*incarnation*) of a peer and carries frames in both
//! directions, each once and in order. It outlives the connections it runs on:
//!
//! ```text
//!            send, nobody known                 handshake done
//!   (none) ----------------------> dialling ----------------------> up <--------------+
//!     ^  \                             |                            |                 |
//!     |   \--- the peer dials ---------|----------------------------^                 |
//!     |                                |                            | last connection |
//!     |<-- refused, time out: the -----+                            | broke, or was   | again,
//!     |    queue is handed back                                     v silent          | same life
//!     |                                                          mending -------------+
//!     |                                                             |
//!     |<-- on_lost: goodbye, refused for 300 ms (NodeDown), --------+
//!          nothing heard for `lost_after`, corrupt frames (Unreachable);
//!          large frames without a connection of their own for as long;
//!          the queue is handed back. The next send begins anew, after a pause if the last attempt failed.
//! ```
//!
//! *up* or *mending*, a connection whose Hello shows another incarnation (NodeDown) or another epoch
//! of the same (Unreachable: the peer had given the link up) ends the life with `on_lost` and begins
//! the next one; what is queued goes there. So both ends of a link agree on whether it was lost.
//!
//! A link has two lanes, each with numbers of its own: one for control and ordinary frames, and one,
//! on a connection of its own that is made when it is needed, for the chunks of large frames.
//!
//! If both nodes dial at once there are two connections: frames go over the newest, both are read,
//! and the numbers of the frames keep the order. A frame that was written is kept until the peer
//! says that it has arrived.
//!
//! A node may be reached by several addresses (`localhost:5050`, `127.0.0.1:5050`), also by itself.
//! Its Hello says which is its own; from then on they share one link, and a loss is reported for
//! each.
//!
//! Where to read on: [`Links`] is what the node uses, `driver` has the states, `life` the numbers,
//! `connection` the reading and writing, `handshake` the beginning, `outbox` the bounds.

mod accept;
mod arrival;
mod connection;
mod core;
mod driver;
mod handshake;
mod life;
mod mending;
mod outbox;
mod outgoing;
mod outlet;
mod pauses;
mod peer;
mod problem;
mod sent;
mod sniff;
mod table;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traffic;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

pub(crate) use self::traffic::Traffic;
use self::{core::Core, outbox::Pushed, peer::Peer, problem::plain, task::Task};
pub(crate) use self::{life::Origin, outlet::Outlet};
use crate::{
    frame::{
        Frame, Parcel, Preamble,
        wire::{VERSION_MAX, VERSION_MIN},
    },
    http::Visit,
    pid::{AnyPid, NodeAddr},
    secret::Secret,
    trace::TraceContext,
    transport::{Listener, Transport, Unsafe, WrongHost},
};

/// One life of another node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerId {
    /// Where it listens.
    pub(crate) addr: NodeAddr,
    /// Which life of it.
    pub(crate) incarnation: u64,
}

/// Why a peer counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It said goodbye, refuses connections, or another incarnation answers at its address.
    NodeDown,
    /// It does not answer.
    Unreachable,
}

/// What the link layer tells the node. Called from tasks, never from within a call of [`Links`].
pub(crate) trait Inbound: Send + Sync + 'static {
    /// A message came from `origin`. `Some(future)`: the receiving mailbox is full; the message is in
    /// it when the future is done, and no other one to the same actor must be handed over before.
    fn on_message(
        &self,
        origin: &Arc<Origin>,
        message: Arriving<'_>,
    ) -> Option<BoxFuture<'static, ()>>;

    /// `frame`, which is no message, came from `origin`.
    fn on_frame(&self, origin: &Arc<Origin>, frame: Frame);

    /// A message from a peer that is lost was still waiting for room.
    fn on_dropped(&self, to: &AnyPid, name: &str);

    /// The link to the peer is lost: called once for each life of the link, with each address that
    /// the peer was reached by. No frame of that life follows.
    fn on_lost(&self, peer: &PeerId, loss: Loss);

    /// `frame` was queued for `to` and will never be sent, because of `problem`.
    fn on_undelivered(&self, to: &NodeAddr, frame: Frame, loss: Loss, problem: &str);

    /// A connection speaks HTTP.
    fn on_http(&self, visit: Visit) {
        drop(visit);
    }
}

/// A message that has arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arriving<'a> {
    /// To whom, on this node.
    pub(crate) to: &'a AnyPid,
    /// [`crate::Message::NAME`].
    pub(crate) name: &'a Arc<str>,
    /// [`crate::Message::VERSION`].
    pub(crate) version: u16,
    /// The question's number, if it is one.
    pub(crate) ask: Option<u64>,
    /// What the sender worked on.
    pub(crate) trace: Option<TraceContext>,
    /// The encoded message.
    pub(crate) body: &'a [u8],
}

impl<'a> Arriving<'a> {
    fn parcel(parcel: &'a Parcel, ask: Option<u64>) -> Self {
        Self {
            to: &parcel.to,
            name: &parcel.name,
            version: parcel.version,
            ask,
            trace: parcel.trace.as_deref().copied(),
            body: &parcel.body,
        }
    }
}

/// Why a frame was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The link's queue is at its bound.
    Full,
    /// The receiver's mailbox is full.
    Held,
    /// The frame would be larger than allowed.
    TooLarge { bytes: usize, limit: usize },
    /// The links are shut down.
    Stopped,
}

/// The bounds and times of the links.
#[derive(Clone, Debug)]
pub(crate) struct LinkConfig {
    /// Which life of this node this is.
    pub(crate) incarnation: u64,
    /// Bytes in a frame.
    pub(crate) max_frame: usize,
    /// Bytes that may wait for a peer.
    pub(crate) queue_bytes: usize,
    /// Bytes that may be under way to a peer, and parked for its sake, on each lane.
    pub(crate) windows: [usize; 2],
    /// Bytes that may be parked for one actor before the peer is asked to send it no more.
    pub(crate) hold: usize,
    /// The seed of the pauses between attempts to connect.
    pub(crate) seed: u64,
    /// A connection on which nothing was written for this long is pinged.
    pub(crate) heartbeat: Duration,
    /// A peer that was not heard of for this long is lost; after half of it another connection is
    /// tried.
    pub(crate) lost_after: Duration,
    /// How long a connection may take to be made.
    pub(crate) connect_timeout: Duration,
    /// How long a peer may take to introduce itself.
    pub(crate) handshake_timeout: Duration,
    /// How long a shutdown may take.
    pub(crate) goodbye_timeout: Duration,
    /// The protocol versions to offer.
    pub(crate) versions: Preamble,
    /// What nodes prove to know where the transport does not say who they are.
    pub(crate) secret: Option<Secret>,
    /// The port of a second listener, for nodes of this machine that know the secret.
    pub(crate) door: Option<u16>,
    /// Whether to listen where anybody could connect.
    pub(crate) insecure: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            incarnation: 1,
            max_frame: 16 * MIB,
            queue_bytes: 64 * MIB,
            windows: [8 * MIB, 4 * MIB],
            hold: MIB / 4,
            seed: 0,
            heartbeat: Duration::from_secs(1),
            lost_after: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(3),
            goodbye_timeout: Duration::from_secs(2),
            versions: Preamble {
                min: VERSION_MIN,
                max: VERSION_MAX,
            },
            secret: None,
            door: None,
            insecure: false,
        }
    }
}

impl LinkConfig {
    /// With signs of life often enough for the patience with silence.
    fn sane(self) -> Self {
        Self {
            heartbeat: self.heartbeat.min(self.lost_after / 4),
            ..self
        }
    }
}

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {problem}; {advice}")]
    Listen {
        /// The address.
        addr: NodeAddr,
        /// What the operating system says.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// Other nodes could not dial the address.
    #[error(
        "cannot tell other nodes to dial {addr}; listen on the one address of this machine that they \
         are to use, or name it as well (--advertise, `NodeBuilder::advertise`)"
    )]
    Unspecified {
        /// The address.
        addr: NodeAddr,
    },
    /// Anybody who reaches the address could connect.
    #[error(
        "refusing to listen on {addr} without TLS, where whoever reaches it could do anything; make \
         certificates with `tepui certs init` and `tepui certs issue` and give --tls-ca, --tls-cert \
         and --tls-key, or allow it with --insecure"
    )]
    Open {
        /// The address.
        addr: NodeAddr,
    },
    /// Other nodes would not believe that this is the node's address.
    #[error(
        "cannot be {addr}: this node's certificate {wrong}; issue one with `tepui certs issue NAME \
         --host {}`, or choose a host of the certificate",
        wrong.host
    )]
    WrongHost {
        /// The address.
        addr: NodeAddr,
        /// What the certificate is for.
        wrong: WrongHost,
    },
}

impl BindError {
    fn listen(addr: &NodeAddr, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "choose another port or stop the process that has it",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            _ => "choose another address",
        };
        BindError::Listen {
            addr: addr.clone(),
            problem: plain(error),
            advice,
        }
    }
}

/// The links of a node. Clones are the same links; with the last one all connections end.
#[derive(Clone)]
pub(crate) struct Links(Arc<Guard>);

struct Guard {
    core: Arc<Core>,
    door: Option<NodeAddr>,
    /// Until they are served.
    listeners: Mutex<Vec<Box<dyn Listener>>>,
    accepting: Mutex<Vec<Task>>,
}

impl Links {
    /// Listens on `addr` (port 0: a free one). Other nodes are told to dial `advertise`, or `addr`;
    /// an `advertise` with port 0 gets the real port.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) async fn bind(
        addr: &NodeAddr,
        advertise: Option<NodeAddr>,
        config: LinkConfig,
        transport: Arc<dyn Transport>,
    ) -> Result<Links, BindError> {
        let own = advertise.unwrap_or_else(|| addr.clone());
        if matches!(own.host(), "0.0.0.0" | "[::]") {
            return Err(BindError::Unspecified { addr: own });
        }
        match transport.vouch(addr, &own) {
            Err(Unsafe::WrongHost(wrong)) => return Err(BindError::WrongHost { addr: own, wrong }),
            Err(Unsafe::Open) if !config.insecure => {
                return Err(BindError::Open { addr: addr.clone() });
            }
            _ => {}
        }
        let mut listeners = vec![listen(&*transport, addr).await?];
        let own = match own.port() {
            0 => NodeAddr::new(own.host(), listeners[0].addr().port()),
            _ => own,
        };
        if let Some(port) = config.door {
            listeners.push(listen(&*transport, &NodeAddr::door(port)).await?);
        }
        let door = listeners.get(1).map(|door| door.addr());
        let core = Arc::new(Core::new(own, config.sane(), transport));
        Ok(Links(Arc::new(Guard {
            core,
            door,
            listeners: Mutex::new(listeners),
            accepting: Mutex::default(),
        })))
    }

    /// The address of the second listener, where there is one.
    pub(crate) fn door(&self) -> Option<&NodeAddr> {
        self.0.door.as_ref()
    }

    /// The address that other nodes know this one by.
    pub(crate) fn addr(&self) -> &NodeAddr {
        &self.0.core.own
    }

    /// Starts to take connections, and to hand what arrives to `inbound`. Called once.
    pub(crate) fn serve(&self, inbound: Weak<dyn Inbound>) {
        let core = &self.0.core;
        core.set_inbound(inbound);
        for listener in locked(&self.0.listeners).drain(..) {
            let accepting = accept::run(core.clone(), listener);
            locked(&self.0.accepting).push(Task::spawn(&core.runtime, accepting));
        }
    }

    /// Queues `frame` for the node at `to`, and never blocks. Frames to one node arrive in the order
    /// in which they were queued; dialling, where needed, happens in the background.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn send(&self, to: &NodeAddr, frame: Frame) -> Result<(), Refused> {
        self.weigh(&frame)?;
        let mut frame = Some(frame);
        self.offer(to, |peer| peer.outbox.push(&mut frame))
    }

    fn weigh(&self, frame: &Frame) -> Result<(), Refused> {
        let (bytes, limit) = (frame.weight(), self.0.core.config.max_frame);
        if bytes > limit || !frame.has_sane_names() {
            Err(Refused::TooLarge { bytes, limit })
        } else {
            Ok(())
        }
    }

    fn offer(&self, to: &NodeAddr, mut offer: impl FnMut(&Peer) -> Pushed) -> Result<(), Refused> {
        loop {
            let Some(peer) = self.peer(to) else {
                return Err(Refused::Stopped);
            };
            if let Some(done) = settled(offer(&peer)) {
                return done;
            }
        }
    }

    /// What went through so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.0.core.traffic()
    }

    fn peer(&self, to: &NodeAddr) -> Option<Arc<Peer>> {
        self.0.core.peer(to).filter(|_| !self.0.core.is_stopped())
    }

    /// The way to an actor of another node, for many messages.
    pub(crate) fn outlet(&self, to: AnyPid) -> Outlet {
        Outlet::new(self.0.core.clone(), to)
    }

    /// Takes no more connections and frames, sends what is queued and then a goodbye to each peer,
    /// and returns when they have closed, or after [`LinkConfig::goodbye_timeout`].
    pub(crate) async fn shutdown(&self) {
        let core = &self.0.core;
        let accepting = std::mem::take(&mut *locked(&self.0.accepting));
        for task in accepting {
            task.end().await;
        }
        locked(&self.0.listeners).clear();
        if timeout(core.config.goodbye_timeout, core.stop())
            .await
            .is_err()
        {
            tracing::debug!("a peer did not close in time");
        }
        core.abort();
    }
}

async fn listen(
    transport: &dyn Transport,
    addr: &NodeAddr,
) -> Result<Box<dyn Listener>, BindError> {
    let listener = transport.listen(addr).await;
    listener.map_err(|error| BindError::listen(addr, &error))
}

/// What became of a frame; `None`: the peer's record is an old one, look it up again.
fn settled(pushed: Pushed) -> Option<Result<(), Refused>> {
    Some(match pushed {
        Pushed::Queued(poke) => {
            poke.carry_out();
            Ok(())
        }
        Pushed::Full => Err(Refused::Full),
        Pushed::Held => Err(Refused::Held),
        Pushed::Closed => return None,
    })
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.core.abort();
    }
}

/// A lock on `mutex`; what a panic left behind is as consistent as each short section leaves it.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
