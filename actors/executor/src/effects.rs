//! What the state machine wants done, in order.

use std::time::Duration;

use tepui_isolation::Signal;
use tepui_protocol::{TaskId, messages::executor};
use tepui_runtime::AnyPid;

use crate::processes::StartProcess;

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
    /// Send unacknowledged updates again.
    Resend,
}
