//! What survives the agent's restart: records and their keys in the store.
//!
//! | key | record | written |
//! |---|---|---|
//! | `agent` | [`AgentRecord`] | when the master has given an id |
//! | `framework/F` | [`FrameworkInfo`] | before its first task is acted on |
//! | `task/F/T` | [`TaskRecord`] | before its executor is launched |
//! | `executor/F/E` | [`ExecutorRecord`] | before it is launched and before it is ended; when it registers |
//! | `stream/F/T` | [`StreamRecord`] | before an update is acknowledged to the executor |
//!
//! Ids contain no slash, so the keys are unambiguous. Frameworks that do not checkpoint leave none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tepui_isolation::ProcessIdentity;
use tepui_protocol::{
    AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, GpuShare, Reason, TaskId,
    TaskInfo, TaskState, TaskStatus,
};
use tepui_runtime::AnyPid;
use tepui_store::{Contents, StoreError, codec};

pub(crate) const AGENT: &str = "agent";

pub(crate) fn framework_key(framework: &FrameworkId) -> String {
    format!("framework/{framework}")
}

pub(crate) fn task_key(framework: &FrameworkId, task: &TaskId) -> String {
    format!("task/{framework}/{task}")
}

pub(crate) fn executor_key(framework: &FrameworkId, executor: &ExecutorId) -> String {
    format!("executor/{framework}/{executor}")
}

pub(crate) fn stream_key(framework: &FrameworkId, task: &TaskId) -> String {
    format!("stream/{framework}/{task}")
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// What it told the master; its id is set.
    pub info: AgentInfo,
    /// The boot of the machine that processes belong to.
    pub boot_id: String,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// What it is.
    pub info: TaskInfo,
    /// The GPUs that it has.
    #[serde(default)]
    pub gpus: Vec<GpuShare>,
    /// The run of its executor that has it; none while it waits for a new run.
    pub run: Option<String>,
    /// Tasks go to their executor in this order.
    #[serde(default)]
    pub order: u64,
}

/// A run of an executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorRecord {
    /// Which run.
    pub run: String,
    /// The framework's own; none for the command executor.
    pub info: Option<ExecutorInfo>,
    /// Its process, once it has registered.
    pub process: Option<ProcessIdentity>,
    /// Its actor, once it has registered.
    pub pid: Option<AnyPid>,
    /// It is being ended, and this is what becomes of its tasks then.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// Why tasks of an executor end with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Their state then.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// The same for people.
    pub message: String,
}

/// The status updates of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// All of them, oldest first.
    pub statuses: Vec<TaskStatus>,
    /// How many of them are acknowledged, from the first on.
    pub acknowledged: usize,
}

/// Everything that an earlier life of the agent left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Absent if it had never registered.
    pub agent: Option<AgentRecord>,
    /// By id.
    pub frameworks: BTreeMap<FrameworkId, FrameworkInfo>,
    /// By framework and id.
    pub tasks: BTreeMap<(FrameworkId, TaskId), TaskRecord>,
    /// By framework and id.
    pub executors: BTreeMap<(FrameworkId, ExecutorId), ExecutorRecord>,
    /// By framework and task.
    pub streams: BTreeMap<(FrameworkId, TaskId), StreamRecord>,
}

impl Records {
    /// Reads what the store holds.
    ///
    /// # Errors
    /// [`StoreError::Record`] names the key that cannot be read.
    pub fn read(contents: &Contents) -> Result<Self, StoreError> {
        let mut records = Self::default();
        for (key, value) in contents {
            records.take(key, value)?;
        }
        Ok(records)
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["agent"] => self.agent = Some(codec::get(key, value)?),
            ["framework", f] => {
                self.frameworks.insert(id(key, f)?, codec::get(key, value)?);
            }
            ["task", f, t] => {
                self.tasks
                    .insert((id(key, f)?, id(key, t)?), codec::get(key, value)?);
            }
            ["executor", f, e] => {
                self.executors
                    .insert((id(key, f)?, id(key, e)?), codec::get(key, value)?);
            }
            ["stream", f, t] => {
                self.streams
                    .insert((id(key, f)?, id(key, t)?), codec::get(key, value)?);
            }
            // Of a newer version; it is left alone.
            _ => {}
        }
        Ok(())
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Record {
        key: key.to_owned(),
        problem: error.to_string(),
    })
}
