//! The frameworks by number, their seats in roles, and what they hold there.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{AgentId, FrameworkId, Resources, Role, Timestamp};

use super::{IncrementalDrf, agents::by_account};
use crate::{
    allocator::FrameworkTerms,
    engine::Refusals as AgentSet,
    hierarchical::Framework,
    incremental::names::{Amounts, LANES},
    patience::Refusal,
};

/// A framework that is known.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: FrameworkId,
    pub(super) state: Framework,
    pub(super) seats: BTreeMap<Role, u32>,
    /// The agents of which it holds something.
    agents: AgentSet,
}

impl Member {
    /// It holds something of an agent.
    pub(super) fn holds_of(&mut self, agent: u32) {
        if !self.agents.contains(agent) {
            self.agents.insert(agent);
        }
    }

    /// It holds nothing of an agent any more.
    pub(super) fn holds_nothing_of(&mut self, agent: u32) {
        self.agents.remove(agent);
    }

    /// The agents of which it holds something, by number.
    pub(super) fn held_agents(&self) -> impl Iterator<Item = u32> + '_ {
        self.agents.iter()
    }

    /// Replaces its terms; answers with its seats in roles that it left.
    pub(super) fn renew(&mut self, terms: FrameworkTerms, suppressed: &BTreeSet<Role>) -> Vec<u32> {
        let active = self.state.active;
        self.state = Framework {
            active,
            ..Framework::new(terms, suppressed)
        };
        let roles = &self.state.terms.roles;
        let left = self.seats.iter().filter(|(role, _)| !roles.contains(role));
        left.map(|(_, seat)| *seat).collect()
    }
}

/// All frameworks. Numbers are used again.
#[derive(Clone, Debug)]
pub(super) struct Members {
    all: Vec<Option<Member>>,
    vacant: Vec<u32>,
    numbers: BTreeMap<FrameworkId, u32>,
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            vacant: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
    ) -> u32 {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).expect("fewer than 2^32 frameworks")
        });
        self.numbers.insert(id.clone(), number);
        self.all[number as usize] = Some(Member {
            id: id.clone(),
            state: Framework::new(terms, suppressed),
            seats: BTreeMap::new(),
            agents: AgentSet::default(),
        });
        number
    }

    pub(super) fn remove(&mut self, id: &FrameworkId) -> Option<Member> {
        let number = self.numbers.remove(id)?;
        self.vacant.push(number);
        self.all[number as usize].take()
    }

    pub(super) fn number(&self, id: &FrameworkId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(super) fn get(&self, number: u32) -> &Member {
        let member = self.all[number as usize].as_ref();
        member.expect("frameworks that are named are there")
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Member {
        let member = self.all[number as usize].as_mut();
        member.expect("frameworks that are named are there")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter().flatten()
    }
}

impl IncrementalDrf {
    /// Books what the ledgers say a new framework holds; where they say nothing, `used` is entered.
    pub(super) fn adopt(&mut self, framework: u32, used: &BTreeMap<AgentId, Resources>) {
        let id = self.members.get(framework).id.clone();
        if !self.strangers.remove(&id) && used.is_empty() {
            return;
        }
        for agent in self.agents.numbers() {
            let ledger = self.agents.get(agent);
            if let Some(resources) = used.get(&ledger.id)
                && ledger.held_by(&id).is_empty()
            {
                self.agents
                    .change(agent, |agent| agent.take(&id, resources));
                self.quota.hold(resources);
            }
            let held = self.agents.get(agent).held_by(&id);
            if !held.is_empty() {
                self.members.get_mut(framework).holds_of(agent);
                self.book(framework, &held);
            }
        }
    }

    /// Makes the tree agree with what a framework says of its roles.
    pub(super) fn seat(&mut self, framework: u32) {
        let member = self.members.get_mut(framework);
        for role in &member.state.terms.roles {
            if !member.seats.contains_key(role) {
                let seat = self.roles.seat(framework, &member.id, role);
                member.seats.insert(role.clone(), seat);
            }
        }
        for (role, &seat) in &member.seats {
            self.roles
                .set_active(seat, member.state.takes_offers_in(role));
        }
        self.unseat_where_idle(framework);
    }

    /// Takes away the framework's seats in roles that it left and where it holds nothing.
    fn unseat_where_idle(&mut self, framework: u32) {
        let member = self.members.get_mut(framework);
        let (roles, terms) = (&mut self.roles, &member.state.terms);
        member.seats.retain(|role, seat| {
            let stays = terms.roles.contains(role) || *roles.held(*seat) != [0; LANES];
            if !stays {
                roles.unseat(*seat);
            }
            stays
        });
    }

    /// Lets a framework take offers or not; whether it is known.
    pub(super) fn set_active(&mut self, id: &FrameworkId, active: bool) -> bool {
        let Some(framework) = self.members.number(id) else {
            return false;
        };
        self.members.get_mut(framework).state.active = active;
        self.seat(framework);
        true
    }

    /// Books in the tree what a framework got, as one allocation a role.
    pub(super) fn book(&mut self, framework: u32, resources: &Resources) {
        for (role, part) in by_account(resources) {
            let Some(role) = role else {
                continue;
            };
            let member = self.members.get_mut(framework);
            let seats = member.seats.entry(role.clone());
            let seat = *seats.or_insert_with(|| self.roles.seat(framework, &member.id, role));
            let amounts = self.names.amounts(&part);
            self.roles.hold(seat, &amounts);
        }
    }

    /// Books in the tree what a framework no longer holds.
    pub(super) fn release(&mut self, framework: u32, resources: &Resources) {
        for (role, part) in by_account(resources) {
            if let Some(role) = role {
                let amounts = self.names.amounts(&part);
                self.release_amounts(framework, role, &amounts);
            }
        }
        self.unseat_where_idle(framework);
    }

    fn release_amounts(&mut self, framework: u32, role: &Role, amounts: &Amounts) {
        if let Some(&seat) = self.members.get(framework).seats.get(role) {
            let held = self.roles.held(seat);
            let less = std::array::from_fn(|j| amounts[j].min(held[j]));
            self.roles.release(seat, &less);
        }
    }

    /// Takes back what a framework held on an agent; answers with what it holds if that is less.
    pub(super) fn take_back(
        &mut self,
        agent: u32,
        id: &FrameworkId,
        framework: Option<u32>,
        resources: &Resources,
    ) -> Result<(), Resources> {
        self.agents
            .change(agent, |agent| agent.give_back(id, resources))?;
        self.quota.release(resources);
        if let Some(framework) = framework {
            if !self.agents.get(agent).is_held_by(id) {
                self.members.get_mut(framework).holds_nothing_of(agent);
            }
            self.release(framework, resources);
        }
        Ok(())
    }

    /// Records a refusal in each role of `resources` that the framework is subscribed to.
    pub(super) fn refuse(
        &mut self,
        framework: u32,
        agent: u32,
        resources: &Resources,
        refusal: Refusal,
        now: Timestamp,
    ) {
        let member = self.members.get(framework);
        for (role, refused) in by_account(resources) {
            if let Some(role) = role
                && member.state.terms.roles.contains(role)
                && let Some(&seat) = member.seats.get(role)
            {
                let interval = self.options.allocation_interval;
                let timeout =
                    (self.patience).refused(&member.id, role, refusal, interval, self.runs);
                if !timeout.is_zero() {
                    let refused = refused.unallocate();
                    self.filters.add((seat, role, agent), refused, timeout, now);
                }
            }
        }
    }
}
