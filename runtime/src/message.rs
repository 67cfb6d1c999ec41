//! Messages: what actors exchange, with the name and version they carry on the wire.
//!
//! Bodies are MessagePack maps keyed by field name, so a field may be added: an older receiver
//! ignores it, and a newer one takes `#[serde(default)]` for what an older sender left out.

use std::any::type_name;

use serde::{Serialize, de::DeserializeOwned};

/// Implements [`Message`] (and actix's), for a struct or enum.
///
/// `#[message(name = "acme.Add", version = 1, reply = u64)]`: `name` is what travels (default: the
/// type's path, which changes when the code moves), `version` defaults to 1 and `reply` to `()`.
/// `#[message(local)]` is for messages with fields that cannot travel; sending one to another node
/// fails.
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

    /// Serialises the message's body.
    ///
    /// # Errors
    /// [`CodecError::LocalOnly`] for `#[message(local)]`, else what the serialiser says.
    fn encode(&self) -> Result<Vec<u8>, CodecError>;

    /// Reads a body.
    ///
    /// # Errors
    /// [`CodecError::Decode`] when the bytes are not such a message.
    fn decode(body: &[u8]) -> Result<Self, CodecError>;

    /// Serialises a reply.
    ///
    /// # Errors
    /// As [`Message::encode`].
    fn encode_reply(reply: &Self::Reply) -> Result<Vec<u8>, CodecError>;

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

/// Writes `value` as a MessagePack map keyed by field name.
///
/// # Errors
/// [`CodecError::Encode`].
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(value).map_err(|error| CodecError::Encode {
        what: type_name::<T>(),
        problem: error.to_string(),
    })
}

/// Reads what [`to_bytes`] wrote.
///
/// # Errors
/// [`CodecError::Decode`].
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    rmp_serde::from_slice(bytes).map_err(|error| CodecError::Decode {
        what: type_name::<T>(),
        problem: error.to_string(),
    })
}
