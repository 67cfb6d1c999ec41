//! What the state machine wants done, in order.

use std::time::Duration;

use tepui_isolation::Signal;
use tepui_protocol::{TaskId, messages::executor};
use tepui_runtime::AnyPid;
use uuid::Uuid;

use crate::processes::{StartProbe, StartProcess};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send to the agent.
    Register(AnyPid, executor::Register),
    /// Send to the agent.
    Update(AnyPid, executor::Update),
    /// Tell when the agent is gone ([`crate::state::Executor::on_agent_exited`]).
    Monitor(AnyPid),
    /// Start a process; answered by `on_started`, later by `on_ended`.
    Start(StartProcess),
    /// Signal a task's process group.
    Signal(TaskId, Signal),
    /// Look at a task; answered by `on_probed`.
    Probe(Look, StartProbe),
    /// Close the streams of a session and ask its command to end.
    HangUp(Uuid),
    /// Kill the command of a session.
    KillSession(Uuid),
    /// A session is over.
    ForgetSession(Uuid),
    /// Call `on_timer` after a while.
    Timer {
        /// How long.
        after: Duration,
        /// Which.
        timer: Timer,
    },
    /// End the executor.
    Stop {
        /// Why, for the log.
        why: &'static str,
    },
}

/// A timer; one that is no longer meant is ignored when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Register again, unless connected since `attempt`.
    Register {
        /// Counts all attempts of this executor.
        attempt: u64,
    },
    /// The agent has been away too long, unless it was back since.
    Recovery {
        /// Counts the losses of the agent.
        loss: u64,
    },
    /// The grace of a kill is over.
    Kill {
        /// Whose.
        task_id: TaskId,
        /// Counts the kills of that task.
        kill: u32,
    },
    /// It is time to look at a task.
    Look(Look),
    /// The task's longest time is over.
    Completion(TaskId),
    /// The task is to be started again.
    Restart {
        /// Which.
        task_id: TaskId,
        /// Counts its restarts.
        restart: u32,
    },
    /// A session that was closed must be over.
    Session(Uuid),
    /// Those who read from sessions have had their time.
    Farewell,
    /// Send unacknowledged updates again.
    Resend,
}

/// A look at a task; one that is no longer meant is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// At which.
    pub task_id: TaskId,
    /// For which of its checks.
    pub which: Which,
    /// Counts the starts of the task's process.
    pub life: u32,
    /// Counts the looks since that start.
    pub round: u32,
}

/// One of the checks that a task can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that ends it.
    Health,
    /// The one that is reported.
    Plain,
}
