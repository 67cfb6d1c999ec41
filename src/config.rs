//! Settings from a TOML file: what neither a flag nor the environment said.
//!
//! ```toml
//! [master]                          # each key as the flag of `tepui master`
//! port = 5050
//! role_weights = { analytics = 2 }
//! [master.options]                  # see docs/cli.md
//! agent_ping_interval = 15          # seconds
//!
//! [agent]
//! master = "10.0.0.1:5050"
//! cpus = 4                          # cpus, mem (MiB), disk (MiB), gpus; or all in one text:
//! resources = "ports:[31000-32000]"
//! attributes = { rack = "r1" }
//! ```
//! A mistake is told as `agent.toml:7: cpus = -1: must be a number > 0`.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de};
use tepui_agent::AgentConfig;
use tepui_fetch::FetchConfig;
use tepui_isolation::IsolationConfig;
use tepui_master::MasterConfig;
use tepui_protocol::{Resources, Role};
use tepui_runtime::NodeAddr;

use crate::cli::{BadInput, arguments::parse_master, nodes::parse_advertise, security::Security};

/// All that a file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// For `tepui master`.
    pub(crate) master: MasterSection,
    /// For `tepui agent`.
    pub(crate) agent: AgentSection,
}

/// `[master]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MasterSection {
    pub(crate) host: Option<String>,
    #[serde(deserialize_with = "advertised")]
    pub(crate) advertise: Option<NodeAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) work_dir: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    pub(crate) insecure: bool,
    /// Positive numbers by role.
    pub(crate) role_weights: BTreeMap<Role, Positive>,
    pub(crate) options: MasterConfig,
}

/// `[agent]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AgentSection {
    pub(crate) host: Option<String>,
    #[serde(deserialize_with = "advertised")]
    pub(crate) advertise: Option<NodeAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) work_dir: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) master: Option<Address>,
    pub(crate) hostname: Option<String>,
    cpus: Option<Positive>,
    mem: Option<Positive>,
    disk: Option<Positive>,
    gpus: Option<Positive>,
    /// As `--gpu-devices`.
    pub(crate) gpu_devices: Vec<String>,
    #[serde(deserialize_with = "resources")]
    resources: Resources,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) isolation: IsolationConfig,
    pub(crate) fetch: FetchConfig,
    pub(crate) options: AgentConfig,
}

/// A number above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Positive(pub(crate) f64);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("must be a number > 0");
        match toml::Value::deserialize(from)? {
            toml::Value::Integer(number) if number > 0 => Ok(Self(number as f64)),
            toml::Value::Float(number) if number > 0.0 && number.is_finite() => Ok(Self(number)),
            _ => Err(wrong()),
        }
    }
}

fn advertised<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NodeAddr>, D::Error> {
    let text = String::deserialize(from)?;
    parse_advertise(&text).map(Some).map_err(de::Error::custom)
}

/// A master's address.
#[derive(Clone, Debug)]
pub(crate) struct Address(pub(crate) tepui_runtime::AnyPid);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse_master(&text).map(Address).map_err(de::Error::custom)
    }
}

fn resources<'de, D: Deserializer<'de>>(from: D) -> Result<Resources, D::Error> {
    String::deserialize(from)?
        .parse()
        .map_err(de::Error::custom)
}

impl MasterSection {
    /// The files of its identity.
    pub(crate) fn security(&self) -> Security {
        Security {
            tls_ca: self.tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
        }
    }
}

impl AgentSection {
    /// The files of its identity.
    pub(crate) fn security(&self) -> Security {
        Security {
            tls_ca: self.tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
        }
    }

    /// What the file says of resources, as the text of `--resources`; empty if nothing.
    pub(crate) fn resources(&self) -> String {
        let amounts = [
            ("cpus", self.cpus),
            ("mem", self.mem),
            ("disk", self.disk),
            ("gpus", self.gpus),
        ];
        let given = amounts
            .iter()
            .filter_map(|(name, amount)| Some((name, (*amount)?.0)));
        let mut items: Vec<String> = given.map(|(name, n)| format!("{name}:{n}")).collect();
        items.extend((!self.resources.is_empty()).then(|| self.resources.to_string()));
        items.join(";")
    }
}

impl Config {
    /// Reads `path`; without one, nothing is set.
    ///
    /// # Errors
    /// [`BadInput`] with file, line and the rule that is broken.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadInput(format!("{name}: cannot be read: {error}")))?;
        Ok(Self::parse(&name, &text).map_err(BadInput)?)
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| at(name, text, &error))?;
        config.master.options.validate().map_err(|error| {
            let key = error.field.split('.').next_back().unwrap_or_default();
            format!("{name}:{}: {error}", line_of(text, key))
        })?;
        config.agent.fetch.validate().map_err(|problem| {
            let key = problem.split(' ').next().unwrap_or_default();
            format!("{name}:{}: {problem}", line_of(text, key))
        })?;
        Ok(config)
    }
}

/// The first line that begins with `key`.
fn line_of(text: &str, key: &str) -> usize {
    let found = text
        .lines()
        .position(|line| line.trim_start().starts_with(key));
    found.map_or(1, |n| n + 1)
}

/// `file:line: the line: what is wrong`.
fn at(name: &str, text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', " ");
    let Some(Range { start, .. }) = error.span() else {
        return format!("{name}: {message}");
    };
    let start = start.min(text.len());
    let number = text[..start].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default().trim();
    format!("{name}:{number}: {line}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "
            [master]
            port = 0
            tls_key = \"m.key\"
            role_weights = { analytics = 2, \"a/b\" = 0.5 }
            options.allocation_interval = 0.1
            [agent]
            master = \"10.0.0.1:5050\"
            insecure = true
            cpus = 4
            mem = 512
            resources = \"ports:[31000-31001]\"
            attributes = { rack = \"r1\" }
        ";
        let config = Config::parse("t.toml", text).unwrap();
        assert_eq!(config.master.port, Some(0));
        assert_eq!(config.master.security().tls_key, Some("m.key".into()));
        assert!(config.agent.insecure && !config.master.insecure);
        assert_eq!(
            config.master.role_weights[&Role::new("a/b").unwrap()],
            Positive(0.5)
        );
        assert_eq!(config.master.options.allocation_interval.as_millis(), 100);
        assert_eq!(
            config.agent.resources(),
            "cpus:4;mem:512;ports:[31000-31001]"
        );
        assert_eq!(config.agent.attributes["rack"], "r1");
        assert_eq!(
            config.agent.master.unwrap().0.to_string(),
            "master@10.0.0.1:5050"
        );
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_rule() {
        for (line, told) in [
            ("cpus = -1", "agent.toml:7: cpus = -1: must be a number > 0"),
            (
                "cpus = -1 # few",
                "agent.toml:7: cpus = -1: must be a number > 0",
            ),
            (
                "cpus = \"4\"",
                "agent.toml:7: cpus = \"4\": must be a number > 0",
            ),
            (
                "cpu = 1",
                "agent.toml:7: cpu = 1: unknown field `cpu`, expected one of",
            ),
            ("port = 70000", "agent.toml:7: port = 70000: "),
            (
                "master = \"x\"",
                "agent.toml:7: master = \"x\": master address \"x\": has no port",
            ),
            (
                "resources = \"cpus\"",
                "agent.toml:7: resources = \"cpus\": resources \"cpus\"",
            ),
            ("cpus = ", "agent.toml:7: cpus =: "),
        ] {
            let text = format!("# 1\n# 2\n\n[master]\nport = 1\n[agent]\n{line}\n");
            let error = Config::parse("agent.toml", &text).unwrap_err();
            assert!(error.starts_with(told) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn options_that_make_no_sense_together_are_found() {
        let text = "[master.options]\nmax_missed_pings = 0\n";
        let error = Config::parse("m.toml", text).unwrap_err();
        assert_eq!(error, "m.toml:2: max_missed_pings = 0: must be at least 1");
        let error =
            Config::parse("m.toml", "[master.options]\nheartbeat_interval = -1").unwrap_err();
        assert!(
            error.starts_with("m.toml:2: heartbeat_interval = -1: "),
            "{error}"
        );
    }

    #[test]
    fn fetching_has_settings_of_its_own() {
        let config = Config::parse("a.toml", "[agent.fetch]\ncache_mib = 0\n").unwrap();
        assert_eq!(config.agent.fetch.cache_mib, 0);
        let text = "[agent.fetch]\nstall_timeout = 0\n";
        let error = Config::parse("a.toml", text).unwrap_err();
        assert_eq!(error, "a.toml:2: stall_timeout = 0: must be a number > 0");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::read(Some(Path::new("/not/there.toml"))).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/not/there.toml: cannot be read")
        );
        assert!(error.is::<BadInput>());
    }
}
