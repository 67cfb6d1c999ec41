//! What makes a task valid (inventory 7.6, as far as tasks carry it).

use std::collections::BTreeSet;

use tepui_protocol::{CommandInfo, ExecutorInfo, Resources, Role, TaskGroup, TaskInfo, start};

use super::{Master, tasks::Lot};

/// Puts what a task uses on the account of the offers' role, where the framework left that out.
pub(super) fn settle_account(task: &mut TaskInfo, role: &Role) {
    task.resources = on_account_of(&task.resources, role);
    if let Some(executor) = &mut task.executor {
        executor.resources = on_account_of(&executor.resources, role);
    }
}

/// The same resources, on the account of `role` where none is said.
pub(super) fn on_account_of(resources: &Resources, role: &Role) -> Resources {
    let settled = resources.iter().cloned().map(|mut resource| {
        resource.allocation.get_or_insert_with(|| role.clone());
        resource
    });
    settled.collect()
}

impl Master {
    /// Whether a task may be launched with what is left of `lot`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn check_task(&self, lot: &Lot, task: &TaskInfo) -> Result<(), String> {
        self.check_identity(lot, task)?;
        check_resources(&task.resources, &lot.role, "task")?;
        if task.resources.is_empty() {
            return Err("the task uses no resources".to_owned());
        }
        check_lifecycle(task)?;
        if task.group.is_none() && !task.start_after.is_empty() {
            return Err("start_after: only tasks of groups wait for others".to_owned());
        }
        let mut needed = task.resources.clone();
        match (&task.command, &task.executor) {
            (Some(_), None) => {}
            (None, Some(executor)) => needed += &self.check_executor(lot, executor)?,
            _ => return Err("a task must have exactly one of command and executor".to_owned()),
        }
        if !lot.left.contains(&needed) {
            return Err(format!(
                "the task uses more than is left of the offers: {} > {}",
                needed.unallocate(),
                lot.left.unallocate()
            ));
        }
        Ok(())
    }

    /// Whether the tasks of a group may be launched with what is left of `lot`.
    ///
    /// # Errors
    /// What is wrong, for people: with the first task that is not valid, or the group.
    pub(super) fn check_group(
        &self,
        lot: &Lot,
        group: &TaskGroup,
        tasks: &[TaskInfo],
    ) -> Result<(), String> {
        let wrong = |problem: &str| Err(format!("task group {}: {problem}", group.id));
        if tasks.is_empty() {
            return wrong("it has no tasks");
        }
        let framework = self.frameworks.get(&lot.framework_id);
        let mut known = framework
            .iter()
            .flat_map(|framework| framework.tasks.values());
        if known.any(|task| task.info.executor_id() == group.id) {
            return wrong("its id is in use");
        }
        let mut lot = lot.clone();
        let mut seen = BTreeSet::new();
        for task in tasks {
            let valid = match task {
                _ if !seen.insert(&task.id) => Err("its id is that of another one".to_owned()),
                _ if task.command.is_none() || task.executor.is_some() => {
                    Err("tasks of groups have commands, and no executors".to_owned())
                }
                _ if !task.resources.gpus().is_zero() => {
                    Err("tasks of groups cannot have GPUs".to_owned())
                }
                // They have one executor, and the agent gets files and an image for an executor.
                _ if task
                    .command
                    .as_ref()
                    .is_some_and(CommandInfo::wants_anything) =>
                {
                    Err("tasks of groups cannot have uris or an image".to_owned())
                }
                _ => self.check_task(&lot, task),
            };
            if let Err(problem) = valid {
                return wrong(&format!("task {}: {problem}", task.id));
            }
            lot.left -= &task.resources;
        }
        start::check(tasks).or_else(|problem| wrong(&problem))
    }

    fn check_identity(&self, lot: &Lot, task: &TaskInfo) -> Result<(), String> {
        let Some(framework) = self.frameworks.get(&lot.framework_id) else {
            return Err(format!("framework {} is unknown", lot.framework_id));
        };
        if framework.tasks.contains_key(&task.id) {
            return Err(format!("task id {} is in use", task.id));
        }
        if framework.unreachable.contains(&task.id) {
            return Err(format!(
                "task id {} is that of an unreachable task",
                task.id
            ));
        }
        if task.agent_id != lot.agent_id {
            return Err(format!(
                "the task names agent {}, the offers are of agent {}",
                task.agent_id, lot.agent_id
            ));
        }
        Ok(())
    }

    /// What an executor needs beside the task: nothing, if it runs already.
    fn check_executor(&self, lot: &Lot, executor: &ExecutorInfo) -> Result<Resources, String> {
        check_resources(&executor.resources, &lot.role, "executor")?;
        let key = (lot.framework_id.clone(), executor.id.clone());
        let running = self
            .agents
            .get(&lot.agent_id)
            .and_then(|agent| agent.executors.get(&key));
        match running {
            None => Ok(executor.resources.clone()),
            Some(known) if known == executor => Ok(Resources::new()),
            Some(_) => Err(format!(
                "executor {} runs already with another description",
                executor.id
            )),
        }
    }
}

/// What only the built-in executor does; and limits and networks that make sense.
fn check_lifecycle(task: &TaskInfo) -> Result<(), String> {
    let watched = [
        ("health_check", task.health_check.is_some()),
        ("check", task.check.is_some()),
        ("max_completion_time", task.max_completion_time.is_some()),
        ("restart", task.restart.is_some()),
        ("limits", !task.limits.is_empty()),
        ("network", task.network.is_some()),
    ];
    if let Some((name, _)) = watched
        .iter()
        .find(|(_, is_set)| *is_set && task.executor.is_some())
    {
        return Err(format!(
            "{name} is for tasks with a command: executors see to their own tasks"
        ));
    }
    let (limits, resources) = (&task.limits, &task.resources);
    if let Some(network) = &task.network {
        let ports = resources.ports().unwrap_or_default();
        let checked = network.check(&ports);
        checked.map_err(|problem| format!("the task's network: {problem}"))?;
    }
    for (name, limit, has) in [
        ("cpus", limits.cpus, resources.cpus()),
        ("mem", limits.mem, resources.mem()),
    ] {
        if let Some(limit) = limit.filter(|limit| *limit < has) {
            return Err(format!(
                "the limit of {name} is {limit}, less than the {has} that it asks for"
            ));
        }
    }
    Ok(())
}

pub(super) fn check_resources(
    resources: &Resources,
    role: &Role,
    whose: &str,
) -> Result<(), String> {
    resources
        .validate()
        .map_err(|error| format!("the {whose}'s resources: {error}"))?;
    let other = resources.iter().find_map(|resource| {
        resource
            .allocation
            .as_ref()
            .filter(|allocated| *allocated != role)
    });
    if let Some(other) = other {
        return Err(format!(
            "the {whose} uses resources of role {other}, the offers are for {role}"
        ));
    }
    if !resources.revocable().is_empty() && !resources.non_revocable().is_empty() {
        return Err(format!("the {whose} mixes revocable and other resources"));
    }
    Ok(())
}
