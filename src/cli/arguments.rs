//! Arguments that several commands share, and the forms of their values.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use tepui_protocol::{FrameworkId, Role, TaskId};
use tepui_runtime::AnyPid;

use crate::cli::security::Security;

/// Where the master is.
#[derive(Clone, Debug, Args)]
pub(crate) struct MasterAddress {
    /// The master's address
    #[arg(
        long = "master",
        env = "TEPUI_MASTER",
        default_value = "127.0.0.1:5050",
        value_name = "HOST:PORT",
        value_parser = parse_master
    )]
    pub(crate) pid: AnyPid,
    #[command(flatten)]
    pub(crate) security: Security,
}

impl MasterAddress {
    /// A master on this machine, or one that takes everybody.
    pub(crate) fn plain(pid: AnyPid) -> Self {
        let security = Security::default();
        Self { pid, security }
    }
}

/// How a read command asks and shows.
#[derive(Clone, Debug, Args)]
pub(crate) struct View {
    #[command(flatten)]
    master: MasterAddress,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

impl View {
    /// Whom to ask.
    pub(crate) fn master(&self) -> &MasterAddress {
        &self.master
    }
}

/// A file to take settings from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigFile {
    /// Take what neither flags nor environment say from this TOML file
    #[arg(long = "config", env = "TEPUI_CONFIG", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

/// Whoever bears the master's name at an address, whichever run of it.
pub(crate) fn parse_master(text: &str) -> Result<AnyPid, String> {
    let pid = tepui_framework::parse_master(text).map_err(|error| error.to_string())?;
    AnyPid::new(pid.name(), pid.node().clone()).map_err(|error| error.to_string())
}

/// `role=2`.
pub(crate) fn parse_weight(text: &str) -> Result<(Role, f64), String> {
    let right = "write role=weight, as analytics=2";
    let (role, weight) = text.split_once('=').ok_or(right)?;
    let role = Role::new(role.trim()).map_err(|error| error.to_string())?;
    match weight.trim().parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight.is_finite() => Ok((role, weight)),
        _ => Err(format!("{text}: the weight must be a number > 0; {right}")),
    }
}

/// `key:value;key:value`, as Mesos writes attributes.
pub(crate) fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    let items = text
        .split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let pairs = items.map(|item| match item.split_once(':') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!(
            "{item:?} has no key; write key:value, as rack:r1;zone:a"
        )),
    });
    pairs.collect()
}

/// A task as people name it: its id, or `framework/task` where several have that id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskName {
    /// Whose, where given.
    pub(crate) framework: Option<FrameworkId>,
    /// Which.
    pub(crate) task: TaskId,
}

impl FromStr for TaskName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (framework, task) = match text.rsplit_once('/') {
            Some((framework, task)) => (Some(framework), task),
            None => (None, text),
        };
        let framework = framework.map(FrameworkId::new).transpose();
        Ok(Self {
            framework: framework.map_err(|error| error.to_string())?,
            task: TaskId::new(task).map_err(|error| error.to_string())?,
        })
    }
}

impl std::fmt::Display for TaskName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.framework {
            Some(framework) => write!(f, "{framework}/{}", self.task),
            None => write!(f, "{}", self.task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masters_run_is_left_out() {
        let pid = parse_master("master@h:1#a2").unwrap();
        assert_eq!(pid.to_string(), "master@h:1");
        assert!(parse_master("h").unwrap_err().contains("write host:port"));
    }

    #[test]
    fn weights_are_positive_numbers_of_roles() {
        assert_eq!(
            parse_weight("a/b=0.5").unwrap(),
            (Role::new("a/b").unwrap(), 0.5)
        );
        for (text, part) in [
            ("a", "role=weight"),
            ("a=0", "> 0"),
            ("a=inf", "> 0"),
            ("a=NaN", "> 0"),
            ("-a=1", "begins with `-`"),
        ] {
            let error = parse_weight(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn attributes_are_pairs() {
        let pairs = parse_attributes("rack:r1; zone:a:b;").unwrap();
        let expected = [("rack", "r1"), ("zone", "a:b")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(parse_attributes("rack").unwrap_err().contains("\"rack\""));
    }

    #[test]
    fn a_task_may_be_named_with_its_framework() {
        let name: TaskName = "m-0001/map-3".parse().unwrap();
        assert_eq!(
            name.framework.as_ref().map(FrameworkId::as_str),
            Some("m-0001")
        );
        assert_eq!(name.to_string(), "m-0001/map-3");
        let name: TaskName = "map-3".parse().unwrap();
        assert_eq!(
            (name.framework.is_none(), name.task.as_str()),
            (true, "map-3")
        );
        assert!(
            "a/".parse::<TaskName>()
                .unwrap_err()
                .contains("must not be empty")
        );
    }
}
