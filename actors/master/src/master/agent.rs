//! One agent, as the master knows it, and the ledger of its resources.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{
    AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, KillPolicy, OfferId, Resources, TaskStatus,
    Timestamp, messages::operator::AgentStanding,
};
use tepui_runtime::AnyPid;

use super::TaskKey;

/// An executor's full name on its agent.
pub(crate) type ExecutorKey = (FrameworkId, ExecutorId);

/// A registered agent, or one that the registry says was registered.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// What it said of itself; the id is set.
    pub(crate) info: AgentInfo,
    /// Absent while recovered.
    pub(crate) pid: Option<AnyPid>,
    pub(crate) version: String,
    /// Recovered, active or disconnected.
    pub(crate) standing: AgentStanding,
    pub(crate) registered: Timestamp,
    /// Changes with each registration; timers of earlier ones are void.
    pub(crate) epoch: u64,
    /// Changes whenever the allocator is told anew of the agent; earlier allocations are void.
    pub(crate) ledger: u64,
    pub(crate) tasks: BTreeSet<TaskKey>,
    /// Framework executors believed to run; they use something beside their tasks.
    pub(crate) executors: BTreeMap<ExecutorKey, ExecutorInfo>,
    pub(crate) offers: BTreeSet<OfferId>,
    /// What live tasks and executors use, by framework; each resource carries its role.
    pub(crate) used: BTreeMap<FrameworkId, Resources>,
    /// What offers hold.
    pub(crate) offered: Resources,
    /// Pings sent since it answered last.
    pub(crate) unanswered_pings: u32,
    /// Kills asked for, of tasks that have not ended.
    pub(crate) kills: BTreeMap<TaskKey, Option<KillPolicy>>,
    /// Updates of tasks that it does not have, which schedulers are still to acknowledge; as of its
    /// registration.
    pub(crate) owed: BTreeMap<TaskKey, TaskStatus>,
}

impl Agent {
    /// An agent that the registry knows and nobody has heard of since the master started.
    pub(crate) fn recovered(info: AgentInfo) -> Self {
        Self {
            info,
            pid: None,
            version: String::new(),
            standing: AgentStanding::Recovered,
            registered: Timestamp::default(),
            epoch: 0,
            ledger: 0,
            tasks: BTreeSet::new(),
            executors: BTreeMap::new(),
            offers: BTreeSet::new(),
            used: BTreeMap::new(),
            offered: Resources::new(),
            unanswered_pings: 0,
            kills: BTreeMap::new(),
            owed: BTreeMap::new(),
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.standing == AgentStanding::Active
    }

    /// The agent's actor, if it is connected.
    pub(crate) fn connected(&self) -> Option<&AnyPid> {
        self.pid.as_ref().filter(|_| self.is_active())
    }

    /// What its tasks and executors use, of all frameworks.
    pub(crate) fn used_sum(&self) -> Resources {
        self.used.values().sum()
    }

    /// What is neither used nor offered, on nobody's account.
    pub(crate) fn available(&self) -> Resources {
        let held = self.used_sum() + &self.offered;
        &self.info.resources - &held.unallocate()
    }

    pub(crate) fn charge(&mut self, framework_id: &FrameworkId, resources: &Resources) {
        *self.used.entry(framework_id.clone()).or_default() += resources;
    }

    /// Books an executor unless it runs already; returns what it uses from now on.
    pub(crate) fn start_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor: &ExecutorInfo,
    ) -> Resources {
        let key = (framework_id.clone(), executor.id.clone());
        if self.executors.contains_key(&key) {
            return Resources::new();
        }
        self.executors.insert(key, executor.clone());
        if !executor.resources.is_empty() {
            self.charge(framework_id, &executor.resources);
        }
        executor.resources.clone()
    }

    pub(crate) fn discharge(&mut self, framework_id: &FrameworkId, resources: &Resources) {
        let Some(used) = self.used.get_mut(framework_id) else {
            return;
        };
        *used -= resources;
        if used.is_empty() {
            self.used.remove(framework_id);
        }
    }
}
