//! One run: who gets what is free on the candidate agents.
//!
//! ```text
//!  for each candidate (known, active, listed), shuffled:
//!    for each role, the smallest share first:
//!      for each framework of the role, the smallest share first:
//!        offer all that is free, usable and understood, unless it is below the minimum or refused
//! ```
//! Shares move with every allocation. This is all there is to it while no role has a quota; else see
//! `quota.rs`.
//!
//= mesos, allocator: second stage of an allocation run

use std::borrow::Cow;

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
        self.shuffle(&mut candidates);
        if !self.quotas.is_empty() {
            return self.run_with_quota(candidates);
        }
        let mut allocations = Vec::new();
        for agent in &candidates {
            self.share_out(agent, &mut allocations);
        }
        allocations
    }

    pub(super) fn shuffle(&mut self, candidates: &mut [AgentId]) {
        if let Some(rng) = &mut self.shuffle {
            candidates.shuffle(rng);
        }
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
        let takes = |id: &FrameworkId| {
            let offered = self.understood(id, role, agent, free)?;
            let wanted = self.wants(id, role, agent, &offered);
            wanted.then(|| offered.into_owned())
        };
        let mut taking = frameworks.iter().enumerate();
        taking.find_map(|(at, id)| takes(id).map(|offered| (at, offered)))
    }

    /// What a framework understands of what is free on an agent, unless it takes no such agents.
    pub(super) fn understood<'a>(
        &self,
        id: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        free: &'a Resources,
    ) -> Option<Cow<'a, Resources>> {
        let framework = self.frameworks.get(id)?;
        let only_for_gpus =
            self.options.gpu_agents == GpuAgents::ForGpuFrameworks && self.agents[agent].has_gpus();
        let takes = (!only_for_gpus || framework.takes_gpu_agents())
            && self.agents[agent].is_taken_by(framework, role, self.options.region.as_deref());
        takes.then(|| framework.understood(free))
    }

    /// Whether a framework is to be offered this: it is worth it, and was not refused.
    pub(super) fn wants(
        &self,
        id: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
    ) -> bool {
        let worth = self.frameworks[id].minimum(role, &self.options.min_allocatable);
        let refusals = self.filters.on(agent, role);
        !offered.is_empty() && worth.is_met_by(offered) && !refusals.block(id, offered)
    }

    /// Books an allocation.
    pub(super) fn give(
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
