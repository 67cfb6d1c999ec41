//! Frames: what one node writes to another, and their codec.
//!
//! On the wire a frame is a `u32` length (big endian, of the rest), a kind byte and a body. Kinds
//! below [`wire::FIRST_NUMBERED`] steer one connection ([`Control`]); those from there on are
//! numbered in order along a link, so that a link outlives a connection without loss or doubling
//! (see [`crate::links`]). A receiver skips kinds that it does not know, and counts the numbered
//! ones. From version 2 on, the names of actors and message types travel once and then as numbers
//! of a table, and frames above 64 KiB travel in chunks on a connection of their own. See `encode` and `decode` for the bodies and `transport` for how the bytes travel.

mod decode;
mod encode;
#[cfg(test)]
mod fuzz;
pub(crate) mod wire;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    decode::{Assembled, Decoder, FrameError, Large},
    encode::{
        CHUNK_HEAD, chunk_head, encode_actor, encode_announce, encode_control, encode_forget,
        encode_frame, encode_message, encode_type, message_prefix, reply_prefix,
    },
    wire::{Arrived, Control, Head, Hello, Preamble, Wire},
};
use crate::{
    error::Undeliverable,
    exit::ExitReason,
    pid::{AnyPid, NodeAddr},
    trace::TraceContext,
};

/// A message in its travelling form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// To whom; the node part is the receiving node's own and does not travel.
    pub(crate) to: AnyPid,
    /// [`crate::Message::NAME`].
    pub(crate) name: Arc<str>,
    /// [`crate::Message::VERSION`].
    pub(crate) version: u16,
    /// What the sender worked on.
    pub(crate) trace: Option<Box<TraceContext>>,
    /// The encoded message.
    #[serde(with = "serde_bytes")]
    pub(crate) body: Vec<u8>,
}

/// The notice that a message without an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// To whom it was sent.
    pub(crate) to: AnyPid,
    /// [`crate::Message::NAME`].
    pub(crate) name: Arc<str>,
    /// [`crate::Message::VERSION`].
    pub(crate) version: u16,
    /// Why.
    pub(crate) reason: Undeliverable,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// A message without an answer.
    Tell(Parcel),
    /// A message whose answer is awaited; `id` is unique per sending node incarnation.
    Ask { id: u64, parcel: Parcel },
    /// The answer to `Ask`, or why there is none (`None`: the actor ended before it answered).
    Reply {
        id: u64,
        result: Result<serde_bytes::ByteBuf, Option<Undeliverable>>,
    },
    /// Wants `Exited` when `target` (here) ends, sent to the frame's sending node.
    Monitor { target: AnyPid },
    /// Has `watcher` (here) monitor `target` (anywhere).
    Link { watcher: AnyPid, target: AnyPid },
    /// Takes `Link` back.
    Unlink { watcher: AnyPid, target: AnyPid },
    /// Takes `Monitor` back.
    Demonitor { target: AnyPid },
    /// `target` (of the sending node) has ended.
    Exited { target: AnyPid, reason: ExitReason },
    /// A `Tell` of the receiving node was not taken here.
    Refused(Refusal),
}

impl Frame {
    /// Whether the frame belongs to links and monitors. Such frames are as few as the monitors
    /// that exist, and a lost one would be missed for ever, so no bound refuses them.
    pub(crate) fn is_system(&self) -> bool {
        !matches!(
            self,
            Frame::Tell(_) | Frame::Ask { .. } | Frame::Reply { .. } | Frame::Refused(_)
        )
    }

    /// Whether peers that speak `version` know the frame; others are not sent it.
    pub(crate) fn is_known_in(&self, version: u16) -> bool {
        let new = matches!(self, Frame::Refused(_) | Frame::Unlink { .. });
        !new || version >= wire::WITH_TABLES
    }

    /// The frame as the node `own` would have read it.
    pub(crate) fn arrived_at(mut self, own: &NodeAddr) -> Self {
        if let Frame::Tell(parcel) | Frame::Ask { parcel, .. } = &mut self {
            parcel.to = parcel.to.at(own.clone());
        }
        self
    }

    /// At most how many bytes the frame takes on the wire, exact to a few dozen.
    pub(crate) fn weight(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                Frame::Tell(parcel) | Frame::Ask { parcel, .. } => {
                    let trace = parcel.trace.as_ref().map_or(0, |_| wire::TRACE_BYTES);
                    parcel.to.name().len() + parcel.name.len() + parcel.body.len() + trace
                }
                Frame::Reply { result, .. } => match result {
                    Ok(body) => body.len(),
                    Err(Some(reason)) => reason.to_string().len(),
                    Err(None) => 0,
                },
                Frame::Monitor { target } | Frame::Demonitor { target } => pid_weight(target),
                Frame::Link { watcher, target } | Frame::Unlink { watcher, target } => {
                    pid_weight(watcher) + pid_weight(target)
                }
                // Twice: older nodes read another reason.
                Frame::Exited { target, reason } => {
                    pid_weight(target) + 2 * reason.to_string().len()
                }
                Frame::Refused(refusal) => {
                    pid_weight(&refusal.to) + refusal.name.len() + refusal.reason.to_string().len()
                }
            }
    }

    /// Whether all names fit into their length fields.
    pub(crate) fn has_sane_names(&self) -> bool {
        let sane = |pid: &AnyPid| pid_weight(pid) <= usize::from(u16::MAX);
        match self {
            Frame::Tell(parcel) | Frame::Ask { parcel, .. } => {
                sane(&parcel.to) && parcel.name.len() <= wire::NAME_BYTES_MAX
            }
            Frame::Reply { .. } => true,
            Frame::Monitor { target } | Frame::Demonitor { target } => sane(target),
            Frame::Link { watcher, target } | Frame::Unlink { watcher, target } => {
                sane(watcher) && sane(target)
            }
            Frame::Exited { target, .. } => sane(target),
            Frame::Refused(refusal) => {
                sane(&refusal.to) && refusal.name.len() <= wire::NAME_BYTES_MAX
            }
        }
    }
}

/// At most how many bytes `pid` takes as text: a name, an address, an incarnation.
fn pid_weight(pid: &AnyPid) -> usize {
    const PORT_AND_INCARNATION: usize = 24;
    pid.name().len() + pid.node().host().len() + PORT_AND_INCARNATION
}
