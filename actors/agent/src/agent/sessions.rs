//! Sessions: which executor has the task, and who is to be told when client or executor is gone.
//!
//! The agent passes pieces on in both directions and keeps none of them.

use std::collections::BTreeMap;

use tepui_protocol::{
    ExecutorId, FrameworkId, TaskId,
    messages::session::{Close, Open, Refusal},
};
use tepui_runtime::AnyPid;
use uuid::Uuid;

use super::{Agent, Out, Phase, Standing};
use crate::effects::{Effect, ToExecutor};

/// Sessions of one agent at a time.
pub(super) const SESSIONS_MAX: usize = 256;

/// A command beside a task, and who holds its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    executor: AnyPid,
    client: AnyPid,
}

/// All sessions, by name.
pub(super) type Sessions = BTreeMap<Uuid, Session>;

impl Agent {
    /// Somebody wants a command beside a task. Returns whom to ask for that, and what.
    ///
    /// # Errors
    /// Why not.
    pub fn on_open(&mut self, open: Open, out: &mut Out) -> Result<(AnyPid, Open), Refusal> {
        let executor = self.executor_for(&open.framework_id, &open.executor_id, &open.task_id)?;
        if self.sessions.len() >= SESSIONS_MAX {
            let text = format!("the agent has {SESSIONS_MAX} sessions already; end one first");
            return Err(text.into());
        }
        let id = self.uuid();
        let (client, executor_pid) = (open.client.clone(), executor.clone());
        out.push(Effect::Monitor(client.clone()));
        self.sessions.insert(id, Session { executor, client });
        let session = Some(id);
        Ok((executor_pid, Open { session, ..open }))
    }

    fn executor_for(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        task_id: &TaskId,
    ) -> Result<AnyPid, Refusal> {
        let framework = self.frameworks.get(framework_id);
        let entry = framework.and_then(|framework| framework.tasks.get(task_id));
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        if entry.is_none() || self.is_over(framework_id, task_id) || self.phase == Phase::Stopped {
            return Err(format!("task {task_id} does not run any more").into());
        }
        let Some(executor) = executor.filter(|e| e.standing == Standing::Registered) else {
            return Err(format!("task {task_id} is being started, or its executor is away").into());
        };
        if executor.info.is_some() {
            let text = format!(
                "task {task_id} is run by its framework's own executor, which takes no commands"
            );
            return Err(text.into());
        }
        let pid = executor.pid.clone();
        pid.ok_or_else(|| format!("task {task_id} is being started").into())
    }

    /// The executor of a session that is still wanted.
    pub fn session_executor(&self, id: Uuid) -> Option<AnyPid> {
        let session = self.sessions.get(&id)?;
        Some(session.executor.clone())
    }

    /// Nothing is left of a session: its end was read, or it was never opened.
    pub fn forget_session(&mut self, id: Uuid) {
        self.sessions.remove(&id);
    }

    /// Nobody wants a session any more.
    pub fn on_close(&mut self, id: Uuid, out: &mut Out) {
        if let Some(session) = self.sessions.remove(&id) {
            let close = ToExecutor::Close(Close { session: id });
            out.push(Effect::Executor(session.executor, close));
        }
    }

    /// An actor is gone that may have been a client or an executor.
    pub(super) fn end_sessions_of(&mut self, pid: &AnyPid, out: &mut Out) {
        self.sessions.retain(|_, session| session.executor != *pid);
        let of_client = self.sessions.iter().filter(|(_, s)| s.client == *pid);
        let ids: Vec<Uuid> = of_client.map(|(id, _)| *id).collect();
        for id in ids {
            self.on_close(id, out);
        }
    }
}
