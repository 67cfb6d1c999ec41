//! What an operator may choose.

use std::{collections::BTreeSet, time::Duration};

use crate::minimum::Minimum;

/// In which order a run visits the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentOrder {
    /// Shuffled for each run, by the generator seeded with this number.
    Shuffled(u64),
    /// By id.
    ById,
}

/// Who is offered agents that have GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuAgents {
    /// Frameworks with the capability GPU_RESOURCES only, so that others do not fill them up.
    #[default]
    ForGpuFrameworks,
    /// All frameworks.
    ForAll,
}

/// Choices for [`crate::Hierarchical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the caller ticks; the least time for which a refusal holds. Zero if it never does,
    /// so that refusals do not wait for a tick.
    pub allocation_interval: Duration,
    /// The least that is worth offering, where a framework says nothing else.
    pub min_allocatable: Minimum,
    /// Names of resources that do not count for shares.
    pub fair_share_excluded: BTreeSet<String>,
    /// In which order agents are visited.
    pub agent_order: AgentOrder,
    /// Who is offered agents with GPUs.
    pub gpu_agents: GpuAgents,
    /// Where the cluster is: agents whose attribute `region` says another one are offered to frameworks with the capability
    /// REGION_AWARE only. Without it, all agents count as being here.
    //= mesos, differs: fault domains are attributes, `region` and `zone`
    pub region: Option<String>,
    /// How long refusals hold at most of frameworks that decline all that they are offered, run after run: from the fourth
    /// run on twice as long with each. Without it, refusals hold as long as they say.
    //= mesos, differs: there frameworks have to suppress themselves
    pub decline_backoff: Option<Duration>,
}

impl Default for Options {
    /// Mesos's defaults; agents are shuffled with seed 0.
    fn default() -> Self {
        Self {
            allocation_interval: Duration::from_secs(1),
            min_allocatable: Minimum::default(),
            fair_share_excluded: BTreeSet::new(),
            agent_order: AgentOrder::Shuffled(0),
            gpu_agents: GpuAgents::default(),
            region: None,
            decline_backoff: None,
        }
    }
}
