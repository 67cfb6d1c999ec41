//! A framework's own executor: the process that an agent starts for tasks that name an
//! [`ExecutorInfo`](crate::protocol::ExecutorInfo), and that runs all of them. Tasks with a plain
//! command need none of this.
//!
//! Owns the [`Executor`] trait and the driver actor behind it: registration with the agent, again
//! after the agent's restart; updates, kept until the agent has made them durable. What running a
//! task means is the implementor's business.
//!
//! ```no_run
//! use std::{process::ExitCode, time::Duration};
//! use tepui_framework::{
//!     Executor, executor::{self, Work},
//!     protocol::{KillPolicy, TaskId, TaskInfo, TaskState},
//! };
//!
//! /// Each task takes a second and does nothing.
//! #[derive(Default)]
//! struct Idler(Vec<TaskId>);
//!
//! impl Executor for Idler {
//!     fn launch(&mut self, work: &mut Work, task: TaskInfo) {
//!         work.update(&task.id, TaskState::Running);
//!         work.after(Duration::from_secs(1), self.0.len() as u64);
//!         self.0.push(task.id);
//!     }
//!     fn timer(&mut self, work: &mut Work, token: u64) {
//!         work.update(&self.0[token as usize], TaskState::Finished);
//!     }
//!     fn kill(&mut self, work: &mut Work, task: &TaskId, _: KillPolicy) {
//!         work.update(task, TaskState::Killed);
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     executor::main(Idler::default())
//! }
//! ```
//! Real work happens on other threads or in processes, and reports through the [`Reporter`]. Read
//! next: `executor/state.rs`.

mod actor;
mod state;
#[cfg(test)]
mod tests;

use std::{process::ExitCode, time::Duration};

use tepui_protocol::{
    AgentId, GpuShare, KillPolicy, Reason, TaskId, TaskInfo, TaskState, Timestamp,
    messages::environment::{self, ExecutorPlace, InvalidPlace},
};
use tepui_runtime::{Node, Pid};
use tokio::sync::oneshot;

use self::actor::{ExecutorActor, ReportMessage};
use crate::framework::{FrameworkError, run_blocking};

/// A framework's part in an executor process. Callbacks come one at a time, none may block.
pub trait Executor: Send + 'static {
    /// Comes first and once. `reporter` is for threads that the executor starts.
    fn started(&mut self, work: &mut Work, reporter: Reporter) {
        let _ = (work, reporter);
    }

    /// The agent knows this executor; comes again after the agent was away.
    fn registered(&mut self, work: &mut Work, agent: &AgentId) {
        let _ = (work, agent);
    }

    /// The agent is gone; tasks go on. The driver keeps trying until the recovery time-out.
    fn disconnected(&mut self, work: &mut Work) {
        let _ = work;
    }

    /// Run a task. Report RUNNING when it does, and one of FINISHED, FAILED and KILLED at its end.
    fn launch(&mut self, work: &mut Work, task: TaskInfo);

    /// End a task, with patience as `policy` says. Comes again if the scheduler asks again.
    fn kill(&mut self, work: &mut Work, task: &TaskId, policy: KillPolicy);

    /// End everything: `kill` has been called for each task. The process ends when all have ended
    /// and their updates are safe, or after 5 s.
    fn shutdown(&mut self, work: &mut Work) {
        let _ = work;
    }

    /// A timer set with [`Work::after`] is due.
    fn timer(&mut self, work: &mut Work, token: u64) {
        let _ = (work, token);
    }
}

/// News of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of which task.
    pub task_id: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Why, where the state alone does not say.
    pub reason: Option<Reason>,
    /// The same for people.
    pub message: String,
    /// The exit status of a process that ended by itself.
    pub exit_code: Option<i32>,
    /// Opaque to all but framework and executor.
    pub data: Vec<u8>,
}

impl Report {
    /// The task is in `state`, without more.
    pub fn new(task: &TaskId, state: TaskState) -> Self {
        Self {
            task_id: task.clone(),
            state,
            reason: None,
            message: String::new(),
            exit_code: None,
            data: Vec::new(),
        }
    }

    /// The same with a text for people.
    pub fn message(self, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }
}

/// One thing that an executor asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// [`Work::report`].
    Report(Report),
    /// [`Work::after`].
    After {
        /// When.
        delay: Duration,
        /// Which timer.
        token: u64,
    },
    /// [`Work::exit`].
    Exit,
}

/// Records what an executor asks for during one callback; carried out afterwards, in order.
#[derive(Clone, Debug, Default)]
pub struct Work {
    now: Timestamp,
    gpus: Vec<GpuShare>,
    list: Vec<Request>,
}

impl Work {
    /// An empty record of a callback at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            gpus: Vec::new(),
            list: Vec::new(),
        }
    }

    /// When the callback takes place.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// In [`Executor::launch`]: the GPUs that the task has. Its processes may open those of all tasks
    /// of the executor, so it is up to the executor to tell each which are its own
    /// (`CUDA_VISIBLE_DEVICES`).
    pub fn gpus(&self) -> &[GpuShare] {
        &self.gpus
    }

    /// What was asked for so far, in order, and forgets it.
    pub fn take(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.list)
    }

    /// The task is in `state`.
    pub fn update(&mut self, task: &TaskId, state: TaskState) {
        self.report(Report::new(task, state));
    }

    /// News of a task: kept, and sent until the agent has made it durable.
    pub fn report(&mut self, report: Report) {
        self.list.push(Request::Report(report));
    }

    /// Calls [`Executor::timer`] with `token` after `delay`.
    pub fn after(&mut self, delay: Duration, token: u64) {
        self.list.push(Request::After { delay, token });
    }

    /// Ends the executor once all its updates are safe.
    pub fn exit(&mut self) {
        self.list.push(Request::Exit);
    }
}

/// Reports from other threads. A clone reports to the same driver.
#[derive(Clone, Debug)]
pub struct Reporter(Pid<ExecutorActor>);

impl Reporter {
    /// As [`Work::report`]. A driver that has ended hears nothing.
    pub fn report(&self, report: Report) {
        if let Err(error) = self.0.tell(ReportMessage(report)) {
            tracing::warn!(%error, "report lost");
        }
    }
}

/// Why an executor did not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// This process was not started by an agent.
    #[error(transparent)]
    Place(#[from] InvalidPlace),
    /// Its node or driver did not start, or ended with an error.
    #[error(transparent)]
    Framework(#[from] FrameworkError),
}

/// Runs `executor` on `node` at `place`, until it has ended.
///
/// # Errors
/// [`FrameworkError`] when its driver cannot be spawned, or panics.
pub async fn run(
    node: &Node,
    place: ExecutorPlace,
    executor: impl Executor,
) -> Result<(), FrameworkError> {
    let (done, ended) = oneshot::channel();
    node.spawn(
        "executor",
        ExecutorActor::new(place, Box::new(executor), done),
    )?;
    ended.await.map_err(|_| FrameworkError::DriverEnded)
}

/// Runs an executor as a program: its place comes from the environment that the agent has set.
pub fn main(executor: impl Executor) -> ExitCode {
    run_blocking(async move {
        let place = ExecutorPlace::from_variables(|name| std::env::var(name).ok())?;
        let secret = environment::secret(|name| std::env::var(name).ok())?;
        let node = environment::node(secret).workers(1).start().await;
        let node = node.map_err(FrameworkError::from)?;
        let result = run(&node, place, executor).await;
        node.shutdown().await;
        Ok::<(), ExecutorError>(result?)
    })
}
