//! Whom an HTTPS server is believed by: the authorities of the machine, or those of a file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Where machines keep the certificates of authorities.
const FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Settings of a client that believes the authorities in `ca_file`, or those of the machine.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let file = match ca_file {
        Some(file) => file.to_owned(),
        None => of_machine().ok_or_else(|| {
            format!(
                "no certificates of authorities on this machine ({}); name a file with ca_file",
                FILES.join(", ")
            )
        })?,
    };
    let named = |problem: String| format!("{}: {problem}", file.display());
    let pem = fs::read(&file).map_err(|error| named(format!("cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        // Old authorities in a machine's file may have certificates that nobody accepts any more.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(named("no certificate in PEM form in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn of_machine() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = FILES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|file| file.is_file())
}
