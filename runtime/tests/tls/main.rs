//! Nodes that prove who they are, over real connections on loopback: who is let in, who is not, and
//! what both sides are told. Certificates are made as `tepui certs` makes them.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod door;
mod log;
mod refused;
mod support;
mod trusted;
