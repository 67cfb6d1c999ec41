//! What others may see of a job: its progress while it runs, its outcome at the end.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tepui_framework::protocol::{FrameworkId, TaskId};
use tepui_runtime::Message;
use tokio::sync::watch;

/// Asks the actor `batch` on a framework's node how its job comes along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.batch.GetJob", reply = JobProgress)]
pub struct GetJob {}

/// How a job comes along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The job's name.
    pub job: String,
    /// The framework that runs it; none before its first subscription.
    pub framework_id: Option<FrameworkId>,
    /// Whether a master is there at the moment.
    pub connected: bool,
    /// The groups, in the order of the job.
    pub groups: Vec<GroupProgress>,
    /// How it ended, once it has.
    pub finished: Option<JobResult>,
}

impl JobProgress {
    /// Instances that are done, and all.
    pub fn done_of_total(&self) -> (u32, u32) {
        let sum = |count: fn(&GroupProgress) -> u32| self.groups.iter().map(count).sum();
        (sum(|group| group.done), sum(|group| group.total))
    }
}

/// How one group comes along. `pending + staging + running + done == total`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupProgress {
    /// The group's name.
    pub name: String,
    /// All its instances.
    pub total: u32,
    /// Waiting for resources, or for other groups.
    pub pending: u32,
    /// Launched, not running yet.
    pub staging: u32,
    /// Running, or out of reach for the moment.
    pub running: u32,
    /// Finished.
    pub done: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// Attempts lost through no fault of theirs, and made again.
    pub lost: u32,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobResult {
    /// Every instance of every group has finished.
    Succeeded,
    /// An instance failed more often than it may, or the master refused the framework.
    Failed {
        /// The last attempt of that instance.
        task_id: Option<TaskId>,
        /// Why, for people.
        message: String,
    },
    /// It was stopped from outside.
    Cancelled,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutcome {
    /// The framework that ran it.
    pub framework_id: Option<FrameworkId>,
    /// How it ended.
    pub result: JobResult,
    /// The task ids that finished, by group, in the order of their indices. Complete when the job
    /// succeeded.
    pub tasks: BTreeMap<String, Vec<TaskId>>,
    /// The last progress.
    pub progress: JobProgress,
}

impl JobOutcome {
    /// Whether every instance has finished.
    pub fn is_success(&self) -> bool {
        self.result == JobResult::Succeeded
    }
}

/// Where the scheduler writes what others read; clones are the same board.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    progress: watch::Sender<JobProgress>,
    outcome: watch::Sender<Option<Arc<JobOutcome>>>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let progress = watch::Sender::new(JobProgress::default());
        Self {
            progress,
            outcome: watch::Sender::new(None),
        }
    }

    pub(crate) fn show(&self, progress: JobProgress) {
        self.progress.send_if_modified(|shown| {
            let modified = *shown != progress;
            *shown = progress;
            modified
        });
    }

    pub(crate) fn end(&self, outcome: JobOutcome) {
        self.show(outcome.progress.clone());
        self.outcome.send_replace(Some(Arc::new(outcome)));
    }

    pub(crate) fn progress(&self) -> JobProgress {
        self.progress.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<JobProgress> {
        self.progress.subscribe()
    }

    pub(crate) fn outcome(&self) -> Option<Arc<JobOutcome>> {
        self.outcome.borrow().clone()
    }
}
