//! What the demo sees of the cluster at a moment: agents and shares as the master tells them, tasks
//! as the frameworks do.

use std::collections::BTreeMap;

use tepui_protocol::{
    AgentId, Scalar,
    messages::operator::{AgentStanding, AgentSummary, GetAgents, GetRoles},
};

use super::{
    jobs,
    record::{Count, Record},
};
use crate::client::Client;

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct AgentView {
    /// Its name: the host name that the demo gave it.
    pub(super) name: String,
    pub(super) id: Option<AgentId>,
    /// Whether it is connected.
    pub(super) connected: bool,
    pub(super) used: Scalar,
    pub(super) cpus: Scalar,
}

/// The cluster at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// In the order of their names.
    pub(super) agents: Vec<AgentView>,
    /// Each role's dominant share.
    shares: BTreeMap<String, f64>,
}

impl View {
    /// Asks the master.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn ask(client: &Client) -> anyhow::Result<Self> {
        let agents = client.ask(GetAgents {}).await?;
        let roles = client.ask(GetRoles {}).await?;
        let mut agents: Vec<AgentView> = agents.into_iter().map(AgentView::of).collect();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        let shares = roles
            .iter()
            .map(|role| (role.role.to_string(), role.dominant_share));
        Ok(Self {
            agents,
            shares: shares.collect(),
        })
    }

    /// A role's dominant share, 0 to 1.
    pub(super) fn share(&self, role: &str) -> f64 {
        self.shares.get(role).copied().unwrap_or_default()
    }

    /// Agents that are connected.
    pub(super) fn connected(&self) -> usize {
        self.agents.iter().filter(|agent| agent.connected).count()
    }
}

impl AgentView {
    fn of(agent: AgentSummary) -> Self {
        Self {
            connected: agent.standing == AgentStanding::Active,
            used: agent.used.cpus(),
            cpus: agent.info.resources.cpus(),
            name: agent.info.hostname,
            id: agent.info.id,
        }
    }

    /// Its tasks of a group.
    pub(super) fn count(&self, record: &Record, group: &str) -> Count {
        record.count(group, self.id.as_ref())
    }
}

/// Whether both roles could use more than they have: what they get then is their share.
pub(super) fn is_contended(record: &Record) -> bool {
    let map = record.count(jobs::MAP, None);
    map.finished + map.live < jobs::SHARDS
}
