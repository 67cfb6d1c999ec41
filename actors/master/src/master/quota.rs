//! Quotas: set by operators, kept in the registry, carried out by the allocator.
//!
//! ```text
//!   UpdateQuota --> check --> write --> allocator: SetQuota --> rescind offers that are in the way
//! ```
//! After a restart with quotas, nothing is offered until four fifths of the agents that the registry knows are
//! back, or their time is over: what is free on the first ones may be what a guarantee needs.
//
//= mesos, allocator: quota recovery

use std::collections::BTreeSet;

use tepui_allocator::quota::{self, Standing};
use tepui_protocol::{
    AgentId, Offer, OfferId, Quantities, Quota, Resource, Resources, Role, Timestamp,
    messages::operator::UpdateQuota, service::ServiceClass,
};

use super::{Agent, Master, after, registry};
use crate::effects::{Call, Effect, Effects, Outcome, Timer};

/// Agents that the registry knows and that are not back, while offers wait for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaited {
    absent: BTreeSet<AgentId>,
    /// So many may stay away.
    tolerated: usize,
}

impl Awaited {
    fn is_over(&self) -> bool {
        self.absent.len() <= self.tolerated
    }
}

impl Master {
    /// Sets or takes away a role's quota.
    pub fn on_update_quota(
        &mut self,
        _now: Timestamp,
        call: UpdateQuota,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.update_quota(call, out);
        out.push(Effect::Answer { token, outcome });
    }

    fn update_quota(&mut self, call: UpdateQuota, out: &mut Effects) -> Outcome {
        let UpdateQuota { role, quota, force } = call;
        if quota.is_default() && !self.quotas.contains_key(&role) {
            return Err(format!(
                "role {role} has no quota; see `tepui quota` for those that have"
            ));
        }
        let standing = Standing {
            capacity: self.capacity(),
            consumed: self.consumed(&role),
        };
        let checked = quota::check(&role, &quota, &self.quotas_with(|_| true), &standing, force);
        checked.map_err(|error| error.to_string())?;
        registry::keep_quota(&role, &quota, out);
        if quota.is_default() {
            self.quotas.remove(&role);
        } else {
            self.quotas.insert(role.clone(), quota.clone());
        }
        self.tell_quota(&role, out);
        for id in self.offers_in_the_way(&role, &quota) {
            self.rescind(&id, out);
        }
        Ok(())
    }

    /// The offers that the role has beyond its limits, and those of others that could be what its guarantee
    /// lacks.
    pub(super) fn offers_in_the_way(&self, role: &Role, quota: &Quota) -> Vec<OfferId> {
        let (own, others): (Vec<&Offer>, Vec<&Offer>) = self
            .offers
            .values()
            .partition(|offer| is_within(role, &offer.role));
        let counted = |offer: &Offer| offer.resources.filter(quota::is_counted).quantities();
        let held = own
            .iter()
            .fold(self.consumed(role), |sum, offer| sum + &counted(offer));
        let mut beyond = held.clone();
        let mut lacks = quota.guarantees.clone() - &held - &self.free();
        let is_over = |held: &Quantities| quota.limits.exceeded_by(held).is_some();
        let mut ids = Vec::new();
        for offer in own {
            let part = counted(offer);
            let helps = quota
                .limits
                .iter()
                .any(|(name, most)| beyond.get(name) > most && !part.get(name).is_zero());
            if is_over(&beyond) && helps {
                beyond -= &part;
                ids.push(offer.id.clone());
            }
        }
        for offer in others
            .into_iter()
            .filter(|offer| !self.is_guaranteed(&offer.role))
        {
            let part = counted(offer);
            if lacks.iter().any(|(name, _)| !part.get(name).is_zero()) {
                lacks -= &part;
                ids.push(offer.id.clone());
            }
        }
        ids
    }

    /// Whether offers to the role may be what it, or a role above it, is guaranteed.
    pub(super) fn is_guaranteed(&self, role: &Role) -> bool {
        let mut all = std::iter::once(role.clone()).chain(role.ancestors());
        all.any(|role| {
            let hard = self.levels.get(&role);
            hard.is_some_and(|level| level.class == ServiceClass::Hard && !level.spent)
                || self
                    .quotas
                    .get(&role)
                    .is_some_and(|quota| !quota.guarantees.is_empty())
        })
    }

    /// What a role consumes of its quota.
    pub(super) fn consumed(&self, role: &Role) -> Quantities {
        let mut sum = Quantities::new();
        for agent in self.agents.values() {
            let reserved = |entry: &Resource| {
                !entry.revocable
                    && entry
                        .reserved_to()
                        .is_some_and(|owner| is_within(role, owner))
            };
            sum += &agent.info.resources.filter(reserved).quantities();
            let used = |entry: &Resource| {
                let account = entry.allocation.as_ref();
                quota::is_counted(entry) && account.is_some_and(|other| is_within(role, other))
            };
            let parts = agent
                .used
                .values()
                .map(|part| part.filter(used).quantities());
            parts.for_each(|part| sum += &part);
        }
        sum
    }

    /// What all admitted agents have, also those that are not back after a restart.
    pub(super) fn capacity(&self) -> Quantities {
        let amounts = |agent: &Agent| agent.info.resources.non_revocable().quantities();
        self.agents
            .values()
            .fold(Quantities::new(), |sum, agent| sum + &amounts(agent))
    }

    /// What of active agents is neither used nor offered, as far as quota counts it.
    fn free(&self) -> Quantities {
        let active = self.agents.values().filter(|agent| agent.is_active());
        let free = active.map(|agent| agent.available().filter(quota::is_counted));
        free.fold(Quantities::new(), |sum, free: Resources| {
            sum + &free.quantities()
        })
    }

    /// Tells an allocator that knows nothing.
    pub(super) fn tell_quotas(&self, out: &mut Effects) {
        for (role, quota) in self.effective_quotas() {
            out.push(Effect::Allocator(Call::SetQuota { role, quota }));
        }
        if !self.awaited.is_over() {
            out.push(Effect::Allocator(Call::Pause));
        }
    }

    /// After a start: waits for agents, if there are quotas to keep.
    pub(super) fn await_agents(&mut self) {
        if !self.effective_quotas().is_empty() {
            let absent: BTreeSet<AgentId> = self.agents.keys().cloned().collect();
            let tolerated = absent.len() - absent.len() * 4 / 5;
            self.awaited = Awaited { absent, tolerated };
        }
    }

    pub(super) fn arm_quota_hold(&self, out: &mut Effects) {
        if !self.awaited.is_over() {
            out.push(after(self.config.quota_hold_timeout, Timer::QuotaHold));
        }
    }

    /// An agent is connected.
    pub(super) fn note_return(&mut self, id: &AgentId, out: &mut Effects) {
        let waited = !self.awaited.is_over();
        self.awaited.absent.remove(id);
        if waited && self.awaited.is_over() {
            out.push(Effect::Allocator(Call::Resume));
        }
    }

    pub(super) fn on_quota_hold_timeout(&mut self, out: &mut Effects) {
        if !self.awaited.is_over() {
            tracing::warn!(
                absent = self.awaited.absent.len(),
                "quotas are kept without these agents"
            );
            self.awaited = Awaited::default();
            out.push(Effect::Allocator(Call::Resume));
        }
    }
}

fn is_within(role: &Role, other: &Role) -> bool {
    other == role || role.is_ancestor_of(other)
}
