//! Links: the connections to other nodes, seen from the node.
//!
//! Skeleton: the interface between `node` and the link layer.

use futures_util::future::BoxFuture;

use crate::{frame::Frame, pid::NodeAddr};

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

/// What the link layer tells the node.
pub(crate) trait Inbound: Send + Sync + 'static {
    /// `frame` came from `peer`. `Some(future)`: the reader must await it before it reads on (the
    /// receiving mailbox is full).
    fn on_frame(&self, peer: &PeerId, frame: Frame) -> Option<BoxFuture<'static, ()>>;

    /// The peer is lost: called once for each life of a peer that a link was established with.
    fn on_lost(&self, peer: &PeerId, loss: Loss);

    /// `frame` was queued for `to` and will never be sent, because of `problem`.
    fn on_undelivered(&self, to: &NodeAddr, frame: Frame, loss: Loss, problem: &str);
}

/// Why a frame was not queued.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The link's queue is at its bound.
    Full(Box<Frame>),
    /// The frame would be larger than allowed.
    TooLarge { bytes: usize, limit: usize },
    /// The links are shut down.
    Stopped,
}
