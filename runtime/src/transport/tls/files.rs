//! The three files that make a node's identity.

use std::path::{Path, PathBuf};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::Tls;

/// Where the files are, all in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the cluster's authority.
    pub ca: PathBuf,
    /// This node's certificate, with those between it and the authority's, if there are any.
    pub cert: PathBuf,
    /// This node's private key.
    pub key: PathBuf,
}

/// Why a node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: {source}", path.display())]
    In {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<TlsError>,
    },
    /// There is no certificate.
    #[error("no certificate in PEM form (-----BEGIN CERTIFICATE-----) in it")]
    NoCertificate,
    /// There is no key.
    #[error("no private key in PEM form (-----BEGIN PRIVATE KEY-----) in it")]
    NoKey,
    /// The authority's certificate cannot be one.
    #[error("not a certificate authority's certificate")]
    NoAuthority(#[source] rustls::Error),
    /// The parts do not go together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// The library cannot use them.
    #[error("the certificate or key cannot be used: {0}")]
    Unusable(String),
}

impl TlsError {
    pub(super) fn unusable(error: impl ToString + 'static) -> Self {
        let any: &dyn std::any::Any = &error;
        match any.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InconsistentKeys(_)) => TlsError::Mismatch,
            _ => TlsError::Unusable(error.to_string()),
        }
    }
}

impl TlsFiles {
    /// Reads the files.
    pub(super) fn load(&self) -> Result<Tls, TlsError> {
        let ca = of(&self.ca, roots)?;
        let cert = of(&self.cert, chain)?;
        let key = of(&self.key, key)?;
        Tls::with(ca, cert, key).map_err(|source| within(&self.key, source))
    }
}

fn of<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, TlsError>) -> Result<T, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes).map_err(|source| within(path, source))
}

fn within(path: &Path, source: TlsError) -> TlsError {
    TlsError::In {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// The authorities in a PEM file; several while one takes over from another.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(TlsError::NoAuthority)?;
    }
    Ok(roots)
}

/// The certificates in a PEM file.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError::NoCertificate),
    }
}

/// The key in a PEM file.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey)
}
