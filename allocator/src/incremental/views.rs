//! What people and metrics see. Shares are exact here, from what is held and the total.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{FrameworkId, Quantities, Role};

use super::{IncrementalDrf, names::Amounts};
use crate::{
    allocator::{FrameworkView, RoleView},
    share::{Share, Weight},
};

impl IncrementalDrf {
    pub(super) fn role_views(&self) -> BTreeMap<Role, RoleView> {
        let mut members = BTreeMap::<&Role, BTreeSet<FrameworkId>>::new();
        for seat in self.roles.seats() {
            let id = self.members.get(seat.framework).id.clone();
            members.entry(&seat.role).or_default().insert(id);
        }
        let shown = members.keys().copied().chain(self.roles.weights().keys());
        let shown = shown.chain(self.quota.all().keys());
        let shown: BTreeSet<Role> = shown
            .flat_map(|role| std::iter::once(role.clone()).chain(role.ancestors()))
            .collect();
        let fair = self.names.fair(&self.total);
        let mut consumed = self.consumed(self.quota.all().keys());
        let view = |role: Role| {
            let frameworks = members.get(&role).cloned().unwrap_or_default();
            let mut view = self.role_view(&role, frameworks, &fair);
            view.consumed = consumed.remove(&role).unwrap_or_default();
            (role, view)
        };
        shown.into_iter().map(view).collect()
    }

    fn role_view(
        &self,
        role: &Role,
        frameworks: BTreeSet<FrameworkId>,
        fair: &Amounts,
    ) -> RoleView {
        let weight = self.roles.weights().get(role).copied().unwrap_or_default();
        let held = self.roles.held_in(role).copied().unwrap_or_default();
        RoleView {
            weight,
            dominant_share: share(&held, fair, weight),
            frameworks,
            allocated: self.names.quantities(&held),
            quota: self.quota.all().get(role).cloned().unwrap_or_default(),
            consumed: Quantities::new(),
        }
    }

    pub(super) fn framework_views(&self) -> BTreeMap<FrameworkId, FrameworkView> {
        let fair = self.names.fair(&self.total);
        let views = self.members.iter().map(|member| {
            let mut view = FrameworkView {
                active: member.state.active,
                suppressed: member.state.suppressed.clone(),
                ..FrameworkView::default()
            };
            for (role, &seat) in &member.seats {
                let held = self.roles.held(seat);
                let share = share(held, &fair, Weight::ONE);
                view.shares.insert(role.clone(), share);
                let held = self.names.quantities(held);
                view.allocated.insert(role.clone(), held);
            }
            (member.id.clone(), view)
        });
        views.collect()
    }
}

/// The weighted dominant share of `held`.
fn share(held: &Amounts, fair: &Amounts, weight: Weight) -> Share {
    let parts = held.iter().zip(fair);
    parts
        .filter_map(|(&held, &total)| Share::of(held, total, weight))
        .max()
        .unwrap_or_default()
}
