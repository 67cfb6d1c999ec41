//! What a framework says of itself when it subscribes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{constraints::Constraints, gang::Gang, id::FrameworkId, role::Role};

/// Features that a framework's scheduler understands (Mesos's names and numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// Takes resources that may be revoked.
    RevocableResources = 1,
    /// Wants to see TASK_KILLING.
    TaskKillingState = 2,
    /// Takes agents with GPUs.
    GpuResources = 3,
    /// Takes resources shared with others.
    SharedResources = 4,
    /// Tells unreachable, gone and dropped tasks apart; without it they are TASK_LOST.
    PartitionAware = 5,
    /// Subscribes to several roles.
    MultiRole = 6,
    /// Understands stacks of reservations.
    ReservationRefinement = 7,
    /// Takes agents of remote regions.
    RegionAware = 8,
}

/// A framework's identity and terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkInfo {
    /// Absent at the first subscription; kept by the framework for later ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<FrameworkId>,
    /// For people.
    pub name: String,
    /// The user that its tasks run as; empty for the one that their agent takes then.
    #[serde(default)]
    pub user: String,
    /// The roles it takes offers in; at least one.
    pub roles: BTreeSet<Role>,
    /// How long its tasks outlive its scheduler's absence. Zero ends them with the connection.
    #[serde(default)]
    pub failover_timeout: Duration,
    /// Whether its tasks survive a restart of the agent process.
    #[serde(default)]
    pub checkpoint: bool,
    /// What its scheduler understands.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<Capability>,
    /// Where its scheduler runs, for people.
    #[serde(default)]
    pub hostname: String,
    /// Which agents it takes, by role; all of them in roles that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<Role, Constraints>,
    /// What it needs at once to begin, by role: offers come when there are enough, all in one message. Once a task runs in a role,
    /// single offers come in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gangs: BTreeMap<Role, Gang>,
    /// How important its tasks are beside those of others in roles of the same importance, when some have to end; larger is more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i16,
}

fn is_zero(priority: &i16) -> bool {
    *priority == 0
}

impl FrameworkInfo {
    /// A framework `name` in one `role`, whose tasks survive restarts of agents and 10 minutes
    /// without a scheduler, and which tells lost tasks apart.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self {
            id: None,
            name: name.into(),
            user: String::new(),
            roles: BTreeSet::from([role]),
            failover_timeout: Duration::from_secs(600),
            checkpoint: true,
            capabilities: BTreeSet::from([Capability::PartitionAware, Capability::MultiRole]),
            hostname: String::new(),
            constraints: BTreeMap::new(),
            gangs: BTreeMap::new(),
            priority: 0,
        }
    }

    /// Whether the scheduler understands `capability`.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
