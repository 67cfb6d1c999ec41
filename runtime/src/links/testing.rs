//! What the tests of the links share: nodes that write down what they are told.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::AddAssign,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Arriving, Inbound, LinkConfig, Links, Loss, Origin, PeerId, Refused, locked};
use crate::{
    frame::{Frame, Parcel},
    pid::{AnyPid, NodeAddr},
    transport::{MemoryNetwork, Transport},
};

/// A frame that carries `number`.
pub(crate) fn tell(number: u64) -> Frame {
    tell_bytes(number.to_be_bytes().to_vec())
}

/// A frame that carries `body`.
pub(crate) fn tell_bytes(body: Vec<u8>) -> Frame {
    let to = "counter@there:1".parse().expect("a PID");
    Frame::Tell(Parcel {
        to,
        name: "test.Count".into(),
        trace: None,
        version: 1,
        body,
    })
}

/// The number that a frame carries.
pub(crate) fn number_of(frame: &Frame) -> u64 {
    let Frame::Tell(parcel) = frame else {
        panic!("a tell, not {frame:?}")
    };
    u64::from_be_bytes(*parcel.body.first_chunk().expect("eight bytes"))
}

/// A body of `bytes` bytes that begins with `number`.
fn numbered(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(bytes, 7);
    body
}

/// What a node was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Frame(PeerId, Frame),
    Lost(PeerId, Loss),
    Undelivered(NodeAddr, Frame, Loss, String),
}

/// Writes down what a node is told.
#[derive(Default)]
pub(crate) struct Inbox {
    seen: Mutex<Vec<(Instant, Seen)>>,
    changed: Notify,
    /// For which actor, or all.
    blocked: Mutex<Option<(Option<&'static str>, Arc<Notify>)>>,
    dropped: Mutex<usize>,
}

impl Inbox {
    fn add(&self, seen: Seen) {
        locked(&self.seen).push((Instant::now(), seen));
        self.changed.notify_waiters();
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        let seen = locked(&self.seen);
        seen.iter()
            .filter_map(|(_, seen)| match seen {
                Seen::Frame(_, frame) => Some(number_of(frame)),
                _ => None,
            })
            .collect()
    }

    /// The numbers from each life of a peer, in the order in which they came.
    pub(crate) fn numbers_by_sender(&self) -> BTreeMap<PeerId, Vec<u64>> {
        let mut numbers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, seen) in &*locked(&self.seen) {
            if let Seen::Frame(peer, frame) = seen {
                numbers
                    .entry(peer.clone())
                    .or_default()
                    .push(number_of(frame));
            }
        }
        numbers
    }

    /// Whether nothing came from a life of a node after another life of it had been lost later.
    pub(crate) fn is_silent_after_losses(&self) -> bool {
        let mut ended: BTreeMap<NodeAddr, u64> = BTreeMap::new();
        locked(&self.seen).iter().all(|(_, seen)| match seen {
            Seen::Lost(peer, Loss::NodeDown) => {
                let last = ended.entry(peer.addr.clone()).or_default();
                *last = peer.incarnation.max(*last);
                true
            }
            Seen::Frame(peer, _) => ended.get(&peer.addr).is_none_or(|e| peer.incarnation > *e),
            Seen::Lost(..) | Seen::Undelivered(..) => true,
        })
    }

    pub(crate) fn losses(&self) -> Vec<(Instant, PeerId, Loss)> {
        let seen = locked(&self.seen);
        seen.iter()
            .filter_map(|(at, seen)| match seen {
                Seen::Lost(peer, loss) => Some((*at, peer.clone(), *loss)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn undelivered(&self) -> Vec<(Frame, Loss, String)> {
        let seen = locked(&self.seen);
        seen.iter()
            .filter_map(|(_, seen)| match seen {
                Seen::Undelivered(_, frame, loss, problem) => {
                    Some((frame.clone(), *loss, problem.clone()))
                }
                _ => None,
            })
            .collect()
    }

    /// Waits until `enough` holds.
    pub(crate) async fn until(&self, enough: impl Fn(&Self) -> bool) {
        within(async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if enough(self) {
                    return;
                }
                changed.await;
            }
        })
        .await
    }

    pub(crate) async fn until_numbers(&self, count: usize) {
        let frames = |inbox: &Self| {
            let seen = locked(&inbox.seen);
            seen.iter()
                .filter(|(_, seen)| matches!(seen, Seen::Frame(..)))
                .count()
        };
        self.until(|inbox| frames(inbox) >= count).await;
    }

    pub(crate) async fn until_lost(&self) {
        self.until(|inbox| !inbox.losses().is_empty()).await;
    }

    /// From now on each frame waits until the result is notified.
    pub(crate) fn block(&self) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        *locked(&self.blocked) = Some((None, gate.clone()));
        gate
    }

    /// As [`Inbox::block`], for messages to one actor.
    pub(crate) fn block_only(&self, actor: &'static str) {
        *locked(&self.blocked) = Some((Some(actor), Arc::new(Notify::new())));
    }

    /// Numbers and lengths of the messages to an actor, as they were handed over.
    pub(crate) fn messages_to(&self, actor: &str) -> Vec<(u64, usize)> {
        let seen = locked(&self.seen);
        let messages = seen.iter().filter_map(|(_, seen)| match seen {
            Seen::Frame(_, frame @ Frame::Tell(parcel)) if parcel.to.name() == actor => {
                Some((number_of(frame), parcel.body.len()))
            }
            _ => None,
        });
        messages.collect()
    }

    /// Messages that were dropped with their life.
    pub(crate) fn dropped(&self) -> usize {
        *locked(&self.dropped)
    }

    /// Ends the effect of `block`, but for the frame that waits.
    pub(crate) fn unblock(&self) {
        if let Some((_, gate)) = locked(&self.blocked).take() {
            gate.notify_one();
        }
    }
}

impl Inbound for Inbox {
    fn on_message(
        &self,
        origin: &Arc<Origin>,
        message: Arriving<'_>,
    ) -> Option<BoxFuture<'static, ()>> {
        let frame = Frame::Tell(Parcel {
            to: message.to.clone(),
            name: message.name.clone(),
            trace: message.trace.map(Box::new),
            version: message.version,
            body: message.body.to_vec(),
        });
        // As the sender wrote it.
        let there = "there:1".parse().expect("an address");
        self.add(Seen::Frame(origin.id.clone(), frame.arrived_at(&there)));
        let (of, gate) = locked(&self.blocked).clone()?;
        if of.is_some_and(|of| of != message.to.name()) {
            return None;
        }
        Some(Box::pin(async move { gate.notified().await }))
    }

    fn on_frame(&self, origin: &Arc<Origin>, frame: Frame) {
        self.add(Seen::Frame(origin.id.clone(), frame));
    }

    fn on_dropped(&self, _to: &AnyPid, _name: &str) {
        locked(&self.dropped).add_assign(1);
    }

    fn on_lost(&self, peer: &PeerId, loss: Loss) {
        self.add(Seen::Lost(peer.clone(), loss));
    }

    fn on_undelivered(&self, to: &NodeAddr, frame: Frame, loss: Loss, problem: &str) {
        self.add(Seen::Undelivered(
            to.clone(),
            frame,
            loss,
            problem.to_owned(),
        ));
    }
}

/// Fails a test that waits for something that does not come.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future)
        .await
        .expect("it happens within a minute")
}

/// A node that is nothing but links.
pub(crate) struct TestNode {
    pub(crate) links: Links,
    pub(crate) inbox: Arc<Inbox>,
}

impl TestNode {
    /// A node at `addr` on `network`.
    pub(crate) async fn on(network: &MemoryNetwork, addr: &str, config: LinkConfig) -> Self {
        Self::bound(addr, config, network.transport()).await
    }

    pub(crate) async fn bound(
        addr: &str,
        config: LinkConfig,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let addr = addr.parse().expect("an address");
        let links = Links::bind(&addr, None, config, transport)
            .await
            .expect("a free address");
        let inbox = Arc::new(Inbox::default());
        let inbound: Weak<Inbox> = Arc::downgrade(&inbox);
        links.serve(inbound);
        Self { links, inbox }
    }

    pub(crate) fn addr(&self) -> &NodeAddr {
        self.links.addr()
    }

    pub(crate) fn id(&self, incarnation: u64) -> PeerId {
        PeerId {
            addr: self.addr().clone(),
            incarnation,
        }
    }

    fn outlet(&self, to: &Self, actor: &str) -> super::Outlet {
        let pid = format!("{actor}@{}", to.addr()).parse().expect("a PID");
        self.links.outlet(pid)
    }

    /// Sends `number` to an actor of `to`, in a message of `bytes` bytes.
    pub(crate) fn tell_to(
        &self,
        to: &Self,
        actor: &str,
        number: u64,
        bytes: usize,
    ) -> Result<(), Refused> {
        let mut body = numbered(number, bytes);
        let outlet = self.outlet(to, actor);
        outlet.post("test.Count", 1, None, None, &mut body)
    }

    /// Sends `number` to an actor of `to`, waiting for room from the call on.
    pub(crate) fn tell_wait(
        &self,
        to: &Self,
        actor: &str,
        number: u64,
    ) -> BoxFuture<'static, Result<(), Refused>> {
        let mut body = numbered(number, 8);
        let outlet = self.outlet(to, actor);
        let waiting = outlet.post_wait("test.Count", 1, None, None, &mut body);
        waiting.unwrap_or_else(|| Box::pin(async { Ok(()) }))
    }

    /// Sends the numbers in `range` to `to`.
    pub(crate) fn count(&self, to: &Self, range: std::ops::Range<u64>) {
        for number in range {
            self.links.send(to.addr(), tell(number)).expect("room");
        }
    }
}

/// A configuration for life `incarnation` of a node.
pub(crate) fn life(incarnation: u64) -> LinkConfig {
    LinkConfig {
        incarnation,
        ..LinkConfig::default()
    }
}
