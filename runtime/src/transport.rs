//! Transports: how bytes get from one node to another.
//!
//! A transport opens listeners and connections and knows nothing of what travels. [`Tcp`] is the
//! one of production; [`MemoryNetwork`] joins nodes of one process, for tests on a paused clock;
//! `Turmoil` is the simulated network (feature `testkit`). What is written to the streams is
//! decided in `frame` and `links`.

mod memory;
mod tcp;
#[cfg(feature = "testkit")]
mod turmoil;

use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "testkit")]
pub use self::turmoil::Turmoil;
pub use self::{memory::MemoryNetwork, tcp::Tcp};
use crate::pid::NodeAddr;

/// Opens listeners and connections.
pub trait Transport: Send + Sync + 'static {
    /// Listens on `addr`; port 0 takes a free one.
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to whoever listens on `addr`.
    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// Takes connections.
pub trait Listener: Send + 'static {
    /// Where it listens, with the real port.
    fn addr(&self) -> NodeAddr;

    /// The next connection, and whence it comes. Dropping the future loses no connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>>;
}

/// A connection.
pub trait Stream: Send + 'static {
    /// Its two directions, for a reader and a writer that do not wait for each other.
    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf);
}

/// The bytes that come in.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// The bytes that go out.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;
