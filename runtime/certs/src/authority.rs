//! The authority itself: a key, and a name that is made of it.
//!
//! Its certificate says nothing but that name and how long it holds, so key and certificate can be
//! told to belong together without any other record.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::{Host, Summary, Unreadable};

/// Seconds in a day.
pub const DAY: i64 = 24 * 60 * 60;

/// What clocks of machines may differ by: certificates hold from this long before they are made.
const SKEW: i64 = 60 * 60;

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

impl Validity {
    /// From `now`, less an hour for clocks that are late, for so many days.
    pub fn days_from(now: i64, days: u32) -> Self {
        Self {
            not_before: now - SKEW,
            not_after: now + i64::from(days) * DAY,
        }
    }
}

/// A certificate and its private key, both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertifiedKey {
    /// The certificate, for everybody.
    pub cert: String,
    /// The key (PKCS #8), for its owner.
    pub key: String,
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedKey({})", self.cert)
    }
}

/// Why there is no authority or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The private key cannot be read.
    #[error("the authority's key cannot be read")]
    Key(#[source] rcgen::Error),
    /// The certificate cannot be read.
    #[error("the authority's certificate: {0}")]
    Cert(#[from] Unreadable),
    /// The two are not of one authority.
    #[error("key and certificate are of different authorities ({key} and {cert})")]
    Mismatch {
        /// The name that the key gives.
        key: String,
        /// The name in the certificate.
        cert: String,
    },
    /// The certificate would hold longer than the authority's.
    #[error("it would hold until {wanted}, but the authority only until {authority}")]
    Outlives {
        /// The date that was asked for.
        wanted: String,
        /// The authority's end.
        authority: String,
    },
    /// A certificate needs a host.
    #[error("a certificate is for at least one host")]
    NoHost,
    /// The certificate cannot be made: a date beyond year 9999, mostly.
    #[error("the certificate cannot be made")]
    Make(#[source] rcgen::Error),
    /// A date that no calendar has.
    #[error("{0} seconds since 1970 is no date")]
    Date(i64),
}

/// An authority that can issue certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert: String,
    not_after: i64,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.cert)
    }
}

impl Authority {
    /// Makes a new authority; returns it with its certificate and key, to be kept.
    ///
    /// # Errors
    /// [`AuthorityError`] when there is no randomness, or `validity` makes no sense.
    pub fn create(validity: Validity) -> Result<(Self, CertifiedKey), AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Make)?;
        let mut params = params(&key);
        (params.not_before, params.not_after) = dates(validity)?;
        let cert = params
            .self_signed(&key)
            .map_err(AuthorityError::Make)?
            .pem();
        let files = CertifiedKey {
            cert: cert.clone(),
            key: key.serialize_pem(),
        };
        let authority = Self {
            issuer: Issuer::new(params, key),
            cert,
            not_after: validity.not_after,
        };
        Ok((authority, files))
    }

    /// The authority whose certificate and key these are, as [`Authority::create`] made them.
    ///
    /// # Errors
    /// [`AuthorityError`] when they cannot be read or do not belong together.
    pub fn load(cert: &str, key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key).map_err(AuthorityError::Key)?;
        let summary = Summary::of_pem(cert)?;
        let (ours, theirs) = (name_of(&key), summary.subject.clone());
        if ours != theirs {
            return Err(AuthorityError::Mismatch {
                key: ours,
                cert: theirs,
            });
        }
        Ok(Self {
            issuer: Issuer::new(params(&key), key),
            cert: cert.to_owned(),
            not_after: summary.not_after,
        })
    }

    /// The authority's certificate, in PEM: what every node trusts.
    pub fn cert(&self) -> &str {
        &self.cert
    }

    /// Issues a certificate with a new key to the node that is reached at `hosts`. The first of
    /// them is the node's own name.
    ///
    /// # Errors
    /// [`AuthorityError`] when it would outlive the authority, or is for no host.
    pub fn issue(
        &self,
        hosts: &[Host],
        validity: Validity,
    ) -> Result<CertifiedKey, AuthorityError> {
        let name = hosts.first().ok_or(AuthorityError::NoHost)?;
        let (not_before, not_after) = dates(validity)?;
        if validity.not_after > self.not_after {
            return Err(AuthorityError::Outlives {
                wanted: not_after.date().to_string(),
                authority: dates_of(self.not_after)?.date().to_string(),
            });
        }
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (not_before, not_after);
        params.distinguished_name = common_name(&name.to_string());
        params.subject_alt_names = hosts.iter().map(san).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A node both dials and is dialled.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(AuthorityError::Make)?;
        let cert = params.signed_by(&key, &self.issuer);
        Ok(CertifiedKey {
            cert: cert.map_err(AuthorityError::Make)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// What the authority's own certificate says, but for its dates.
fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&name_of(key));
    // It signs nodes, and no other authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Differs from authority to authority, so that the wrong one is told as such.
fn name_of(key: &KeyPair) -> String {
    const BYTES: usize = 8;
    let id = CertificateParams::default().key_identifier(key);
    let id: String = id.iter().take(BYTES).map(|b| format!("{b:02x}")).collect();
    format!("tepui cluster {id}")
}

fn common_name(name: &str) -> DistinguishedName {
    // More does not fit into a common name; the whole is in the alternative names.
    const BYTES_MAX: usize = 64;
    let mut distinguished = DistinguishedName::new();
    let short: String = name.chars().take(BYTES_MAX).collect();
    distinguished.push(DnType::CommonName, short);
    distinguished
}

fn san(host: &Host) -> Result<SanType, AuthorityError> {
    Ok(match host {
        Host::Ip(ip) => SanType::IpAddress(*ip),
        Host::Name(name) => {
            let name = name.as_str().try_into().map_err(AuthorityError::Make)?;
            SanType::DnsName(name)
        }
    })
}

fn dates(validity: Validity) -> Result<(OffsetDateTime, OffsetDateTime), AuthorityError> {
    Ok((
        dates_of(validity.not_before)?,
        dates_of(validity.not_after)?,
    ))
}

fn dates_of(seconds: i64) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| AuthorityError::Date(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01.
    const NOW: i64 = 1_767_225_600;

    fn hosts(texts: &[&str]) -> Vec<Host> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_certificate_says_whose_it_is_for_what_and_how_long() {
        let (authority, files) = Authority::create(Validity::days_from(NOW, 3650)).unwrap();
        let ca = Summary::of_pem(&files.cert).unwrap();
        assert!(
            ca.is_authority && ca.subject.starts_with("tepui cluster "),
            "{ca:?}"
        );
        assert_eq!(ca.subject, ca.issuer);
        let issued = authority
            .issue(
                &hosts(&["agent-1", "10.0.0.2", "::1"]),
                Validity::days_from(NOW, 365),
            )
            .unwrap();
        let node = Summary::of_pem(&issued.cert).unwrap();
        assert_eq!(node.subject, "agent-1");
        assert_eq!(node.issuer, ca.subject);
        assert_eq!(node.hosts, ["agent-1", "10.0.0.2", "::1"]);
        assert_eq!(
            (node.not_before, node.not_after),
            (NOW - 3600, NOW + 365 * DAY)
        );
        assert!(!node.is_authority);
        assert!(issued.key.contains("PRIVATE KEY") && !format!("{issued:?}").contains("PRIVATE"));
    }

    #[test]
    fn an_authority_is_the_same_after_it_was_kept() {
        let (authority, files) = Authority::create(Validity::days_from(NOW, 10)).unwrap();
        let again = Authority::load(&files.cert, &files.key).unwrap();
        let year = Validity::days_from(NOW, 10);
        let one = authority.issue(&hosts(&["a"]), year).unwrap();
        let two = again.issue(&hosts(&["a"]), year).unwrap();
        let (one, two) = (Summary::of_pem(&one.cert), Summary::of_pem(&two.cert));
        assert_eq!(one.unwrap().issuer, two.unwrap().issuer);
        let error = again
            .issue(&hosts(&["a"]), Validity::days_from(NOW, 11))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "it would hold until 2026-01-12, but the authority only until 2026-01-11"
        );
    }

    #[test]
    fn files_of_two_authorities_do_not_go_together() {
        let (_, one) = Authority::create(Validity::days_from(NOW, 10)).unwrap();
        let (_, two) = Authority::create(Validity::days_from(NOW, 10)).unwrap();
        let error = Authority::load(&one.cert, &two.key).unwrap_err();
        assert!(matches!(error, AuthorityError::Mismatch { .. }), "{error}");
        let error = Authority::load(&one.cert, "nonsense").unwrap_err();
        assert!(matches!(error, AuthorityError::Key(_)), "{error}");
        let error = Authority::load("nonsense", &two.key).unwrap_err();
        assert!(matches!(error, AuthorityError::Cert(_)), "{error}");
    }
}
