//! How people name a master: `host:port`, or `name@host:port` where it is not called `master`.

use tepui_runtime::{AnyPid, NodeAddr};

/// The name of the master actor where none is given.
const MASTER: &str = "master";

/// Why a text does not name a master.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("master address {text:?}: {problem}; write host:port, as 127.0.0.1:5050")]
pub struct InvalidMaster {
    /// The refused text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads the address of a master, as `--master` and `TEPUI_MASTER` give it: `host:port`, or
/// `name@host:port`.
///
/// # Errors
/// [`InvalidMaster`] says what is wrong with the text and what to write.
///
/// # Example
/// ```
/// let master = tepui_framework::parse_master("10.0.0.1:5050")?;
/// assert_eq!(master.to_string(), "master@10.0.0.1:5050");
/// # Ok::<(), tepui_framework::InvalidMaster>(())
/// ```
pub fn parse_master(text: &str) -> Result<AnyPid, InvalidMaster> {
    let invalid = |problem| InvalidMaster {
        text: text.to_owned(),
        problem,
    };
    let trimmed = text.trim();
    if let Some(problem) = usual_mistake(trimmed) {
        return Err(invalid(problem));
    }
    if trimmed.contains('@') {
        return trimmed
            .parse()
            .map_err(|_| invalid("is not name@host:port"));
    }
    let node: NodeAddr = trimmed.parse().map_err(|_| invalid("is not host:port"))?;
    if node.port() == 0 {
        return Err(invalid("port 0 is no port"));
    }
    AnyPid::new(MASTER, node).map_err(|_| invalid("is not host:port"))
}

/// What people write instead, named so that they see it.
fn usual_mistake(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.contains("://") {
        Some("must not be a URL")
    } else if text.starts_with(':') {
        Some("has no host")
    } else if !text.contains(':') {
        Some("has no port")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actor_is_called_master_unless_named() {
        for (text, pid) in [
            ("127.0.0.1:5050", "master@127.0.0.1:5050"),
            (" node-1.example:80 ", "master@node-1.example:80"),
            ("[::1]:5050", "master@[::1]:5050"),
            ("boss@host:1", "boss@host:1"),
            ("master@host:1#a2", "master@host:1#a2"),
        ] {
            assert_eq!(parse_master(text).unwrap().to_string(), pid);
        }
    }

    #[test]
    fn bad_addresses_are_refused_with_what_to_write() {
        for (text, problem) in [
            ("", "is empty"),
            ("localhost", "has no port"),
            (":5050", "has no host"),
            ("http://host:5050", "must not be a URL"),
            ("host:0", "port 0"),
            ("host:99999", "is not host:port"),
            ("host:x", "is not host:port"),
            ("a b@host:1", "is not name@host:port"),
            ("master@host:", "is not name@host:port"),
        ] {
            let error = parse_master(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(
                error.contains("write host:port, as 127.0.0.1:5050"),
                "{error}"
            );
        }
    }
}
