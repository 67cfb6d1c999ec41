//! How an agent tells an executor its place: environment variables of the executor's process.
//!
//! Owns the names and their text forms, for both sides. Read next: `messages/executor.rs`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tepui_runtime::{AnyPid, Node, NodeAddr, NodeBuilder, Secret};

use crate::{AgentId, ExecutorId, FrameworkId, GpuShare};

/// The agent's actor.
pub const AGENT_PID: &str = "TEPUI_AGENT_PID";
/// The agent's id; also in the environment of tasks.
pub const AGENT_ID: &str = "TEPUI_AGENT_ID";
/// The framework's id; also in the environment of tasks.
pub const FRAMEWORK_ID: &str = "TEPUI_FRAMEWORK_ID";
/// The executor's id.
pub const EXECUTOR_ID: &str = "TEPUI_EXECUTOR_ID";
/// This run of the executor, unlike any other anywhere. Every process that comes of it inherits it,
/// and is found by it when the run is over.
pub const RUN: &str = "TEPUI_RUN";
/// The sandbox directory; also in the environment of tasks.
pub const SANDBOX: &str = "TEPUI_SANDBOX";
/// How long to live without the agent, in seconds.
pub const RECOVERY_TIMEOUT: &str = "TEPUI_RECOVERY_TIMEOUT";
/// `1` where the scheduler wants to see TASK_KILLING.
pub const TASK_KILLING: &str = "TEPUI_TASK_KILLING";
/// The master's actor, where the agent knows it; also in the environment of tasks.
pub const MASTER: &str = "TEPUI_MASTER";

/// What agent and executor prove to each other to know, where the agent has a door. Not in the
/// environment of tasks.
pub const SECRET: &str = "TEPUI_AGENT_SECRET";

/// The isolation that the built-in executor gives its tasks, as JSON; they are processes of the
/// executor's own kind where absent. Not in the environment of tasks.
pub const ISOLATION: &str = "TEPUI_CONTAINERS";
/// Whom tasks run as, where the framework says.
pub const TASK_USER: &str = "TEPUI_CONTAINER_USER";
/// The GPUs of the built-in executor's task, as [`gpus_to_text`] writes them.
pub const TASK_GPUS: &str = "TEPUI_CONTAINER_GPUS";

/// The image of the built-in executor's task, as JSON of `tepui-isolation`. Not in the environment of tasks.
pub const TASK_IMAGE: &str = "TEPUI_CONTAINER_IMAGE";

/// GPUs as text: `GPU-8a1:1000,GPU-2b7:300`.
pub fn gpus_to_text(gpus: &[GpuShare]) -> String {
    let all = gpus
        .iter()
        .map(|share| format!("{}:{}", share.uuid, share.milli));
    all.collect::<Vec<_>>().join(",")
}

/// Reads the GPUs of an executor's task from an environment, given as a function from name to value.
///
/// # Errors
/// [`InvalidPlace`] when they are not written as [`gpus_to_text`] does.
pub fn gpus(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<GpuShare>, InvalidPlace> {
    let text = variable(TASK_GPUS).unwrap_or_default();
    let share = |part: &str| {
        let (uuid, milli) = part.rsplit_once(':')?;
        Some(GpuShare {
            uuid: uuid.to_owned(),
            milli: milli.parse().ok()?,
        })
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    let shares: Option<Vec<GpuShare>> = parts.map(share).collect();
    shares.ok_or_else(|| invalid(TASK_GPUS, &text, "must be UUID:THOUSANDTHS,.."))
}

/// Reads the secret from an environment, given as a function from name to value.
///
/// # Errors
/// [`InvalidPlace`] when it is none.
pub fn secret(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Secret>, InvalidPlace> {
    let text = variable(SECRET);
    let secret = text.map(|text| text.parse::<Secret>()).transpose();
    // The value is nobody's business, not even in an error.
    secret.map_err(|error| invalid(SECRET, "..", error))
}

/// An executor's node: on loopback, as its agent is on the same machine; behind the agent's door
/// if there is one.
pub fn node(secret: Option<Secret>) -> NodeBuilder {
    match secret {
        Some(secret) => Node::builder(NodeAddr::door(0)).secret(secret),
        None => Node::builder(NodeAddr::new("127.0.0.1", 0)),
    }
}

/// An executor's place in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorPlace {
    /// The agent to register with.
    pub agent: AnyPid,
    /// That agent's id.
    pub agent_id: AgentId,
    /// Whose executor it is.
    pub framework_id: FrameworkId,
    /// Which.
    pub executor_id: ExecutorId,
    /// Which run of it.
    pub run: String,
    /// Its sandbox directory.
    pub sandbox: PathBuf,
    /// How long it lives without the agent; zero: it ends with it.
    pub recovery_timeout: Duration,
    /// Whether the scheduler wants to see TASK_KILLING.
    pub task_killing: bool,
    /// The master, where the agent knows it.
    pub master: Option<String>,
}

/// Why an environment is not that of an executor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    /// A variable is not set.
    #[error("{name} is not set: executors are started by an agent")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A variable cannot be read.
    #[error("{name}={value:?}: {problem}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ExecutorPlace {
    /// The variables that say all this.
    pub fn to_variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([
            (AGENT_PID, self.agent.to_string()),
            (AGENT_ID, self.agent_id.to_string()),
            (FRAMEWORK_ID, self.framework_id.to_string()),
            (EXECUTOR_ID, self.executor_id.to_string()),
            (RUN, self.run.clone()),
            (SANDBOX, self.sandbox.display().to_string()),
            (
                RECOVERY_TIMEOUT,
                self.recovery_timeout.as_secs_f64().to_string(),
            ),
            (TASK_KILLING, u8::from(self.task_killing).to_string()),
        ]);
        variables.extend(self.master.clone().map(|master| (MASTER, master)));
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Reads the place from an environment, given as a function from name to value.
    ///
    /// # Errors
    /// [`InvalidPlace`] names the variable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidPlace> {
        let get = |name| variable(name).ok_or(InvalidPlace::Missing { name });
        let recovery = get(RECOVERY_TIMEOUT)?;
        let seconds = recovery
            .parse()
            .map_err(|error| invalid(RECOVERY_TIMEOUT, &recovery, error))?;
        let recovery_timeout = Duration::try_from_secs_f64(seconds)
            .map_err(|error| invalid(RECOVERY_TIMEOUT, &recovery, error))?;
        Ok(Self {
            agent: parse(AGENT_PID, get(AGENT_PID)?)?,
            agent_id: parse(AGENT_ID, get(AGENT_ID)?)?,
            framework_id: parse(FRAMEWORK_ID, get(FRAMEWORK_ID)?)?,
            executor_id: parse(EXECUTOR_ID, get(EXECUTOR_ID)?)?,
            run: get(RUN)?,
            sandbox: get(SANDBOX)?.into(),
            recovery_timeout,
            task_killing: variable(TASK_KILLING).as_deref() == Some("1"),
            master: variable(MASTER),
        })
    }
}

fn parse<T>(name: &'static str, value: String) -> Result<T, InvalidPlace>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    value.parse().map_err(|error| invalid(name, &value, error))
}

fn invalid(name: &'static str, value: &str, problem: impl std::fmt::Display) -> InvalidPlace {
    InvalidPlace::Invalid {
        name,
        value: value.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> ExecutorPlace {
        ExecutorPlace {
            agent: "agent@127.0.0.1:5051#7".parse().unwrap(),
            agent_id: "m-S1".parse().unwrap(),
            framework_id: "m-0001".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            run: "r".to_owned(),
            sandbox: "/w/s".into(),
            recovery_timeout: Duration::from_millis(1500),
            task_killing: true,
            master: Some("master@h:1".to_owned()),
        }
    }

    #[test]
    fn a_place_survives_the_way_through_the_environment() {
        let variables = place().to_variables();
        let read = ExecutorPlace::from_variables(|name| variables.get(name).cloned());
        assert_eq!(read.unwrap(), place());
    }

    #[test]
    fn a_secret_that_is_none_is_not_repeated() {
        let none = secret(|_| None).unwrap();
        assert_eq!(none, None);
        let error = secret(|_| Some("abc".to_owned())).unwrap_err().to_string();
        assert!(error.contains(SECRET) && !error.contains("abc"), "{error}");
    }

    #[test]
    fn gpus_survive_the_way_through_the_environment() {
        let share = |uuid: &str, milli| GpuShare {
            uuid: uuid.to_owned(),
            milli,
        };
        let shares = vec![share("GPU-a", 1000), share("MIG-b", 1)];
        let text = gpus_to_text(&shares);
        assert_eq!(gpus(|_| Some(text.clone())).unwrap(), shares);
        assert_eq!(gpus(|_| None).unwrap(), []);
        let error = gpus(|_| Some("GPU-a".to_owned())).unwrap_err().to_string();
        assert!(error.contains("TEPUI_CONTAINER_GPUS=\"GPU-a\""), "{error}");
    }

    #[test]
    fn a_missing_or_wrong_variable_is_named() {
        let mut variables = place().to_variables();
        let read = |variables: &BTreeMap<String, String>| {
            ExecutorPlace::from_variables(|name| variables.get(name).cloned())
                .unwrap_err()
                .to_string()
        };
        variables.insert(RECOVERY_TIMEOUT.to_owned(), "-1".to_owned());
        assert!(read(&variables).contains("TEPUI_RECOVERY_TIMEOUT=\"-1\""));
        variables.insert(RECOVERY_TIMEOUT.to_owned(), "1".to_owned());
        variables.insert(AGENT_PID.to_owned(), "nobody".to_owned());
        assert!(read(&variables).contains("name@host:port"));
        variables.remove(AGENT_PID);
        assert!(read(&variables).contains("TEPUI_AGENT_PID is not set"));
    }
}
