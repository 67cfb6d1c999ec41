//! Frames: what one node writes to another. See `transport` for how they travel.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{error::Undeliverable, exit::ExitReason, pid::AnyPid};

/// A message in its travelling form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// To whom; the node part is the receiving node's own.
    pub(crate) to: AnyPid,
    /// [`crate::Message::NAME`].
    pub(crate) name: Arc<str>,
    /// [`crate::Message::VERSION`].
    pub(crate) version: u16,
    /// The encoded message.
    #[serde(with = "serde_bytes")]
    pub(crate) body: Vec<u8>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// A message without an answer.
    Tell(Parcel),
    /// A message whose answer is awaited; `id` is unique per sending node incarnation.
    Ask { id: u64, parcel: Parcel },
    /// The answer to `Ask`, or why there is none (`None`: the actor ended before it answered).
    Reply { id: u64, result: Result<serde_bytes::ByteBuf, Option<Undeliverable>> },
    /// Wants `Exited` when `target` (here) ends, sent to the frame's sending node.
    Monitor { target: AnyPid },
    /// Takes `Monitor` back.
    Demonitor { target: AnyPid },
    /// `target` (of the sending node) has ended.
    Exited { target: AnyPid, reason: ExitReason },
    /// Asks for a sign of life.
    Ping,
    /// The sign of life.
    Pong,
    /// The sending node shuts down in good order.
    Goodbye,
}
