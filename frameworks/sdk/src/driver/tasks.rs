//! The tasks that the driver asks the master about: launched, named or heard of, and not ended.

use std::collections::BTreeMap;

use tepui_protocol::{
    AgentId, FrameworkId, KillPolicy, TaskId, TaskInfo, TaskState, TaskStatus,
    messages::scheduler::{Kill, Reconcile},
};

/// Tasks named in one [`Reconcile`], so that no message grows with the framework.
const NAMED_AT_ONCE: usize = 1000;

#[derive(Clone, Debug, Default)]
struct Live {
    agent: Option<AgentId>,
    /// Whether nothing was heard of it since the master was to tell.
    unanswered: bool,
    /// Set: the scheduler wants it ended.
    kill: Option<Option<KillPolicy>>,
}

/// Live tasks by id.
#[derive(Debug, Default)]
pub(crate) struct Tasks(BTreeMap<TaskId, Live>);

impl Tasks {
    /// A task on its way to its agent.
    pub(crate) fn launched(&mut self, task: &TaskInfo) {
        self.named(task.id.clone(), Some(task.agent_id.clone()));
    }

    /// A task that the scheduler names.
    pub(crate) fn named(&mut self, task: TaskId, agent: Option<AgentId>) {
        let live = self.0.entry(task).or_default();
        if agent.is_some() {
            live.agent = agent;
        }
    }

    /// News of a task.
    pub(crate) fn told(&mut self, status: &TaskStatus) {
        if status.state.is_terminal() || status.state == TaskState::Unknown {
            self.0.remove(&status.task_id);
        } else {
            self.named(status.task_id.clone(), status.agent_id.clone());
            if let Some(live) = self.0.get_mut(&status.task_id) {
                live.unanswered = false;
            }
        }
    }

    /// The master is to tell of all tasks anew.
    pub(crate) fn ask_all(&mut self) {
        self.0.values_mut().for_each(|live| live.unanswered = true);
    }

    /// The scheduler wants `task` ended; gives the message that says so.
    pub(crate) fn kill(
        &mut self,
        framework_id: &FrameworkId,
        task: &TaskId,
        policy: Option<KillPolicy>,
    ) -> Kill {
        let live = self.0.entry(task.clone()).or_default();
        live.kill = Some(policy);
        kill(framework_id, task, live, policy)
    }

    /// Notes that the scheduler wants `task` ended, while nobody can be told.
    pub(crate) fn kill_later(&mut self, task: &TaskId, policy: Option<KillPolicy>) {
        self.0.entry(task.clone()).or_default().kill = Some(policy);
    }

    /// Questions for the state of the tasks that the master has not told of yet.
    pub(crate) fn questions(&self, framework_id: &FrameworkId) -> Vec<Reconcile> {
        let open = self.0.iter().filter(|(_, live)| live.unanswered);
        let open: Vec<_> = open
            .map(|(id, live)| (id.clone(), live.agent.clone()))
            .collect();
        let parts = open.chunks(NAMED_AT_ONCE);
        parts
            .map(|part| Reconcile {
                framework_id: framework_id.clone(),
                tasks: part.to_vec(),
            })
            .collect()
    }

    /// The kills that have not taken effect yet.
    pub(crate) fn kills(&self, framework_id: &FrameworkId) -> Vec<Kill> {
        let wanted = self.0.iter().filter_map(|(id, live)| {
            let policy = live.kill?;
            Some(kill(framework_id, id, live, policy))
        });
        wanted.collect()
    }
}

fn kill(
    framework_id: &FrameworkId,
    task: &TaskId,
    live: &Live,
    kill_policy: Option<KillPolicy>,
) -> Kill {
    Kill {
        framework_id: framework_id.clone(),
        task_id: task.clone(),
        agent_id: live.agent.clone(),
        kill_policy,
    }
}
