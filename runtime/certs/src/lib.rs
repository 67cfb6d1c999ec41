//! The certificate authority of a cluster: makes one, issues certificates to nodes, reads what is
//! in a certificate.
//!
//! Owns what the certificates look like. Files, the clock and the wording of commands are the
//! caller's (`tepui certs`); who is let in is decided in `tepui-runtime`, by `transport::Tls`.
//!
//! ```text
//! Authority::create ---> ca.pem, to every node      ca.key, stays with the operator
//!     |
//!     +-- issue(names) ---> NAME.pem, NAME.key, to one node
//! ```
//! Every time is in seconds since the Unix epoch. Read next: `authority.rs`.

mod authority;
mod host;
mod summary;

pub use self::{
    authority::{Authority, AuthorityError, CertifiedKey, DAY, Validity},
    host::{Host, InvalidHost},
    summary::{Summary, Unreadable},
};
