//! Process ids: the addresses of actors, as data.
//!
//! Text form: `name@host:port`, or `name@host:port#incarnation` (hexadecimal) for one particular
//! life of an actor. A PID without an incarnation (zero) means whoever bears the name when a
//! message arrives. Print and parse round-trip. Nothing here sends; see [`crate::node`].

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Where a node listens, `host:port`. The host is a name, an IPv4 address, or an IPv6 address in
/// brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddr {
    host: Arc<str>,
    port: u16,
}

/// The address of an actor of any type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AnyPid {
    name: Arc<str>,
    node: NodeAddr,
    incarnation: u64,
}

/// The host of nodes behind a door. No certificate is ever asked for it, and no name server.
//= rfc6761, 6.3: names below `localhost` are this machine's
const DOOR_HOST: &str = "door.localhost";

/// Why a text is not a node address or a PID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPid {
    /// Not `host:port`.
    #[error("{text:?} is not a node address: write host:port, as 127.0.0.1:5050")]
    Addr {
        /// The refused text.
        text: String,
    },
    /// Not `name@host:port`.
    #[error("{text:?} is not a PID: write name@host:port, as master@127.0.0.1:5050")]
    Pid {
        /// The refused text.
        text: String,
    },
}

impl NodeAddr {
    /// The address `host:port`; an IPv6 `host` is put in brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let host = if bare_v6 {
            format!("[{host}]").into()
        } else {
            host.into()
        };
        Self { host, port }
    }

    /// The host part, IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a node behind a *door*: one that is reached on this machine only, by those
    /// who share a [`Secret`](crate::Secret) with it, without TLS. See
    /// [`NodeBuilder::door`](crate::NodeBuilder::door).
    pub fn door(port: u16) -> Self {
        Self::new(DOOR_HOST, port)
    }

    /// Whether it is such an address.
    pub fn is_door(&self) -> bool {
        &*self.host == DOOR_HOST
    }

    /// Whether only this machine can reach the address.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || self.is_door()
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl From<std::net::SocketAddr> for NodeAddr {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(&address.ip().to_string(), address.port())
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn is_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    }
}

impl FromStr for NodeAddr {
    type Err = InvalidPid;

    fn from_str(text: &str) -> Result<Self, InvalidPid> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| port.parse().ok())??;
            is_host(host).then(|| NodeAddr {
                host: host.into(),
                port,
            })
        });
        parts.ok_or_else(|| InvalidPid::Addr {
            text: text.to_owned(),
        })
    }
}

impl AnyPid {
    /// Whoever bears `name` at `node` when a message arrives.
    ///
    /// # Errors
    /// [`InvalidPid`] when `name` is empty or has an `@`, a `#`, a blank or a control character.
    pub fn new(name: &str, node: NodeAddr) -> Result<Self, InvalidPid> {
        if is_name(name) {
            Ok(Self {
                name: name.into(),
                node,
                incarnation: 0,
            })
        } else {
            Err(InvalidPid::Pid {
                text: format!("{name}@{node}"),
            })
        }
    }

    pub(crate) fn of_incarnation(name: Arc<str>, node: NodeAddr, incarnation: u64) -> Self {
        Self {
            name,
            node,
            incarnation,
        }
    }

    /// The same actor, at another address of its node.
    pub fn at(&self, node: NodeAddr) -> Self {
        Self {
            node,
            ..self.clone()
        }
    }

    /// The actor's name on its node.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// The node that the actor lives on.
    pub fn node(&self) -> &NodeAddr {
        &self.node
    }

    /// Which life of the actor is meant; zero for whoever bears the name.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether this is the address of `actor`, whose PID is given in full.
    pub(crate) fn means(&self, actor: &AnyPid) -> bool {
        let of_name = self.incarnation == 0 || self.incarnation == actor.incarnation;
        of_name && self.name == actor.name && self.node == actor.node
    }

    /// The same address, for whoever bears the name.
    pub fn any_incarnation(&self) -> AnyPid {
        Self {
            incarnation: 0,
            ..self.clone()
        }
    }
}

/// Whether `name` can name an actor.
pub(crate) fn is_name(name: &str) -> bool {
    let bad = |c: char| c == '@' || c == '#' || c.is_control() || c.is_whitespace();
    !name.is_empty() && name.len() <= 1024 && !name.contains(bad)
}

impl fmt::Display for AnyPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.node)?;
        if self.incarnation != 0 {
            write!(f, "#{:x}", self.incarnation)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AnyPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for AnyPid {
    type Err = InvalidPid;

    fn from_str(text: &str) -> Result<Self, InvalidPid> {
        let invalid = || InvalidPid::Pid {
            text: text.to_owned(),
        };
        let (name, rest) = text.split_once('@').ok_or_else(invalid)?;
        let (node, incarnation) = match rest.split_once('#') {
            Some((node, hex)) => {
                let canonical = !hex.starts_with(['0', '+']);
                let number = u64::from_str_radix(hex, 16).ok().filter(|_| canonical);
                (node, number.ok_or_else(invalid)?)
            }
            None => (rest, 0),
        };
        let node = node.parse().map_err(|_| invalid())?;
        Ok(Self {
            incarnation,
            ..Self::new(name, node).map_err(|_| invalid())?
        })
    }
}

macro_rules! text_forms {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidPid;
            fn try_from(text: String) -> Result<Self, InvalidPid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
text_forms!(NodeAddr, AnyPid);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_texts_are_refused_with_the_form_to_write() {
        for text in [
            "",
            "a",
            "a@b",
            "@h:1",
            "a@h:x",
            "a@h:99999",
            "a b@h:1",
            "a@h:1#zz",
            "a@h:1#0",
        ] {
            let error = text.parse::<AnyPid>().unwrap_err().to_string();
            assert!(error.contains("name@host:port"), "{error}");
        }
        for text in [
            "", "host", "host:", ":1", "::1:80", "[::g]:1", "h/:1", "h:+1",
        ] {
            assert!(text.parse::<NodeAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn ipv6_hosts_are_bracketed() {
        let addr = NodeAddr::new("::1", 80);
        assert_eq!(addr.to_string(), "[::1]:80");
        assert_eq!(addr.to_string().parse::<NodeAddr>().unwrap(), addr);
        assert!(addr.is_loopback());
    }

    proptest! {
        #[test]
        fn print_and_parse_round_trip(
            name in "[a-z0-9/().-]{1,20}", host in "[a-z0-9.-]{1,20}", port: u16, incarnation: u64,
        ) {
            let pid = AnyPid::of_incarnation(name.into(), NodeAddr::new(&host, port), incarnation);
            prop_assert_eq!(pid.to_string().parse::<AnyPid>().unwrap(), pid);
        }

        #[test]
        fn any_text_that_parses_prints_the_same(text in "\\PC{0,40}") {
            if let Ok(pid) = text.parse::<AnyPid>() {
                prop_assert_eq!(pid.to_string().parse::<AnyPid>().unwrap(), pid);
            }
        }
    }
}
