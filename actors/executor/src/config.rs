//! What an executor is told when it starts: its place, and its times.

use std::{collections::BTreeMap, time::Duration};

use tepui_isolation::{Image, IsolationConfig};
use tepui_protocol::{
    GpuShare,
    messages::environment::{self, ExecutorPlace, InvalidPlace},
};
use tepui_runtime::{NodeAddr, Secret};

/// All settings of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// Where it stands in the cluster.
    pub place: ExecutorPlace,
    /// Variables of its own environment that tasks inherit.
    pub inherited: BTreeMap<String, String>,
    /// Where its node listens; the agent is on the same machine.
    pub listen: NodeAddr,
    /// What it and the agent prove to each other to know, where the agent has a door.
    pub secret: Option<Secret>,
    /// How tasks are kept from each other; not at all where absent.
    pub isolation: Option<IsolationConfig>,
    /// Whom tasks run as; the agent's default where absent.
    pub task_user: Option<String>,
    /// The GPUs of its task.
    pub gpus: Vec<GpuShare>,
    /// The image of its task.
    pub image: Option<Image>,
    /// The time from a registration to the next attempt; doubles up to `register_backoff_max`.
    pub register_backoff: Duration,
    /// The longest time between attempts.
    pub register_backoff_max: Duration,
    /// After this time an unacknowledged update is sent again.
    pub resend_after: Duration,
}

impl ExecutorConfig {
    /// The default times for an executor at `place`.
    pub fn new(place: ExecutorPlace) -> Self {
        Self {
            place,
            inherited: BTreeMap::new(),
            listen: NodeAddr::new("127.0.0.1", 0),
            secret: None,
            isolation: None,
            task_user: None,
            gpus: Vec::new(),
            image: None,
            register_backoff: Duration::from_millis(250),
            register_backoff_max: Duration::from_secs(5),
            resend_after: Duration::from_secs(10),
        }
    }

    /// Reads the environment of this process, which the agent has set.
    ///
    /// # Errors
    /// [`InvalidPlace`] when this process was not started by an agent.
    pub fn from_env() -> Result<Self, InvalidPlace> {
        let place = ExecutorPlace::from_variables(|name| std::env::var(name).ok())?;
        let secret = environment::secret(|name| std::env::var(name).ok())?;
        let all = std::env::vars_os();
        let texts = all.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let inherited = texts.filter(|(name, _)| !is_internal(name)).collect();
        let mut config = Self::new(place);
        let isolation = std::env::var(environment::ISOLATION).ok();
        let read = |text: String| {
            IsolationConfig::from_text(&text).map_err(|problem| InvalidPlace::Invalid {
                name: environment::ISOLATION,
                value: text,
                problem,
            })
        };
        config.isolation = isolation.map(read).transpose()?;
        config.task_user = std::env::var(environment::TASK_USER).ok();
        config.gpus = environment::gpus(|name| std::env::var(name).ok())?;
        let read = |text: String| {
            // The text has what its author says, and may be long.
            Image::from_text(&text).map_err(|problem| InvalidPlace::Invalid {
                name: environment::TASK_IMAGE,
                value: "..".to_owned(),
                problem,
            })
        };
        let image = std::env::var(environment::TASK_IMAGE).ok();
        config.image = image.map(read).transpose()?;
        if secret.is_some() {
            config.listen = NodeAddr::door(0);
        }
        Ok(Self {
            inherited,
            secret,
            ..config
        })
    }
}

/// Whether a variable is between agent and executor and none of a task's business.
fn is_internal(name: &str) -> bool {
    name.starts_with("TEPUI_") || name.starts_with("MESOS_")
}
