//! Transports: how bytes get from one node to another.
//!
//! A transport opens listeners and connections and knows nothing of what travels. [`Tcp`] is the
//! one of production, [`Tls`] the same with encryption and identities; [`MemoryNetwork`] joins nodes of one process, for tests on a paused clock;
//! `Turmoil` is the simulated network (feature `testkit`). What is written to the streams is
//! decided in `frame` and `links`.

mod memory;
mod tcp;
mod tls;
#[cfg(feature = "testkit")]
mod turmoil;

use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "testkit")]
pub use self::turmoil::Turmoil;
pub use self::{
    memory::MemoryNetwork,
    tcp::Tcp,
    tls::{Certificate, Tls, TlsError, TlsFiles, Untrusted, WrongHost},
};
use crate::pid::NodeAddr;

/// Opens listeners and connections.
pub trait Transport: Send + Sync + 'static {
    /// Listens on `addr`; port 0 takes a free one.
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to whoever listens on `addr`. An [`Untrusted`] within the error: whoever answers is
    /// not the one who is meant, or does not trust this node.
    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// Whether a node may listen on `listen` and be known as `own`.
    ///
    /// # Errors
    /// [`Unsafe`] says why not.
    fn vouch(&self, listen: &NodeAddr, own: &NodeAddr) -> Result<(), Unsafe> {
        let _ = (listen, own);
        Ok(())
    }
}

/// Takes connections.
pub trait Listener: Send + 'static {
    /// Where it listens, with the real port.
    fn addr(&self) -> NodeAddr;

    /// The next connection, and whence it comes. Dropping the future loses no connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Opening, String)>>;
}

/// A connection that was taken, once what precedes its first byte is done (TLS shakes hands). The
/// listener goes on meanwhile.
pub type Opening = BoxFuture<'static, io::Result<Box<dyn Stream>>>;

/// Why a node may not listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsafe {
    /// Others could connect, and nobody would ask who they are.
    Open,
    /// The node's certificate is not for the node's address.
    WrongHost(WrongHost),
}

/// A connection.
pub trait Stream: Send + 'static {
    /// Who is at the other end, as far as it was proven: a certificate that this node trusts.
    fn certificate(&self) -> Option<&Certificate> {
        None
    }

    /// Its two directions, for a reader and a writer that do not wait for each other.
    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf);
}

/// The bytes that come in.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// The bytes that go out.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;
