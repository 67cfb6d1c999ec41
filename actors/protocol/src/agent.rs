//! What an agent says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{id::AgentId, resources::Resources};

/// An agent's identity and what it has to offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Assigned at the first registration; kept over restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// The machine's name, for people and for placement.
    pub hostname: String,
    /// All resources of the agent, used or not.
    pub resources: Resources,
    /// Labels of the machine (`rack` -> `r1`), copied into offers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}
