//! What is set as quota, and what is consumed of it, kept up with the ledgers.
//!
//! While no role has a quota, nothing is counted. After a change everything is counted anew, before the next
//! run.

use std::collections::BTreeMap;

use tepui_protocol::{FrameworkId, Quantities, Quota, Resources, Role};

use super::{
    IncrementalDrf,
    agents::{Agent, by_account},
};
use crate::quota::{self, QuotaError, Quotas, Standing, Tree};

/// The quotas, and what has been consumed.
#[derive(Clone, Debug, Default)]
pub(super) struct QuotaBook {
    all: Quotas,
    /// Up to date; none while there is no quota, and between a change and the next run.
    tree: Option<Tree>,
}

impl QuotaBook {
    pub(super) fn is_set(&self) -> bool {
        !self.all.is_empty()
    }

    pub(super) fn all(&self) -> &Quotas {
        &self.all
    }

    pub(super) fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// These resources, allocated to roles, are held from now on.
    pub(super) fn hold(&mut self, resources: &Resources) {
        if let Some(tree) = &mut self.tree {
            for (role, part) in by_account(resources) {
                role.into_iter().for_each(|role| tree.hold(role, &part));
            }
        }
    }

    /// These resources, allocated to roles, are free again.
    pub(super) fn release(&mut self, resources: &Resources) {
        if self.tree.is_some() {
            for (role, part) in by_account(resources) {
                self.release_of(role, &part);
            }
        }
    }

    pub(super) fn release_of(&mut self, role: Option<&Role>, part: &Resources) {
        if let (Some(tree), Some(role)) = (&mut self.tree, role) {
            tree.release(role, part);
        }
    }

    /// A framework will hold nothing of an agent any more.
    pub(super) fn forget_holder(&mut self, agent: &Agent, id: &FrameworkId) {
        if self.tree.is_some() {
            for held in agent.used().iter().filter(|held| held.framework == *id) {
                self.release_of(held.role.as_ref(), &held.resources);
            }
        }
    }

    /// An agent has this instead of that.
    pub(super) fn resize(&mut self, before: &Resources, after: &Resources) {
        if let Some(tree) = &mut self.tree {
            tree.unreserve(before);
            tree.reserve(after);
        }
    }
}

impl IncrementalDrf {
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
        quota::check(role, &quota, &self.quota.all, &standing, force)?;
        if quota.is_default() {
            self.quota.all.remove(role);
        } else {
            self.quota.all.insert(role.clone(), quota);
        }
        self.quota.tree = None;
        self.agents.meter(None);
        Ok(())
    }

    fn standing(&self, role: &Role) -> Standing {
        let totals = self
            .agents
            .iter()
            .map(|agent| agent.total().non_revocable().quantities());
        Standing {
            capacity: totals.fold(Quantities::new(), |sum, total| sum + &total),
            consumed: self.consumed([role]).remove(role).unwrap_or_default(),
        }
    }

    pub(super) fn consumed<'a>(
        &self,
        roles: impl IntoIterator<Item = &'a Role>,
    ) -> BTreeMap<Role, Quantities> {
        let roles: Vec<&Role> = roles.into_iter().collect();
        if roles.is_empty() {
            return BTreeMap::new();
        }
        let books = |agent| -> quota::Books<'_> { (Agent::total(agent), held(agent)) };
        quota::consumed(roles, self.agents.iter().map(books))
    }

    /// Counts what is consumed and free, if a quota has changed since.
    pub(super) fn count(&mut self) {
        if self.quota.tree.is_some() || !self.quota.is_set() {
            return;
        }
        let mut tree = Tree::new(&self.quota.all);
        for agent in self.agents.iter() {
            tree.reserve(agent.total());
            for held in agent.used() {
                held.role
                    .iter()
                    .for_each(|role| tree.hold(role, &held.resources));
            }
        }
        self.agents.meter(Some(tree.lanes().clone()));
        self.quota.tree = Some(tree);
    }
}

/// What is held of an agent, by role.
fn held(agent: &Agent) -> Vec<(Role, Resources)> {
    let held = agent.used().iter();
    let by_role = held.filter_map(|held| Some((held.role.clone()?, held.resources.clone())));
    by_role.collect()
}
