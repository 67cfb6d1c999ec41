//! One run: who gets what is free on the candidate agents.
//!
//! ```text
//!  for each candidate (known, active, listed), shuffled:
//!    for each role, the smallest share first:
//!      for each framework of the role, the smallest share first:
//!        offer all that is free, usable and understood, unless it is below the minimum or refused
//! ```
//! Shares move with every allocation. This is the fair-share stage; a stage that serves guarantees
//! would go before it, over the same candidates.
//!
//= mesos, allocator: second stage of an allocation run

use rand::seq::SliceRandom;
use tepui_protocol::{AgentId, FrameworkId, Resources, Role};

use super::{GpuAgents, Hierarchical};
use crate::{allocator::Allocation, sorter::Sorter};

impl<R: Sorter<Role>, F: Sorter<FrameworkId>> Hierarchical<R, F> {
    /// Runs over these agents.
    pub(super) fn run(&mut self, candidates: impl IntoIterator<Item = AgentId>) -> Vec<Allocation> {
        self.runs += 1;
        let mut candidates: Vec<AgentId> = candidates
            .into_iter()
            .filter(|id| self.is_offerable(id))
            .collect();
        if let Some(rng) = &mut self.shuffle {
            candidates.shuffle(rng);
        }
        let mut allocations = Vec::new();
        for agent in &candidates {
            self.share_out(agent, &mut allocations);
        }
        allocations
    }

    fn is_offerable(&self, id: &AgentId) -> bool {
        let listed = self.whitelist.as_ref();
        self.agents
            .get(id)
            .is_some_and(|agent| agent.active && agent.is_listed(listed))
    }

    /// Offers what is free on one agent.
    fn share_out(&mut self, agent: &AgentId, allocations: &mut Vec<Allocation>) {
        if self.agents[agent].available().is_empty() {
            return;
        }
        for role in self.roles.sorter.sort().iter() {
            self.share_out_in_role(agent, role, allocations);
            if self.agents[agent].available().is_empty() {
                return;
            }
        }
    }

    fn share_out_in_role(
        &mut self,
        agent: &AgentId,
        role: &Role,
        allocations: &mut Vec<Allocation>,
    ) {
        let frameworks = self
            .roles
            .frameworks
            .get_mut(role)
            .map(Sorter::sort)
            .unwrap_or_default();
        let mut free = self.agents[agent].available().allocatable_to(role);
        let mut next = 0;
        while let Some((at, offered)) = self.first_taker(&frameworks[next..], role, agent, &free) {
            free -= &offered;
            allocations.push(self.give(&frameworks[next + at], role, agent, &offered));
            next += at + 1;
        }
    }

    /// The first of `frameworks` that is to be offered some of `free`, by position, and what.
    fn first_taker(
        &self,
        frameworks: &[FrameworkId],
        role: &Role,
        agent: &AgentId,
        free: &Resources,
    ) -> Option<(usize, Resources)> {
        if free.is_empty() {
            return None;
        }
        let only_for_gpus =
            self.options.gpu_agents == GpuAgents::ForGpuFrameworks && self.agents[agent].has_gpus();
        let refusals = self.filters.on(agent, role);
        let takes = |id: &FrameworkId| {
            let framework = self.frameworks.get(id)?;
            if only_for_gpus && !framework.takes_gpu_agents() {
                return None;
            }
            let offered = framework.understood(free);
            let worth = framework.minimum(role, &self.options.min_allocatable);
            let wanted =
                !offered.is_empty() && worth.is_met_by(&offered) && !refusals.block(id, &offered);
            wanted.then(|| offered.into_owned())
        };
        let mut taking = frameworks.iter().enumerate();
        taking.find_map(|(at, id)| takes(id).map(|offered| (at, offered)))
    }

    /// Books an allocation.
    fn give(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
    ) -> Allocation {
        let resources = offered.allocate(role);
        if let Some(ledger) = self.agents.get_mut(agent) {
            debug_assert!(
                ledger.available().contains(offered),
                "AL-1 offered <= available"
            );
            ledger.take(framework, &resources);
        }
        self.roles.allocated(framework, &resources);
        let (framework, role, agent) = (framework.clone(), role.clone(), agent.clone());
        Allocation {
            framework,
            role,
            agent,
            resources,
        }
    }
}
