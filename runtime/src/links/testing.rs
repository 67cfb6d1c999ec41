//! What the tests of the links share: nodes that write down what they are told.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Inbound, LinkConfig, Links, Loss, PeerId, locked};
use crate::{
    frame::{Frame, Parcel},
    pid::NodeAddr,
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
    u64::from_be_bytes(parcel.body.as_slice().try_into().expect("eight bytes"))
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
    blocked: Mutex<Option<Arc<Notify>>>,
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
        *locked(&self.blocked) = Some(gate.clone());
        gate
    }

    /// Ends the effect of `block`, but for the frame that waits.
    pub(crate) fn unblock(&self) {
        if let Some(gate) = locked(&self.blocked).take() {
            gate.notify_one();
        }
    }
}

impl Inbound for Inbox {
    fn on_frame(&self, peer: &PeerId, frame: Frame) -> Option<BoxFuture<'static, ()>> {
        self.add(Seen::Frame(peer.clone(), frame));
        let gate = locked(&self.blocked).clone()?;
        Some(Box::pin(async move { gate.notified().await }))
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
