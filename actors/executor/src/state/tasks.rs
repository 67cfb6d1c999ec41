//! Tasks of an executor: launch, run, kill, end.

use tepui_isolation::{Limitation, LimitationKind, Outcome, Signal};
use tepui_protocol::{
    ContainerStatus, GroupPolicy, KillPolicy, Reason, TaskId, TaskInfo, TaskState, Timestamp,
    messages::executor,
};

use super::{Ending, Executor, Phase, Task};
use crate::{
    effects::{Effect, Timer},
    environment,
    processes::{Member, StartProcess},
};

impl Executor {
    /// Run a task. One that is known is not run again.
    pub fn on_launch(&mut self, now: Timestamp, task: TaskInfo, out: &mut Vec<Effect>) {
        if self.tasks.contains_key(&task.id) {
            return;
        }
        let id = task.id.clone();
        self.enter(task);
        self.begin(now, &id, out);
    }

    /// Run the tasks of a group. Those that are known are not run again.
    pub fn on_launch_group(&mut self, now: Timestamp, tasks: Vec<TaskInfo>, out: &mut Vec<Effect>) {
        let new = tasks
            .into_iter()
            .filter(|task| !self.tasks.contains_key(&task.id));
        let new: Vec<TaskInfo> = new.collect();
        let ids: Vec<TaskId> = new.iter().map(|task| task.id.clone()).collect();
        // All are there before one can end.
        new.into_iter().for_each(|task| self.enter(task));
        ids.iter().for_each(|id| self.begin(now, id, out));
        self.start_waiting(now, out);
    }

    fn enter(&mut self, task: TaskInfo) {
        self.had_task = true;
        let id = task.id.clone();
        let phase = match task.start_after.as_slice() {
            [] => Phase::Starting,
            _ => Phase::Waiting,
        };
        self.tasks.insert(
            id,
            Task {
                info: task,
                phase,
                kills: 0,
                ending: None,
                life: 0,
                restarts: 0,
                health: None,
                check: None,
                container: None,
            },
        );
    }

    /// Starts a task that is new here.
    pub(super) fn begin(&mut self, now: Timestamp, task_id: &TaskId, out: &mut Vec<Effect>) {
        let starting = |task: &&Task| task.phase == Phase::Starting;
        let Some(task) = self.tasks.get(task_id).filter(starting) else {
            return;
        };
        let id = task_id.clone();
        match self.start_of(&task.info) {
            _ if self.leaving.is_some() => {
                let text = "the executor was shut down before the task started";
                self.end(
                    now,
                    &id,
                    TaskState::Killed,
                    None,
                    Some((None, text.to_owned())),
                    out,
                );
            }
            Some(start) => out.push(Effect::Start(start)),
            None => self.not_started(now, &id, "the task has no command", out),
        }
    }

    fn start_of(&self, task: &TaskInfo) -> Option<StartProcess> {
        Some(StartProcess {
            task_id: task.id.clone(),
            command: task.command.clone()?,
            environment: environment::of_task(&self.config, task),
            sandbox: environment::sandbox(&self.config, task),
            resources: task.resources.clone(),
            limits: task.limits,
            network: task.network.clone(),
            member: task.group.as_ref().map(|group| Member {
                index: group.index,
                shared: environment::shared(&self.config),
            }),
        })
    }

    /// The process of a task runs, in a container that may have an address, or could not be started.
    pub fn on_started(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        started: Result<Option<ContainerStatus>, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(task_id) else {
            return;
        };
        match (task.phase, started) {
            (Phase::Starting | Phase::Killing, Err(problem)) => {
                self.not_started(now, task_id, &problem, out);
            }
            (Phase::Starting, Ok(container)) => {
                task.container = container;
                task.phase = Phase::Running;
                task.life += 1;
                task.begin_checks(now);
                let restarts = task.restarts;
                let mut status = self.status(task_id, TaskState::Running, now);
                if restarts > 0 {
                    status.message = format!("restarted, for the {} time", ordinal(restarts));
                }
                self.update(status, out);
                self.await_looks(task_id, out);
                self.await_completion(task_id, out);
                self.reach(task_id, |reached| reached.running = true);
                self.start_waiting(now, out);
            }
            // Killed before there was a process to signal: its grace begins now.
            (Phase::Killing, Ok(_)) => {
                let (after, kill) = (task.info.kill_policy.grace_period, task.kills);
                let task_id = task_id.clone();
                out.push(Effect::Signal(task_id.clone(), Signal::Terminate));
                let timer = Timer::Kill { task_id, kill };
                out.push(Effect::Timer { after, timer });
            }
            (Phase::Waiting | Phase::Running | Phase::Restarting | Phase::Ended, _) => {}
        }
    }

    /// The process of a task has ended, by itself, by a signal or for a limit.
    pub fn on_ended(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        outcome: impl Into<Outcome>,
        out: &mut Vec<Effect>,
    ) {
        let Outcome { ended, limitation } = outcome.into();
        let over = |task: &Task| matches!(task.phase, Phase::Restarting | Phase::Ended);
        if self.tasks.get(task_id).is_none_or(over) {
            return;
        }
        let text = format!("command {ended}");
        self.kill_sessions(task_id, out);
        let Some(task) = self.tasks.get(task_id) else {
            return;
        };
        let (state, why) = match (task.phase, task.ending.clone()) {
            (Phase::Killing, None) => (TaskState::Killed, Some((None, text))),
            //= mesos, command executor: KILLED, and not healthy
            (Phase::Killing, Some(Ending::Unhealthy(why))) => {
                let reason = Some(Reason::TaskHealthCheckStatusUpdated);
                (TaskState::Killed, Some((reason, why)))
            }
            (Phase::Killing, Some(Ending::WithGroup(why))) => {
                (TaskState::Killed, Some((None, why)))
            }
            (Phase::Killing, Some(Ending::Overtime(why))) => {
                let reason = Some(Reason::MaxCompletionTimeReached);
                (TaskState::Failed, Some((reason, why)))
            }
            _ if limitation.is_some() => (TaskState::Failed, limitation.map(limited)),
            _ if ended.is_success() => (TaskState::Finished, None),
            _ => (TaskState::Failed, Some((None, text))),
        };
        let is_meant = state == TaskState::Finished
            || task.phase == Phase::Killing && !matches!(task.ending, Some(Ending::Unhealthy(_)));
        if is_meant || !self.restart_later(task_id, out) {
            self.end(now, task_id, state, ended.exit_code(), why, out);
        }
    }

    /// Starts a task that has failed again after a while, if it may be. Returns whether it will be.
    fn restart_later(&mut self, task_id: &TaskId, out: &mut Vec<Effect>) -> bool {
        if self.leaving.is_some() {
            return false;
        }
        let Some(task) = self.tasks.get_mut(task_id) else {
            return false;
        };
        let policy = task
            .info
            .restart
            .filter(|policy| task.restarts < policy.retries);
        let Some(policy) = policy else { return false };
        let after = policy.delay(task.restarts);
        task.restarts += 1;
        (task.phase, task.ending) = (Phase::Restarting, None);
        let timer = Timer::Restart {
            task_id: task_id.clone(),
            restart: task.restarts,
        };
        out.push(Effect::Timer { after, timer });
        true
    }

    pub(super) fn restart(&mut self, task_id: &TaskId, restart: u32, out: &mut Vec<Effect>) {
        let meant = |task: &&mut Task| task.phase == Phase::Restarting && task.restarts == restart;
        let Some(task) = self.tasks.get_mut(task_id).filter(meant) else {
            return;
        };
        task.phase = Phase::Starting;
        let info = task.info.clone();
        out.extend(self.start_of(&info).map(Effect::Start));
    }

    /// Ends a task for a reason of the executor's own.
    pub(super) fn end_for(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        ending: Ending,
        out: &mut Vec<Effect>,
    ) {
        let task = self.tasks.get(task_id);
        if task.is_some_and(|task| task.phase == Phase::Waiting) {
            let (Ending::Unhealthy(why) | Ending::Overtime(why) | Ending::WithGroup(why)) = ending;
            return self.end(
                now,
                task_id,
                TaskState::Killed,
                None,
                Some((None, why)),
                out,
            );
        }
        self.kill(now, task_id, None, out);
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.ending = Some(ending);
        }
    }

    /// End a task: SIGTERM, and SIGKILL after its grace. A repeated kill starts a new grace.
    pub fn on_kill(&mut self, now: Timestamp, message: &executor::Kill, out: &mut Vec<Effect>) {
        self.kill(now, &message.task_id, message.kill_policy, out);
    }

    pub(super) fn kill_all(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.kill(now, &id, None, out);
        }
    }

    fn kill(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        policy: Option<KillPolicy>,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self
            .tasks
            .get_mut(task_id)
            .filter(|task| task.phase != Phase::Ended)
        else {
            return;
        };
        // Whoever asks has the last word on why.
        task.ending = None;
        let waits = match task.phase {
            Phase::Restarting => Some("killed while it waited to be restarted"),
            Phase::Waiting => Some("killed while it waited for others of its group"),
            _ => None,
        };
        if let Some(why) = waits {
            let why = (None, why.to_owned());
            return self.end(now, task_id, TaskState::Killed, None, Some(why), out);
        }
        task.kills += 1;
        let (kill, first) = (task.kills, task.phase != Phase::Killing);
        let grace = policy.unwrap_or(task.info.kill_policy).grace_period;
        task.phase = Phase::Killing;
        if first && self.config.place.task_killing {
            let status = self.status(task_id, TaskState::Killing, now);
            self.update(status, out);
        }
        out.push(Effect::Signal(task_id.clone(), Signal::Terminate));
        let timer = Timer::Kill {
            task_id: task_id.clone(),
            kill,
        };
        out.push(Effect::Timer {
            after: grace,
            timer,
        });
    }

    pub(super) fn grace_over(&self, task_id: &TaskId, kill: u32, out: &mut Vec<Effect>) {
        let meant = |task: &&Task| task.phase == Phase::Killing && task.kills == kill;
        if self.tasks.get(task_id).filter(meant).is_some() {
            out.push(Effect::Signal(task_id.clone(), Signal::Kill));
        }
    }

    fn not_started(&mut self, now: Timestamp, id: &TaskId, problem: &str, out: &mut Vec<Effect>) {
        let why = (Some(Reason::CommandExecutorFailed), problem.to_owned());
        self.end(now, id, TaskState::Failed, None, Some(why), out);
    }

    pub(super) fn end(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        state: TaskState,
        exit_code: Option<i32>,
        why: Option<(Option<Reason>, String)>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.phase = Phase::Ended;
        }
        let mut status = self.status(task_id, state, now);
        status.exit_code = exit_code;
        if let Some((reason, message)) = why {
            (status.reason, status.message) = (reason, message);
        }
        self.update(status, out);
        self.reach(task_id, |reached| reached.ended = Some(state));
        self.end_group_of(now, task_id, state, out);
        self.start_waiting(now, out);
        self.stop_if_done(out);
    }

    /// A task has ended; if it did not end well, the others of its group end with it.
    //= mesos, default executor: one that fails or is killed ends its group
    fn end_group_of(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        state: TaskState,
        out: &mut Vec<Effect>,
    ) {
        let group = self
            .tasks
            .get(task_id)
            .and_then(|task| task.info.group.as_ref());
        let ends = group.is_some_and(|group| group.policy == GroupPolicy::EndAll);
        if state == TaskState::Finished || !ends {
            return;
        }
        let others = self.tasks.iter().filter(|(_, other)| {
            other.info.group.is_some() && !matches!(other.phase, Phase::Killing | Phase::Ended)
        });
        let others: Vec<TaskId> = others.map(|(id, _)| id.clone()).collect();
        for other in others {
            let why = format!("task {task_id} of its group ended as {state}");
            self.end_for(now, &other, Ending::WithGroup(why), out);
        }
    }
}

/// Why a task is over that went beyond what it has.
fn limited(limitation: Limitation) -> (Option<Reason>, String) {
    let reason = match limitation.kind {
        LimitationKind::Memory => Reason::ContainerLimitationMemory,
        LimitationKind::Disk => Reason::ContainerLimitationDisk,
    };
    (Some(reason), limitation.message)
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}
