//! The fixed parts of the wire format: kind bytes, preamble and control frames.

use serde::{Deserialize, Serialize};

use super::Frame;
use crate::{pid::NodeAddr, secret::Nonce};

/// What a connection begins with, in both directions, before any frame.
pub(crate) const MAGIC: &[u8; 5] = b"TEPUI";
/// Bytes of an encoded [`Preamble`].
pub(crate) const PREAMBLE_BYTES: usize = MAGIC.len() + 4;
/// Oldest protocol version that this build speaks.
pub(crate) const VERSION_MIN: u16 = 1;
/// Newest protocol version that this build speaks.
pub(crate) const VERSION_MAX: u16 = 1;
/// A message's name may have this many bytes.
pub(crate) const NAME_BYTES_MAX: usize = 4096;
/// Bytes of a trace context in a parcel's header, with its tag and length.
pub(crate) const TRACE_BYTES: usize = 2 + crate::trace::BINARY_BYTES;
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
    pub(crate) const TELL: u8 = 64;
    pub(crate) const ASK: u8 = 65;
    pub(crate) const REPLY: u8 = 66;
    pub(crate) const MONITOR: u8 = 67;
    pub(crate) const DEMONITOR: u8 = 68;
    pub(crate) const EXITED: u8 = 69;
    pub(crate) const LINK: u8 = 70;
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
    /// All numbered frames up to `received` have arrived.
    Ack { received: u64 },
    /// Asks for a sign of life; also an [`Control::Ack`].
    Ping { received: u64 },
    /// The sign of life; also an [`Control::Ack`].
    Pong { received: u64 },
    /// The sending node shuts down in good order.
    Goodbye,
    /// Before a Hello: the sender wants a proof about this number. See [`crate::secret`].
    Challenge(Nonce),
    /// The answer to a challenge.
    Proof(Vec<u8>),
}

/// What a decoder finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// For the connection.
    Control(Control),
    /// For the node.
    Frame(Frame),
    /// A numbered frame of an unknown kind: counts, and is skipped.
    UnknownNumbered(u8),
}
