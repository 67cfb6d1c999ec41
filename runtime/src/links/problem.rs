//! What goes wrong between nodes, in words. One line each, with the peer and what to do.

use std::{io, time::Duration};

use super::{Loss, core::Core};
use crate::{
    frame::{FrameError, Preamble},
    pid::NodeAddr,
    transport::{Untrusted, WrongHost},
};

/// Why a handshake failed, or a connection was closed. Completed by [`Problem::of`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("does not speak tepui (it began with \"{began}\")")]
    WrongMagic { began: String },
    #[error(
        "speaks TLS, and this node does not; start this node with --tls-ca, --tls-cert and --tls-key"
    )]
    SpeaksTls,
    #[error("{0}")]
    Untrusted(Untrusted),
    #[error(
        "calls itself {addr}, but its certificate {wrong}; give it an address of its certificate, \
         or issue it one with `--host {}`",
        wrong.host
    )]
    WrongHost { addr: NodeAddr, wrong: WrongHost },
    #[error(
        "calls itself {addr}, but comes through this machine's door, which is for nodes behind it"
    )]
    NotBehindDoor { addr: NodeAddr },
    #[error("does not prove that it knows the secret of this machine's nodes")]
    Unproven,
    #[error("is behind the door of its machine, to which this node has no secret")]
    NoSecret,
    #[error(
        "speaks protocol {}, this node {}; upgrade the older one",
        range(theirs),
        range(ours)
    )]
    Version { theirs: Preamble, ours: Preamble },
    #[error("refused the connection: {why}")]
    Rejected { why: String },
    #[error("sent a frame that {0}")]
    Frame(#[from] FrameError),
    #[error("sent a frame before its turn")]
    OutOfTurn,
    #[error("left out frames {expected} to {got}")]
    Gap { expected: u64, got: u64 },
    #[error("used a name or a number that its tables do not have")]
    Table,
    #[error("wants a connection of an unknown sort ({lane})")]
    Lane { lane: u8 },
    #[error("sent a chunk that does not follow the one before")]
    Chunk,
    #[error("has the address of this node, {own}; give each node an address of its own")]
    SameAddr { own: NodeAddr },
    #[error("is this node itself; its address is {own}")]
    Itself { own: NodeAddr },
    #[error("closed the connection")]
    Closed,
    #[error("is cut off: {}", plain(.0))]
    Io(#[source] io::Error),
    #[error("was not heard of for {0:?}")]
    Silent(Duration),
    #[error(
        "gives this node no second connection, for large messages, within {0:?}; let its port take \
         two connections from one node"
    )]
    NoBulk(Duration),
    #[error("said goodbye")]
    Goodbye,
    #[error("cannot be served: this node is shutting down")]
    Stopping,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match Untrusted::within(&error) {
            Some(untrusted) => Problem::Untrusted(untrusted.clone()),
            None => Problem::Io(error),
        }
    }
}

impl Problem {
    /// The whole line.
    pub(super) fn of(&self, peer: &dyn std::fmt::Display) -> String {
        format!("peer {peer} {self}")
    }

    /// The line as the peer is told it: it is the one that "does".
    pub(super) fn to_peer(&self) -> String {
        match self {
            Problem::Version { theirs, ours } => format!(
                "this node speaks protocol {}, you {}; upgrade the older one",
                range(ours),
                range(theirs)
            ),
            Problem::WrongHost { addr, wrong } => format!(
                "you call yourself {addr}, but your certificate {wrong}; start with an address of \
                 your certificate, or get one with `tepui certs issue NAME --host {}`",
                wrong.host
            ),
            other => format!("the peer {other}"),
        }
    }

    /// Whether the peer's side just ended, as when its process does.
    fn is_end(&self) -> bool {
        matches!(self, Problem::Closed | Problem::Io(_))
    }
}

fn range(versions: &Preamble) -> String {
    format!("{}..{}", versions.min, versions.max)
}

/// The cause without the operating system's number.
pub(super) fn plain(error: &io::Error) -> String {
    match (error.raw_os_error(), error.kind()) {
        (_, io::ErrorKind::AddrInUse) => "address already in use".to_owned(),
        (Some(_), kind)
            if !matches!(
                kind.to_string().as_str(),
                "other error" | "uncategorized error"
            ) =>
        {
            kind.to_string()
        }
        _ => error.to_string(),
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct DialFailure {
    pub(super) loss: Loss,
    /// The peer's machine answers, but nobody takes the connection.
    pub(super) refused: bool,
    /// Something else lives at the address.
    pub(super) usurped: bool,
    /// The address is one of this node's own.
    pub(super) itself: bool,
    pub(super) problem: String,
}

impl DialFailure {
    pub(super) fn connect(core: &Core, addr: &NodeAddr, error: io::Error) -> Self {
        if Untrusted::within(&error).is_some() {
            return Self::handshake(core, addr, &error.into());
        }
        let problem = format!("cannot connect to {addr}: {}", plain(&error));
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::refused(problem),
            _ => Self::unreachable(problem),
        }
    }

    pub(super) fn no_answer(addr: &NodeAddr, limit: Duration) -> Self {
        Self::unreachable(format!(
            "cannot connect to {addr}: no answer within {limit:?}"
        ))
    }

    pub(super) fn silent(addr: &NodeAddr, limit: Duration) -> Self {
        Self::unreachable(format!(
            "peer {addr} took the connection but did not introduce itself within {limit:?}"
        ))
    }

    pub(super) fn handshake(core: &Core, addr: &NodeAddr, problem: &Problem) -> Self {
        let line = problem.of(addr);
        let itself = matches!(problem, Problem::Itself { .. });
        if problem.is_end() {
            return Self::refused(line);
        }
        if !itself {
            core.warn_once(&line);
        }
        Self {
            usurped: true,
            refused: false,
            itself,
            ..Self::refused(line)
        }
    }

    fn refused(problem: String) -> Self {
        let (loss, refused) = (Loss::NodeDown, true);
        Self {
            loss,
            refused,
            usurped: false,
            itself: false,
            problem,
        }
    }

    fn unreachable(problem: String) -> Self {
        Self {
            loss: Loss::Unreachable,
            refused: false,
            ..Self::refused(problem)
        }
    }
}
