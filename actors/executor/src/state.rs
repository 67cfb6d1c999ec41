//! What an executor knows and decides. No I/O, no clock, no randomness of its own.
//!
//! ```text
//!  link:  CONNECTING --Registered--> CONNECTED --agent exited--> CONNECTING
//!            | recovery time-out, Shutdown
//!            v
//!         LEAVING (kills its tasks) --all ended--> stopped
//!
//!  task:  STARTING --started--> RUNNING --kill--> KILLING --grace over--> (SIGKILL)
//!            |  ^                  |  unhealthy      |
//!            |  |back-off over     |  too long       |
//!            |  +--- RESTARTING <--+-- failed -------+
//!            +---- not started     +---- ended ------+----> ENDED --acknowledged--> forgotten
//! ```
//! Registration and updates are in `state/link.rs`, tasks in `state/tasks.rs`, their checks and
//! longest times in `state/checks.rs` over `checker.rs`, the order of starts in `state/order.rs`, commands beside them in `state/sessions.rs`, the predicates that
//! must always hold in `state/invariants.rs`.

mod checks;
mod invariants;
mod link;
mod order;
mod sessions;
mod tasks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rand::{RngExt, rngs::StdRng};
use tepui_protocol::{
    AgentId, ContainerStatus, Source, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
    messages::executor,
};
use tepui_runtime::AnyPid;

use crate::{
    ExecutorConfig,
    checker::Checker,
    effects::{Effect, Timer},
};

pub use sessions::SESSIONS_MAX;

/// An executor.
#[derive(Debug)]
pub struct Executor {
    config: ExecutorConfig,
    /// This actor.
    pid: AnyPid,
    agent: AnyPid,
    agent_id: AgentId,
    link: Link,
    /// Registrations sent so far.
    attempts: u64,
    /// Those of them since the agent was lost.
    tries: u32,
    /// Times that the agent was lost.
    losses: u64,
    /// All tasks that are not both ended and acknowledged.
    tasks: BTreeMap<TaskId, Task>,
    /// Updates that the agent has not acknowledged, oldest first.
    unacknowledged: Vec<TaskStatus>,
    resend_armed: bool,
    /// What tasks of a group have come to, for those that wait for them.
    reached: BTreeMap<TaskId, order::Reached>,
    sessions: sessions::Sessions,
    farewell: Farewell,
    /// Whether it ever had a task: a command executor without one waits for its first.
    had_task: bool,
    leaving: Option<Leaving>,
    rng: StdRng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// The agent does not know us, or not any more.
    Connecting,
    /// The agent knows us.
    Connected,
}

/// The executor takes no more tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// The agent, which knows us, said so; updates still go to it.
    Shutdown,
    /// The agent is gone for good or disowns us; nobody will acknowledge anything.
    Abandoned,
}

/// Whether an executor that has nothing left to do waits for those who still read from sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    NotYet,
    Waiting,
    Over,
}

#[derive(Clone, Debug, PartialEq)]
struct Task {
    info: TaskInfo,
    phase: Phase,
    /// Kills asked for so far.
    kills: u32,
    /// Why it is being ended, if nobody asked for that.
    ending: Option<Ending>,
    /// Starts of its process so far.
    life: u32,
    /// Restarts asked for so far.
    restarts: u32,
    health: Option<Checker>,
    check: Option<Checker>,
    /// Of the latest start, where it has an address of its own.
    container: Option<ContainerStatus>,
}

/// Why a task is ended that nobody asked to end, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// Its health check failed.
    Unhealthy(String),
    /// It took too long.
    Overtime(String),
    /// Another of its group has ended badly.
    WithGroup(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For others of its group.
    Waiting,
    Starting,
    Running,
    Killing,
    /// It has failed, and waits to be started again.
    Restarting,
    Ended,
}

impl Executor {
    /// An executor that has not started; `pid` is its actor, uuids come from `rng`.
    pub fn new(config: ExecutorConfig, pid: AnyPid, rng: StdRng) -> Self {
        Self {
            agent: config.place.agent.clone(),
            agent_id: config.place.agent_id.clone(),
            config,
            pid,
            link: Link::Connecting,
            attempts: 0,
            tries: 0,
            losses: 0,
            tasks: BTreeMap::new(),
            unacknowledged: Vec::new(),
            resend_armed: false,
            reached: BTreeMap::new(),
            sessions: BTreeMap::new(),
            farewell: Farewell::NotYet,
            had_task: false,
            leaving: None,
            rng,
        }
    }

    /// A timer fired.
    pub fn on_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Register { attempt } => self.register_again(attempt, out),
            Timer::Recovery { loss } => self.give_up(now, loss, out),
            Timer::Kill { task_id, kill } => self.grace_over(&task_id, kill, out),
            Timer::Look(look) => self.look(&look, out),
            Timer::Completion(task_id) => self.completion_over(now, &task_id, out),
            Timer::Restart { task_id, restart } => self.restart(&task_id, restart, out),
            Timer::Session(id) => self.session_grace_over(id, out),
            Timer::Farewell => {
                self.farewell = Farewell::Over;
                self.stop_if_done(out);
            }
            Timer::Resend => self.resend(out),
        }
    }

    /// A fresh status of one of our tasks.
    fn status(&mut self, task_id: &TaskId, state: TaskState, now: Timestamp) -> TaskStatus {
        let mut status = TaskStatus::new(task_id.clone(), state, Source::Executor, now);
        let random: u128 = self.rng.random();
        let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        status.uuid = Some(uuid);
        status.agent_id = Some(self.agent_id.clone());
        status.executor_id = Some(self.config.place.executor_id.clone());
        if let Some(task) = self.tasks.get(task_id) {
            status.healthy = task.health.as_ref().and_then(Checker::is_healthy);
            status.check_status = task.check.as_ref().and_then(Checker::status);
            status.container_status.clone_from(&task.container);
        }
        status
    }

    /// Sends an update and keeps it until it is acknowledged.
    fn update(&mut self, status: TaskStatus, out: &mut Vec<Effect>) {
        if self.link == Link::Connected {
            out.push(self.update_effect(&status));
        }
        self.unacknowledged.push(status);
        self.arm_resend(out);
        debug_assert_eq!(self.violated(), None);
    }

    fn update_effect(&self, status: &TaskStatus) -> Effect {
        let update = executor::Update {
            framework_id: self.config.place.framework_id.clone(),
            executor_id: self.config.place.executor_id.clone(),
            status: status.clone(),
        };
        Effect::Update(self.agent.clone(), update)
    }

    fn arm_resend(&mut self, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.resend_armed, true) {
            out.push(Effect::Timer {
                after: self.config.resend_after,
                timer: Timer::Resend,
            });
        }
    }

    fn resend(&mut self, out: &mut Vec<Effect>) {
        self.resend_armed = false;
        if self.unacknowledged.is_empty() {
            return;
        }
        if self.link == Link::Connected {
            out.extend(
                self.unacknowledged
                    .iter()
                    .map(|status| self.update_effect(status)),
            );
        }
        self.arm_resend(out);
    }

    /// Ends the executor when nothing is left to do. How the commands of sessions ended is to be heard before: a
    /// command that ends its own task has an exit code, too.
    fn stop_if_done(&mut self, out: &mut Vec<Effect>) {
        let ended = self.tasks.values().all(|task| task.phase == Phase::Ended);
        let why = match self.leaving {
            Some(Leaving::Abandoned) if ended => "no agent wants this executor any more",
            Some(Leaving::Shutdown) if ended && self.unacknowledged.is_empty() => "shut down",
            None if self.had_task && ended && self.unacknowledged.is_empty() => {
                "all tasks ended and acknowledged"
            }
            _ => return,
        };
        let is_heard = self.sessions.is_empty() || self.leaving == Some(Leaving::Abandoned);
        match self.farewell {
            Farewell::NotYet if !is_heard => {
                self.farewell = Farewell::Waiting;
                let (after, timer) = (sessions::FAREWELL, Timer::Farewell);
                return out.push(Effect::Timer { after, timer });
            }
            Farewell::Waiting if !is_heard => return,
            _ => {}
        }
        out.push(Effect::Stop { why });
    }
}
