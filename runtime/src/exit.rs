//! How an actor's life ends, and the notice of it that links and monitors deliver.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Message, pid::AnyPid};

/// Why an actor can no longer be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// It stopped of its own will or was asked to.
    Stopped,
    /// A handler panicked, or it stopped itself with an error.
    Crashed(String),
    /// Its node has ended, or runs again as another incarnation.
    NodeDown,
    /// Its node does not answer: dead or cut off, nobody can tell.
    Unreachable,
    /// Nobody bears the name, or the incarnation that was meant is over.
    NoSuchActor,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Stopped => write!(f, "stopped"),
            ExitReason::Crashed(why) => write!(f, "crashed: {why}"),
            ExitReason::NodeDown => write!(f, "node down"),
            ExitReason::Unreachable => write!(f, "unreachable"),
            ExitReason::NoSuchActor => write!(f, "no such actor"),
        }
    }
}

/// Delivered exactly once to each actor that linked or monitored `pid`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Exited")]
pub struct Exited {
    /// Who.
    pub pid: AnyPid,
    /// How it ended.
    pub reason: ExitReason,
}
