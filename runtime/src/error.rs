//! What can go wrong when a message is sent. A failed send hands the message back.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{message::CodecError, pid::AnyPid};

/// Why a message did not leave, or was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Undeliverable {
    /// The actor's mailbox is at its bound.
    #[error("its mailbox is full")]
    MailboxFull,
    /// The link to its node is at its bound.
    #[error("the link to its node is full")]
    LinkFull,
    /// Nobody bears the name, or the incarnation that was meant is over.
    #[error("no such actor")]
    NoSuchActor,
    /// The actor does not accept messages of this name from afar.
    #[error("it does not accept {name}")]
    NotAccepted {
        /// The message's name.
        name: String,
    },
    /// The message could not be written or read.
    #[error("{0}")]
    Codec(String),
    /// Larger than a frame may be.
    #[error("the message has {bytes} bytes, a frame at most {limit}")]
    TooLarge {
        /// The message's size.
        bytes: usize,
        /// The largest allowed.
        limit: usize,
    },
    /// Sent from outside of any actor through a PID that no node has bound.
    #[error("the PID is not bound to a node; use node.bind(pid)")]
    Unbound,
    /// This node has been shut down.
    #[error("this node is shut down")]
    NodeStopped,
}

impl From<CodecError> for Undeliverable {
    fn from(error: CodecError) -> Self {
        Undeliverable::Codec(error.to_string())
    }
}

/// A failed tell, with the message.
#[derive(Clone, PartialEq, Eq)]
pub struct TellError<M> {
    /// To whom.
    pub pid: AnyPid,
    /// Why.
    pub reason: Undeliverable,
    /// What was to be sent.
    pub message: M,
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TellError({self})")
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send to {}: {}", self.pid, self.reason)
    }
}

impl<M> std::error::Error for TellError<M> {}

/// A failed ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The question was not delivered.
    #[error("cannot ask {pid}: {reason}")]
    Undeliverable {
        /// Whom.
        pid: AnyPid,
        /// Why.
        reason: Undeliverable,
    },
    /// No answer within the deadline.
    #[error("{pid} did not answer within {after:?}")]
    Timeout {
        /// Who.
        pid: AnyPid,
        /// The deadline.
        after: Duration,
    },
    /// The actor stopped or crashed before it answered.
    #[error("{pid} ended before it answered")]
    NoReply {
        /// Who.
        pid: AnyPid,
    },
    /// The link to its node was lost, or could not be made.
    #[error("{pid} cannot be reached: {problem}")]
    Unreachable {
        /// Who.
        pid: AnyPid,
        /// What the link ran into.
        problem: String,
    },
}
