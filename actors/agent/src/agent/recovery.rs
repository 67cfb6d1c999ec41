//! The agent's own restart (inventory 5.4): reads its records, finds its executors again, and only
//! then registers.
//!
//! ```text
//!  read records --changed resources?--> refuse, with the difference
//!       |  same boot: every executor is probed and asked to reconnect
//!       |               dead: its tasks are GONE (LOST)    not back in time: killed, likewise
//!       |  other boot: no process is left, tasks are FAILED
//!       v
//!  register with the master; updates that were not acknowledged are sent again
//! ```

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use tepui_isolation::Ended;
use tepui_protocol::{FrameworkId, Reason, TaskState, Timestamp};
use tepui_runtime::AnyPid;

use super::{
    Agent, Entry, Executor, Framework, Out, Phase, Standing, Stream, Verdict, compatible,
    master::MasterLink,
};
use crate::{
    config::AgentConfig,
    effects::{Effect, Timer},
    launcher::ExecutorRun,
    records::{ExecutorRecord, Records, TaskRecord},
};

/// Why an agent does not start with the records it finds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// It would take away what it has promised.
    #[error(
        "{what} changed since the last start: {difference}; start with the former value, or stop \
         the agent with its tasks and start it with an empty work directory"
    )]
    Incompatible {
        /// Which setting.
        what: &'static str,
        /// What is missing, what it was, what it is.
        difference: String,
    },
}

impl Agent {
    /// An agent with what an earlier life of it left in `records`. It does nothing before
    /// [`Agent::on_start`]. Uuids and back-offs come from `rng`.
    ///
    /// # Errors
    /// [`RecoveryError`], when the settings take away what the agent has told the master it has.
    pub fn recover(
        config: AgentConfig,
        master: AnyPid,
        boot_id: String,
        rng: StdRng,
        records: Records,
    ) -> Result<Self, RecoveryError> {
        let rebooted = records
            .agent
            .as_ref()
            .is_some_and(|agent| agent.boot_id != boot_id);
        let info = match &records.agent {
            None => config.info(),
            Some(agent) => match compatible::merged(&agent.info, &config) {
                Ok(info) => info,
                // No task is left that could miss anything: this is another agent.
                Err(_) if rebooted => {
                    return Ok(Self::fresh(config, master, boot_id, rng));
                }
                Err(error) => return Err(error),
            },
        };
        let mut agent = Self {
            info,
            ..Self::fresh(config, master, boot_id, rng)
        };
        agent.read(records);
        if rebooted {
            agent.all_processes_are_gone();
        }
        Ok(agent)
    }

    fn fresh(config: AgentConfig, master: AnyPid, boot_id: String, rng: StdRng) -> Self {
        Self {
            info: config.info(),
            config,
            boot_id,
            pid: None,
            master: MasterLink::new(master),
            phase: Phase::Recovering,
            stopping: None,
            frameworks: BTreeMap::new(),
            streams: BTreeMap::new(),
            sessions: BTreeMap::new(),
            rng,
        }
    }

    fn read(&mut self, records: Records) {
        for (id, info) in records.frameworks {
            let (executors, tasks) = (BTreeMap::new(), BTreeMap::new());
            let framework = Framework {
                info,
                executors,
                tasks,
                removing: false,
            };
            self.frameworks.insert(id, framework);
        }
        for ((id, executor_id), record) in records.executors {
            if let Some(framework) = self.frameworks.get_mut(&id) {
                framework.executors.insert(executor_id, executor(record));
            }
        }
        for ((id, task_id), record) in records.tasks {
            if let Some(framework) = self.frameworks.get_mut(&id) {
                framework.tasks.insert(task_id, entry(record));
            }
        }
        let streams = records.streams.into_iter();
        self.streams = streams
            .map(|(key, record)| (key, Stream::of(record)))
            .collect();
    }

    fn all_processes_are_gone(&mut self) {
        let executors = self
            .frameworks
            .values_mut()
            .flat_map(|f| f.executors.values_mut());
        for executor in executors {
            executor.process = None;
            executor.standing = Standing::Killing;
            executor.judge(Verdict {
                state: TaskState::Failed,
                reason: Reason::ExecutorTerminated,
                message: "the machine was rebooted".to_owned(),
            });
        }
    }

    /// The actor `pid` has started: looks for executors, then registers.
    pub fn on_start(&mut self, now: Timestamp, pid: AnyPid, out: &mut Out) {
        self.pid = Some(pid);
        if self.info.id.is_some() {
            self.persist_agent(out);
        }
        for run in self.runs() {
            self.look_for(now, &run, out);
        }
        self.end_tasks_without_executor(now, out);
        let ids: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for id in ids {
            self.forget_framework_if_idle(&id, out);
        }
        if self.phase == Phase::Recovering && !self.runs().is_empty() {
            let after = self.config.executor_reregistration_timeout;
            out.push(Effect::Timer {
                after,
                timer: Timer::Recovery,
            });
        }
        self.recovered_if_all_back(now, out);
        self.check();
    }

    fn look_for(&mut self, now: Timestamp, run: &ExecutorRun, out: &mut Out) {
        let reconnect = self.reconnect();
        let Some(executor) = self.executor_mut(run) else {
            return;
        };
        if executor.standing == Standing::Killing {
            executor.ended = Some(Ended::Unseen);
            return self.remove_executor(now, run, out);
        }
        if executor.verdict.is_some() {
            // It was being ended when the agent died.
            return self.kill_run(run, out);
        }
        executor.standing = Standing::Detached { since: now };
        if let Some(process) = executor.process {
            out.push(Effect::Probe(run.clone(), process));
        }
        if let (Some(pid), Some(reconnect)) = (executor.pid.clone(), reconnect) {
            out.push(Effect::Executor(pid, reconnect));
        }
    }

    /// Tasks that waited for a new run when the agent ended get it now; others that have no
    /// executor cannot be running.
    fn end_tasks_without_executor(&mut self, now: Timestamp, out: &mut Out) {
        let mut homeless = Vec::new();
        for (id, framework) in &self.frameworks {
            for (task_id, entry) in &framework.tasks {
                let executor = framework.executors.get(&entry.executor_id);
                let runs = executor.is_some_and(|e| Some(&e.run) == entry.run.as_ref());
                if !runs && !self.is_over(id, task_id) {
                    homeless.push((
                        id.clone(),
                        task_id.clone(),
                        entry.clone(),
                        executor.is_some(),
                    ));
                }
            }
        }
        for (id, task_id, entry, blocked) in homeless {
            if entry.run.is_some() {
                let state = self.lost_state(&id, TaskState::Gone);
                let why = (
                    Reason::AgentRestarted,
                    "its executor is not known any more".to_owned(),
                );
                self.tell_of(now, (id, task_id), state, why, out);
            } else if !blocked {
                self.launch(&id, &entry.executor_id, out);
            }
        }
    }

    pub(super) fn recovery_over(&mut self, now: Timestamp, out: &mut Out) {
        if self.phase != Phase::Recovering {
            return;
        }
        let after = self.config.executor_reregistration_timeout;
        for run in self.runs() {
            let state = self.lost_state(&run.framework_id, TaskState::Gone);
            let away = self.executor(&run).map(|executor| executor.standing);
            if matches!(away, Some(Standing::Detached { .. })) {
                let verdict = Verdict {
                    state,
                    reason: Reason::ExecutorReregistrationTimeout,
                    message: format!("executor did not register again within {after:?}"),
                };
                self.end_executor(&run, verdict, out);
            }
        }
        self.recovered(now, out);
    }

    /// Ends the recovery early when no executor is missing.
    pub(super) fn recovered_if_all_back(&mut self, now: Timestamp, out: &mut Out) {
        let missing = self.runs().into_iter().any(|run| {
            let standing = self.executor(&run).map(|executor| executor.standing);
            matches!(
                standing,
                Some(Standing::Detached { .. } | Standing::Killing)
            )
        });
        if self.phase == Phase::Recovering && !missing {
            self.recovered(now, out);
        }
    }

    fn recovered(&mut self, _now: Timestamp, out: &mut Out) {
        self.phase = Phase::Running;
        self.register(out);
    }
}

fn executor(record: ExecutorRecord) -> Executor {
    Executor {
        run: record.run,
        info: record.info,
        process: record.process,
        pid: record.pid,
        standing: Standing::Detached {
            since: Timestamp::default(),
        },
        launching: false,
        fetches: false,
        verdict: record.verdict,
        ended: None,
    }
}

fn entry(record: TaskRecord) -> Entry {
    let executor_id = record.info.executor_id();
    // Whether the executor has it is not recorded; it says so when it registers again.
    let sent = record.run.is_some();
    Entry {
        info: record.info,
        gpus: record.gpus,
        executor_id,
        run: record.run,
        order: record.order,
        sent,
        kill: None,
    }
}
