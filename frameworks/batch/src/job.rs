//! A job: groups of commands to run, and which groups wait for which.
//!
//! Owns the description and its rules; reading it from TOML is in `job/parse.rs`. It does not own
//! how a job comes along; that is `scheduler.rs`.

mod error;
pub mod lifecycle;
mod network;
mod parse;
mod spell;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_framework::protocol::{
    KillPolicy, Resources,
    provision::{CommandUri, ImageInfo},
};

pub use error::JobError;
use lifecycle::Lifecycle;

/// The longest name of a job or a group, so that task ids stay short.
const NAME_MAX: usize = 64;
/// Instances of one group, at most.
const COUNT_MAX: u32 = 100_000;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Begins its task ids: letters, digits, `-` and `_`.
    pub name: String,
    /// The groups, in the order in which they get resources when all could start.
    pub groups: Vec<Group>,
}

/// Instances of one command that run side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Unique within the job: letters, digits, `-` and `_`.
    pub name: String,
    /// A line for the shell; `{index}` stands for the instance's number, from 0 on.
    pub command: String,
    /// How many instances.
    pub count: u32,
    /// What each instance needs.
    pub resources: Resources,
    /// How often each instance may fail and be run again. Losses that are the cluster's fault do
    /// not count.
    pub retries: u32,
    /// Groups that must have finished before this one starts; in a pod also `name:running` or `name:healthy`.
    pub after: Vec<String>,
    /// Variables added to each instance's environment.
    pub env: BTreeMap<String, String>,
    /// Time between SIGTERM and SIGKILL when an instance is killed.
    pub kill_grace: Duration,
    /// Checks, restarts and limits.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Files that each instance finds in its sandbox.
    #[serde(default)]
    pub uris: Vec<CommandUri>,
    /// The image that each instance runs in.
    #[serde(default)]
    pub image: Option<ImageInfo>,
    /// A program and its arguments in place of the line; with an image, arguments of what that runs.
    #[serde(default)]
    pub words: Vec<String>,
}

impl Job {
    /// Reads a job file; `path` is named in errors, and its stem is the job's name unless the file
    /// gives one.
    ///
    /// ```toml
    /// name = "wordcount"
    ///
    /// [[group]]
    /// name = "map"
    /// command = "wc -w < /data/shard-{index}"
    /// count = 24          # instances; {index} and $TEPUI_INDEX run from 0 to 23
    /// cpus = 0.5          # default 1
    /// mem = 64            # MiB; default 128
    /// gpus = 0.5          # default 0
    /// retries = 2         # default 0
    ///
    /// [[group]]
    /// name = "reduce"
    /// command = "for task in $TEPUI_TASKS_MAP; do tepui logs $task stdout; done | sort"
    /// after = ["map"]
    /// resources = "cpus:1;mem:256;disk:100"   # instead of cpus, mem, disk, gpus
    /// env = { LC_ALL = "C" }
    /// kill_grace = "5s"   # default 3 s
    /// health = { http = "8080/health", delay = "5s" }   # or command, tcp; ends the instance
    /// check = { command = "test -f ready" }             # is reported
    /// max_time = "1h"
    /// restarts = 3        # or { retries = 3, backoff = "1s", backoff_max = "60s" }
    /// limits = { cpus = 2, mem = 512 }
    /// publish = ["31080:8080"]                          # a private network; with network, egress_mbit
    /// image = "oci:/srv/images/words:1"                 # or host:5000/words:1
    /// uris = ["http://h/words.tar.gz,extract", { value = "/data/a", output = "b" }]
    /// ```
    ///
    /// # Errors
    /// [`JobError`] names the file, the line, what is wrong and what to write instead.
    pub fn parse(path: &str, text: &str) -> Result<Self, JobError> {
        parse::parse(path, text)
    }

    /// A job of one command, in `instances` instances.
    ///
    /// # Errors
    /// [`JobError`] when the command is empty or there are no instances.
    pub fn single(
        name: &str,
        command: &str,
        resources: Resources,
        instances: u32,
    ) -> Result<Self, JobError> {
        let group = Group::new("run", command, instances, resources);
        let job = Self {
            name: name.to_owned(),
            groups: vec![group],
        };
        job.check()?;
        Ok(job)
    }

    /// Checks the rules that hold for every job, however it was made.
    ///
    /// # Errors
    /// [`JobError`] for the first rule broken.
    pub fn check(&self) -> Result<(), JobError> {
        let whole = |problem: String| JobError::new(problem);
        check_name(&self.name).map_err(|rule| whole(format!("name = {:?}: {rule}", self.name)))?;
        if self.groups.is_empty() {
            return Err(whole("the job has no [[group]]".to_owned()));
        }
        for group in &self.groups {
            let named = |problem| JobError::new(format!("group {:?}: {problem}", group.name));
            check_name(&group.name).map_err(|rule| named(rule.to_owned()))?;
            if group.image.is_none() {
                check_command(&group.command).map_err(|rule| named(format!("command: {rule}")))?;
            }
            check_count(group.count).map_err(|rule| named(format!("count: {rule}")))?;
            if let Some(image) = &group.image {
                let bad = |rule| named(format!("image: {:?}: {rule}", image.name));
                image.check().map_err(bad)?;
            }
            for uri in &group.uris {
                let bad = |rule| named(format!("uris: {:?}: {rule}", uri.value));
                uri.check().map_err(bad)?;
            }
        }
        match self.broken_order() {
            Some((_, problem)) => Err(whole(problem)),
            None => Ok(()),
        }
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// How many tasks the job has when none fails.
    pub fn instances(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.count)).sum()
    }

    /// The first thing wrong with names and dependencies, with the index of its group.
    fn broken_order(&self) -> Option<(usize, String)> {
        let mut variables = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            let name = &group.name;
            if let Some(other) = variables.insert(variable_of(name), name) {
                return Some((at, same_name(other, name)));
            }
        }
        for (at, group) in self.groups.iter().enumerate() {
            let mut awaited = group.after.iter().map(|word| awaited(word).0);
            if let Some(unknown) = awaited.find(|name| self.group(name).is_none()) {
                return Some((at, self.unknown_group(&group.name, unknown)));
            }
        }
        self.circle()
    }

    fn unknown_group(&self, group: &str, unknown: &str) -> String {
        let names = self.groups.iter().map(|group| group.name.as_str());
        let hint = spell::hint(unknown, names.filter(|name| *name != group));
        format!("group {group:?} comes after {unknown:?}, which does not exist{hint}")
    }

    /// Groups that wait for each other.
    fn circle(&self) -> Option<(usize, String)> {
        let mut finished: Vec<&str> = Vec::new();
        loop {
            let ready = |group: &&Group| {
                !finished.contains(&group.name.as_str())
                    && group
                        .after
                        .iter()
                        .all(|word| finished.contains(&awaited(word).0))
            };
            match self.groups.iter().find(ready) {
                Some(group) => finished.push(&group.name),
                None => break,
            }
        }
        let at = self
            .groups
            .iter()
            .position(|group| !finished.contains(&group.name.as_str()))?;
        // Each group left waits for another one left: following them must come round.
        let mut path = vec![self.groups[at].name.as_str()];
        loop {
            let group = self.group(path.last().copied()?)?;
            let next = group
                .after
                .iter()
                .map(|word| awaited(word).0)
                .find(|name| !finished.contains(name))?;
            if let Some(start) = path.iter().position(|name| *name == next) {
                let circle = [&path[start..], &[next]].concat().join(" -> ");
                return Some((at, format!("groups wait for each other: {circle}")));
            }
            path.push(next);
        }
    }
}

/// A word of [`Group::after`]: which group, and what it must have come to, if that is said.
pub(crate) fn awaited(word: &str) -> (&str, Option<&str>) {
    match word.split_once(':') {
        Some((group, condition)) => (group, Some(condition)),
        None => (word, None),
    }
}

impl Group {
    /// A group without retries, dependencies and variables.
    pub fn new(name: &str, command: &str, count: u32, resources: Resources) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            count,
            resources,
            retries: 0,
            after: Vec::new(),
            env: BTreeMap::new(),
            kill_grace: KillPolicy::default().grace_period,
            lifecycle: Lifecycle::default(),
            uris: Vec::new(),
            image: None,
            words: Vec::new(),
        }
    }
}

/// The variable in which later groups find the task ids of the group `name`.
pub(crate) fn variable_of(name: &str) -> String {
    format!(
        "TEPUI_TASKS_{}",
        name.to_ascii_uppercase().replace('-', "_")
    )
}

fn same_name(one: &str, other: &str) -> String {
    if one == other {
        format!("there are two groups {one:?}; give each its own name")
    } else {
        let variable = variable_of(one);
        format!("groups {one:?} and {other:?} would share the variable {variable}; rename one")
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() {
        Err("must not be empty")
    } else if name.len() > NAME_MAX {
        Err("must have at most 64 characters")
    } else if !name.chars().all(plain) {
        Err("must have only letters, digits, `-` and `_`")
    } else {
        Ok(())
    }
}

fn check_command(command: &str) -> Result<(), &'static str> {
    if command.trim().is_empty() {
        Err("must not be empty")
    } else if command.contains('\0') {
        Err("must not contain NUL")
    } else {
        Ok(())
    }
}

fn check_count(count: u32) -> Result<(), &'static str> {
    match count {
        0 => Err("must be at least 1"),
        1..=COUNT_MAX => Ok(()),
        _ => Err("must be at most 100000"),
    }
}
