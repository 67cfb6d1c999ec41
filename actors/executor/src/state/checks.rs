//! Checks of running tasks, and their longest time: what comes of a look, and when to look again.
//!
//! What a single look means is in `checker.rs`. A task that is being killed is not looked at any more.

use tepui_protocol::{Reason, TaskId, TaskState, Timestamp, lifecycle::HealthCheck};

use super::{Ending, Executor, Phase, Task};
use crate::{
    checker::{Checker, News, ProbeResult},
    effects::{Effect, Look, Timer, Which},
    environment,
    processes::StartProbe,
};

impl Task {
    /// The process runs from `now` on.
    pub(super) fn begin_checks(&mut self, now: Timestamp) {
        let health = self.info.health_check.as_ref();
        self.health = health.map(|check: &HealthCheck| Checker::health(check, now));
        self.check = self
            .info
            .check
            .as_ref()
            .map(|check| Checker::plain(check, now));
    }

    fn checker(&mut self, which: Which) -> Option<&mut Checker> {
        match which {
            Which::Health => self.health.as_mut(),
            Which::Plain => self.check.as_mut(),
        }
    }
}

impl Executor {
    /// Waits for the next look of each kind that the task is to have.
    pub(super) fn await_looks(&mut self, task_id: &TaskId, out: &mut Vec<Effect>) {
        for which in [Which::Health, Which::Plain] {
            self.await_look(task_id, which, out);
        }
    }

    fn await_look(&mut self, task_id: &TaskId, which: Which, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(task_id) else {
            return;
        };
        let life = task.life;
        let Some((round, after)) = task.checker(which).map(|checker| checker.next()) else {
            return;
        };
        let look = Look {
            task_id: task_id.clone(),
            which,
            life,
            round,
        };
        out.push(Effect::Timer {
            after,
            timer: Timer::Look(look),
        });
    }

    /// The time for a look has come.
    pub(super) fn look(&mut self, look: &Look, out: &mut Vec<Effect>) {
        let Some(task) = self.live(look) else { return };
        let info = task.info.clone();
        let begun = task
            .checker(look.which)
            .and_then(|checker| checker.begin(look.round));
        let Some((probe, timeout)) = begun else {
            return;
        };
        let probe = StartProbe {
            task_id: look.task_id.clone(),
            environment: environment::of_task(&self.config, &info),
            sandbox: environment::sandbox(&self.config, &info),
            probe,
            timeout,
        };
        out.push(Effect::Probe(look.clone(), probe));
    }

    /// A look gave a result.
    pub fn on_probed(
        &mut self,
        now: Timestamp,
        look: &Look,
        result: &ProbeResult,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.live(look) else { return };
        let checker = task.checker(look.which);
        let Some(news) = checker.and_then(|checker| checker.end(now, look.round, result)) else {
            return;
        };
        match news {
            News::None => {}
            News::Changed => {
                self.tell_of_check(now, look, out);
                let healthy = self
                    .tasks
                    .get(&look.task_id)
                    .and_then(|t| t.health.as_ref());
                if healthy.and_then(Checker::is_healthy) == Some(true) {
                    self.reach(&look.task_id, |reached| reached.healthy = true);
                    self.start_waiting(now, out);
                }
            }
            News::Unhealthy(why) => {
                return self.end_for(now, &look.task_id, Ending::Unhealthy(why), out);
            }
        }
        self.await_look(&look.task_id, look.which, out);
    }

    /// The task of a look, if it still runs and is the same process.
    fn live(&mut self, look: &Look) -> Option<&mut Task> {
        let task = self.tasks.get_mut(&look.task_id)?;
        (task.phase == Phase::Running && task.life == look.life).then_some(task)
    }

    fn tell_of_check(&mut self, now: Timestamp, look: &Look, out: &mut Vec<Effect>) {
        let mut status = self.status(&look.task_id, TaskState::Running, now);
        status.reason = Some(match look.which {
            Which::Health => Reason::TaskHealthCheckStatusUpdated,
            Which::Plain => Reason::TaskCheckStatusUpdated,
        });
        self.update(status, out);
    }

    /// The longest time that the task may take begins with its first start.
    pub(super) fn await_completion(&self, task_id: &TaskId, out: &mut Vec<Effect>) {
        let task = self.tasks.get(task_id).filter(|task| task.life == 1);
        if let Some(after) = task.and_then(|task| task.info.max_completion_time) {
            let timer = Timer::Completion(task_id.clone());
            out.push(Effect::Timer { after, timer });
        }
    }

    pub(super) fn completion_over(&mut self, now: Timestamp, id: &TaskId, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let after = task.info.max_completion_time.unwrap_or_default();
        let why = format!("it ran for longer than its maximum of {after:?}");
        match task.phase {
            Phase::Starting | Phase::Running => self.end_for(now, id, Ending::Overtime(why), out),
            Phase::Restarting => {
                let why = (Some(Reason::MaxCompletionTimeReached), why);
                self.end(now, id, TaskState::Failed, None, Some(why), out);
            }
            Phase::Waiting | Phase::Killing | Phase::Ended => {}
        }
    }
}
