//! Executors: launched, registered, lost, ended.

use std::time::Duration;

use tepui_isolation::{Ended, ProcessIdentity};
use tepui_protocol::{
    AgentId, Reason, TaskId, TaskState, Timestamp,
    messages::{agent, executor},
};
use tepui_runtime::AnyPid;
use tepui_store::Write;

use super::{Agent, Executor, Out, Phase, Standing, Verdict};
use crate::{
    effects::{Effect, Timer, ToExecutor, ToMaster},
    launcher::ExecutorRun,
    records,
};

/// A link breaks some moments before its process can be seen dead; after that, the next looks.
const FIRST_PROBE: Duration = Duration::from_millis(200);
const NEXT_PROBE: Duration = Duration::from_secs(1);

impl Agent {
    /// An executor runs, or could not be started.
    pub fn on_launched(
        &mut self,
        now: Timestamp,
        run: &ExecutorRun,
        launched: Result<ProcessIdentity, String>,
        out: &mut Out,
    ) {
        match (launched, self.executor_mut(run)) {
            (Ok(process), Some(executor)) => {
                executor.process = Some(process);
                if executor.standing == Standing::Killing {
                    out.push(Effect::Kill(run.clone(), Some(process)));
                }
                // Before it registers, its run is enough to find it; that saves a sync per launch.
                if executor.pid.is_some() {
                    self.persist_executor(run, out);
                }
            }
            // It was given up while it was being started.
            (Ok(process), None) => out.push(Effect::Kill(run.clone(), Some(process))),
            (Err(_), None) => {}
            (Err(problem), Some(executor)) => {
                let message = format!("executor not started: {problem}");
                let reason = Reason::ContainerLaunchFailed;
                executor.judge(Verdict {
                    state: TaskState::Failed,
                    reason,
                    message,
                });
                self.remove_executor(now, run, out);
            }
        }
        self.check();
    }

    /// An executor registers, for the first time or again.
    pub fn on_register(&mut self, now: Timestamp, message: executor::Register, out: &mut Out) {
        let pid = message.pid.clone();
        let run = ExecutorRun {
            framework_id: message.framework_id.clone(),
            executor_id: message.executor_id.clone(),
            run: message.run.clone(),
        };
        let welcome = self.executor(&run).is_some_and(|executor| {
            !matches!(executor.standing, Standing::Ending | Standing::Killing)
        });
        let (true, Some(agent_id)) = (welcome, self.info.id.clone()) else {
            let shutdown = ToExecutor::Shutdown(executor::Shutdown {});
            return out.push(Effect::Executor(pid, shutdown));
        };
        self.compare_tasks(&run, &message);
        let is_new = self.attach(&run, pid, agent_id, out);
        let has_nothing = message.tasks.is_empty() && message.unacknowledged.is_empty();
        for status in message.unacknowledged {
            let (framework_id, executor_id) = (run.framework_id.clone(), run.executor_id.clone());
            self.on_update(
                executor::Update {
                    framework_id,
                    executor_id,
                    status,
                },
                out,
            );
        }
        self.hand_over(&run.framework_id, &run.executor_id, out);
        self.hand_over_kills(&run, out);
        if is_new && has_nothing {
            self.end_if_useless(Some(run), out);
        }
        self.recovered_if_all_back(now, out);
        self.check();
    }

    /// The executor is connected. Returns whether it can never have had a task, or cannot get
    /// another: it is there for the first time, or a command executor.
    fn attach(&mut self, run: &ExecutorRun, pid: AnyPid, agent_id: AgentId, out: &mut Out) -> bool {
        let Some(executor) = self.executor_mut(run) else {
            return false;
        };
        let is_new = executor.pid.is_none() || executor.info.is_none();
        let watched =
            executor.standing == Standing::Registered && executor.pid.as_ref() == Some(&pid);
        executor.pid = Some(pid.clone());
        executor.standing = Standing::Registered;
        self.persist_executor(run, out);
        if !watched {
            out.push(Effect::Monitor(pid.clone()));
        }
        out.push(Effect::Executor(
            pid,
            ToExecutor::Registered(executor::Registered { agent_id }),
        ));
        is_new
    }

    /// What the executor does not have is to be sent, also when it was sent before and got lost.
    fn compare_tasks(&mut self, run: &ExecutorRun, message: &executor::Register) {
        let live = self.live_tasks(run);
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else {
            return;
        };
        for task_id in live {
            let has = message.tasks.iter().any(|task| task.id == task_id)
                || message
                    .unacknowledged
                    .iter()
                    .any(|status| status.task_id == task_id);
            if let Some(entry) = framework.tasks.get_mut(&task_id) {
                entry.sent = has;
            }
        }
    }

    fn hand_over_kills(&self, run: &ExecutorRun, out: &mut Out) {
        for task_id in self.live_tasks(run) {
            self.hand_over_kill(&run.framework_id, &task_id, out);
        }
    }

    /// An actor that was monitored is gone: the master, or an executor.
    pub fn on_exited(&mut self, now: Timestamp, pid: &AnyPid, out: &mut Out) {
        if self.master.is(pid) {
            return self.master_lost(now, out);
        }
        let lost = self.runs().into_iter().find(|run| {
            self.executor(run)
                .is_some_and(|executor| executor.pid.as_ref() == Some(pid))
        });
        if let Some(run) = lost
            && let Some(executor) = self.executor_mut(&run)
        {
            match executor.standing {
                Standing::Registered => executor.standing = Standing::Detached { since: now },
                Standing::Ending => {}
                _ => return,
            }
            out.push(Effect::Timer {
                after: FIRST_PROBE,
                timer: Timer::Probe(run),
            });
        }
        self.check();
    }

    pub(super) fn probe(&mut self, now: Timestamp, run: &ExecutorRun, out: &mut Out) {
        let Some(executor) = self.executor(run) else {
            return;
        };
        match (executor.standing, executor.process) {
            (Standing::Detached { .. } | Standing::Ending, Some(process)) => {
                out.push(Effect::Probe(run.clone(), process));
            }
            // The agent died before it could record the process: only time tells.
            (Standing::Detached { since }, None) => self.wait_or_kill(now, since, run, out),
            _ => {}
        }
    }

    /// Whether the process of an executor that is away still runs.
    pub fn on_probed(&mut self, now: Timestamp, run: &ExecutorRun, alive: bool, out: &mut Out) {
        let standing = self.executor(run).map(|executor| executor.standing);
        match standing {
            Some(Standing::Detached { .. } | Standing::Ending) if !alive => {
                self.on_executor_ended(now, run, Ended::Unseen, out);
            }
            // While recovering, the recovery time-out decides.
            Some(Standing::Detached { since }) if self.phase != Phase::Recovering => {
                self.wait_or_kill(now, since, run, out);
            }
            _ => {}
        }
        self.check();
    }

    /// The process lives, but the link to it broke.
    fn wait_or_kill(&mut self, now: Timestamp, since: Timestamp, run: &ExecutorRun, out: &mut Out) {
        let timeout = self.config.executor_reconnect_timeout;
        let reconnect = self.reconnect();
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if now.since(since) >= timeout {
            let message = format!("executor did not come back within {timeout:?}");
            let reason = Reason::ExecutorReregistrationTimeout;
            executor.judge(Verdict {
                state: TaskState::Failed,
                reason,
                message,
            });
            return self.kill_run(run, out);
        }
        // It may not have noticed.
        if let (Some(pid), Some(reconnect)) = (executor.pid.clone(), reconnect) {
            out.push(Effect::Executor(pid, reconnect));
        }
        out.push(Effect::Timer {
            after: NEXT_PROBE,
            timer: Timer::Probe(run.clone()),
        });
    }

    /// Asks an executor to register again.
    pub(super) fn reconnect(&self) -> Option<ToExecutor> {
        let agent_id = self.info.id.clone()?;
        Some(ToExecutor::Reconnect(executor::Reconnect {
            agent: self.own_pid(),
            agent_id,
        }))
    }

    pub(super) fn registration_over(&mut self, run: &ExecutorRun, out: &mut Out) {
        let after = self.config.executor_registration_timeout;
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if executor.standing == Standing::Launched {
            let message = format!("executor did not register within {after:?}");
            let reason = Reason::ExecutorRegistrationTimeout;
            executor.judge(Verdict {
                state: TaskState::Failed,
                reason,
                message,
            });
            self.kill_run(run, out);
        }
    }

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

    /// Kills all processes of a run.
    pub(super) fn kill_run(&mut self, run: &ExecutorRun, out: &mut Out) {
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if executor.standing != Standing::Killing {
            executor.standing = Standing::Killing;
            let process = executor.process;
            self.persist_executor(run, out);
            out.push(Effect::Kill(run.clone(), process));
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
