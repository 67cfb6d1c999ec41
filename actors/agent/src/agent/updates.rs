//! Status updates on their way from executors, or of the agent's own making, to the scheduler.

use tepui_protocol::{
    FrameworkId, Reason, Source, TaskId, TaskState, TaskStatus, Timestamp,
    messages::{agent, executor},
};
use tepui_store::{Write, codec};
use uuid::Uuid;

use super::{
    Agent, Out,
    stream::{Incoming, Stream, retry_after},
};
use crate::{
    effects::{Effect, Timer, ToExecutor, ToMaster},
    launcher::ExecutorRun,
    records,
};

type Key = (FrameworkId, TaskId);

impl Agent {
    /// An executor has news of a task.
    pub fn on_update(&mut self, message: executor::Update, out: &mut Out) {
        let executor::Update {
            framework_id,
            executor_id,
            mut status,
        } = message;
        let framework = self.frameworks.get(&framework_id);
        let executor = framework.and_then(|framework| framework.executors.get(&executor_id));
        let Some(pid) = executor.and_then(|executor| executor.pid.clone()) else {
            return;
        };
        let Some(uuid) = status.uuid else { return };
        let task_id = status.task_id.clone();
        let known = framework.is_some_and(|framework| framework.tasks.contains_key(&task_id));
        if known {
            status.source = Source::Executor;
            status.agent_id = self.info.id.clone();
            status.executor_id = Some(executor_id);
            self.accept((framework_id, task_id.clone()), status, out);
        }
        // Also when the task is forgotten: its last update was acknowledged, this is a duplicate.
        let acknowledged = executor::Acknowledged { task_id, uuid };
        out.push(Effect::Executor(
            pid,
            ToExecutor::Acknowledged(acknowledged),
        ));
        self.check();
    }

    /// The scheduler has an update. Others than the one in flight are ignored.
    pub fn on_acknowledged(&mut self, message: &agent::StatusUpdateAcknowledged, out: &mut Out) {
        let key = (message.framework_id.clone(), message.task_id.clone());
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if !stream.acknowledge(message.uuid) {
            return;
        }
        if stream.is_terminal() && stream.is_drained() {
            self.forget_task(&key, out);
        } else {
            self.persist_stream(&key, out);
            self.send_next(&key, out);
        }
        self.stop_if_drained(out);
        self.check();
    }

    /// An update of the agent's own.
    pub(super) fn tell_of(
        &mut self,
        now: Timestamp,
        key: Key,
        state: TaskState,
        (reason, message): (Reason, String),
        out: &mut Out,
    ) {
        let status = TaskStatus::new(key.1.clone(), state, Source::Agent, now);
        let mut status = status.because(reason, message);
        status.uuid = Some(self.uuid());
        status.agent_id = self.info.id.clone();
        let entry = self
            .frameworks
            .get(&key.0)
            .and_then(|framework| framework.tasks.get(&key.1));
        status.executor_id = entry.map(|entry| entry.executor_id.clone());
        self.accept(key, status, out);
    }

    /// An update that has no reason.
    pub(super) fn tell(&mut self, key: Key, mut status: TaskStatus, out: &mut Out) {
        status.uuid = Some(self.uuid());
        status.agent_id = self.info.id.clone();
        self.accept(key, status, out);
    }

    /// Makes an update durable and sends it, if it is the task's turn.
    fn accept(&mut self, key: Key, status: TaskStatus, out: &mut Out) {
        let is_end = status.state.is_terminal();
        let stream = self.streams.entry(key.clone()).or_default();
        if stream.push(status) == Incoming::Fresh {
            self.persist_stream(&key, out);
            self.send_next(&key, out);
            if let Some(run) = self.run_of(&key).filter(|_| is_end) {
                self.resize(&run, out);
            }
        }
    }

    fn run_of(&self, (framework_id, task_id): &Key) -> Option<ExecutorRun> {
        let entry = self.frameworks.get(framework_id)?.tasks.get(task_id)?;
        Some(ExecutorRun {
            framework_id: framework_id.clone(),
            executor_id: entry.executor_id.clone(),
            run: entry.run.clone()?,
        })
    }

    /// The connection to the master is there: sends what waits.
    pub(super) fn send_all(&mut self, out: &mut Out) {
        let keys: Vec<Key> = self.streams.keys().cloned().collect();
        for key in keys {
            self.send_next(&key, out);
        }
    }

    fn send_next(&mut self, key: &Key, out: &mut Out) {
        if !self.master.is_connected() {
            return;
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(status) = stream.send().cloned() else {
            return;
        };
        self.forward(key, status, out);
    }

    pub(super) fn retry(&mut self, key: &Key, uuid: Uuid, sending: u32, out: &mut Out) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(status) = stream.send_again(uuid, sending).cloned() else {
            return;
        };
        self.forward(key, status, out);
    }

    fn forward(&self, key: &Key, status: TaskStatus, out: &mut Out) {
        let (Some(agent_id), Some(uuid)) = (self.info.id.clone(), status.uuid) else {
            return;
        };
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let (framework_id, task_id) = key.clone();
        let latest_state = stream.latest_state().unwrap_or(status.state);
        let update = agent::StatusUpdate {
            agent_id,
            framework_id: framework_id.clone(),
            status,
            latest_state,
        };
        out.push(Effect::Master(ToMaster::StatusUpdate(update)));
        let sending = stream.sendings();
        let (min, max) = (self.config.update_retry_min, self.config.update_retry_max);
        let timer = Timer::Retry {
            framework_id,
            task_id,
            uuid,
            sending,
        };
        out.push(Effect::Timer {
            after: retry_after(min, max, sending),
            timer,
        });
    }

    fn persist_stream(&self, key: &Key, out: &mut Out) {
        if let Some(stream) = self.streams.get(key)
            && self.persists(&key.0)
        {
            let record = codec::put(records::stream_key(&key.0, &key.1), stream.record());
            out.push(Effect::Write(record));
        }
    }

    /// The task is terminal and its scheduler knows: nothing of it is kept.
    fn forget_task(&mut self, key: &Key, out: &mut Out) {
        let persisted = self.persists(&key.0);
        self.streams.remove(key);
        if let Some(framework) = self.frameworks.get_mut(&key.0) {
            framework.tasks.remove(&key.1);
        }
        if persisted {
            out.push(Effect::Write(Write::delete(records::stream_key(
                &key.0, &key.1,
            ))));
            out.push(Effect::Write(Write::delete(records::task_key(
                &key.0, &key.1,
            ))));
        }
        self.forget_framework_if_idle(&key.0, out);
    }

    /// The stream of a task, for what the master is told of it.
    pub(super) fn stream(&self, framework_id: &FrameworkId, task_id: &TaskId) -> Option<&Stream> {
        self.streams.get(&(framework_id.clone(), task_id.clone()))
    }
}
