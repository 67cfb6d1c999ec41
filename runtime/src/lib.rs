//! Actors that do not care where their peers live.
#![allow(dead_code)]

// `#[derive(Message)]` names this crate by its outer name, here too.
extern crate self as tepui_runtime;

pub mod error;
pub mod exit;
mod links;
mod frame;
pub mod message;
pub mod pid;

pub use actix;
pub use error::{AskError, TellError, Undeliverable};
pub use exit::{ExitReason, Exited};
pub use message::Message;
pub use pid::{AnyPid, InvalidPid, NodeAddr};
