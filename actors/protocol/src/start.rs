//! The order in which the tasks of a group start.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{TaskId, TaskInfo};

/// What a task waits for before it is started: another task of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAfter {
    /// Which.
    pub task: TaskId,
    /// What it must have come to.
    #[serde(default)]
    pub condition: StartCondition,
}

/// What a task has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartCondition {
    /// Its command has ended well.
    #[default]
    Finished,
    /// Its command has been started.
    Running,
    /// Its health check has passed.
    Healthy,
}

impl fmt::Display for StartCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartCondition::Finished => "finished",
            StartCondition::Running => "running",
            StartCondition::Healthy => "healthy",
        })
    }
}

impl FromStr for StartCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Finished, Self::Running, Self::Healthy];
        all.into_iter()
            .find(|condition| condition.to_string() == text)
            .ok_or_else(|| format!("{text:?}: write finished, running or healthy"))
    }
}

/// Whether the tasks of a group can start in the order they are to.
///
/// # Errors
/// What is wrong, for people.
pub fn check(tasks: &[TaskInfo]) -> Result<(), String> {
    for task in tasks {
        for StartAfter {
            task: id,
            condition,
        } in &task.start_after
        {
            let wrong = |what: &str| {
                Err(format!(
                    "task {} is to start after task {id}, which {what}",
                    task.id
                ))
            };
            match tasks.iter().find(|other| other.id == *id) {
                None => return wrong("is none of its group"),
                Some(other)
                    if *condition == StartCondition::Healthy && other.health_check.is_none() =>
                {
                    return wrong("has no health check to be healthy by");
                }
                Some(_) => {}
            }
        }
    }
    let mut left: Vec<&TaskInfo> = tasks.iter().collect();
    loop {
        let ids: BTreeSet<&TaskId> = left.iter().map(|task| &task.id).collect();
        let waits = |task: &&TaskInfo| task.start_after.iter().any(|a| ids.contains(&a.task));
        let waiting: Vec<&TaskInfo> = left.iter().copied().filter(waits).collect();
        match waiting.as_slice() {
            [] => return Ok(()),
            [first, ..] if waiting.len() == left.len() => {
                return Err(format!(
                    "task {} waits for itself, or for one that does",
                    first.id
                ));
            }
            _ => left = waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CommandInfo,
        lifecycle::{HealthCheck, Probe},
    };

    fn task(id: &str, after: &[(&str, StartCondition)]) -> TaskInfo {
        let after = after.iter().map(|(task, condition)| StartAfter {
            task: task.parse().unwrap(),
            condition: *condition,
        });
        TaskInfo {
            start_after: after.collect(),
            ..TaskInfo::command(
                id.parse().unwrap(),
                "m-S1".parse().unwrap(),
                Default::default(),
                CommandInfo::shell("true"),
            )
        }
    }

    #[test]
    fn what_cannot_start_is_refused() {
        use StartCondition::{Finished, Healthy, Running};
        let mut chain = [
            task("c", &[("a", Healthy), ("b", Finished)]),
            task("b", &[("a", Running)]),
            task("a", &[]),
        ];
        let error = check(&chain).unwrap_err();
        assert!(
            error.contains("task c") && error.contains("no health check"),
            "{error}"
        );
        chain[2].health_check = Some(HealthCheck::new(Probe::Tcp { port: 1 }));
        assert_eq!(check(&chain), Ok(()));
        let error = check(&chain[..2]).unwrap_err();
        assert!(
            error.contains("task a, which is none of its group"),
            "{error}"
        );
        chain[2].start_after = chain[0].start_after[1..].to_vec();
        assert!(check(&chain).unwrap_err().contains("waits for itself"));
        assert!(check(&[task("a", &[("a", Finished)])]).is_err());
        for condition in [Finished, Running, Healthy] {
            assert_eq!(condition.to_string().parse(), Ok(condition));
        }
        assert!("done".parse::<StartCondition>().is_err());
    }
}
