//! What comes from other nodes: frames to carry out, replies to send back, losses to tell of.

use std::sync::Weak;

use futures_util::future::BoxFuture;
use serde_bytes::ByteBuf;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::{Inner, Node, asks::Answer, monitors::Watcher, names::NODE, workers::spawn_task};
use crate::{
    ExitReason, Message, NodeAddr, Undeliverable,
    frame::{Frame, Parcel},
    http::Visit,
    links::{Inbound, Loss, PeerId},
};

/// The way back of an encoded reply. Dropped unused, it says that no reply will come.
pub(crate) struct RemoteReply(Option<Back>);

enum Back {
    /// To an asker on another node.
    Afar { node: Node, to: NodeAddr, id: u64 },
    /// To the runtime itself.
    Here(Box<dyn FnOnce(Outcome) + Send>),
}

/// The reply; or why the question was refused; or nothing, because the actor ended.
pub(crate) type Outcome = Result<ByteBuf, Option<Undeliverable>>;

impl RemoteReply {
    /// Has `then` called with the outcome, once.
    pub(crate) fn then(then: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Back::Here(Box::new(then))))
    }

    fn send(&mut self, result: Outcome) {
        match self.0.take() {
            None => {}
            Some(Back::Here(then)) => then(result),
            // A full or broken link: the asker's deadline or its own loss of the link tells it.
            Some(Back::Afar { node, to, id }) => {
                let _ = node.inner.links.send(&to, Frame::Reply { id, result });
            }
        }
    }

    /// The question was not taken.
    pub(crate) fn refuse(mut self, why: Undeliverable) {
        self.send(Err(Some(why)));
    }

    /// Sends the reply when the handler gives it.
    pub(crate) fn forward<M: Message>(mut self, mut receiver: oneshot::Receiver<M::Reply>) {
        match receiver.try_recv() {
            Ok(reply) => self.reply::<M>(&reply),
            Err(TryRecvError::Closed) => {}
            Err(TryRecvError::Empty) => spawn_task(async move {
                if let Ok(reply) = receiver.await {
                    self.reply::<M>(&reply);
                }
            }),
        }
    }

    pub(crate) fn reply<M: Message>(&mut self, reply: &M::Reply) {
        let result = M::encode_reply(reply).map(ByteBuf::from);
        self.send(result.map_err(|error| Some(Undeliverable::from(error))));
    }
}

impl Drop for RemoteReply {
    fn drop(&mut self) {
        self.send(Err(None));
    }
}

impl From<Loss> for ExitReason {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::NodeDown => ExitReason::NodeDown,
            Loss::Unreachable => ExitReason::Unreachable,
        }
    }
}

impl Node {
    fn deliver(
        &self,
        peer: &PeerId,
        parcel: Parcel,
        ask: Option<u64>,
    ) -> Option<BoxFuture<'static, ()>> {
        let reply = ask.map(|id| {
            let (node, to) = (self.clone(), peer.addr.clone());
            RemoteReply(Some(Back::Afar { node, to, id }))
        });
        let (pid, name) = (parcel.to.clone(), parcel.name.clone());
        let refused = match self.cell(&pid) {
            Some(cell) => match cell.post_parcel(parcel, reply) {
                Ok(wait) => return wait,
                Err(refused) => refused,
            },
            None if pid.name() == NODE => return self.serve(&parcel, reply),
            None => {
                if let Some(reply) = reply {
                    reply.refuse(Undeliverable::NoSuchActor);
                }
                Undeliverable::NoSuchActor
            }
        };
        self.dead_letter(&pid, &name, &refused);
        None
    }
}

/// What the link layer holds of the node; it keeps no node alive.
pub(crate) struct Receiver(pub(crate) Weak<Inner>);

impl Receiver {
    fn node(&self) -> Option<Node> {
        Some(Node {
            inner: self.0.upgrade()?,
        })
    }
}

impl Inbound for Receiver {
    fn on_frame(&self, peer: &PeerId, frame: Frame) -> Option<BoxFuture<'static, ()>> {
        let node = self.node()?;
        match frame {
            Frame::Tell(parcel) => return node.deliver(peer, parcel, None),
            Frame::Ask { id, parcel } => return node.deliver(peer, parcel, Some(id)),
            Frame::Reply { id, result } => {
                let answer = match result {
                    Ok(body) => Answer::Reply(body),
                    Err(why) => Answer::Refused(why),
                };
                node.inner.asks.answer(id, answer);
            }
            Frame::Monitor { target } => node.watch_for(&peer.addr, target),
            Frame::Demonitor { target } => node.unwatch_for(&peer.addr, &target),
            Frame::Link { watcher, target } => {
                if let Some(cell) = node.cell(&watcher) {
                    node.watch(&target, Watcher::Linked(cell));
                }
            }
            Frame::Exited { target, reason } => node.exited_afar(&target, reason),
        }
        None
    }

    fn on_lost(&self, peer: &PeerId, loss: Loss) {
        let Some(node) = self.node() else { return };
        let reason = ExitReason::from(loss);
        tracing::info!(node = %peer.addr, %reason, "node lost");
        node.inner
            .asks
            .lose(&peer.addr, &format!("{}: {reason}", peer.addr));
        node.lost_node(&peer.addr, &reason);
    }

    fn on_http(&self, visit: Visit) {
        if let Some(node) = self.node() {
            node.http().take(&node, visit);
        }
    }

    fn on_undelivered(&self, to: &NodeAddr, frame: Frame, loss: Loss, problem: &str) {
        let Some(node) = self.node() else { return };
        match frame {
            Frame::Tell(parcel) => {
                let reason = Undeliverable::Codec(problem.to_owned());
                node.dead_letter(&parcel.to, &parcel.name, &reason);
            }
            Frame::Ask { id, .. } => node.inner.asks.answer(id, Answer::Lost(problem.to_owned())),
            Frame::Monitor { target } => node.exited_afar(&target, loss.into()),
            Frame::Link { watcher, .. } => {
                tracing::debug!(%to, %watcher, problem, "link not made");
            }
            _ => {}
        }
    }
}
