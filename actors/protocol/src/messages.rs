//! The messages that the components exchange, by conversation.
//!
//! ```text
//!  scheduler <-- messages::scheduler --> master <-- messages::agent --> agent
//!                                          ^                              ^
//!                        messages::operator|         messages::executor   |
//!                                          v                              v
//!                                    CLI, gateway                     executor
//! ```
//! Every message names the actor that answers are sent to where it is not the other end of a
//! long-lived conversation. All may be lost: whoever needs an answer asks again.

pub mod agent;
pub mod environment;
pub mod executor;
pub mod operator;
pub mod scheduler;
pub mod session;
