//! TCP under TLS 1.3, with a certificate from both sides.
//!
//! Whoever dials checks that the certificate is for the host it dialled; both sides check that it
//! comes from the cluster's authority and holds now. That a node is the one that it says it is in
//! its Hello is checked in `links::handshake`, with [`Stream::certificate`]. No resumption: each
//! connection checks certificates anew.
//!
//! Addresses behind a [door](NodeAddr::door) are the exception: they are plain TCP on loopback, and
//! prove themselves by a secret (see `links::proof`).
//!
//! `tls/files.rs` reads what a node has, `tls/certificate.rs` says for whom a certificate is, and
//! `tls/problem.rs` has the words for what goes wrong.

mod certificate;
mod files;
mod problem;

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadBuf, split},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub use self::{
    certificate::{Certificate, WrongHost},
    files::{TlsError, TlsFiles},
    problem::Untrusted,
};
use super::{Listener, Opening, ReadHalf, Stream, Tcp, Transport, Unsafe, WriteHalf, tcp};
use crate::pid::NodeAddr;

/// Encrypted bytes that are read at a time: a whole record, where the library would read 4 KiB.
const READ_BYTES: usize = 18 * 1024;
/// Encrypted bytes that may wait to be written: several records go out in one call.
const WRITE_BYTES: usize = 256 * 1024;
/// How long a refused peer may take to read why.
const LINGER: Duration = Duration::from_millis(500);

/// TCP under TLS 1.3. A clone is the same identity.
#[derive(Clone)]
pub struct Tls {
    own: Certificate,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.own)
    }
}

impl Tls {
    /// A node with this certificate chain and key, which trusts this authority; all in PEM.
    ///
    /// # Errors
    /// [`TlsError`] says which of them is wrong and why.
    pub fn new(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let roots = files::roots(ca)?;
        let (chain, key) = (files::chain(cert)?, files::key(key)?);
        Self::with(roots, chain, key)
    }

    /// As [`Tls::new`], from files.
    ///
    /// # Errors
    /// [`TlsError`] with the file's name.
    pub fn from_files(files: &TlsFiles) -> Result<Self, TlsError> {
        files.load()
    }

    fn with(
        roots: RootCertStore,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let own = Certificate::first_of(&chain).ok_or(TlsError::NoCertificate)?;
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let versions = &[&rustls::version::TLS13];
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(TlsError::unusable)?
            .with_client_cert_verifier(clients.map_err(TlsError::unusable)?)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(TlsError::unusable)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(TlsError::unusable)?
            .with_webpki_verifier(servers.map_err(TlsError::unusable)?)
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::unusable)?;
        client.resumption = Resumption::disabled();
        Ok(Self {
            own,
            acceptor: Arc::new(server).into(),
            connector: Arc::new(client).into(),
        })
    }

    /// What this node shows to others.
    pub fn certificate(&self) -> &Certificate {
        &self.own
    }

    /// The address by which a node that listens on `addr` is to be known: `addr` if the certificate
    /// is for it, or else the certificate's first name, for nodes that dial and are not dialled.
    pub fn known_as(&self, addr: &NodeAddr) -> NodeAddr {
        if self.own.check(addr.host()).is_ok() {
            return addr.clone();
        }
        match self.own.name() {
            Some(name) => NodeAddr::new(&name, addr.port()),
            None => addr.clone(),
        }
    }
}

impl Transport for Tls {
    fn listen(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        if addr.is_door() {
            return Tcp.listen(addr);
        }
        let (addr, acceptor) = (addr.clone(), self.acceptor.clone());
        Box::pin(async move {
            let (listener, addr) = tcp::bind(&addr).await?;
            let door = TlsDoor {
                listener,
                addr,
                acceptor,
            };
            Ok(Box::new(door) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: &NodeAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        if addr.is_door() {
            return Tcp.connect(addr);
        }
        let (addr, connector) = (addr.clone(), self.connector.clone());
        Box::pin(async move {
            let host = addr.host().trim_matches(['[', ']']).to_owned();
            let host = ServerName::try_from(host).map_err(io::Error::other)?;
            let tcp = BufReader::with_capacity(READ_BYTES, tcp::connect(&addr).await?);
            let stream = connector.connect_with(host, tcp, |session| {
                session.set_buffer_limit(Some(WRITE_BYTES));
            });
            let stream = stream.await.map_err(problem::explain)?;
            Secured::boxed(stream.into())
        })
    }

    fn vouch(&self, _: &NodeAddr, own: &NodeAddr) -> Result<(), Unsafe> {
        self.own.check(own.host()).map_err(Unsafe::WrongHost)
    }
}

struct TlsDoor {
    listener: TcpListener,
    addr: NodeAddr,
    acceptor: TlsAcceptor,
}

impl Listener for TlsDoor {
    fn addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Opening, String)>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let opening = open(self.acceptor.clone(), stream).boxed();
            Ok((opening, from.to_string()))
        })
    }
}

/// The handshake with whoever connected, which others do not wait for.
async fn open(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    let stream = BufReader::with_capacity(READ_BYTES, stream);
    let accepted = acceptor
        .accept_with(stream, |session| {
            session.set_buffer_limit(Some(WRITE_BYTES));
        })
        .into_fallible()
        .await;
    match accepted {
        Ok(stream) => Secured::boxed(stream.into()),
        Err((error, mut stream)) => {
            // So that the peer reads the alert before the connection is reset.
            let _ = timeout(LINGER, drain(&mut stream)).await;
            Err(problem::explain(error))
        }
    }
}

/// Reads what a refused peer still sends, up to a bound.
async fn drain(stream: &mut BufReader<TcpStream>) {
    const BYTES_MAX: usize = 64 * 1024;
    let (mut buffer, mut read) = ([0; 1024], 0);
    let _ = stream.shutdown().await;
    while read < BYTES_MAX {
        match stream.read(&mut buffer).await {
            Ok(bytes) if bytes > 0 => read += bytes,
            _ => return,
        }
    }
}

type Inner = TlsStream<BufReader<TcpStream>>;

/// A connection after its handshake.
struct Secured {
    stream: Inner,
    peer: Certificate,
}

impl Secured {
    fn boxed(stream: Inner) -> io::Result<Box<dyn Stream>> {
        let (_, session) = stream.get_ref();
        let peer = session.peer_certificates().and_then(Certificate::first_of);
        match peer {
            Some(peer) => Ok(Box::new(Self { stream, peer })),
            None => Err(problem::explain(io::Error::other(
                rustls::Error::NoCertificatesPresented,
            ))),
        }
    }
}

impl Stream for Secured {
    fn certificate(&self) -> Option<&Certificate> {
        Some(&self.peer)
    }

    fn into_split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = split(self.stream);
        (Box::new(Worded(read)), Box::new(write))
    }
}

/// A reading half that puts the library's errors into words. A dialler learns only here that its
/// certificate was refused: in TLS 1.3 it is done before the other side has looked.
struct Worded<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Worded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0)
            .poll_read(cx, buffer)
            .map_err(problem::explain)
    }
}
