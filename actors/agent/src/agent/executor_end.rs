//! The end of an executor: asked for, forced, or of itself; and of its tasks with it.
//!
//! Tasks are over only when no process of the run is left, so that what they used is free.

use tepui_isolation::{Ended, Limitation, LimitationKind};
use tepui_protocol::{
    Reason, TaskId, TaskState, Timestamp,
    messages::{agent, executor},
};
use tepui_store::Write;

use super::{Agent, Executor, Out, Phase, Standing};
use crate::{
    effects::{Effect, Timer, ToExecutor, ToMaster},
    launcher::ExecutorRun,
    records::{self, Verdict},
};

impl Agent {
    /// The process of an executor has ended.
    pub fn on_executor_ended(
        &mut self,
        now: Timestamp,
        run: &ExecutorRun,
        ended: Ended,
        out: &mut Out,
    ) {
        let orphans = !self.live_tasks(run).is_empty();
        let recovering = self.phase == Phase::Recovering;
        let gone = self.lost_state(&run.framework_id, TaskState::Gone);
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        executor.ended = executor.ended.or(Some(ended));
        if executor.standing == Standing::Killing {
            return;
        }
        let reason = Reason::ExecutorTerminated;
        executor.judge(match recovering {
            true => {
                let message = "executor ended while the agent was away".to_owned();
                Verdict {
                    state: gone,
                    reason,
                    message,
                }
            }
            false => Verdict {
                state: TaskState::Failed,
                reason,
                message: format!("executor {ended}"),
            },
        });
        if orphans {
            // Its tasks may still run; they are over only when nothing of them is left.
            self.kill_run(run, out);
        } else {
            self.remove_executor(now, run, out);
        }
        self.check();
    }

    /// A framework's own executor went beyond what it and its tasks have, and was ended for that.
    pub fn on_limited(&mut self, run: &ExecutorRun, limitation: Limitation) {
        if let Some(executor) = self.executor_mut(run) {
            executor.judge(Verdict {
                state: TaskState::Failed,
                reason: match limitation.kind {
                    LimitationKind::Memory => Reason::ContainerLimitationMemory,
                    LimitationKind::Disk => Reason::ContainerLimitationDisk,
                },
                message: limitation.message,
            });
        }
    }

    /// Nothing is left of a run's processes.
    pub fn on_killed(&mut self, now: Timestamp, run: &ExecutorRun, out: &mut Out) {
        self.remove_executor(now, run, out);
        self.check();
    }

    /// Ends an executor, kindly if it is there.
    pub(super) fn end_executor(&mut self, run: &ExecutorRun, verdict: Verdict, out: &mut Out) {
        let after = self.config.executor_shutdown_grace;
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        executor.judge(verdict);
        match (executor.standing, executor.pid.clone()) {
            (Standing::Ending | Standing::Killing, _) => {}
            (Standing::Registered, Some(pid)) => {
                executor.standing = Standing::Ending;
                self.persist_executor(run, out);
                let shutdown = ToExecutor::Shutdown(executor::Shutdown {});
                out.push(Effect::Executor(pid, shutdown));
                out.push(Effect::Timer {
                    after,
                    timer: Timer::ShutdownGrace(run.clone()),
                });
            }
            _ => self.kill_run(run, out),
        }
    }

    /// Kills all processes of a run, as soon as its launch is over.
    pub(super) fn kill_run(&mut self, run: &ExecutorRun, out: &mut Out) {
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if executor.standing != Standing::Killing {
            executor.standing = Standing::Killing;
            let (process, launching) = (executor.process, executor.launching);
            let fetches = executor.fetches;
            self.persist_executor(run, out);
            match launching {
                false => out.push(Effect::Kill(run.clone(), process)),
                true if fetches => out.push(Effect::GiveUp(run.clone())),
                true => {}
            }
        }
    }

    /// The run is over: its tasks end with it, and those that waited for that get a new run.
    pub(super) fn remove_executor(&mut self, now: Timestamp, run: &ExecutorRun, out: &mut Out) {
        let live = self.live_tasks(run);
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else {
            return;
        };
        let same = |executor: &&Executor| executor.run == run.run;
        let Some(executor) = framework.executors.get(&run.executor_id).filter(same) else {
            return;
        };
        let executor = executor.clone();
        framework.executors.remove(&run.executor_id);
        if self.persists(&run.framework_id) {
            let key = records::executor_key(&run.framework_id, &run.executor_id);
            out.push(Effect::Write(Write::delete(key)));
        }
        for task_id in live {
            self.end_with(now, run, &executor, task_id, out);
        }
        self.tell_of_exit(run, &executor, out);
        self.relaunch(now, run, out);
        self.recovered_if_all_back(now, out);
        self.forget_framework_if_idle(&run.framework_id, out);
        self.stop_if_drained(out);
    }

    /// Tasks that waited for the end of the old run get a new one, unless all is ending.
    fn relaunch(&mut self, now: Timestamp, run: &ExecutorRun, out: &mut Out) {
        let Some(framework) = self.frameworks.get(&run.framework_id) else {
            return;
        };
        if !framework.removing && self.phase != Phase::Stopping {
            return self.launch(&run.framework_id, &run.executor_id, out);
        }
        let waiting = framework.tasks.iter().filter(|(_, e)| e.run.is_none());
        let waiting: Vec<TaskId> = waiting.map(|(task_id, _)| task_id.clone()).collect();
        for task_id in waiting {
            let key = (run.framework_id.clone(), task_id);
            let why = (
                Reason::TaskKilledDuringLaunch,
                "killed before it was launched".to_owned(),
            );
            self.tell_of(now, key, TaskState::Killed, why, out);
        }
    }

    fn end_with(
        &mut self,
        now: Timestamp,
        run: &ExecutorRun,
        executor: &Executor,
        task_id: TaskId,
        out: &mut Out,
    ) {
        let key = (run.framework_id.clone(), task_id);
        let framework = self.frameworks.get(&key.0);
        let entry = framework.and_then(|framework| framework.tasks.get(&key.1));
        let killed = entry.is_some_and(|entry| entry.kill.is_some());
        let verdict = executor.verdict.clone().unwrap_or_else(|| Verdict {
            state: TaskState::Failed,
            reason: Reason::ExecutorTerminated,
            message: "executor ended".to_owned(),
        });
        let state = if killed {
            TaskState::Killed
        } else {
            verdict.state
        };
        self.tell_of(now, key, state, (verdict.reason, verdict.message), out);
    }

    /// Frameworks hear of the ends of their own executors.
    fn tell_of_exit(&self, run: &ExecutorRun, executor: &Executor, out: &mut Out) {
        let Some(agent_id) = self.info.id.clone().filter(|_| executor.info.is_some()) else {
            return;
        };
        out.push(Effect::Master(ToMaster::ExecutorExited(
            agent::ExecutorExited {
                agent_id,
                framework_id: run.framework_id.clone(),
                executor_id: run.executor_id.clone(),
                status: executor.ended.unwrap_or(Ended::Unseen).wait_status(),
            },
        )));
    }
}

impl Executor {
    /// The first verdict counts: what came later is its consequence.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        self.verdict.get_or_insert(verdict);
    }
}
