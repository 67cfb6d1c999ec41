//! What all roles are to have, and have: whether one of them lacks something.

use std::collections::BTreeMap;

use tepui_allocator::revocation::Holder;
use tepui_protocol::{Resources, Role, messages::operator::FrameworkStanding};

use super::super::{
    Master,
    lanes::{Amounts, NAMES, amounts, counted, plus},
};
use crate::config::RevokeFor;

/// What all roles are to have, and have.
pub(super) struct Standing {
    /// Ascending.
    pub(super) roles: Vec<Role>,
    /// What they use, and are to have.
    pub(super) holders: Vec<Holder<{ NAMES.len() }>>,
    /// What is offered to each, and to those below it.
    pub(super) offered: Vec<Amounts>,
    /// What nobody uses or is offered.
    pub(super) free: Amounts,
}

impl Standing {
    pub(super) fn place(&self, role: &Role) -> Option<usize> {
        self.roles.binary_search(role).ok()
    }

    pub(super) fn lacks(&self, at: usize) -> Amounts {
        let Holder {
            guarantee, held, ..
        } = self.holders[at];
        let offered = self.offered[at];
        std::array::from_fn(|j| {
            guarantee[j]
                .saturating_sub(held[j])
                .saturating_sub(offered[j])
        })
    }

    /// Whether what a role lacks is free.
    pub(super) fn is_served(&self, at: usize) -> bool {
        is_within(&self.lacks(at), &self.free)
    }
}

pub(super) fn is_within(less: &Amounts, more: &Amounts) -> bool {
    less.iter().zip(more).all(|(less, more)| less <= more)
}

impl Master {
    /// Whether somebody in a role, or below it, takes offers.
    pub(super) fn is_eager(&self, role: &Role) -> bool {
        let mut active = self
            .frameworks
            .values()
            .filter(|framework| framework.is_active());
        active.any(|framework| {
            let mut takes = framework.info.roles.difference(&framework.suppressed);
            takes.any(|own| is_own(role, own))
        })
    }

    /// Whether a framework of a role, or of one below it, has not come back since the master started.
    pub(super) fn is_awaited(&self, role: &Role) -> bool {
        let mut recovered = self
            .frameworks
            .values()
            .filter(|framework| framework.standing == FrameworkStanding::Recovered);
        recovered.any(|framework| framework.info.roles.iter().any(|own| is_own(role, own)))
    }

    /// What all roles in use are to have, and have.
    pub(super) fn standing(&self) -> Standing {
        let (mut used, mut offered) = (Sums::default(), Sums::default());
        let books = self.agents.values().flat_map(|agent| agent.used.values());
        for (role, part) in books.flat_map(Resources::allocations) {
            used.add(&role, &counted(&part));
        }
        for offer in self.offers.values() {
            offered.add(&offer.role, &counted(&offer.resources));
        }
        // After a restart, those who have not come back yet count as well.
        let present = self.frameworks.values().filter(|framework| {
            framework.is_active() || framework.standing == FrameworkStanding::Recovered
        });
        let named = present.flat_map(|framework| &framework.info.roles);
        for role in named.chain(self.quotas.keys()).chain(self.levels.keys()) {
            used.add(role, &Amounts::default());
        }
        let (mut free, mut capacity) = (Amounts::default(), Amounts::default());
        for agent in self.agents.values().filter(|agent| agent.is_active()) {
            plus(&mut free, &counted(&agent.available()));
            plus(&mut capacity, &counted(&agent.info.resources));
        }
        let quotas = self.effective_quotas();
        let shares = self.fair_shares(used.0.keys(), &capacity);
        // A role comes before those below it: `a` before `a/b`.
        let roles: Vec<Role> = used.0.keys().cloned().collect();
        let holders = roles.iter().map(|role| {
            let above = role.ancestors().next();
            let guarantees = quotas.get(role).map(|quota| amounts(&quota.guarantees));
            let mut guarantee = guarantees.unwrap_or_default();
            if let Some(share) = shares.get(role) {
                guarantee = std::array::from_fn(|j| guarantee[j].max(share[j]));
            }
            Holder {
                above: above.and_then(|above| roles.binary_search(&above).ok()),
                guarantee,
                held: used.of(role),
            }
        });
        Standing {
            holders: holders.collect(),
            offered: roles.iter().map(|role| offered.of(role)).collect(),
            roles: roles.clone(),
            free,
        }
    }

    /// Fair shares of top-level roles in use, if revocation is for them.
    fn fair_shares<'a>(
        &self,
        roles: impl Iterator<Item = &'a Role>,
        capacity: &Amounts,
    ) -> BTreeMap<Role, Amounts> {
        if self.config.revoke_for == RevokeFor::Guarantee {
            return BTreeMap::new();
        }
        let tops: Vec<&Role> = roles
            .filter(|role| role.ancestors().next().is_none())
            .collect();
        let weight =
            |role: &Role| u128::from(self.weights.get(role).copied().unwrap_or_default().milli());
        let all: u128 = tops.iter().map(|role| weight(role)).sum();
        let share = |role: &Role| {
            capacity.map(|all_of| {
                let part = u128::from(all_of) * weight(role) / all.max(1);
                u64::try_from(part).unwrap_or(u64::MAX)
            })
        };
        tops.into_iter()
            .map(|role| (role.clone(), share(role)))
            .collect()
    }
}

/// Whether a role is `role` or below it.
pub(super) fn is_own(role: &Role, other: &Role) -> bool {
    other == role || role.is_ancestor_of(other)
}

/// Amounts by role, those below included.
#[derive(Default)]
struct Sums(BTreeMap<Role, Amounts>);

impl Sums {
    fn add(&mut self, role: &Role, amounts: &Amounts) {
        for role in role.ancestors().chain([role.clone()]) {
            plus(self.0.entry(role).or_default(), amounts);
        }
    }

    fn of(&self, role: &Role) -> Amounts {
        self.0.get(role).copied().unwrap_or_default()
    }
}
