//! Whom a certificate is for.

use std::{fmt, sync::Arc};

use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// A certificate that was verified, or is this node's own.
#[derive(Clone)]
pub struct Certificate(Arc<CertificateDer<'static>>);

/// A host that a certificate is not for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is for {}, not for {host}", list(hosts))]
pub struct WrongHost {
    /// The host.
    pub host: String,
    /// What the certificate is for.
    pub hosts: Vec<String>,
}

fn list(hosts: &[String]) -> String {
    match hosts {
        [] => "no host".to_owned(),
        hosts => hosts.join(", "),
    }
}

impl Certificate {
    /// The certificate of whom a chain is about.
    pub(super) fn first_of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let certificate = chain.first()?.clone().into_owned();
        Some(Self(Arc::new(certificate)))
    }

    /// Whether the certificate is for `host`, a name or an IP address (also in brackets).
    ///
    /// # Errors
    /// [`WrongHost`] with what it is for.
    pub fn check(&self, host: &str) -> Result<(), WrongHost> {
        let host = host.trim_matches(['[', ']']);
        let wrong = |hosts| WrongHost {
            host: host.to_owned(),
            hosts,
        };
        let Ok(certificate) = EndEntityCert::try_from(&*self.0) else {
            return Err(wrong(Vec::new()));
        };
        let Ok(name) = ServerName::try_from(host) else {
            return Err(wrong(self.hosts()));
        };
        match certificate.verify_is_valid_for_subject_name(&name) {
            Ok(()) => Ok(()),
            Err(_) => Err(wrong(self.hosts())),
        }
    }

    /// What it is for, names and addresses.
    pub fn hosts(&self) -> Vec<String> {
        let Ok(certificate) = EndEntityCert::try_from(&*self.0) else {
            return Vec::new();
        };
        // A name that no certificate is for: the answer lists what this one is for.
        let nobody = ServerName::try_from("nobody.invalid").expect("a name");
        match certificate.verify_is_valid_for_subject_name(&nobody) {
            Err(webpki::Error::CertNotValidForName(context)) => {
                context.presented.iter().map(|name| bare(name)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its first DNS name.
    pub fn name(&self) -> Option<String> {
        let certificate = EndEntityCert::try_from(&*self.0).ok()?;
        certificate.valid_dns_names().next().map(str::to_owned)
    }
}

/// `DnsName("agent-1")` and `IpAddress(10.0.0.2)`, as the library writes them, without the kind.
pub(super) fn bare(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(&self.hosts()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use tepui_certs::{Authority, Validity};

    use super::*;

    #[test]
    fn a_certificate_is_for_its_hosts_alone() {
        let (authority, _) = Authority::create(Validity::days_from(0, 9)).unwrap();
        let hosts = ["Agent-1", "10.0.0.2", "fd00::7"].map(|host| host.parse().unwrap());
        let issued = authority.issue(&hosts, Validity::days_from(0, 1)).unwrap();
        let der = CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap();
        let certificate = Certificate::first_of(&[der]).unwrap();
        for host in ["agent-1", "AGENT-1", "10.0.0.2", "fd00::7", "[fd00::7]"] {
            assert_eq!(certificate.check(host), Ok(()), "{host}");
        }
        for host in [
            "agent-2",
            "10.0.0.3",
            "fd00::8",
            "agent-1.example",
            "",
            "a b",
        ] {
            let wrong = certificate.check(host).unwrap_err();
            assert_eq!(wrong.hosts, ["agent-1", "10.0.0.2", "fd00::7"], "{host}");
        }
        let wrong = certificate.check("10.0.0.3").unwrap_err().to_string();
        assert_eq!(wrong, "is for agent-1, 10.0.0.2, fd00::7, not for 10.0.0.3");
        assert_eq!(certificate.name().as_deref(), Some("agent-1"));
    }
}
