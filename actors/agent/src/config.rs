//! Settings of an agent, with Mesos's defaults (inventory 5.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use tepui_isolation::Discovered;
use tepui_protocol::{AgentInfo, Resources};
use tepui_runtime::{NodeAddr, Secret};

/// All settings of an agent. Times are in seconds where they are written as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Where it keeps sandboxes and its records.
    pub work_dir: PathBuf,
    /// The machine's name, for people and for placement.
    pub hostname: String,
    /// What it offers.
    pub resources: Resources,
    /// Names of resources that the operator gave. The others were probed, and what was probed at
    /// the first start is kept as long as the machine still has it.
    pub explicit_resources: BTreeSet<String>,
    /// Labels of the machine, copied into offers.
    pub attributes: BTreeMap<String, String>,
    /// Registrations are repeated after a random time below twice this; doubles each time.
    #[serde(with = "seconds")]
    pub registration_backoff: Duration,
    /// The longest such time.
    #[serde(with = "seconds")]
    pub registration_backoff_max: Duration,
    /// Without a ping for this long, the master is taken for lost.
    #[serde(with = "seconds")]
    pub ping_timeout: Duration,
    /// An executor that has not registered by then is killed.
    #[serde(with = "seconds")]
    pub executor_registration_timeout: Duration,
    /// After a restart of the agent, executors that are not back by then are killed.
    #[serde(with = "seconds")]
    pub executor_reregistration_timeout: Duration,
    /// An executor whose link broke while agent and executor lived is killed when it is not back by
    /// then.
    #[serde(with = "seconds")]
    pub executor_reconnect_timeout: Duration,
    /// An executor that was asked to shut down is killed after this time.
    #[serde(with = "seconds")]
    pub executor_shutdown_grace: Duration,
    /// An unacknowledged status update is sent again after this time, which doubles each time.
    #[serde(with = "seconds")]
    pub update_retry_min: Duration,
    /// The longest such time.
    #[serde(with = "seconds")]
    pub update_retry_max: Duration,
    /// How long executors live without the agent, in frameworks that checkpoint.
    #[serde(with = "seconds")]
    pub recovery_timeout: Duration,
    /// An agent that is stopped with its tasks waits this long for acknowledgements.
    #[serde(with = "seconds")]
    pub stop_grace: Duration,
    /// How often it is looked at how much containers use, so that peaks are known; zero: never.
    #[serde(with = "seconds")]
    pub look_interval: Duration,
    /// How long the sandbox of an ended run is kept on an empty disk; less the fuller the disk is.
    #[serde(with = "seconds")]
    pub gc_delay: Duration,
    /// The part of the disk that is to stay free: the sandboxes of ended runs go before it is used.
    #[serde(deserialize_with = "part")]
    pub gc_disk_headroom: f64,
    /// How often the disk is looked at for that; zero: never, and all sandboxes stay.
    #[serde(with = "seconds")]
    pub disk_watch_interval: Duration,
    /// The largest piece of a sandbox file that is read at once, in bytes.
    pub sandbox_piece_max: u32,
    /// The GPUs that tasks can have, by UUID, in the order in which they are given. If there are
    /// none, `gpus` are counted like any other resource.
    #[serde(skip)]
    pub gpus: Vec<String>,
    /// By which executors reach the agent, where its own address asks for certificates.
    #[serde(skip)]
    pub door: Option<Door>,
}

/// The door of the agent's node (see [`tepui_runtime::NodeBuilder::door`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its address.
    pub addr: NodeAddr,
    /// What those who come through it know.
    pub secret: Secret,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            work_dir: PathBuf::from("tepui-agent"),
            hostname: "localhost".to_owned(),
            resources: Resources::new(),
            explicit_resources: BTreeSet::new(),
            attributes: BTreeMap::new(),
            registration_backoff: Duration::from_secs(1),
            registration_backoff_max: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(75),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_reconnect_timeout: Duration::from_secs(15),
            executor_shutdown_grace: Duration::from_secs(5),
            update_retry_min: Duration::from_secs(10),
            update_retry_max: Duration::from_secs(600),
            recovery_timeout: Duration::from_secs(900),
            stop_grace: Duration::from_secs(5),
            look_interval: Duration::from_secs(1),
            gc_delay: Duration::from_secs(7 * 24 * 3600),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_secs(60),
            sandbox_piece_max: 1 << 20,
            gpus: Vec::new(),
            door: None,
        }
    }
}

impl AgentConfig {
    /// The same with what [`tepui_isolation::discovery::discover`] found.
    pub fn with_resources(mut self, discovered: Discovered) -> Self {
        self.resources = discovered.total;
        self.explicit_resources = discovered.explicit;
        self
    }

    /// What the agent says of itself before it has an id.
    pub(crate) fn info(&self) -> AgentInfo {
        AgentInfo {
            id: None,
            hostname: self.hostname.clone(),
            resources: self.resources.clone(),
            attributes: self.attributes.clone(),
        }
    }
}

fn part<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let part = f64::deserialize(from)?;
    if !(0.0..=1.0).contains(&part) {
        return Err(D::Error::custom("must be a part of the disk, from 0 to 1"));
    }
    Ok(part)
}

/// Durations as numbers of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| D::Error::custom("must be a number of seconds >= 0"))
    }
}
