//! Offers are made of what the allocator grants, and end: used, declined, rescinded.
//!
//! Every offer is in three books at once: the master's, its agent's and its framework's. It never
//! outlives the connection of either.

use std::{collections::BTreeMap, time::Duration};

use tepui_allocator::{Allocation, Counters};
use tepui_protocol::{
    AgentId, FrameworkId, Offer, OfferId, Timestamp,
    messages::scheduler::{Decline, Offers, Rescind, Revive, Suppress},
};

use super::{Master, after};
use crate::effects::{Call, Effect, Effects, Letter, Timer};

/// Resources that the allocator grants to a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What to whom.
    pub allocation: Allocation,
    /// The ledger of the agent that the allocator took it from; see [`Call::AddAgent`].
    pub ledger: u64,
}

/// What to do with resources that were granted a moment ago.
enum Fate {
    Offer,
    /// Until there are enough for all of a gang.
    Keep,
    /// The allocator has forgotten them, or will before it does anything else.
    Void,
    /// The framework or the agent is away.
    GiveBack,
}

impl Master {
    /// The allocator grants resources; what changed since it was told last decides what becomes of
    /// them. `counters` are the allocator's.
    pub fn on_allocated(
        &mut self,
        now: Timestamp,
        granted: Vec<Granted>,
        counters: &Counters,
        out: &mut Effects,
    ) {
        self.metrics
            .set("allocator/mesos/allocation_runs", counters.runs);
        self.metrics.set(
            "allocator/backed_off_frameworks",
            counters.backed_off as u64,
        );
        let mut offers: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        for Granted { allocation, ledger } in granted {
            match self.fate(&allocation, ledger) {
                Fate::Keep => {
                    let offer = self.make_offer(allocation, out);
                    self.gather(now, &offer);
                }
                Fate::Offer => {
                    let offer = self.make_offer(allocation, out);
                    offers
                        .entry(offer.framework_id.clone())
                        .or_default()
                        .push(offer);
                }
                Fate::Void => {}
                Fate::GiveBack => out.push(Effect::Allocator(Call::Recover {
                    framework: allocation.framework,
                    agent: allocation.agent,
                    resources: allocation.resources,
                    refused: Some(Duration::ZERO),
                })),
            }
        }
        for (framework_id, offers) in offers {
            for offer in &offers {
                self.waits.end(now, &framework_id, &offer.role);
            }
            if let Some(framework) = self.frameworks.get(&framework_id) {
                framework.send(Offers { offers }, out);
            }
        }
        self.settle_gangs(now, out);
    }

    fn fate(&self, allocation: &Allocation, ledger: u64) -> Fate {
        let framework = self.frameworks.get(&allocation.framework);
        let agent = self
            .agents
            .get(&allocation.agent)
            .filter(|agent| agent.ledger == ledger);
        let (Some(framework), Some(agent)) = (framework, agent) else {
            return Fate::Void;
        };
        let wanted = framework.is_active() && framework.info.roles.contains(&allocation.role);
        let free = || {
            agent
                .available()
                .contains(&allocation.resources.unallocate())
        };
        let open = agent.is_active() && !self.is_drained(&allocation.agent);
        if !wanted || !open || !free() {
            return Fate::GiveBack;
        }
        let Allocation {
            framework, role, ..
        } = allocation;
        match self.gang(framework, role).is_some() {
            false => Fate::Offer,
            true => Fate::Keep,
        }
    }

    fn make_offer(&mut self, allocation: Allocation, out: &mut Effects) -> Offer {
        let id = OfferId::nth(&self.id, self.offers_made);
        self.offers_made += 1;
        self.metrics.count("master/offers_made");
        let agent = self
            .agents
            .get_mut(&allocation.agent)
            .expect("its fate was checked");
        let unavailability = self.maintenance.schedule.of(&agent.info.hostname).copied();
        let offer = Offer {
            id: id.clone(),
            framework_id: allocation.framework,
            agent_id: allocation.agent,
            hostname: agent.info.hostname.clone(),
            role: allocation.role,
            resources: allocation.resources,
            attributes: agent.info.attributes.clone(),
            unavailability,
        };
        agent.offers.insert(id.clone());
        agent.offered += &offer.resources;
        if let Some(framework) = self.frameworks.get_mut(&offer.framework_id) {
            framework.offers.insert(id.clone());
        }
        if let Some(timeout) = self.config.offer_timeout {
            out.push(after(timeout, Timer::Offer(id.clone())));
        }
        self.offers.insert(id, offer.clone());
        offer
    }

    /// A framework does not want offers.
    pub fn on_decline(&mut self, _now: Timestamp, call: Decline, out: &mut Effects) {
        for id in &call.offer_ids {
            let own = |offer: &&Offer| {
                offer.framework_id == call.framework_id && !self.gathering.is_hidden(id)
            };
            if self.offers.get(id).filter(own).is_none() {
                continue;
            }
            self.metrics.count("master/offers_declined");
            if let Some(offer) = self.return_offer(id, Some(call.filters.refuse()), out) {
                self.note_decline(&offer);
            }
        }
    }

    /// A framework wants offers again.
    pub fn on_revive(&mut self, now: Timestamp, call: Revive, out: &mut Effects) {
        let Some(framework) = self.frameworks.get_mut(&call.framework_id) else {
            return;
        };
        let roles = framework.roles_meant(&call.roles);
        framework.suppressed.retain(|role| !roles.contains(role));
        self.maintenance.forget_refusals(&call.framework_id);
        if framework.is_active() {
            self.waits.begin(now, &call.framework_id, &roles);
        }
        if !roles.is_empty() {
            let id = call.framework_id.clone();
            out.push(Effect::Allocator(Call::Revive { id, roles }));
        }
    }

    /// A framework wants no offers for now; those it has stay.
    pub fn on_suppress(&mut self, _now: Timestamp, call: Suppress, out: &mut Effects) {
        let Some(framework) = self.frameworks.get_mut(&call.framework_id) else {
            return;
        };
        let roles = framework.roles_meant(&call.roles);
        framework.suppressed.extend(roles.iter().cloned());
        self.waits
            .cancel(&call.framework_id, |role| roles.contains(role));
        if !roles.is_empty() {
            let id = call.framework_id.clone();
            out.push(Effect::Allocator(Call::Suppress { id, roles }));
        }
    }

    /// A message could not be sent: nobody will answer offers, and a task has not begun.
    pub fn on_undelivered(&mut self, now: Timestamp, letter: Letter, out: &mut Effects) {
        match letter {
            Letter::Offers(Offers { offers }) => {
                for offer in offers {
                    self.return_offer(&offer.id, Some(Duration::ZERO), out);
                }
            }
            Letter::RunTask(call) => {
                self.on_tasks_undelivered(now, &call.framework, &[call.task], out);
            }
            Letter::RunGroup(call) => {
                self.on_tasks_undelivered(now, &call.framework, &call.tasks, out);
            }
            Letter::InverseOffers(letter) => self.on_inverse_offers_undelivered(&letter),
            // The receiver notices: by its heartbeats or pings, or because it asks again.
            _ => {}
        }
    }

    pub(super) fn on_offer_timeout(&mut self, id: &OfferId, out: &mut Effects) {
        self.rescind(id, out);
    }

    pub(super) fn rescind_offers_of_agent(&mut self, id: &AgentId, out: &mut Effects) {
        let offers = self
            .agents
            .get(id)
            .map(|agent| agent.offers.clone())
            .unwrap_or_default();
        offers.iter().for_each(|id| self.rescind(id, out));
    }

    pub(super) fn rescind_offers_of_framework(&mut self, id: &FrameworkId, out: &mut Effects) {
        let framework = self.frameworks.get(id);
        let offers = framework
            .map(|framework| framework.offers.clone())
            .unwrap_or_default();
        offers.iter().for_each(|id| self.rescind(id, out));
    }

    /// Withdraws an offer.
    pub(super) fn rescind(&mut self, id: &OfferId, out: &mut Effects) {
        let is_hidden = self.gathering.is_hidden(id);
        let Some(offer) = self.return_offer(id, None, out) else {
            return;
        };
        self.metrics.count("master/offers_rescinded");
        let told = self.frameworks.get(&offer.framework_id);
        if let Some(framework) = told.filter(|_| !is_hidden) {
            framework.send(Rescind { offer_id: offer.id }, out);
        }
    }

    /// Ends an offer; its resources are the allocator's again.
    pub(super) fn return_offer(
        &mut self,
        id: &OfferId,
        refused: Option<Duration>,
        out: &mut Effects,
    ) -> Option<Offer> {
        let offer = self.take_offer(id)?;
        out.push(Effect::Allocator(Call::Recover {
            framework: offer.framework_id.clone(),
            agent: offer.agent_id.clone(),
            resources: offer.resources.clone(),
            refused,
        }));
        Some(offer)
    }

    /// Ends an offer that its framework did not decline: others come before it, for `span`.
    pub(super) fn set_offer_aside(&mut self, id: &OfferId, span: Duration, out: &mut Effects) {
        if let Some(offer) = self.take_offer(id) {
            out.push(Effect::Allocator(Call::SetAside {
                framework: offer.framework_id,
                agent: offer.agent_id,
                resources: offer.resources,
                span,
            }));
        }
    }

    /// Takes an offer out of all books; what becomes of its resources is the caller's.
    pub(super) fn take_offer(&mut self, id: &OfferId) -> Option<Offer> {
        let offer = self.offers.remove(id)?;
        self.gathering.forget(id);
        if let Some(agent) = self.agents.get_mut(&offer.agent_id) {
            agent.offers.remove(id);
            agent.offered -= &offer.resources;
        }
        if let Some(framework) = self.frameworks.get_mut(&offer.framework_id) {
            framework.offers.remove(id);
        }
        Some(offer)
    }
}
