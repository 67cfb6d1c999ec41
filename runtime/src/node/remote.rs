//! What comes from other nodes: frames to carry out, replies to send back, losses to tell of.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use serde_bytes::ByteBuf;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::{Inner, Node, asks::Answer, monitors::Watcher, names::NODE, workers::spawn_task};
use crate::{
    AnyPid, ExitReason, Message, NodeAddr, Undeliverable,
    frame::{Frame, Refusal},
    http::Visit,
    links::{Arriving, Inbound, Loss, Origin, PeerId},
};

/// The way back of an encoded reply. Dropped unused, it says that no reply will come.
pub(crate) struct RemoteReply(Option<Back>);

enum Back {
    /// To an asker on another node.
    Afar { to: Arc<Origin>, id: u64 },
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
            Some(Back::Afar { to, id }) => to.answer(Frame::Reply { id, result }),
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

    /// Sends the reply.
    pub(crate) fn answer<M: Message>(mut self, reply: &M::Reply) {
        self.reply::<M>(reply);
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
        origin: &Arc<Origin>,
        message: Arriving<'_>,
    ) -> Option<BoxFuture<'static, ()>> {
        let reply = message.ask.map(|id| {
            let to = origin.clone();
            RemoteReply(Some(Back::Afar { to, id }))
        });
        let refused = match self.cell(message.to) {
            Some(cell) => match cell.post_parcel(message, reply) {
                Ok(wait) => return wait,
                Err(refused) => refused,
            },
            None if message.to.name() == NODE => return self.serve(message, reply),
            None => {
                if let Some(reply) = reply {
                    reply.refuse(Undeliverable::NoSuchActor);
                }
                Undeliverable::NoSuchActor
            }
        };
        self.dead_letter(message.to, message.name, &refused);
        if message.ask.is_none() && is_the_senders_fault(&refused) {
            origin.answer(Frame::Refused(Refusal {
                to: message.to.clone(),
                name: message.name.clone(),
                version: message.version,
                reason: refused,
            }));
        }
        None
    }
}

/// Whether the sender of a message without an answer is told why it was not taken: the two nodes
/// do not agree on what the actor takes.
fn is_the_senders_fault(refused: &Undeliverable) -> bool {
    matches!(
        refused,
        Undeliverable::NotAccepted { .. } | Undeliverable::Codec(_)
    )
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
    fn on_message(
        &self,
        origin: &Arc<Origin>,
        message: Arriving<'_>,
    ) -> Option<BoxFuture<'static, ()>> {
        self.node()?.deliver(origin, message)
    }

    fn on_dropped(&self, to: &AnyPid, name: &str) {
        if let Some(node) = self.node() {
            node.dead_letter(to, name, &Undeliverable::MailboxFull);
        }
    }

    fn on_frame(&self, origin: &Arc<Origin>, frame: Frame) {
        let Some(node) = self.node() else { return };
        let peer = &origin.id;
        match frame {
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
            Frame::Unlink { watcher, target } => node.forget_link(&watcher, &target),
            Frame::Exited { target, reason } => node.exited_afar(&target, reason),
            Frame::Refused(refusal) => {
                node.dead_letter(&refusal.to, &refusal.name, &refusal.reason);
            }
            // Messages do not come this way.
            Frame::Tell(_) | Frame::Ask { .. } => {}
        }
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
