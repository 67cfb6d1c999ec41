//! Tasks: run them, kill them.

use std::collections::BTreeMap;

use tepui_protocol::{
    AgentId, Capability, ExecutorId, FrameworkId, FrameworkInfo, GpuShare, GroupPolicy, Reason,
    Resources, TaskId, TaskInfo, TaskState, Timestamp,
    messages::{
        agent,
        environment::{self as names, ExecutorPlace},
        executor,
    },
};
use tepui_runtime::AnyPid;
use tepui_store::codec;

use super::{
    Agent, Entry, Executor, Framework, Kill, Out, Phase, Standing, Verdict, gpus::Refusal,
};
use crate::{
    effects::{Effect, Timer, ToExecutor},
    launcher::{ExecutorLaunch, ExecutorRun},
    records::{self, ExecutorRecord, TaskRecord},
};

impl Agent {
    /// Run a task. One that is known is not run again.
    pub fn on_run_task(&mut self, now: Timestamp, message: agent::RunTask, out: &mut Out) {
        let agent::RunTask {
            framework: info,
            task,
        } = message;
        let (Some(framework_id), Some(agent_id)) = (info.id.clone(), &self.info.id) else {
            return;
        };
        if self.phase == Phase::Recovering {
            // Not meant for this life of the agent; the master asks for it after re-registration.
            return;
        }
        let key = (framework_id.clone(), task.id.clone());
        let known = self.frameworks.get(&framework_id);
        if self.streams.contains_key(&key)
            || known.is_some_and(|framework| framework.tasks.contains_key(&task.id))
        {
            return;
        }
        let gpus = match self.refusal(&framework_id, &task, agent_id) {
            Some(refusal) => Err(refusal),
            None => self.gpus_for(&task),
        };
        match gpus {
            Err(refusal) => self.refuse(now, &info, key, refusal, out),
            Ok(gpus) => self.take(framework_id, info, (task, gpus), out),
        }
        self.check();
    }

    /// Why this agent takes no such task now.
    fn refusal(&self, id: &FrameworkId, task: &TaskInfo, agent_id: &AgentId) -> Option<Refusal> {
        let known = self.frameworks.get(id);
        let (reason, message) = match self.phase {
            _ if task.agent_id != *agent_id => {
                let text = format!("the task was meant for agent {}", task.agent_id);
                (Reason::AgentUnknown, text)
            }
            Phase::Stopping => (Reason::AgentDraining, "the agent is being stopped".into()),
            _ if known.is_some_and(|framework| framework.removing) => (
                Reason::FrameworkRemoved,
                "the framework is being shut down".into(),
            ),
            _ => return None,
        };
        Some(Refusal {
            state: TaskState::Dropped,
            reason,
            message,
        })
    }

    fn refuse(
        &mut self,
        now: Timestamp,
        info: &FrameworkInfo,
        key: (FrameworkId, TaskId),
        refusal: Refusal,
        out: &mut Out,
    ) {
        let state = match info.can(Capability::PartitionAware) {
            true => refusal.state,
            false => refusal.state.legacy(),
        };
        self.tell_of(now, key, state, (refusal.reason, refusal.message), out);
    }

    /// Run the tasks of a group together, or none of them. One that is known is not run again.
    pub fn on_run_group(&mut self, now: Timestamp, message: agent::RunGroup, out: &mut Out) {
        let agent::RunGroup { framework, tasks } = message;
        let (Some(id), Some(agent_id)) = (framework.id.clone(), self.info.id.clone()) else {
            return;
        };
        if self.phase == Phase::Recovering {
            // As single tasks.
            return;
        }
        let is_known = |task: &TaskInfo| {
            let known = self.frameworks.get(&id);
            self.streams.contains_key(&(id.clone(), task.id.clone()))
                || known.is_some_and(|framework| framework.tasks.contains_key(&task.id))
        };
        if tasks.iter().any(is_known) {
            return;
        }
        let mut refusals = tasks
            .iter()
            .filter_map(|task| self.refusal(&id, task, &agent_id));
        match (refusals.next(), tasks.first().map(TaskInfo::executor_id)) {
            (Some(refusal), _) => {
                for task in tasks {
                    self.refuse(now, &framework, (id.clone(), task.id), refusal.clone(), out);
                }
            }
            (None, Some(executor_id)) => self.take_group(&id, framework, &executor_id, tasks, out),
            (None, None) => {}
        }
        self.check();
    }

    fn take_group(
        &mut self,
        id: &FrameworkId,
        info: FrameworkInfo,
        executor_id: &ExecutorId,
        tasks: Vec<TaskInfo>,
        out: &mut Out,
    ) {
        self.know_framework(id, info, out);
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        for task in tasks {
            self.enter(id, task, Vec::new());
        }
        let framework = self.frameworks.get(id);
        if framework.is_some_and(|framework| framework.executors.contains_key(executor_id)) {
            // The old run is ending; a new one follows it.
            ids.iter()
                .for_each(|task_id| self.persist_task(id, task_id, out));
        } else {
            self.launch(id, executor_id, out);
        }
    }

    /// Enters a task into the books.
    fn enter(&mut self, id: &FrameworkId, task: TaskInfo, gpus: Vec<GpuShare>) {
        let order = self.next_order();
        if let Some(framework) = self.frameworks.get_mut(id) {
            let entry = Entry {
                executor_id: task.executor_id(),
                gpus,
                run: None,
                order,
                sent: false,
                kill: None,
                info: task,
            };
            framework.tasks.insert(entry.info.id.clone(), entry);
        }
    }

    fn take(
        &mut self,
        id: FrameworkId,
        info: FrameworkInfo,
        (task, gpus): (TaskInfo, Vec<GpuShare>),
        out: &mut Out,
    ) {
        self.know_framework(&id, info, out);
        let (task_id, executor_id) = (task.id.clone(), task.executor_id());
        self.enter(&id, task, gpus);
        let Some(framework) = self.frameworks.get_mut(&id) else {
            return;
        };
        match framework.executors.get(&executor_id) {
            None => self.launch(&id, &executor_id, out),
            Some(executor) if executor.takes_more() => {
                let run = executor.run.clone();
                self.assign(&id, &task_id, run, out);
                self.hand_over(&id, &executor_id, out);
            }
            // The old run is ending; a new one follows it.
            Some(_) => self.persist_task(&id, &task_id, out),
        }
    }

    /// Larger than that of every task that is here.
    fn next_order(&self) -> u64 {
        let all = self
            .frameworks
            .values()
            .flat_map(|framework| framework.tasks.values());
        all.map(|entry| entry.order)
            .max()
            .map_or(0, |newest| newest + 1)
    }

    fn know_framework(&mut self, id: &FrameworkId, info: FrameworkInfo, out: &mut Out) {
        let known = self.frameworks.get_mut(id);
        if known
            .as_ref()
            .is_some_and(|framework| framework.info == info)
        {
            return;
        }
        if info.checkpoint {
            out.push(Effect::Write(codec::put(records::framework_key(id), &info)));
        }
        match known {
            Some(framework) => framework.info = info,
            None => {
                let (executors, tasks) = (BTreeMap::new(), BTreeMap::new());
                let framework = Framework {
                    info,
                    executors,
                    tasks,
                    removing: false,
                };
                self.frameworks.insert(id.clone(), framework);
            }
        }
    }

    fn assign(&mut self, id: &FrameworkId, task_id: &TaskId, run: String, out: &mut Out) {
        let framework = self.frameworks.get_mut(id);
        if let Some(entry) = framework.and_then(|framework| framework.tasks.get_mut(task_id)) {
            entry.run = Some(run);
        }
        self.persist_task(id, task_id, out);
    }

    fn persist_task(&self, id: &FrameworkId, task_id: &TaskId, out: &mut Out) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        if let Some(entry) = framework.tasks.get(task_id)
            && framework.info.checkpoint
        {
            let record = TaskRecord {
                info: entry.info.clone(),
                gpus: entry.gpus.clone(),
                run: entry.run.clone(),
                order: entry.order,
            };
            out.push(Effect::Write(codec::put(
                records::task_key(id, task_id),
                &record,
            )));
        }
    }

    /// Starts a run of an executor for the tasks that wait for it.
    pub(super) fn launch(&mut self, id: &FrameworkId, executor_id: &ExecutorId, out: &mut Out) {
        let run = self.uuid().to_string();
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let waiting = framework
            .tasks
            .iter()
            .filter(|(_, entry)| entry.executor_id == *executor_id && entry.run.is_none());
        let waiting: Vec<TaskId> = waiting.map(|(task_id, _)| task_id.clone()).collect();
        let first = waiting
            .first()
            .and_then(|task_id| framework.tasks.get(task_id));
        let Some(info) = first.map(|entry| entry.info.executor.clone()) else {
            return;
        };
        let executor = Executor {
            run: run.clone(),
            info,
            process: None,
            pid: None,
            standing: Standing::Launched,
            launching: true,
            fetches: false,
            verdict: None,
            ended: None,
        };
        framework.executors.insert(executor_id.clone(), executor);
        for task_id in &waiting {
            self.assign(id, task_id, run.clone(), out);
        }
        let run = ExecutorRun {
            framework_id: id.clone(),
            executor_id: executor_id.clone(),
            run,
        };
        self.persist_executor(&run, out);
        out.extend(self.launch_effect(&run).map(Effect::Launch));
        self.watch_fetching(&run, out);
        let after = self.config.executor_registration_timeout;
        out.push(Effect::Timer {
            after,
            timer: Timer::Registration(run),
        });
    }

    fn launch_effect(&self, run: &ExecutorRun) -> Option<ExecutorLaunch> {
        let framework = self.frameworks.get(&run.framework_id)?;
        let executor = self.executor(run)?;
        let sandbox = self.sandbox(run);
        let recovery = if framework.info.checkpoint {
            self.config.recovery_timeout
        } else {
            Default::default()
        };
        let place = ExecutorPlace {
            agent: self.pid_for_executors(),
            agent_id: self.info.id.clone()?,
            framework_id: run.framework_id.clone(),
            executor_id: run.executor_id.clone(),
            run: run.run.clone(),
            sandbox: sandbox.clone(),
            recovery_timeout: recovery,
            task_killing: framework.info.can(Capability::TaskKillingState),
            master: Some(self.master.pid().any_incarnation().to_string()),
        };
        let command = executor.info.as_ref().map(|info| info.command.clone());
        let wanted = self.command_of(run);
        let mut environment = place.to_variables();
        if let Some(door) = &self.config.door {
            environment.insert(names::SECRET.to_owned(), door.secret.to_text());
        }
        environment.extend(self.gpu_variables(run));
        let user = Some(framework.info.user.clone()).filter(|user| !user.is_empty());
        Some(ExecutorLaunch {
            run: run.clone(),
            command,
            environment,
            sandbox,
            user,
            resources: self.resources_of(run),
            gpus: self.gpus_of(run),
            uris: wanted
                .map(|command| command.uris.clone())
                .unwrap_or_default(),
            image: wanted.and_then(|command| command.image.clone()),
        })
    }

    /// What a run may use: what its executor has, and its live tasks.
    pub(super) fn resources_of(&self, run: &ExecutorRun) -> Resources {
        let info = self
            .executor(run)
            .and_then(|executor| executor.info.as_ref());
        let own = info.map(|info| info.resources.clone()).unwrap_or_default();
        let framework = self.frameworks.get(&run.framework_id);
        let tasks = self.live_tasks(run).into_iter().filter_map(|task_id| {
            let entry = framework?.tasks.get(&task_id)?;
            Some(entry.info.resources.clone())
        });
        tasks.fold(own, |sum, resources| sum + resources)
    }

    /// Tells what a framework's own executor may use, after a task came or went.
    pub(super) fn resize(&self, run: &ExecutorRun, out: &mut Out) {
        let is_own = self.executor(run).is_some_and(|executor| {
            executor.info.is_some() && !executor.launching && executor.ended.is_none()
        });
        if is_own {
            out.push(Effect::Resize(
                run.clone(),
                self.resources_of(run),
                self.gpus_of(run),
            ));
        }
    }

    pub(super) fn persist_executor(&self, run: &ExecutorRun, out: &mut Out) {
        if let Some(executor) = self.executor(run)
            && self.persists(&run.framework_id)
        {
            let record = ExecutorRecord {
                run: executor.run.clone(),
                info: executor.info.clone(),
                process: executor.process,
                pid: executor.pid.clone(),
                verdict: executor.verdict.clone(),
            };
            let key = records::executor_key(&run.framework_id, &run.executor_id);
            out.push(Effect::Write(codec::put(key, &record)));
        }
    }

    /// Gives a registered executor the tasks it has not got.
    pub(super) fn hand_over(&mut self, id: &FrameworkId, executor_id: &ExecutorId, out: &mut Out) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let Some(executor) = framework.executors.get(executor_id) else {
            return;
        };
        let (Standing::Registered, Some(pid)) = (executor.standing, executor.pid.clone()) else {
            return;
        };
        let waiting = framework.tasks.iter().filter(|(task_id, entry)| {
            let ours =
                entry.executor_id == *executor_id && entry.run.as_ref() == Some(&executor.run);
            ours && !entry.sent && !self.is_over(id, task_id)
        });
        let mut waiting: Vec<_> = waiting
            .map(|(id, entry)| (entry.order, id.clone()))
            .collect();
        waiting.sort();
        if !waiting.is_empty() {
            let (framework_id, executor_id) = (id.clone(), executor_id.clone());
            let run = executor.run.clone();
            let run = ExecutorRun {
                framework_id,
                executor_id,
                run,
            };
            self.resize(&run, out);
        }
        let waiting: Vec<TaskId> = waiting.into_iter().map(|(_, task_id)| task_id).collect();
        if self.is_group(id, &waiting) {
            return self.send_group(id, &waiting, &pid, out);
        }
        for task_id in waiting {
            self.send_task(id, &task_id, &pid, out);
        }
    }

    fn is_group(&self, id: &FrameworkId, tasks: &[TaskId]) -> bool {
        let framework = self.frameworks.get(id);
        let first = tasks
            .first()
            .and_then(|task_id| framework?.tasks.get(task_id));
        first.is_some_and(|entry| entry.info.group.is_some())
    }

    fn send_group(&mut self, id: &FrameworkId, ids: &[TaskId], pid: &AnyPid, out: &mut Out) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let mut tasks = Vec::new();
        for task_id in ids {
            if let Some(entry) = framework.tasks.get_mut(task_id) {
                entry.sent = true;
                tasks.push(entry.info.clone());
            }
        }
        let launch = ToExecutor::LaunchGroup(executor::LaunchGroup { tasks });
        out.push(Effect::Executor(pid.clone(), launch));
    }

    fn send_task(&mut self, id: &FrameworkId, task_id: &TaskId, pid: &AnyPid, out: &mut Out) {
        let framework = self.frameworks.get_mut(id);
        if let Some(entry) = framework.and_then(|framework| framework.tasks.get_mut(task_id)) {
            entry.sent = true;
            let launch = ToExecutor::Launch(executor::Launch {
                task: entry.info.clone(),
                gpus: entry.gpus.clone(),
            });
            out.push(Effect::Executor(pid.clone(), launch));
        }
    }

    /// Kill a task.
    pub fn on_kill_task(&mut self, now: Timestamp, message: &agent::KillTask, out: &mut Out) {
        let key = (message.framework_id.clone(), message.task_id.clone());
        let framework = self.frameworks.get_mut(&key.0);
        let Some(entry) = framework.and_then(|framework| framework.tasks.get_mut(&key.1)) else {
            return self.kill_unknown(now, key, out);
        };
        entry.kill = Some(Kill {
            policy: message.kill_policy,
        });
        let (executor_id, run, sent) = (entry.executor_id.clone(), entry.run.clone(), entry.sent);
        if self.is_over(&key.0, &key.1) {
            return;
        }
        if !sent {
            for task_id in self.ended_with(&key) {
                let why = (
                    Reason::TaskKilledDuringLaunch,
                    "killed before it was launched".to_owned(),
                );
                self.tell_of(now, (key.0.clone(), task_id), TaskState::Killed, why, out);
            }
            let framework_id = key.0;
            let run = run.map(|run| ExecutorRun {
                framework_id,
                executor_id,
                run,
            });
            self.end_if_useless(run, out);
        } else {
            self.hand_over_kill(&key.0, &key.1, out);
        }
        self.check();
    }

    /// The tasks that end when this one is killed before its executor has it: all of its group.
    fn ended_with(&self, (id, task_id): &(FrameworkId, TaskId)) -> Vec<TaskId> {
        let framework = self.frameworks.get(id);
        let group = framework
            .and_then(|framework| framework.tasks.get(task_id))
            .and_then(|entry| entry.info.group.clone())
            .filter(|group| group.policy == GroupPolicy::EndAll);
        let (Some(framework), Some(group)) = (framework, group) else {
            return vec![task_id.clone()];
        };
        let of_group = framework.tasks.iter().filter(|(other, entry)| {
            entry.executor_id == group.id && !entry.sent && !self.is_over(id, other)
        });
        of_group.map(|(other, _)| other.clone()).collect()
    }

    /// A kill of a task that is not here. Its last update may still be on its way.
    fn kill_unknown(&mut self, now: Timestamp, key: (FrameworkId, TaskId), out: &mut Out) {
        if self.streams.contains_key(&key) || self.info.id.is_none() {
            return;
        }
        let state = self.lost_state(&key.0, TaskState::Gone);
        let why = (
            Reason::TaskUnknown,
            "the agent does not have this task".to_owned(),
        );
        self.tell_of(now, key, state, why, out);
    }

    /// Passes a kill on to an executor that is there; else it is done when the executor is back.
    pub(super) fn hand_over_kill(&self, id: &FrameworkId, task_id: &TaskId, out: &mut Out) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let Some(entry) = framework.tasks.get(task_id) else {
            return;
        };
        let Some(kill) = entry.kill else { return };
        let executor = framework.executors.get(&entry.executor_id);
        let present = executor.filter(|executor| {
            executor.standing == Standing::Registered && entry.run.as_ref() == Some(&executor.run)
        });
        if let Some(pid) = present.and_then(|executor| executor.pid.clone()) {
            let kill = executor::Kill {
                task_id: task_id.clone(),
                kill_policy: kill.policy,
            };
            out.push(Effect::Executor(pid, ToExecutor::Kill(kill)));
        }
    }

    /// Ends an executor that has never had a task and will have none (oracle F19).
    pub(super) fn end_if_useless(&mut self, run: Option<ExecutorRun>, out: &mut Out) {
        let Some(run) = run else { return };
        if self.live_tasks(&run).is_empty() {
            let verdict = Verdict {
                state: TaskState::Killed,
                reason: Reason::TaskKilledDuringLaunch,
                message: "all tasks of the executor were killed before it was launched".to_owned(),
            };
            self.end_executor(&run, verdict, out);
        }
    }
}

impl Executor {
    /// Whether new tasks go to this run.
    fn takes_more(&self) -> bool {
        let stays = !matches!(self.standing, Standing::Ending | Standing::Killing);
        stays && self.info.is_some()
    }
}
