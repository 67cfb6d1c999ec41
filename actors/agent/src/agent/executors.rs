//! Executors: launched, registered, lost, found again.

use std::time::Duration;

use tepui_isolation::{Ended, ProcessIdentity};
use tepui_protocol::{AgentId, Reason, TaskState, Timestamp, messages::executor};
use tepui_runtime::AnyPid;

use super::{Agent, Out, Phase, Standing, Verdict};
use crate::{
    effects::{Effect, Timer, ToExecutor},
    launcher::ExecutorRun,
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
        let mut executor = self.executor_mut(run);
        if let Some(executor) = &mut executor {
            executor.launching = false;
        }
        match (launched, executor) {
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
        // Behind the tasks, which need not wait for it: an agent that dies before it knows where this executor
        // is hears that from the executor, which is known by its run.
        self.persist_executor(&run, out);
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
        self.end_sessions_of(pid, out);
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
            agent: self.pid_for_executors(),
            agent_id,
        }))
    }

    pub(super) fn registration_over(&mut self, run: &ExecutorRun, out: &mut Out) {
        let after = self.config.executor_registration_timeout;
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if executor.is_fetching() {
            // It has not begun to run.
            let timer = Timer::Registration(run.clone());
            return out.push(Effect::Timer { after, timer });
        }
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
}
