//! The environment variables of a task.
//!
//! In order, later ones winning: what the executor inherited, or the image's own in place of that; `TEPUI_TASK_ID`, `TEPUI_SANDBOX`,
//! `TEPUI_FRAMEWORK_ID`, `TEPUI_AGENT_ID`, `TEPUI_MASTER` (where known), `TEPUI_PORT0`, ... (the
//! first 100 ports of the task); in a group `TEPUI_SHARED`; `MESOS_TASK_ID`, `MESOS_SANDBOX` for commands written for Mesos;
//! the command's own variables; and `TEPUI_RUN`, by which everything the task started is found.

use std::{collections::BTreeMap, path::PathBuf};

use tepui_protocol::{Membership, TaskInfo, messages::environment as names};

use crate::ExecutorConfig;

/// Found where the executor itself has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_PORTS: usize = 100;

/// The directory that the tasks of a group share, in the environment of each.
const SHARED: &str = "TEPUI_SHARED";

/// The directory of a task: the executor's, or its own part of that in a group.
pub fn sandbox(config: &ExecutorConfig, task: &TaskInfo) -> PathBuf {
    match &task.group {
        Some(_) => config.place.sandbox.join(Membership::directory(&task.id)),
        None => config.place.sandbox.clone(),
    }
}

/// The directory that the tasks of a group share.
pub fn shared(config: &ExecutorConfig) -> PathBuf {
    config.place.sandbox.join("shared")
}

/// All variables of `task`, whose command has variables of its own.
pub fn of_task(config: &ExecutorConfig, task: &TaskInfo) -> BTreeMap<String, String> {
    let place = &config.place;
    let sandbox = sandbox(config, task).display().to_string();
    // What an image expects is not what the agent's machine has.
    let image = config.image.as_ref();
    let mut all = image.map_or_else(
        || config.inherited.clone(),
        |image| image.environment.clone(),
    );
    all.entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    let mut set = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    set("TEPUI_TASK_ID", task.id.to_string());
    set("MESOS_TASK_ID", task.id.to_string());
    set(names::SANDBOX, sandbox.clone());
    set("MESOS_SANDBOX", sandbox);
    set(names::FRAMEWORK_ID, place.framework_id.to_string());
    set(names::AGENT_ID, place.agent_id.to_string());
    if task.group.is_some() {
        set(SHARED, shared(config).display().to_string());
    }
    if let Some(master) = &place.master {
        set(names::MASTER, master.clone());
    }
    let ports = task.resources.ports().unwrap_or_default();
    for (index, port) in ports.numbers().take(MAX_PORTS).enumerate() {
        set(&format!("TEPUI_PORT{index}"), port.to_string());
    }
    let own = task.command.iter().flat_map(|command| &command.environment);
    all.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    all.insert(names::RUN.to_owned(), place.run.clone());
    all
}
