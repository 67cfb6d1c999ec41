//! What a certificate says, for people: enough of X.509 to read it, nothing to trust it by.

use std::net::IpAddr;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use yasna::{
    ASN1Result, BERReader, BERReaderSeq, Tag,
    models::ObjectIdentifier,
    tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME},
};

/// Extensions and the common name, by their numbers in X.509.
//= rfc5280, 4.1 and 4.2.1: the fields of a certificate
const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];
const ALTERNATIVE_NAMES: [u64; 4] = [2, 5, 29, 17];
const BASIC_CONSTRAINTS: [u64; 4] = [2, 5, 29, 19];

/// What a certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whose it is: the common name.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Names and addresses that it is for.
    pub hosts: Vec<String>,
    /// The first second in which it holds.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
    /// Whether it is an authority's.
    pub is_authority: bool,
}

/// Why a certificate cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No PEM.
    #[error("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NotPem,
    /// What is within is no certificate.
    #[error("is no X.509 certificate")]
    NotX509,
}

impl Summary {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn of_pem(pem: &str) -> Result<Self, Unreadable> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Unreadable::NotPem)?;
        Self::of_der(&der)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// [`Unreadable::NotX509`].
    pub fn of_der(der: &[u8]) -> Result<Self, Unreadable> {
        yasna::parse_der(der, |reader| {
            reader.read_sequence(|certificate| {
                let summary = certificate.next().read_sequence(to_be_signed)?;
                certificate.next().read_der()?;
                certificate.next().read_der()?;
                Ok(summary)
            })
        })
        .map_err(|_| Unreadable::NotX509)
    }

    /// The day, in UTC, on which it ends: `2027-01-31`.
    pub fn ends(&self) -> String {
        day(self.not_after)
    }

    /// The day, in UTC, on which it begins.
    pub fn begins(&self) -> String {
        day(self.not_before)
    }
}

fn day(seconds: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(seconds);
    date.map_or_else(|_| seconds.to_string(), |date| date.date().to_string())
}

fn to_be_signed(fields: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Summary> {
    let mut summary = Summary::default();
    fields
        .read_optional(|version| version.read_tagged(Tag::context(0), |value| value.read_u8()))?;
    for _serial_and_algorithm in 0..2 {
        fields.next().read_der()?;
    }
    summary.issuer = common_name(fields.next())?;
    (summary.not_before, summary.not_after) = fields
        .next()
        .read_sequence(|dates| Ok((date(dates.next())?, date(dates.next())?)))?;
    summary.subject = common_name(fields.next())?;
    fields.next().read_der()?;
    for unique_id in [1, 2] {
        fields.read_optional(|id| {
            id.read_tagged_implicit(Tag::context(unique_id), |value| value.read_bitvec_bytes())
        })?;
    }
    fields.read_optional(|extensions| {
        extensions.read_tagged(Tag::context(3), |extensions| {
            extensions.read_sequence_of(|extension| read_extension(extension, &mut summary))
        })
    })?;
    Ok(summary)
}

/// The common name, or nothing where there is none.
fn common_name(name: BERReader<'_, '_>) -> ASN1Result<String> {
    let mut found = String::new();
    name.read_sequence_of(|part| {
        part.read_set_of(|attribute| {
            attribute.read_sequence(|pair| {
                let kind = pair.next().read_oid()?;
                let value = pair.next().read_tagged_der()?;
                if is(&kind, &COMMON_NAME) {
                    found = String::from_utf8_lossy(value.value()).into_owned();
                }
                Ok(())
            })
        })
    })?;
    Ok(found)
}

fn date(date: BERReader<'_, '_>) -> ASN1Result<i64> {
    match date.lookahead_tag()? {
        TAG_UTCTIME => Ok(date.read_utctime()?.datetime().unix_timestamp()),
        TAG_GENERALIZEDTIME => Ok(date.read_generalized_time()?.datetime().unix_timestamp()),
        _ => Err(yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid)),
    }
}

fn read_extension(extension: BERReader<'_, '_>, summary: &mut Summary) -> ASN1Result<()> {
    extension.read_sequence(|fields| {
        let kind = fields.next().read_oid()?;
        fields.read_optional(|value| value.read_bool())?;
        let value = fields.next().read_bytes()?;
        if is(&kind, &ALTERNATIVE_NAMES) {
            summary.hosts = yasna::parse_der(&value, alternative_names)?;
        } else if is(&kind, &BASIC_CONSTRAINTS) {
            summary.is_authority = yasna::parse_der(&value, |constraints| {
                constraints.read_sequence(|fields| {
                    let is_ca = fields.read_default(false, |value| value.read_bool())?;
                    fields.read_optional(|value| value.read_u64())?;
                    Ok(is_ca)
                })
            })?;
        }
        Ok(())
    })
}

fn alternative_names(names: BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    const DNS: u64 = 2;
    const IP: u64 = 7;
    let mut hosts = Vec::new();
    names.read_sequence_of(|name| {
        let name = name.read_tagged_der()?;
        match (name.tag().tag_number, name.value()) {
            (DNS, text) => hosts.push(String::from_utf8_lossy(text).into_owned()),
            (IP, bytes) => hosts.extend(ip(bytes).map(|ip| ip.to_string())),
            _ => {}
        }
        Ok(())
    })?;
    Ok(hosts)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn is(found: &ObjectIdentifier, wanted: &[u64]) -> bool {
    found.components() == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Validity};

    #[test]
    fn what_is_no_certificate_is_told_and_nothing_panics() {
        assert_eq!(Summary::of_pem("hello"), Err(Unreadable::NotPem));
        let (_, files) = Authority::create(Validity::days_from(0, 1)).unwrap();
        assert_eq!(Summary::of_pem(&files.key), Err(Unreadable::NotPem));
        let der = CertificateDer::from_pem_slice(files.cert.as_bytes()).unwrap();
        for cut in 0..der.len() {
            assert_eq!(Summary::of_der(&der[..cut]), Err(Unreadable::NotX509));
            let mut changed = der.to_vec();
            changed[cut] ^= 0x55;
            let _ = Summary::of_der(&changed);
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let (_, files) = Authority::create(Validity::days_from(1_767_225_600, 365)).unwrap();
        let summary = Summary::of_pem(&files.cert).unwrap();
        assert_eq!(
            (summary.begins(), summary.ends()),
            ("2025-12-31".into(), "2027-01-01".into())
        );
    }
}
