//! What goes wrong between two ends of TLS, in words, each with what to do about it.
//!
//! A text says what the peer does, without its name: `links::problem` puts that before it.

use std::{io, time::Duration};

use rustls::{
    AlertDescription, CertificateError, Error,
    pki_types::{ServerName, UnixTime},
};

use super::certificate::bare;

/// The other end is there, but it is not who it should be, or does not take this one for that.
/// Found within the [`io::Error`]s of a transport; the text goes on after `peer 10.0.0.1:5050`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untrusted(pub String);

impl Untrusted {
    /// What is within an error, if it is this.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// As an error of a connection.
    pub fn into_error(self) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, self)
    }
}

/// Puts an error of the library into words, and leaves those of the network as they are.
pub(super) fn explain(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner.map(text) {
        Some(text) => Untrusted(text).into_error(),
        None => error,
    }
}

fn text(error: &Error) -> String {
    const FLAGS: &str = "start it with --tls-ca, --tls-cert and --tls-key";
    match error {
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            format!("does not speak TLS, as this node does; {FLAGS}")
        }
        Error::NoCertificatesPresented => format!("shows no certificate; {FLAGS}"),
        Error::PeerIncompatible(_) => "does not speak TLS 1.3".to_owned(),
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::AlertReceived(alert) => of_alert(*alert),
        other => format!("failed at TLS: {other}"),
    }
}

/// What is wrong with the peer's certificate.
fn of_certificate(problem: &CertificateError) -> String {
    const RENEW: &str = "issue it a new one with `tepui certs issue --replace`";
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "has a certificate of another authority than this node trusts (--tls-ca); issue both \
             nodes' certificates with one authority"
                .to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let since = span(*not_after, *time);
            format!("has a certificate that expired {since} ago; {RENEW}")
        }
        CertificateError::Expired => format!("has a certificate that has expired; {RENEW}"),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "has a certificate that is not valid for another {}; compare the clocks of both \
             machines, or issue it a new one",
            span(*time, *not_before)
        ),
        CertificateError::NotValidYet => {
            "has a certificate that is not valid yet; compare the clocks of both machines"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => wrong_host(&host(expected), presented),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "has a certificate that is not for both serving and dialling; issue it one with \
             `tepui certs issue`"
                .to_owned()
        }
        other => format!("has a certificate that cannot be trusted: {other}"),
    }
}

fn wrong_host(expected: &str, presented: &[String]) -> String {
    let hosts: Vec<String> = presented.iter().map(|name| bare(name)).collect();
    let hosts = match hosts.join(", ") {
        none if none.is_empty() => "no host".to_owned(),
        hosts => hosts,
    };
    format!(
        "has a certificate that is for {hosts}, not for {expected}; dial it by a host of its \
         certificate, or issue it one with `--host {expected}`"
    )
}

/// Why the peer does not take this node's certificate.
fn of_alert(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "does not trust the authority of this node's certificate; issue both nodes' \
             certificates with one authority"
        }
        AlertDescription::CertificateExpired => {
            "says that this node's certificate does not hold now; issue a new one with `tepui \
             certs issue --replace`, or compare the clocks of both machines"
        }
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "does not take this node's certificate; issue it one with `tepui certs issue`"
        }
        AlertDescription::ProtocolVersion => "does not speak TLS 1.3",
        other => return format!("ended TLS: {other:?}"),
    };
    why.to_owned()
}

fn host(name: &ServerName<'_>) -> String {
    name.to_str().into_owned()
}

fn span(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let (count, unit) = match Duration::from_secs(seconds).as_secs() {
        seconds if seconds < 120 => (seconds, "second"),
        seconds if seconds < 2 * 3600 => (seconds / 60, "minute"),
        seconds if seconds < 2 * 86_400 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn times_are_told_in_units_that_fit() {
        for (seconds, told) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (600, "10 minutes"),
            (86_400, "24 hours"),
            (10 * 86_400, "10 days"),
        ] {
            assert_eq!(span(at(50), at(50 + seconds)), told);
        }
    }

    #[test]
    fn errors_of_the_network_stay_what_they_are() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let same = explain(reset);
        assert_eq!(same.kind(), io::ErrorKind::ConnectionReset);
        assert!(Untrusted::within(&same).is_none());
        let told = explain(io::Error::other(Error::NoCertificatesPresented));
        assert!(Untrusted::within(&told).is_some_and(|u| u.0.starts_with("shows no certificate")));
    }
}
