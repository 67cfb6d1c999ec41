//! Sessions: a further command in the container of a task that runs, with its streams.
//!
//! ```text
//!  client <-- the same messages --> agent <--> executor <-- pipes or a terminal --> command
//!           Open ------------------------------------------------------------------>
//!           Read, one at a time -----> (waits for output) <------------- Data, or Ended
//!           Write, one at a time ----> (waits for room)   -------------------------->
//!           Close, or the client is gone ---------------------------> it is ended
//! ```
//! The client asks for each piece, in both directions, and nobody on the way keeps more than that piece:
//! who does not read holds back who writes, and the other way round. A piece has at most [`PIECE_MAX`]
//! bytes, so that it travels in one frame among the others.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_runtime::{AnyPid, Message};
use uuid::Uuid;

use crate::{ExecutorId, FrameworkId, TaskId, WindowSize};

/// The most bytes that are read or written at once.
pub const PIECE_MAX: usize = 48 * 1024;
/// After this time a question is answered, also when there is neither output nor room.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Starts a command beside a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.session.Open", reply = Result<Uuid, Refusal>)]
pub struct Open {
    /// The session's name, from the agent to the executor; the agent gives it.
    #[serde(default)]
    pub session: Option<Uuid>,
    /// An actor of the client: the command ends with it.
    pub client: AnyPid,
    /// Whose task.
    pub framework_id: FrameworkId,
    /// Its executor.
    pub executor_id: ExecutorId,
    /// Which task.
    pub task_id: TaskId,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables beside those of the task.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Whether the client has input for it.
    #[serde(default)]
    pub input: bool,
    /// Whether it gets a terminal, and of what size.
    #[serde(default)]
    pub terminal: Option<WindowSize>,
}

/// Why a command was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For people, in one line.
    pub message: String,
    /// What a shell would end with, if it is the command's fault: 126 or 127.
    #[serde(default)]
    pub exit_code: Option<u8>,
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            message,
            exit_code: None,
        }
    }
}

/// Asks for what the command writes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.session.Read", reply = Result<Output, String>)]
pub struct Read {
    /// Which session.
    pub session: Uuid,
}

/// One of the streams that a command writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output; all of it on a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a command wrote, or that it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Nothing yet; to be asked again.
    Nothing,
    /// The next piece.
    Piece {
        /// Where it was written.
        stream: Stream,
        /// The bytes.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// It has ended and all of its output was read; the session is over.
    Ended {
        /// Its exit status; 128 and the signal's number if a signal ended it.
        code: u8,
    },
}

/// Gives the command input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.session.Write", reply = Result<Written, String>)]
pub struct Write {
    /// Which session.
    pub session: Uuid,
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Whether that is all.
    #[serde(default)]
    pub is_last: bool,
}

/// What became of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Written {
    /// So many bytes were taken; the rest is to be sent again.
    Taken(usize),
    /// The command reads no more.
    Closed,
}

/// The terminal has another size now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.session.Resize")]
pub struct Resize {
    /// Of which session.
    pub session: Uuid,
    /// The size.
    pub size: WindowSize,
}

/// Ends a session, and its command if it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.session.Close")]
pub struct Close {
    /// Which.
    pub session: Uuid,
}
