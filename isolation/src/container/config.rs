//! Which isolators an agent uses, and how they are set.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use tepui_protocol::NetworkMode;

use crate::{
    gpu,
    isolators::{Entry, Isolator, Machine, all},
    launch::{Bind, Rlimit},
    network::Subnet,
};

/// All that works here and is meant to be used where nothing is said.
const AUTO: &str = "auto";
/// No isolator at all.
const NONE: &str = "none";

/// Settings of isolation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationConfig {
    /// Names of isolators; or `auto`: all defaults that work here; or `none`.
    pub isolators: Vec<String>,
    /// The agent's directory, which tasks do not see. The agent sets it.
    pub work_dir: PathBuf,
    /// The name below which control groups are made.
    pub cgroup_root: String,
    /// Whom tasks run as when their framework names nobody.
    pub task_user: String,
    /// Whether tasks may run as root.
    pub root_tasks: bool,
    /// Whether a task gets no more processors than it has, also when they are idle.
    pub cpu_hard_limit: bool,
    /// The processors for tasks, as `2-7`; needs `cgroups/cpuset`.
    pub cpuset: Option<String>,
    /// Processes and threads of a task.
    pub pids_max: u32,
    /// How often sandboxes are added up, in milliseconds.
    pub disk_interval_ms: u64,
    /// Powers of root that tasks keep, as `NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
    /// Limits of each process.
    pub rlimits: Vec<Rlimit>,
    /// Files and directories of the machine that tasks see beside what they see anyway; needs
    /// `filesystem/linux`.
    pub volumes: Vec<Bind>,
    /// Whose network tasks are in that do not say so themselves.
    pub network: NetworkMode,
    /// The addresses of private networks; no other agent on the machine may have them.
    pub network_subnet: Subnet,
    /// The most that a task with a private network may send, in Mbit/s.
    pub egress_mbit: Option<u32>,
    /// The GPUs that tasks can have. The agent sets it.
    pub gpus: Vec<gpu::Device>,
    /// Where specifications of devices (CDI) lie; those of later directories come first.
    pub cdi_dirs: Vec<PathBuf>,
    /// A program such as runc or crun that makes the containers, in place of the launcher's own steps.
    pub oci_runtime: Option<PathBuf>,
}

impl Default for IsolationConfig {
    fn default() -> Self {
        Self {
            isolators: vec![AUTO.to_owned()],
            work_dir: PathBuf::new(),
            cgroup_root: "tepui".to_owned(),
            task_user: "nobody".to_owned(),
            root_tasks: false,
            cpu_hard_limit: false,
            cpuset: None,
            pids_max: 1024,
            //= mesos, container_disk_watch_interval: 15 s
            disk_interval_ms: 15_000,
            capabilities: Vec::new(),
            rlimits: Vec::new(),
            volumes: Vec::new(),
            network: NetworkMode::Host,
            network_subnet: Subnet::default(),
            egress_mbit: None,
            gpus: Vec::new(),
            cdi_dirs: gpu::CDI_DIRECTORIES.map(PathBuf::from).to_vec(),
            oci_runtime: None,
        }
    }
}

/// A default isolator that does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Off {
    /// Which.
    pub name: &'static str,
    /// Why, for people.
    pub reason: String,
}

/// Why isolators cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A name that is none.
    #[error("isolator {name:?}: there is none of that name; there are auto, none, {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The OCI runtime cannot be used.
    #[error("OCI runtime {}: {reason}", path.display())]
    Runtime {
        /// Its program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An isolator that was asked for does not work.
    #[error("isolator {name}: {reason}; leave it out, or use auto")]
    Unusable {
        /// Which.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

type Chosen = Vec<(&'static Entry, Box<dyn Isolator>)>;

impl IsolationConfig {
    /// No isolation: commands are spawned as they are.
    pub fn none() -> Self {
        Self::default().with_isolators(vec![NONE.to_owned()])
    }

    /// The same with other isolators; `none` if empty.
    pub fn with_isolators(self, isolators: Vec<String>) -> Self {
        let isolators = match isolators.is_empty() {
            true => vec![NONE.to_owned()],
            false => isolators,
        };
        Self { isolators, ..self }
    }

    /// As text, for another process of this program.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("names and numbers can be written as JSON")
    }

    /// Reads what [`IsolationConfig::to_text`] wrote.
    ///
    /// # Errors
    /// A text for people.
    pub fn from_text(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Below which groups of this agent lie, and of no other agent on the machine.
    pub(crate) fn cgroup_base(&self) -> PathBuf {
        let name = format!("{:016x}", self.number());
        Path::new(&self.cgroup_root).join(name)
    }

    /// A number of this agent, and of no other agent on the machine.
    pub(crate) fn number(&self) -> u64 {
        fingerprint(&self.work_dir)
    }

    /// The isolators that are used here, in order, and those that would be but cannot.
    pub(crate) fn choose(&self, machine: &Machine) -> Result<(Chosen, Vec<Off>), ConfigError> {
        let is_auto = self.isolators.iter().any(|name| name == AUTO);
        for name in &self.isolators {
            let known = all().iter().any(|entry| entry.name == name);
            if !known && ![AUTO, NONE].contains(&name.as_str()) {
                let known: Vec<&str> = all().iter().map(|entry| entry.name).collect();
                return Err(ConfigError::Unknown {
                    name: name.clone(),
                    known: known.join(", "),
                });
            }
        }
        let (mut chosen, mut off) = (Vec::new(), Vec::new());
        for entry in all() {
            let is_named = self.isolators.iter().any(|name| name == entry.name);
            if !(is_named || is_auto && entry.is_default) {
                continue;
            }
            match (entry.build)(self, machine) {
                Ok(isolator) => chosen.push((entry, isolator)),
                Err(reason) if is_named => {
                    let name = entry.name;
                    return Err(ConfigError::Unusable { name, reason });
                }
                Err(reason) => off.push(Off {
                    name: entry.name,
                    reason,
                }),
            }
        }
        Ok((chosen, off))
    }
}

/// FNV-1a: the same for the same path in every version of this program.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &[&str]) -> Result<(Vec<&'static str>, Vec<Off>), ConfigError> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let config = IsolationConfig::default().with_isolators(names);
        // A machine without control groups, whoever runs the test.
        let machine = Machine { cgroups: None };
        let (chosen, off) = config.choose(&machine)?;
        Ok((chosen.iter().map(|(entry, _)| entry.name).collect(), off))
    }

    #[test]
    fn what_does_not_work_is_left_out_with_its_reason() {
        let (chosen, off) = choose(&["auto"]).unwrap();
        assert!(chosen.contains(&"linux/nnp") && !chosen.contains(&"cgroups/mem"));
        let memory = off.iter().find(|off| off.name == "cgroups/mem").unwrap();
        assert!(!memory.reason.is_empty());
        assert_eq!(choose(&["none"]).unwrap(), (vec![], vec![]));
        assert_eq!(choose(&[]).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn what_is_asked_for_by_name_must_work() {
        let error = choose(&["cgroups/mem"]).unwrap_err().to_string();
        assert!(error.starts_with("isolator cgroups/mem: "), "{error}");
        let error = choose(&["cgroups/memory"]).unwrap_err().to_string();
        assert!(error.contains("\"cgroups/memory\""), "{error}");
        assert!(error.contains("cgroups/mem, "), "{error}");
        // Beside auto a name adds what is no default.
        let error = choose(&["auto", "cgroups/cpuset"]).unwrap_err().to_string();
        assert!(error.contains("no processors are named"), "{error}");
    }

    #[test]
    fn agents_have_their_own_groups() {
        let base = |dir: &str| {
            let config = IsolationConfig {
                work_dir: dir.into(),
                ..IsolationConfig::default()
            };
            config.cgroup_base()
        };
        assert_eq!(base("/a"), base("/a"));
        assert_ne!(base("/a"), base("/b"));
        assert!(base("/a").starts_with("tepui"));
    }
}
