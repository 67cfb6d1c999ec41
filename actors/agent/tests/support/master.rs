//! A master that admits every agent and acknowledges every update, and what it has agents run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tepui_protocol::{
    AgentId, CommandInfo, FrameworkId, FrameworkInfo, KillPolicy, MasterId, TaskId, TaskInfo,
    TaskState, TaskStatus, messages::agent,
};
use tepui_runtime::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn framework_id() -> FrameworkId {
    FrameworkId::new("m-0001").unwrap()
}

/// The order to run a shell line as a task of the test's framework.
pub(crate) fn run_task(name: &str, line: &str, kill_policy: KillPolicy) -> agent::RunTask {
    let role = "*".parse().unwrap();
    let framework = FrameworkInfo {
        id: Some(framework_id()),
        ..FrameworkInfo::new("f", role)
    };
    let (id, resources) = (TaskId::new(name).unwrap(), "cpus:1".parse().unwrap());
    let task = TaskInfo {
        kill_policy,
        ..TaskInfo::command(id, agent_id(), resources, CommandInfo::shell(line))
    };
    agent::RunTask { framework, task }
}

/// What the master has heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) states: Vec<(TaskId, TaskState)>,
    pub(crate) reregistered: Vec<agent::Reregister>,
    pub(crate) unregistered: usize,
}

/// A master that admits every agent and acknowledges every update.
pub(crate) struct Master {
    pub(crate) heard: Arc<Mutex<Heard>>,
    pub(crate) agent: Option<AnyPid>,
    /// Gets every update, if somebody wants them.
    pub(crate) news: Option<UnboundedSender<TaskStatus>>,
}

impl Actor for Master {
    type Context = Context<Self>;
}

accepts!(Master: agent::Register, agent::Reregister, agent::StatusUpdate, agent::Pong,
    agent::Unregister, agent::ExecutorExited);

pub(crate) fn agent_id() -> AgentId {
    AgentId::new("m-S1").unwrap()
}

fn master_id() -> MasterId {
    MasterId::new("m").unwrap()
}

impl Handler<agent::Register> for Master {
    type Result = ();
    fn handle(&mut self, message: agent::Register, _: &mut Context<Self>) {
        let (agent_id, master_id) = (agent_id(), master_id());
        message
            .pid
            .tell(agent::Registered {
                agent_id,
                master_id,
            })
            .unwrap();
        self.agent = Some(message.pid);
    }
}

impl Handler<agent::Reregister> for Master {
    type Result = ();
    fn handle(&mut self, message: agent::Reregister, _: &mut Context<Self>) {
        let (agent_id, master_id) = (agent_id(), master_id());
        self.agent = Some(message.pid.clone());
        let answer = agent::Reregistered {
            agent_id,
            master_id,
            reconcile: Vec::new(),
        };
        message.pid.tell(answer).unwrap();
        lock(&self.heard).reregistered.push(message);
    }
}

impl Handler<agent::StatusUpdate> for Master {
    type Result = ();
    fn handle(&mut self, message: agent::StatusUpdate, _: &mut Context<Self>) {
        if let Some(news) = &self.news {
            let _ = news.send(message.status.clone());
        }
        let task_id = message.status.task_id;
        let uuid = message.status.uuid.unwrap();
        lock(&self.heard)
            .states
            .push((task_id.clone(), message.status.state));
        let framework_id = message.framework_id;
        let answer = agent::StatusUpdateAcknowledged {
            framework_id,
            task_id,
            uuid,
        };
        self.agent.as_ref().unwrap().tell(answer).unwrap();
    }
}

impl Handler<agent::Pong> for Master {
    type Result = ();
    fn handle(&mut self, _: agent::Pong, _: &mut Context<Self>) {}
}

impl Handler<agent::ExecutorExited> for Master {
    type Result = ();
    fn handle(&mut self, _: agent::ExecutorExited, _: &mut Context<Self>) {}
}

impl Handler<agent::Unregister> for Master {
    type Result = ();
    fn handle(&mut self, _: agent::Unregister, _: &mut Context<Self>) {
        lock(&self.heard).unregistered += 1;
    }
}
