//! What is watched of the instances of a group, how people write it, and their network.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tepui_framework::protocol::{
    NetworkInfo, TaskInfo,
    lifecycle::{CheckInfo, HealthCheck, Limits, Probe, RestartOnFailure},
};

/// Checks, restarts, limits and network of each instance; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// A check that ends the instance.
    pub health_check: Option<HealthCheck>,
    /// A check that is reported.
    pub check: Option<CheckInfo>,
    /// After this time from its start it is ended, and has failed.
    pub max_completion_time: Option<Duration>,
    /// Whether its agent starts it again when it fails.
    pub restart: Option<RestartOnFailure>,
    /// What it may use beyond its resources.
    pub limits: Limits,
    /// Its network; what its agent gives to tasks where absent.
    pub network: Option<NetworkInfo>,
}

impl Lifecycle {
    /// Makes it that of `task`.
    pub(crate) fn apply(&self, task: TaskInfo) -> TaskInfo {
        TaskInfo {
            health_check: self.health_check.clone(),
            check: self.check.clone(),
            max_completion_time: self.max_completion_time,
            restart: self.restart,
            limits: self.limits,
            network: self.network.clone(),
            ..task
        }
    }
}

/// Reads a duration: `500ms`, `5s`, `2m` or `1h`.
///
/// # Errors
/// How to write one.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let millis = match unit.trim() {
        "ms" => 1,
        "s" | "secs" => 1000,
        "m" | "mins" => 60_000,
        "h" | "hrs" => 3_600_000,
        _ => 0,
    };
    let number: Option<u64> = digits.parse().ok();
    let total = number
        .and_then(|number| number.checked_mul(millis))
        .filter(|_| millis > 0);
    total
        .map(Duration::from_millis)
        .ok_or("must be a duration, as \"500ms\", \"5s\", \"2m\" or \"1h\"")
}

/// Reads where an HTTP check looks: `8080` or `8080/health`.
///
/// # Errors
/// How to write it.
pub fn parse_http(text: &str) -> Result<Probe, &'static str> {
    let (port, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let port = parse_port(port).map_err(|_| "must be a port and a path, as 8080/health")?;
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    match is_plain {
        true => Ok(Probe::Http {
            port,
            path: path.to_owned(),
        }),
        false => Err("must be a port and a path without blanks, as 8080/health"),
    }
}

/// Reads a port.
///
/// # Errors
/// How to write one.
pub fn parse_port(text: &str) -> Result<u16, &'static str> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or("must be a port, from 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_check_is_a_port_and_perhaps_a_path() {
        let http = |port, path: &str| Probe::Http {
            port,
            path: path.to_owned(),
        };
        assert_eq!(parse_http("80"), Ok(http(80, "")));
        assert_eq!(parse_http("8080/a/b?c=d"), Ok(http(8080, "/a/b?c=d")));
        for text in ["", "x", "0", "65536/x", "/x", "80/a b"] {
            assert!(
                parse_http(text).unwrap_err().contains("8080/health"),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "5", "s", "-1s", "5 weeks"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
