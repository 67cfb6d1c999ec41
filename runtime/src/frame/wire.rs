//! The fixed parts of the wire format: kind bytes, preamble and control frames.
//!
//! Version 2 adds tables of names, credit, bulk connections, the notice of a refused message and `Unlink` to
//! version 1. A link speaks the newest version that both ends know.

use serde::{Deserialize, Serialize};

use super::Frame;
use crate::{pid::NodeAddr, secret::Nonce, trace::TraceContext};

/// What a connection begins with, in both directions, before any frame.
pub(crate) const MAGIC: &[u8; 5] = b"TEPUI";
/// Bytes of an encoded [`Preamble`].
pub(crate) const PREAMBLE_BYTES: usize = MAGIC.len() + 4;
/// Oldest protocol version that this build speaks.
pub(crate) const VERSION_MIN: u16 = 1;
/// Newest protocol version that this build speaks.
pub(crate) const VERSION_MAX: u16 = 2;
/// A message's name may have this many bytes.
pub(crate) const NAME_BYTES_MAX: usize = 4096;
/// Bytes of a trace context in a parcel's header, with its tag and length.
pub(crate) const TRACE_BYTES: usize = 2 + crate::trace::BINARY_BYTES;
/// The first version with tables, credit and bulk connections.
pub(crate) const WITH_TABLES: u16 = 2;
/// Actors that a link's table of names may hold.
pub(crate) const ACTORS_MAX: usize = 8192;
/// Message types that a link's table of names may hold.
pub(crate) const TYPES_MAX: usize = 4096;
/// The connection for control and ordinary frames.
pub(crate) const MAIN: usize = 0;
/// The connection for chunks of large frames.
pub(crate) const BULK: usize = 1;
/// Kinds from here on are numbered along the link.
pub(crate) const FIRST_NUMBERED: u8 = 64;

/// The kind bytes. A kind never changes its meaning; new ones get new bytes.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const REJECT: u8 = 2;
    pub(crate) const START: u8 = 3;
    pub(crate) const RESUME: u8 = 4;
    pub(crate) const ACK: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const PONG: u8 = 7;
    pub(crate) const GOODBYE: u8 = 8;
    pub(crate) const CHALLENGE: u8 = 40;
    pub(crate) const PROOF: u8 = 41;
    pub(crate) const HOLD: u8 = 9;
    pub(crate) const RELEASE: u8 = 10;
    pub(crate) const WANT_BULK: u8 = 11;
    pub(crate) const TELL: u8 = 64;
    pub(crate) const ASK: u8 = 65;
    pub(crate) const REPLY: u8 = 66;
    pub(crate) const MONITOR: u8 = 67;
    pub(crate) const DEMONITOR: u8 = 68;
    pub(crate) const EXITED: u8 = 69;
    pub(crate) const LINK: u8 = 70;
    pub(crate) const REFUSED: u8 = 71;
    pub(crate) const ACTOR: u8 = 72;
    pub(crate) const TYPE: u8 = 73;
    pub(crate) const MESSAGE: u8 = 74;
    pub(crate) const FORGET: u8 = 75;
    pub(crate) const ANNOUNCE: u8 = 76;
    pub(crate) const CHUNK: u8 = 77;
    pub(crate) const UNLINK: u8 = 78;
}

/// The tags of what may follow the fixed part of a parcel's header. A reader skips others.
pub(crate) mod extra {
    pub(crate) const TRACE: u8 = 1;
}

/// The protocol versions that a node speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) min: u16,
    pub(crate) max: u16,
}

impl Preamble {
    /// The bytes that open a connection.
    pub(crate) fn encode(self) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0; PREAMBLE_BYTES];
        bytes[..5].copy_from_slice(MAGIC);
        bytes[5..7].copy_from_slice(&self.min.to_be_bytes());
        bytes[7..9].copy_from_slice(&self.max.to_be_bytes());
        bytes
    }

    /// Reads a preamble; `None` when the bytes are not one.
    pub(crate) fn decode(bytes: &[u8; PREAMBLE_BYTES]) -> Option<Self> {
        let max = u16::from_be_bytes([bytes[7], bytes[8]]);
        let min = u16::from_be_bytes([bytes[5], bytes[6]]);
        (bytes[..5] == MAGIC[..]).then_some(Self { min, max })
    }

    /// The version to speak with `other`, if there is one.
    pub(crate) fn common(self, other: Preamble) -> Option<u16> {
        let version = self.max.min(other.max);
        (version >= self.min && version >= other.min).then_some(version)
    }
}

/// Who speaks: the first frame in both directions. A map keyed by field name, so that it can grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Where the sender wants to be dialled.
    pub(crate) addr: NodeAddr,
    /// Which life of the sending node this is.
    pub(crate) incarnation: u64,
    /// Whom the sender wants to reach: the address it dialled, or what the dialler called itself.
    pub(crate) wanted: NodeAddr,
    /// How often the sender has begun anew with this peer: it grows whenever the sender gives a
    /// link to the peer up.
    pub(crate) epoch: u64,
    /// What the connection is for: [`MAIN`] or [`BULK`]. The dialler decides.
    #[serde(default)]
    pub(crate) lane: u8,
    /// Bytes that the sender is ready to take on each lane before it gives more credit.
    #[serde(default)]
    pub(crate) windows: [u64; 2],
}

/// What has arrived on a lane of a link: an acknowledgement and a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// All numbered frames up to this one have arrived.
    pub(crate) received: u64,
    /// Bytes of them that take no more room at the receiver; absent from version 1.
    pub(crate) consumed: Option<u64>,
}

/// A frame that steers a connection and is not numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Who speaks.
    Hello(Hello),
    /// The sender closes the connection, for this reason.
    Reject(String),
    /// The dialler has seen the other's Hello and will use the connection.
    Start,
    /// Numbered frames follow on this connection, from number `first` on.
    Resume { first: u64 },
    /// What has arrived.
    Ack(Arrived),
    /// Asks for a sign of life; also an [`Control::Ack`].
    Ping(Arrived),
    /// The sign of life; also an [`Control::Ack`].
    Pong(Arrived),
    /// The sending node shuts down in good order.
    Goodbye,
    /// Before a Hello: the sender wants a proof about this number. See [`crate::secret`].
    Challenge(Nonce),
    /// The answer to a challenge.
    Proof(Vec<u8>),
    /// No more messages to the actor of this name for now: its mailbox is full.
    Hold(String),
    /// There is room again.
    Release(String),
    /// The sender has large frames and no connection for them; the receiver is the one to dial.
    WantBulk,
}

/// What precedes the body of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The receiver, in the link's table.
    pub(crate) actor: u32,
    /// The type, in the link's table.
    pub(crate) kind: u32,
    /// The question's number, if it is one.
    pub(crate) ask: Option<u64>,
    /// What the sender worked on.
    pub(crate) trace: Option<TraceContext>,
}

/// What a decoder finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wire<'a> {
    /// For the connection.
    Control(Control),
    /// For the node, complete in itself.
    Frame(Frame),
    /// A message whose names are in the link's tables.
    Message(Head, &'a [u8]),
    /// A name for the table of actors.
    Actor {
        id: u32,
        incarnation: u64,
        name: &'a str,
    },
    /// A name for the table of types.
    Type {
        id: u32,
        version: u16,
        name: &'a str,
    },
    /// Both tables begin anew.
    Forget,
    /// The message that `transfer` brings on the bulk connection has its place in the order here.
    Announce { transfer: u64, actor: &'a str },
    /// Part of a frame of `total` bytes.
    Chunk {
        transfer: u64,
        total: u64,
        bytes: &'a [u8],
    },
    /// A numbered frame of an unknown kind: counts, and is skipped.
    UnknownNumbered(u8),
}
