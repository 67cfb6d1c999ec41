//! What the demo sees of the cluster: asked of the master a few times a second.
//!
//! Owns the reading of answers into what is shown, and the record of shares over time. A master that
//! is away for a moment leaves a gap and no error.

use std::collections::BTreeMap;

use tepui_protocol::{
    AgentId, Scalar, TaskState,
    messages::operator::{
        AgentStanding, AgentSummary, GetAgents, GetRoles, GetTasks, RoleSummary, TaskSummary,
    },
};

use super::jobs;
use crate::client::Client;

/// Live and ended tasks of one kind on one agent, or on all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Started or about to.
    pub(super) live: usize,
    /// Ended well.
    pub(super) finished: usize,
    /// Ended otherwise.
    pub(super) lost: usize,
}

impl Count {
    fn add(&mut self, state: TaskState) {
        match state {
            TaskState::Finished => self.finished += 1,
            state if state.is_terminal() => self.lost += 1,
            _ => self.live += 1,
        }
    }
}

/// One agent.
#[derive(Clone, Debug, Default)]
pub(super) struct AgentView {
    /// Its name: the host name that the demo gave it.
    pub(super) name: String,
    /// Whether it is connected.
    pub(super) connected: bool,
    pub(super) used: Scalar,
    pub(super) cpus: Scalar,
    /// Tasks on it, by group of their job.
    pub(super) tasks: BTreeMap<&'static str, Count>,
}

/// The cluster at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// In the order of their names.
    pub(super) agents: Vec<AgentView>,
    /// All tasks, by group of their job.
    pub(super) tasks: BTreeMap<&'static str, Count>,
    /// Each role's dominant share.
    pub(super) shares: BTreeMap<String, f64>,
}

impl View {
    /// Asks the master.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn ask(client: &Client) -> anyhow::Result<Self> {
        let agents = client.ask(GetAgents {}).await?;
        let roles = client.ask(GetRoles {}).await?;
        let tasks = client.ask(GetTasks::default()).await?;
        Ok(Self::of(&agents, &roles, &tasks))
    }

    fn of(agents: &[AgentSummary], roles: &[RoleSummary], tasks: &[TaskSummary]) -> Self {
        let mut view = Self::default();
        let mut by_agent: BTreeMap<&AgentId, BTreeMap<&'static str, Count>> = BTreeMap::new();
        for summary in tasks {
            let Some(group) = jobs::group_of(summary.task.info.id.as_str()) else {
                continue;
            };
            view.tasks.entry(group).or_default().add(summary.task.state);
            let on_agent = by_agent.entry(&summary.task.info.agent_id).or_default();
            on_agent.entry(group).or_default().add(summary.task.state);
        }
        view.agents = agents
            .iter()
            .map(|agent| Self::agent(agent, &by_agent))
            .collect();
        view.agents.sort_by(|a, b| a.name.cmp(&b.name));
        let shares = roles
            .iter()
            .map(|role| (role.role.to_string(), role.dominant_share));
        view.shares = shares.collect();
        view
    }

    fn agent(
        agent: &AgentSummary,
        tasks: &BTreeMap<&AgentId, BTreeMap<&'static str, Count>>,
    ) -> AgentView {
        let of_agent = agent.info.id.as_ref().and_then(|id| tasks.get(id));
        AgentView {
            name: agent.info.hostname.clone(),
            connected: agent.standing == AgentStanding::Active,
            used: agent.used.cpus(),
            cpus: agent.info.resources.cpus(),
            tasks: of_agent.cloned().unwrap_or_default(),
        }
    }

    /// Tasks of a group.
    pub(super) fn count(&self, group: &str) -> Count {
        self.tasks.get(group).copied().unwrap_or_default()
    }

    /// A role's dominant share, 0 to 1.
    pub(super) fn share(&self, role: &str) -> f64 {
        self.shares.get(role).copied().unwrap_or_default()
    }

    /// Whether both roles could use more than they have: what they get then is their share.
    pub(super) fn is_contended(&self) -> bool {
        let map = self.count(jobs::MAP);
        map.finished + map.live < jobs::SHARDS && !self.tasks.is_empty()
    }

    /// Agents that are connected.
    pub(super) fn connected(&self) -> usize {
        self.agents.iter().filter(|agent| agent.connected).count()
    }
}
