//! Messages: what actors exchange, with the name and version they carry on the wire.
//!
//! Bodies are MessagePack maps keyed by field name, so a field may be added: an older receiver
//! ignores it, and a newer one takes `#[serde(default)]` for what an older sender left out.
//! `#[message(positional)]` leaves the names out, for messages that are hot and will not change.

use std::any::type_name;

use serde::{Serialize, de::DeserializeOwned};

/// Implements [`Message`] (and actix's), for a struct or enum.
///
/// `#[message(name = "acme.Add", version = 1, reply = u64)]`: `name` is what travels (default: the
/// type's path, which changes when the code moves), `version` defaults to 1 and `reply` to `()`.
/// `#[message(positional)]` writes the fields in their order and without names: shorter, but only
/// nodes that declare the same fields understand each other (new ones may be added at the end, with
/// `#[serde(default)]`, when the receivers are upgraded first). `#[message(local)]` is for messages with
/// fields that cannot travel; sending one to another node fails.
pub use tepui_runtime_macros::Message;

/// Something an actor can handle.
pub trait Message:
    actix::Message<Result = <Self as Message>::Reply> + Sized + Send + 'static
{
    /// What the handler answers.
    type Reply: Send + 'static;
    /// The name on the wire; must be unique among the messages an actor accepts.
    const NAME: &'static str;
    /// The version on the wire; adjacent versions understand each other.
    const VERSION: u16;

    /// Appends the message's body to `out`; on an error `out` may have been added to.
    ///
    /// # Errors
    /// [`CodecError::LocalOnly`] for `#[message(local)]`, else what the serialiser says.
    fn encode_to(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The message's body.
    ///
    /// # Errors
    /// As [`Message::encode_to`].
    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        self.encode_to(&mut out).map(|()| out)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`CodecError::Decode`] when the bytes are not such a message.
    fn decode(body: &[u8]) -> Result<Self, CodecError>;

    /// Appends a reply to `out`; on an error `out` may have been added to.
    ///
    /// # Errors
    /// As [`Message::encode_to`].
    fn encode_reply_to(reply: &Self::Reply, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// A reply's bytes.
    ///
    /// # Errors
    /// As [`Message::encode_to`].
    fn encode_reply(reply: &Self::Reply) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        Self::encode_reply_to(reply, &mut out).map(|()| out)
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// As [`Message::decode`].
    fn decode_reply(body: &[u8]) -> Result<Self::Reply, CodecError>;
}

/// Why a message could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// It was declared `#[message(local)]`.
    #[error("{name} is a local message and cannot be sent to another node")]
    LocalOnly {
        /// The message's name.
        name: &'static str,
    },
    /// The serialiser refused it.
    #[error("cannot encode {what}: {problem}")]
    Encode {
        /// The type.
        what: &'static str,
        /// The serialiser's words.
        problem: String,
    },
    /// The bytes are not what they should be.
    #[error("cannot decode {what}: {problem}")]
    Decode {
        /// The type.
        what: &'static str,
        /// The deserialiser's words.
        problem: String,
    },
}

/// Appends `value` to `out` as a MessagePack map keyed by field name.
///
/// # Errors
/// [`CodecError::Encode`].
pub fn write_named<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(out, value).map_err(refused::<T>)
}

/// Appends `value` to `out` as a MessagePack array of its fields in their order.
///
/// # Errors
/// [`CodecError::Encode`].
pub fn write_positional<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    rmp_serde::encode::write(out, value).map_err(refused::<T>)
}

#[cold]
fn refused<T>(error: rmp_serde::encode::Error) -> CodecError {
    CodecError::Encode {
        what: type_name::<T>(),
        problem: error.to_string(),
    }
}

/// Reads what [`write_named`] or [`write_positional`] wrote.
///
/// # Errors
/// [`CodecError::Decode`].
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    rmp_serde::from_slice(bytes).map_err(|error| CodecError::Decode {
        what: type_name::<T>(),
        problem: error.to_string(),
    })
}
