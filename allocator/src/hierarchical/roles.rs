//! The role sorter, one framework sorter per role, and what they must be told together.
//!
//! A framework is *tracked* in a role while it is subscribed to it or still holds scalars in it. A role
//! exists here while a framework is tracked in it. All sorters measure against the whole cluster.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{FrameworkId, Quantities, Resources, Role};

use crate::{
    allocator::RoleView,
    share::{Share, Weight},
    sorter::Sorter,
};

#[derive(Clone, Debug)]
pub(super) struct Roles<R, F> {
    pub(super) sorter: R,
    pub(super) frameworks: BTreeMap<Role, F>,
    members: BTreeMap<Role, BTreeSet<FrameworkId>>,
    weights: BTreeMap<Role, Weight>,
    total: Quantities,
    excluded: BTreeSet<String>,
}

impl<R: Sorter<Role>, F: Sorter<FrameworkId>> Roles<R, F> {
    pub(super) fn new(excluded: BTreeSet<String>) -> Self {
        Self {
            sorter: R::new(&excluded),
            frameworks: BTreeMap::new(),
            members: BTreeMap::new(),
            weights: BTreeMap::new(),
            total: Quantities::new(),
            excluded,
        }
    }

    /// Adds to and takes from what the cluster has.
    pub(super) fn resize(&mut self, gone: &Resources, come: &Resources) {
        let before = self.total.clone();
        self.total -= &gone.quantities();
        self.total += &come.quantities();
        if self.total != before {
            self.sorter.set_total(&self.total);
            self.frameworks
                .values_mut()
                .for_each(|sorter| sorter.set_total(&self.total));
        }
    }

    /// Tracks a framework in a role, inactive at first.
    pub(super) fn track(&mut self, role: &Role, framework: &FrameworkId) {
        if self
            .frameworks
            .get(role)
            .is_some_and(|sorter| sorter.contains(framework))
        {
            return;
        }
        if !self.frameworks.contains_key(role) {
            let mut sorter = F::new(&self.excluded);
            sorter.set_total(&self.total);
            self.frameworks.insert(role.clone(), sorter);
            self.sorter.add(role);
            self.sorter.activate(role);
        }
        if let Some(sorter) = self.frameworks.get_mut(role) {
            sorter.add(framework);
            self.members
                .entry(role.clone())
                .or_default()
                .insert(framework.clone());
        }
    }

    /// Forgets a framework in a role that it left, unless it still holds something there.
    pub(super) fn untrack_if_idle(&mut self, role: &Role, framework: &FrameworkId) {
        let Some(sorter) = self.frameworks.get_mut(role) else {
            return;
        };
        if !sorter.held(framework.as_str()).is_empty() {
            return;
        }
        sorter.remove(framework);
        if let Some(members) = self.members.get_mut(role) {
            members.remove(framework);
        }
        if sorter.is_empty() {
            self.frameworks.remove(role);
            self.members.remove(role);
            self.sorter.remove(role);
        }
    }

    /// Includes the framework in the role's order, or leaves it out.
    pub(super) fn set_active(&mut self, role: &Role, framework: &FrameworkId, active: bool) {
        let Some(sorter) = self.frameworks.get_mut(role) else {
            return;
        };
        if active {
            sorter.activate(framework);
        } else {
            sorter.deactivate(framework);
        }
    }

    /// Books what a framework got, as one allocation per role.
    pub(super) fn allocated(&mut self, framework: &FrameworkId, resources: &Resources) {
        for (role, resources) in resources.allocations() {
            self.track(&role, framework);
            let amounts = resources.quantities();
            self.sorter.allocated(&role, &amounts);
            if let Some(sorter) = self.frameworks.get_mut(&role) {
                sorter.allocated(framework, &amounts);
            }
        }
    }

    /// Books what a framework gave back.
    pub(super) fn unallocated(&mut self, framework: &FrameworkId, resources: &Resources) {
        for (role, resources) in resources.allocations() {
            let amounts = resources.quantities();
            self.sorter.unallocated(&role, &amounts);
            if let Some(sorter) = self.frameworks.get_mut(&role) {
                sorter.unallocated(framework, &amounts);
            }
        }
    }

    pub(super) fn set_weight(&mut self, role: &Role, weight: Weight) {
        self.sorter.set_weight(role.as_str(), weight);
        self.weights.insert(role.clone(), weight);
    }

    /// The roles in which the framework is tracked.
    pub(super) fn of(&self, framework: &FrameworkId) -> Vec<Role> {
        let has = |members: &BTreeSet<FrameworkId>| members.contains(framework);
        self.members
            .iter()
            .filter(|(_, m)| has(m))
            .map(|(role, _)| role.clone())
            .collect()
    }

    /// What the framework holds in `role`, and its share of the cluster.
    pub(super) fn standing(&self, role: &Role, framework: &FrameworkId) -> (Quantities, Share) {
        let Some(sorter) = self.frameworks.get(role) else {
            return Default::default();
        };
        (
            sorter.held(framework.as_str()),
            sorter.share(framework.as_str()),
        )
    }

    /// The roles with frameworks or a weight, `more`, and those above them.
    pub(super) fn views<'a>(
        &'a self,
        more: impl Iterator<Item = &'a Role>,
    ) -> BTreeMap<Role, RoleView> {
        let shown: BTreeSet<Role> = self
            .frameworks
            .keys()
            .chain(self.weights.keys())
            .chain(more)
            .flat_map(|role| std::iter::once(role.clone()).chain(role.ancestors()))
            .collect();
        shown
            .into_iter()
            .map(|role| (role.clone(), self.view(&role)))
            .collect()
    }

    fn view(&self, role: &Role) -> RoleView {
        RoleView {
            weight: self.weights.get(role).copied().unwrap_or_default(),
            dominant_share: self.sorter.share(role.as_str()),
            frameworks: self.members.get(role).cloned().unwrap_or_default(),
            allocated: self.sorter.held(role.as_str()),
            ..RoleView::default()
        }
    }
}
