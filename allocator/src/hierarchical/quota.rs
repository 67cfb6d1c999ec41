//! A run while some role has a quota: two stages over the candidates. The rules: [`crate::quota`].
//!
//! What is consumed and what is free is counted anew from the ledgers for each run.

use std::collections::BTreeMap;

use tepui_protocol::{AgentId, FrameworkId, Quantities, Quota, Resources, Role};

use super::{Agent, Hierarchical};
use crate::{
    allocator::{Allocation, RoleView},
    quota::{self, Amounts, Portion, QuotaError, Stage, Standing, Tree},
    sorter::Sorter,
};

/// What has been consumed, and what the whole cluster has free.
struct Count {
    tree: Tree,
    free: Amounts,
}

impl Count {
    fn give(&mut self, role: &Role, offered: &Resources) {
        self.tree.hold(role, offered);
        self.free = quota::minus(&self.free, &self.tree.counted(offered));
    }
}

impl<R: Sorter<Role>, F: Sorter<FrameworkId>> Hierarchical<R, F> {
    /// Runs over these agents, which are offerable and shuffled.
    pub(super) fn run_with_quota(&mut self, mut candidates: Vec<AgentId>) -> Vec<Allocation> {
        let mut count = self.count();
        let mut allocations = Vec::new();
        for agent in &candidates {
            self.carry_out(Stage::Guarantees, agent, &mut count, &mut allocations);
        }
        self.shuffle(&mut candidates);
        for agent in &candidates {
            self.carry_out(Stage::FairShare, agent, &mut count, &mut allocations);
        }
        quota::merge(allocations)
    }

    fn count(&self) -> Count {
        let mut tree = Tree::new(&self.quotas);
        let mut free = Amounts::default();
        for agent in self.agents.values() {
            tree.reserve(agent.total());
            for (role, part) in held(agent) {
                tree.hold(&role, &part);
            }
            if agent.active {
                free = quota::plus(&free, &tree.counted(agent.available()));
            }
        }
        Count { tree, free }
    }

    /// One stage on one agent.
    fn carry_out(
        &mut self,
        stage: Stage,
        agent: &AgentId,
        count: &mut Count,
        allocations: &mut Vec<Allocation>,
    ) {
        for role in self.roles.sorter.sort().iter() {
            let frameworks = self.roles.frameworks.get_mut(role).map(Sorter::sort);
            for id in frameworks.unwrap_or_default().iter() {
                if let Some(offered) = self.portion(stage, id, role, agent, count) {
                    count.give(role, &offered);
                    allocations.push(self.give(id, role, agent, &offered));
                }
            }
        }
    }

    /// What a framework is to be offered of what is left on an agent.
    fn portion(
        &self,
        stage: Stage,
        id: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        count: &Count,
    ) -> Option<Resources> {
        let free = self.agents[agent].available().allocatable_to(role);
        let usable = self.understood(id, role, agent, &free)?;
        let portion = Portion {
            tree: &count.tree,
            free: &count.free,
            role,
            account: count.tree.account(role),
        };
        let offered = portion.of(stage, &usable);
        self.wants(id, role, agent, &offered).then_some(offered)
    }

    pub(super) fn change_quota(
        &mut self,
        role: &Role,
        quota: Quota,
        force: bool,
    ) -> Result<(), QuotaError> {
        let standing = match force {
            true => Standing::default(),
            false => self.standing(role),
        };
        quota::check(role, &quota, &self.quotas, &standing, force)?;
        if quota.is_default() {
            self.quotas.remove(role);
        } else {
            self.quotas.insert(role.clone(), quota);
        }
        Ok(())
    }

    fn standing(&self, role: &Role) -> Standing {
        let totals = self
            .agents
            .values()
            .map(|agent| agent.total().non_revocable().quantities());
        Standing {
            capacity: totals.fold(Quantities::new(), |sum, total| sum + &total),
            consumed: self.consumed([role]).remove(role).unwrap_or_default(),
        }
    }

    fn consumed<'a>(
        &self,
        roles: impl IntoIterator<Item = &'a Role>,
    ) -> BTreeMap<Role, Quantities> {
        let books = |agent| -> quota::Books<'_> { (Agent::total(agent), held(agent)) };
        quota::consumed(roles, self.agents.values().map(books))
    }

    pub(super) fn role_views(&self) -> BTreeMap<Role, RoleView> {
        let mut views = self.roles.views(self.quotas.keys());
        let mut consumed = self.consumed(self.quotas.keys());
        for (role, quota) in &self.quotas {
            let view = views.entry(role.clone()).or_default();
            view.quota = quota.clone();
            view.consumed = consumed.remove(role).unwrap_or_default();
        }
        views
    }
}

/// What is held of an agent, by role.
fn held(agent: &Agent) -> Vec<(Role, Resources)> {
    agent
        .used()
        .values()
        .flat_map(Resources::allocations)
        .collect()
}
