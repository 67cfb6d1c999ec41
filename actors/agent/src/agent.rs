//! What an agent knows and decides. No I/O, no clock, no randomness of its own.
//!
//! ```text
//!  agent:     RECOVERING --executors back, or time over--> RUNNING
//!  master:    AWAY --Register / Reregister, with back-off--> CONNECTED --lost, silent, "not connected"--> AWAY
//!  executor:  LAUNCHED --Register--> REGISTERED --link broke--> DETACHED --Register--> REGISTERED
//!                 |                      |                         |
//!                 +---- time over -------+---- asked to end -------+--> ENDING --killed, ended--> (gone)
//!  update:    from executor --durable--> acknowledged to executor, sent to master
//!                       --acknowledged by the scheduler--> next one; after the last: forgotten
//! ```
//! | part | file |
//! |---|---|
//! | the master: registration, pings | `agent/master.rs` |
//! | tasks: run, kill | `agent/tasks.rs` |
//! | executors: launched, registered, lost | `agent/executors.rs` |
//! | which task gets which GPU | `agent/gpus.rs` |
//! | launches that get files first | `agent/fetching.rs` |
//! | executors: ended, with their tasks | `agent/executor_end.rs` |
//! | one task's updates | `agent/stream.rs` |
//! | updates on their way | `agent/updates.rs` |
//! | the agent's own restart | `agent/recovery.rs`, `agent/compatible.rs` |
//! | ends: of frameworks, of the agent | `agent/endings.rs` |
//! | commands beside tasks, for operators | `agent/sessions.rs` |
//! | what operators ask | `agent/operator.rs` |
//! | what always holds | `agent/invariants.rs` |

mod compatible;
mod endings;
mod executor_end;
mod executors;
mod fetching;
mod gpus;
mod invariants;
mod master;
mod operator;
mod recovery;
mod sessions;
mod stream;
mod tasks;
mod updates;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use rand::{RngExt, rngs::StdRng};
use tepui_isolation::{Ended, ProcessIdentity};
use tepui_protocol::{
    AgentInfo, Capability, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, GpuShare,
    KillPolicy, Membership, TaskId, TaskInfo, TaskState, Timestamp,
};
use tepui_runtime::AnyPid;
use uuid::Uuid;

use crate::{
    config::AgentConfig,
    effects::{Effect, Stop, Timer},
    launcher::ExecutorRun,
    records::Verdict,
};
use stream::Stream;

pub use invariants::acknowledged_before_durable;
pub use recovery::RecoveryError;

type Out = Vec<Effect>;

/// An agent.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    /// What the master is told; the id is set once it has given one.
    info: AgentInfo,
    boot_id: String,
    /// This actor; set when it starts.
    pid: Option<AnyPid>,
    master: master::MasterLink,
    phase: Phase,
    stopping: Option<Stopping>,
    frameworks: BTreeMap<FrameworkId, Framework>,
    /// Updates that are not all acknowledged; also of tasks that never were here.
    streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    /// Commands beside tasks, for operators.
    sessions: sessions::Sessions,
    rng: StdRng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for executors after a restart; the master is not told yet.
    Recovering,
    Running,
    /// Ending with all tasks, as the operator or the master wishes.
    Stopping,
    /// Nothing is done any more.
    Stopped,
}

/// The agent ends with all its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stopping {
    stop: Stop,
    /// Whether it waits for acknowledgements.
    patient: bool,
}

#[derive(Clone, Debug)]
struct Framework {
    info: FrameworkInfo,
    executors: BTreeMap<ExecutorId, Executor>,
    /// All tasks that are not both terminal and acknowledged.
    tasks: BTreeMap<TaskId, Entry>,
    /// It is shut down: once its executors are gone it is forgotten.
    removing: bool,
}

/// A task of a framework.
#[derive(Clone, Debug)]
struct Entry {
    info: TaskInfo,
    /// The GPUs that it has until it is over.
    gpus: Vec<GpuShare>,
    executor_id: ExecutorId,
    /// The run that has it; none while it waits for a new run of its executor.
    run: Option<String>,
    /// Tasks go to their executor in the order they came in.
    order: u64,
    /// Whether the executor may have it.
    sent: bool,
    kill: Option<Kill>,
}

/// A task is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kill {
    policy: Option<KillPolicy>,
}

/// A run of an executor.
#[derive(Clone, Debug)]
struct Executor {
    run: String,
    /// The framework's own; none for the command executor.
    info: Option<ExecutorInfo>,
    process: Option<ProcessIdentity>,
    pid: Option<AnyPid>,
    standing: Standing,
    /// Its launch is under way: it cannot be killed before it is known what came of that.
    launching: bool,
    /// Its launch gets files first.
    fetches: bool,
    /// What becomes of its tasks when it ends; FAILED, with how it ended, if nothing is said here.
    verdict: Option<Verdict>,
    /// How it ended, while what it left behind is being killed.
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is being started, or runs and has not registered.
    Launched,
    /// It is connected.
    Registered,
    /// It was registered, before its link broke or the agent restarted.
    Detached { since: Timestamp },
    /// It was asked to end.
    Ending,
    /// All of it is being killed.
    Killing,
}

impl Agent {
    /// Its own PID; known from its start on.
    fn own_pid(&self) -> AnyPid {
        self.pid
            .clone()
            .expect("an agent that handles messages has started")
    }

    /// Its PID as its executors reach it.
    fn pid_for_executors(&self) -> AnyPid {
        match &self.config.door {
            Some(door) => self.own_pid().at(door.addr.clone()),
            None => self.own_pid(),
        }
    }

    fn uuid(&mut self) -> Uuid {
        let random: u128 = self.rng.random();
        uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
    }

    fn executor(&self, run: &ExecutorRun) -> Option<&Executor> {
        let framework = self.frameworks.get(&run.framework_id)?;
        framework
            .executors
            .get(&run.executor_id)
            .filter(|executor| executor.run == run.run)
    }

    fn executor_mut(&mut self, run: &ExecutorRun) -> Option<&mut Executor> {
        let framework = self.frameworks.get_mut(&run.framework_id)?;
        framework
            .executors
            .get_mut(&run.executor_id)
            .filter(|executor| executor.run == run.run)
    }

    /// The runs of all executors.
    fn runs(&self) -> Vec<ExecutorRun> {
        let of_framework = |(id, framework): (&FrameworkId, &Framework)| {
            let runs = framework
                .executors
                .iter()
                .map(|(executor_id, executor)| ExecutorRun {
                    framework_id: id.clone(),
                    executor_id: executor_id.clone(),
                    run: executor.run.clone(),
                });
            runs.collect::<Vec<_>>()
        };
        self.frameworks.iter().flat_map(of_framework).collect()
    }

    /// The names of the containers of all runs: those of the runs, and of the members of groups.
    pub fn container_names(&self) -> BTreeSet<String> {
        let executors = self.frameworks.values().flat_map(|f| f.executors.values());
        let mut sizes: BTreeMap<&str, u32> = executors.map(|e| (e.run.as_str(), 0)).collect();
        for entry in self.frameworks.values().flat_map(|f| f.tasks.values()) {
            if let (Some(group), Some(run)) = (&entry.info.group, &entry.run)
                && let Some(size) = sizes.get_mut(run.as_str())
            {
                *size = group.size;
            }
        }
        let names = sizes.into_iter().map(|(run, size)| match size {
            0 => vec![run.to_owned()],
            size => (0..size).map(|i| Membership::container(run, i)).collect(),
        });
        names.flatten().collect()
    }

    /// The containers of the tasks of a group; none for other runs.
    pub(crate) fn members_of(&self, run: &ExecutorRun) -> Vec<String> {
        let Some(framework) = self.frameworks.get(&run.framework_id) else {
            return Vec::new();
        };
        let mut of_run = framework.tasks.values().filter_map(|entry| {
            let ours = entry.run.as_ref() == Some(&run.run);
            entry.info.group.as_ref().filter(|_| ours)
        });
        let size = of_run.next().map_or(0, |group| group.size);
        let name = |index| Membership::container(&run.run, index);
        (0..size).map(name).collect()
    }

    /// Whether the task will not run any more.
    fn is_over(&self, framework_id: &FrameworkId, task_id: &TaskId) -> bool {
        let stream = self.streams.get(&(framework_id.clone(), task_id.clone()));
        stream.is_some_and(Stream::is_terminal)
    }

    /// The ids of a run's tasks that are not over.
    fn live_tasks(&self, run: &ExecutorRun) -> Vec<TaskId> {
        let Some(framework) = self.frameworks.get(&run.framework_id) else {
            return Vec::new();
        };
        let of_run = framework.tasks.iter().filter(|(_, entry)| {
            entry.executor_id == run.executor_id && entry.run.as_ref() == Some(&run.run)
        });
        let live = of_run.filter(|(id, _)| !self.is_over(&run.framework_id, id));
        live.map(|(id, _)| id.clone()).collect()
    }

    /// `modern`, or TASK_LOST for a framework that cannot tell.
    fn lost_state(&self, framework_id: &FrameworkId, modern: TaskState) -> TaskState {
        match self.frameworks.get(framework_id) {
            Some(framework) if !framework.info.can(Capability::PartitionAware) => modern.legacy(),
            _ => modern,
        }
    }

    /// Whether records of that framework are kept. Updates for unknown frameworks are.
    fn persists(&self, framework_id: &FrameworkId) -> bool {
        self.frameworks
            .get(framework_id)
            .is_none_or(|framework| framework.info.checkpoint)
    }

    fn sandbox(&self, run: &ExecutorRun) -> PathBuf {
        let (framework, executor) = (run.framework_id.as_str(), run.executor_id.as_str());
        tepui_isolation::sandbox::runs(&self.config.work_dir, framework, executor).join(&run.run)
    }

    /// A timer fired.
    pub fn on_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Out) {
        match timer {
            Timer::Register { attempt } => self.register_again(attempt, out),
            Timer::Silence { connection } => self.check_silence(now, connection, out),
            Timer::Registration(run) => self.registration_over(&run, out),
            Timer::Recovery => self.recovery_over(now, out),
            Timer::Probe(run) => self.probe(now, &run, out),
            Timer::Progress(run, after) => self.look_at_fetching(&run, after, out),
            Timer::ShutdownGrace(run) => self.kill_run(&run, out),
            Timer::Retry {
                framework_id,
                task_id,
                uuid,
                sending,
            } => {
                self.retry(&(framework_id, task_id), uuid, sending, out);
            }
            Timer::StopGrace => self.stop_impatiently(out),
        }
        self.check();
    }

    fn check(&self) {
        debug_assert_eq!(self.violated(), None);
    }
}
