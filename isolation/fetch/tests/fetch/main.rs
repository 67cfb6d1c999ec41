//! Files and archives, from real servers on loopback.

mod archives;
mod http;
mod support;
