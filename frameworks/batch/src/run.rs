//! Running a job on a node: [`run_job`] to its end, [`start_job`] for those who want to watch.

use std::{sync::Arc, time::Duration};

use tepui_framework::{
    End, FrameworkError, Handle, Options, Timing,
    protocol::{FrameworkInfo, Role},
    run_with,
    store::{MemoryStore, StateStore},
};
use tepui_runtime::{AnyPid, Node};
use tokio::sync::watch;

use crate::{
    actor::BatchActor,
    board::{Board, JobOutcome, JobProgress, JobResult},
    job::Job,
    scheduler::{BatchScheduler, Policy},
};

/// How a job runs.
pub struct JobOptions {
    /// The role on whose account; default `*`.
    pub role: Role,
    /// The user that tasks run as; default: the agent's own.
    pub user: String,
    /// Where the job's state is kept; with a durable store a restarted process goes on where the
    /// killed one was. Default: in memory.
    pub store: Box<dyn StateStore>,
    /// How long tasks outlive this process, for its successor to take over; default 10 minutes.
    pub failover_timeout: Duration,
    /// What is done about offers and unreachable tasks.
    pub policy: Policy,
    /// The driver's intervals.
    pub timing: Timing,
    /// Names of the two actors, where another job runs on the node: default `scheduler`, `batch`.
    pub actors: [String; 2],
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            role: Role::star(),
            user: String::new(),
            store: Box::new(MemoryStore::new()),
            failover_timeout: Duration::from_secs(600),
            policy: Policy::default(),
            timing: Timing::default(),
            actors: ["scheduler".to_owned(), "batch".to_owned()],
        }
    }
}

/// A running job.
pub struct JobHandle {
    framework: Handle,
    board: Board,
    node: Node,
    actor: AnyPid,
}

impl JobHandle {
    /// How the job comes along, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<JobProgress> {
        self.board.watch()
    }

    /// How the job comes along.
    pub fn progress(&self) -> JobProgress {
        self.board.progress()
    }

    /// The actor that answers [`crate::GetJob`].
    pub fn pid(&self) -> &AnyPid {
        &self.actor
    }

    /// Ends the job: its tasks are killed. [`JobHandle::wait`] tells when.
    pub fn cancel(&self) {
        self.framework.stop(End::Teardown);
    }

    /// Ends this process's part only: tasks run on, and a process with the same store takes over.
    pub fn leave(&self) {
        self.framework.stop(End::Leave);
    }

    /// Waits for the job's end.
    ///
    /// # Errors
    /// [`FrameworkError`] when the job could not be run; a job that ran and failed is an outcome.
    pub async fn wait(&mut self) -> Result<JobOutcome, FrameworkError> {
        let ended = self.framework.wait().await;
        self.node.stop(&self.actor);
        match (self.board.outcome(), ended) {
            (Some(outcome), _) => Ok(Arc::unwrap_or_clone(outcome)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Ok(self.cancelled()),
        }
    }

    fn cancelled(&self) -> JobOutcome {
        let finished = Some(JobResult::Cancelled);
        let progress = JobProgress {
            finished,
            ..self.board.progress()
        };
        JobOutcome {
            framework_id: progress.framework_id.clone(),
            result: JobResult::Cancelled,
            tasks: Default::default(),
            progress,
        }
    }
}

/// Starts `job` as a framework on `node`, subscribed with `master`.
///
/// # Errors
/// [`FrameworkError`] when the job breaks a rule, the store cannot be read, or the names of the
/// actors are taken.
pub fn start_job(
    node: &Node,
    master: &AnyPid,
    job: Job,
    options: JobOptions,
) -> Result<JobHandle, FrameworkError> {
    let info = FrameworkInfo {
        user: options.user,
        failover_timeout: options.failover_timeout,
        hostname: node.addr().host().to_owned(),
        ..FrameworkInfo::new(&job.name, options.role)
    };
    let scheduler =
        BatchScheduler::new(job, options.policy, &address(master)).map_err(|error| {
            FrameworkError::Failed {
                message: error.to_string(),
            }
        })?;
    let (board, [name, actor]) = (scheduler.board(), options.actors);
    let actor = node.spawn(&actor, BatchActor::new(board.clone()))?.any();
    let driver = Options {
        store: options.store,
        timing: options.timing,
        name,
    };
    let framework = run_with(node, master.clone(), info, scheduler, driver)
        .inspect_err(|_| node.stop(&actor))?;
    Ok(JobHandle {
        framework,
        board,
        node: node.clone(),
        actor,
    })
}

/// Runs `job` to its end.
///
/// # Errors
/// As [`start_job`] and [`JobHandle::wait`].
pub async fn run_job(
    node: &Node,
    master: &AnyPid,
    job: Job,
    options: JobOptions,
) -> Result<JobOutcome, FrameworkError> {
    start_job(node, master, job, options)?.wait().await
}

/// What tasks find in TEPUI_MASTER.
fn address(master: &AnyPid) -> String {
    match master.name() {
        "master" => master.node().to_string(),
        _ => master.any_incarnation().to_string(),
    }
}
