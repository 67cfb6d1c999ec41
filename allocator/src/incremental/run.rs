//! One run: who gets what is free on the candidate agents.
//!
//! ```text
//!  for each candidate (active, listed, with something free), shuffled:
//!    for each seat, in the tree's order:
//!      offer all that is free, usable and understood, unless it is below the minimum or refused
//! ```
//! Shares move with every allocation. Most often the first who wants anything takes all; only where something
//! is left are the other seats listed, in the order that held before.
//!
//= mesos, allocator: second stage of an allocation run

use rand::seq::SliceRandom;
use tepui_protocol::{Resource, Resources};

use super::{IncrementalDrf, roles::Seat};
use crate::{allocator::Allocation, hierarchical::GpuAgents};

/// What a seat takes of what is available on an agent.
enum Taken {
    All,
    Part(Resources),
}

impl IncrementalDrf {
    /// Runs over these agents.
    pub(super) fn run(&mut self, mut candidates: Vec<u32>) -> Vec<Allocation> {
        self.runs += 1;
        if std::mem::take(&mut self.resized) {
            self.roles.set_total(&self.names.fair(&self.total));
        }
        candidates.retain(|&number| self.is_offerable(number));
        self.shuffle(&mut candidates);
        if self.quota.is_set() {
            return self.run_with_quota(candidates);
        }
        let mut allocations = Vec::with_capacity(candidates.len());
        for agent in candidates {
            self.share_out(agent, &mut allocations);
        }
        allocations
    }

    pub(super) fn shuffle(&mut self, candidates: &mut [u32]) {
        match &mut self.shuffle {
            Some(rng) => candidates.shuffle(rng),
            None => self.agents.sort(candidates),
        }
    }

    fn is_offerable(&self, number: u32) -> bool {
        let is_listed = |listed| self.agents.get(number).is_listed(Some(listed));
        self.agents.is_open(number) && self.whitelist.as_ref().is_none_or(is_listed)
    }

    /// Offers what is free on one agent.
    fn share_out(&mut self, agent: u32, allocations: &mut Vec<Allocation>) {
        let first = self.roles.find(|number, seat| {
            let taken = self.taken_by(number, seat, agent)?;
            Some((number, taken))
        });
        let Some((first, taken)) = first else {
            return;
        };
        if let Taken::All = taken {
            allocations.push(self.give(first, agent, None));
            return;
        }
        let mut order = Vec::new();
        let all = |number, _: &Seat| {
            order.push(number);
            None::<()>
        };
        self.roles.find(all);
        for number in order {
            match self.taken_by(number, self.roles.get(number), agent) {
                None => {}
                Some(Taken::Part(part)) => {
                    allocations.push(self.give(number, agent, Some(part)));
                }
                Some(Taken::All) => {
                    allocations.push(self.give(number, agent, None));
                    return;
                }
            }
        }
    }

    /// What a seat is to be offered of an agent.
    fn taken_by(&self, number: u32, seat: &Seat, agent_number: u32) -> Option<Taken> {
        let agent = self.agents.get(agent_number);
        let framework = &self.members.get(seat.framework).state;
        let only_for_gpus = self.options.gpu_agents == GpuAgents::ForGpuFrameworks;
        if only_for_gpus && agent.has_gpus() && !framework.takes_gpu_agents() {
            return None;
        }
        if !agent.is_taken_by(framework, &seat.role, self.options.region.as_deref()) {
            return None;
        }
        let usable =
            |entry: &Resource| entry.is_allocatable_to(&seat.role) && framework.understands(entry);
        let worth = framework.minimum(&seat.role, &self.options.min_allocatable);
        let wanted = |offered: &Resources| {
            !offered.is_empty()
                && worth.is_met_by(offered)
                && !self.filters.block(number, agent_number, offered)
        };
        let available = agent.available();
        if available.iter().all(usable) {
            return wanted(available).then_some(Taken::All);
        }
        let part = available.filter(usable);
        wanted(&part).then_some(Taken::Part(part))
    }

    /// Books an allocation.
    fn give(&mut self, number: u32, agent: u32, part: Option<Resources>) -> Allocation {
        let seat = self.roles.get(number);
        let (holder, role) = (seat.framework, seat.role.clone());
        let framework = self.members.get(holder).id.clone();
        let give = |agent: &mut super::agents::Agent| agent.give(&framework, &role, part);
        let resources = self.agents.change(agent, give);
        let amounts = self.names.amounts(&resources);
        self.roles.hold(number, &amounts);
        self.roles.serve(number, self.runs);
        self.members.get_mut(holder).holds_of(agent);
        Allocation {
            framework,
            role,
            agent: self.agents.get(agent).id.clone(),
            resources,
        }
    }
}
