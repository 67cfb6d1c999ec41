//! Reliable delivery, on request: acknowledged, resent, each message handled once and in order.
//!
//! A plain `tell` arrives at most once. A [`ReliablePid`] sends each message until the receiver has
//! handled it or its time is over, over broken connections and healed partitions. The receiver
//! needs nothing but to accept the message: its node tells doubles apart.
//!
//! `window` is the sender's side, `inbox` the receiver's, both pure; `driver` sends.

mod driver;
pub(crate) mod inbox;
mod window;

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    AnyPid, Message, Node, NodeAddr, Undeliverable,
    node::spawn_task,
    rt::{Actor, Handler},
};
use driver::{Driver, Parcelled};

/// How a [`ReliablePid`] sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReliableOptions {
    /// How long a message is tried to deliver; default one minute.
    pub give_up_after: Duration,
    /// How long one attempt may take before there is another; default 1 s.
    pub attempt: Duration,
    /// Bytes of messages that may wait to be delivered, each counted with 128 more; default 1 MiB.
    pub memory: usize,
}

impl Default for ReliableOptions {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(60),
            attempt: Duration::from_secs(1),
            memory: 1024 * 1024,
        }
    }
}

/// What a message weighs beside its bytes.
const OVERHEAD: usize = 128;

/// The way to one actor on which each message is handled once and in order, or comes back. Clones
/// share it.
///
/// ```
/// # use std::time::Duration;
/// # use tepui_runtime::{prelude::*, reliable::ReliablePid, testkit};
/// # #[derive(Serialize, Deserialize, Message)]
/// # #[message(name = "doc.Pay")]
/// # struct Pay(u64);
/// # struct Account(u64);
/// # impl Actor for Account { type Context = Context<Self>; }
/// # impl Handler<Pay> for Account {
/// #     type Result = ();
/// #     fn handle(&mut self, pay: Pay, _: &mut Context<Self>) { self.0 += pay.0; }
/// # }
/// # accepts!(Account: Pay);
/// # testkit::run(async |kit| {
/// # let (here, there) = (kit.node("here").await, kit.node("there").await);
/// # let account = there.spawn("account", Account(0)).unwrap().any();
/// let reliable = ReliablePid::<Account>::new(&here, &account, Default::default());
/// let delivery = reliable.send(Pay(10)).await.unwrap();
/// match delivery.await {
///     Ok(()) => {}
///     Err(gave_up) => panic!("{gave_up}, and here is {:?} back", gave_up.message.0),
/// }
/// # });
/// ```
pub struct ReliablePid<A> {
    pid: AnyPid,
    options: ReliableOptions,
    commands: mpsc::UnboundedSender<Parcelled>,
    room: Arc<Semaphore>,
    actor: PhantomData<fn(A)>,
}

impl<A> Clone for ReliablePid<A> {
    fn clone(&self) -> Self {
        Self {
            pid: self.pid.clone(),
            options: self.options,
            commands: self.commands.clone(),
            room: self.room.clone(),
            actor: PhantomData,
        }
    }
}

impl<A> fmt::Debug for ReliablePid<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReliablePid({})", self.pid)
    }
}

impl<A: Actor> ReliablePid<A> {
    /// A way from `node` to `pid`. With an incarnation in it, the end of that actor is the end of
    /// the way; without, messages go on to the next bearer of the name. To be called where tokio
    /// runs: in actors, or in the future that started the node.
    pub fn new(node: &Node, pid: &AnyPid, options: ReliableOptions) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let driver = Driver::new(node.clone(), pid.clone(), options, receiver);
        spawn_task(driver.run());
        Self {
            pid: pid.clone(),
            options,
            commands,
            room: Arc::new(Semaphore::new(options.memory.min(Semaphore::MAX_PERMITS))),
            actor: PhantomData,
        }
    }

    /// To whom.
    pub fn pid(&self) -> &AnyPid {
        &self.pid
    }

    /// Takes a message, waiting for room. It is delivered whether or not the [`Delivery`] is
    /// awaited, as long as this node lives.
    ///
    /// # Errors
    /// [`GaveUp`] with the message: it cannot travel, or is larger than all of the room.
    pub async fn send<M: Message>(&self, message: M) -> Result<Delivery<M>, GaveUp<M>>
    where
        A: Handler<M>,
    {
        let (body, weight) = match self.weigh(&message) {
            Ok(weighed) => weighed,
            Err(reason) => return Err(self.refused(message, reason)),
        };
        let room = self.room.clone().acquire_many_owned(weight).await;
        Ok(self.push(message, body, room.expect("the room is never closed")))
    }

    /// Takes a message if there is room.
    ///
    /// # Errors
    /// As [`ReliablePid::send`], and [`Reason::Full`].
    pub fn try_send<M: Message>(&self, message: M) -> Result<Delivery<M>, GaveUp<M>>
    where
        A: Handler<M>,
    {
        let (body, weight) = match self.weigh(&message) {
            Ok(weighed) => weighed,
            Err(reason) => return Err(self.refused(message, reason)),
        };
        match self.room.clone().try_acquire_many_owned(weight) {
            Ok(room) => Ok(self.push(message, body, room)),
            Err(_) => Err(self.refused(message, Reason::Full)),
        }
    }

    fn weigh<M: Message>(&self, message: &M) -> Result<(Vec<u8>, u32), Reason> {
        let body = message
            .encode()
            .map_err(|error| Reason::Refused(error.into()))?;
        let (bytes, limit) = (body.len() + OVERHEAD, self.options.memory);
        match u32::try_from(bytes) {
            Ok(weight) if bytes <= limit => Ok((body, weight)),
            _ => Err(Reason::Refused(Undeliverable::TooLarge { bytes, limit })),
        }
    }

    fn refused<M>(&self, message: M, reason: Reason) -> GaveUp<M> {
        GaveUp {
            pid: self.pid.clone(),
            reason,
            message,
        }
    }

    fn push<M: Message>(
        &self,
        message: M,
        body: Vec<u8>,
        room: tokio::sync::OwnedSemaphorePermit,
    ) -> Delivery<M> {
        let (done, outcome) = oneshot::channel();
        let parcelled = Parcelled {
            name: M::NAME,
            version: M::VERSION,
            body: body.into(),
            done,
            room,
        };
        // A driver that has ended lets go of the sender in it.
        let _ = self.commands.send(parcelled);
        Delivery {
            pid: self.pid.clone(),
            message: Some(message),
            outcome,
        }
    }
}

/// A message on its way: resolves when it has been handled, or given up.
#[derive(Debug)]
pub struct Delivery<M> {
    pid: AnyPid,
    message: Option<M>,
    outcome: oneshot::Receiver<Result<(), Reason>>,
}

impl<M> Unpin for Delivery<M> {}

impl<M> Future for Delivery<M> {
    type Output = Result<(), GaveUp<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let outcome = task::ready!(Pin::new(&mut self.outcome).poll(cx));
        let outcome = outcome.unwrap_or(Err(Reason::Refused(Undeliverable::NodeStopped)));
        Poll::Ready(outcome.map_err(|reason| {
            GaveUp {
                pid: self.pid.clone(),
                reason,
                message: self
                    .message
                    .take()
                    .expect("a delivery is polled to its end once"),
            }
        }))
    }
}

/// Why a message was given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its time was over. It may have been handled all the same, if only its acknowledgement was
    /// lost.
    #[error("it was not acknowledged in time")]
    Expired,
    /// It will never be handled.
    #[error("{0}")]
    Refused(Undeliverable),
    /// There is no room for it now.
    #[error("too much waits to be delivered")]
    Full,
}

/// A message that was given up, with the message.
#[derive(Clone, PartialEq, Eq)]
pub struct GaveUp<M> {
    /// To whom.
    pub pid: AnyPid,
    /// Why.
    pub reason: Reason,
    /// What was to be delivered.
    pub message: M,
}

impl<M> fmt::Debug for GaveUp<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GaveUp({self})")
    }
}

impl<M> fmt::Display for GaveUp<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up a message to {}: {}", self.pid, self.reason)
    }
}

impl<M> std::error::Error for GaveUp<M> {}

/// What travels: a message in its envelope, sent to the receiver's node. Public for filters of
/// tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Reliable", reply = Receipt)]
pub struct Reliable {
    pub(crate) to: AnyPid,
    /// The sending node, and the number of the stream there.
    pub(crate) from: NodeAddr,
    pub(crate) stream: u64,
    pub(crate) seq: u64,
    /// The lowest number that is not settled.
    pub(crate) base: u64,
    /// For how long it may be resent, in microseconds.
    pub(crate) patience: u64,
    pub(crate) name: String,
    pub(crate) version: u16,
    #[serde(with = "serde_bytes")]
    pub(crate) body: Vec<u8>,
}

/// What the receiver's node says to a [`Reliable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Receipt {
    /// It has been handled.
    Handled,
    /// It is in the mailbox.
    Pending,
    /// This number is expected before it.
    Expected(u64),
    /// Too many streams.
    Full,
    /// The receiver ended before it came to it.
    Gone,
}
