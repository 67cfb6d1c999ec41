//! What a certificate can be for: names and addresses, one by one.

use std::{fmt, net::IpAddr, str::FromStr};

/// A host that a certificate is for. No wildcards: whoever has a certificate is one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name, in lower case; it need not be in any DNS.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

/// Why a text is no [`Host`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} {problem}; write a name of letters, digits, '-', '_' and '.', as node-1.example, or \
     an IP address"
)]
pub struct InvalidHost {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let bare = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Ok(Host::Ip(ip));
        }
        match problem(text) {
            None => Ok(Host::Name(text.to_ascii_lowercase())),
            Some(problem) => Err(InvalidHost {
                text: text.to_owned(),
                problem,
            }),
        }
    }
}

fn problem(name: &str) -> Option<&'static str> {
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let only_numbers = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() {
        Some("is empty")
    } else if name.contains('*') {
        Some("is a wildcard, which would let one node pass for others")
    } else if !name.chars().all(plain) {
        Some("has other characters")
    } else if name.len() > NAME_BYTES_MAX || name.split('.').any(|l| l.len() > LABEL_BYTES_MAX) {
        Some("is too long")
    } else if name
        .split('.')
        .any(|l| l.is_empty() || l.starts_with('-') || l.ends_with('-'))
    {
        Some("has a part that is empty, or begins or ends with '-'")
    } else if name.rsplit('.').next().is_some_and(only_numbers) {
        Some("ends in a number but is no IP address")
    } else {
        None
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_hosts() {
        for (text, host) in [
            ("Agent-1", Host::Name("agent-1".to_owned())),
            (
                "node_2.rack.example",
                Host::Name("node_2.rack.example".to_owned()),
            ),
            ("10.0.0.1", Host::Ip([10, 0, 0, 1].into())),
            ("[::1]", Host::Ip("::1".parse().unwrap())),
            ("fd00::7", Host::Ip("fd00::7".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<Host>().unwrap(), host);
        }
    }

    #[test]
    fn what_is_no_host_is_told_with_what_to_write() {
        for (text, problem) in [
            ("", "is empty"),
            ("*.example", "wildcard"),
            ("../ca", "other characters"),
            ("a b", "other characters"),
            ("10.0.0.1:5050", "other characters"),
            ("a..b", "empty"),
            ("-a", "begins"),
            ("10.0.0.256", "no IP address"),
        ] {
            let error = text.parse::<Host>().unwrap_err().to_string();
            assert!(
                error.contains(problem) && error.contains("node-1.example"),
                "{error}"
            );
        }
        assert!("a".repeat(64).parse::<Host>().is_err());
    }
}
