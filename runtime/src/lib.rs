//! Location-transparent actors: the same code for a neighbour on the thread and a peer across the
//! network.
//!
//! An actor is an [actix] actor with our [`Context`]: it handles one message at a time
//! ([`Handler`](rt::Handler)), has timers and futures of its own, and can be reached by its
//! [`Pid`] from any node. A [`Node`] is the actors of a process and its links to other nodes.
//!
//! | to learn | read |
//! |---|---|
//! | addresses | [`pid`], then [`Pid`] |
//! | sending, asking, spawning, names | [`Node`] |
//! | messages and what they look like on the wire | [`message`] |
//! | what a handler can do | [`Context`] |
//! | traces across actors and nodes | [`trace`] |
//! | crashes and restarts | [`supervision`], [`ExitReason`] |
//! | answering HTTP, metrics | [`http`] |
//! | tests on a paused clock | `testkit` (feature `testkit`) |
//!
//! Promises: a message arrives at most once, and in order per sender and receiver; no queue is
//! unbounded; a failed send hands the message back; an [`Exited`] arrives exactly once; a panic
//! ends (or restarts) one actor and nothing else.

// `#[derive(Message)]` names this crate by its outer name, here too.
extern crate self as tepui_runtime;

mod ambient;
mod cell;
pub mod dead_letters;
pub mod error;
pub mod exit;
#[cfg(feature = "testkit")]
pub mod filter;
mod frame;
mod handle;
pub mod http;
mod links;
pub mod message;
pub mod node;
pub mod pid;
pub mod reliable;
pub mod rt;
pub mod supervision;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod trace;
pub mod transport;

pub use actix;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use error::{AskError, TellError, Undeliverable};
pub use exit::{ExitReason, Exited};
pub use handle::Pid;
pub use message::Message;
pub use node::{Node, NodeBuilder, SpawnError, SpawnOptions, StartError};
pub use pid::{AnyPid, InvalidPid, NodeAddr};
pub use rt::{Context, envelope::Routes};
pub use supervision::Supervision;

/// What an actor's source file needs.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        AnyPid, AskError, Context, ExitReason, Exited, Message, Node, NodeAddr, Pid, SpawnError,
        Supervision, TellError, Undeliverable, accepts,
        rt::{
            ActixActor as Actor, ActorContext, ActorFuture, ActorFutureExt, AsyncContext,
            AtomicResponse, Handler, MessageResult, Response, ResponseActFuture, ResponseFuture,
            Running, SpawnHandle, WrapFuture,
        },
    };
}
