//! The allocator of the master: Mesos's semantics on orders that are kept up instead of sorted.
//!
//! Offers what [`crate::Hierarchical`] with weighted DRF offers, which is the same rules over plain data
//! structures and stays as the readable version and the seam for other orders. What is different:
//!
//! | | here | there |
//! |---|---|---|
//! | who is next | a tree of tournaments, O(depth × log siblings) a change | sorted lists, walked for each offer |
//! | which agents | those with something to offer | all, at each run over all |
//! | refusals | a bit says that there is none | maps by id |
//! | ids | numbers within | texts throughout |
//!
//! | part | file |
//! |---|---|
//! | the reaction to each call | here |
//! | agents and what the shares know of them | `incremental/cluster.rs`, `incremental/agents.rs` |
//! | frameworks and their seats | `incremental/frameworks.rs` |
//! | a run | `incremental/run.rs`; while a role has a quota, `incremental/stages.rs` |
//! | reservations on what is held | `incremental/conversion.rs` |
//! | what quota counts | `incremental/quota.rs` |
//! | why a framework gets nothing | `incremental/explanation.rs` |
//! | the tree of roles | `incremental/roles.rs`, `incremental/labels.rs` |
//! | refusals | `incremental/filters.rs` |
//! | scalars as arrays | `incremental/names.rs` |
//!
//! The agents' ledgers are the truth of who holds what; the tree repeats its scalar sums for the frameworks
//! that are known. Shares are compared in 2^-40 of the cluster; what is closer together is a tie.

mod agents;
mod cluster;
mod conversion;
mod explanation;
mod filters;
mod frameworks;
mod labels;
mod names;
mod quota;
mod roles;
mod run;
mod stages;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tepui_protocol::{
    AgentId, AgentInfo, Explanation, FrameworkId, Quota, Resources, Role, Timestamp,
};

use self::{
    cluster::Agents, filters::Filters, frameworks::Members, names::Amounts, names::LANES,
    names::Names, quota::QuotaBook, roles::Roles,
};
use crate::{
    allocator::{
        AgentView, Allocation, Allocator, Counters, FrameworkTerms, FrameworkView, NotHeld,
        RoleView,
    },
    hierarchical::{AgentOrder, Options},
    patience::{Patience, Refusal},
    quota::QuotaError,
    share::Weight,
};

/// Which agents the next run is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Agents(Vec<u32>),
    All,
}

/// Weighted DRF among roles and among the frameworks of a role, each agent to the first that wants it.
///
//= mesos, hierarchical allocator
#[derive(Debug)]
pub struct IncrementalDrf {
    options: Options,
    names: Names,
    total: Amounts,
    /// Whether the total has changed since the tree was told.
    resized: bool,
    agents: Agents,
    members: Members,
    /// Frameworks that were not known when an agent came of which they hold something; they may be since.
    strangers: BTreeSet<FrameworkId>,
    roles: Roles,
    filters: Filters,
    quota: QuotaBook,
    whitelist: Option<BTreeSet<String>>,
    patience: Patience,
    due: Due,
    runs: u64,
    shuffle: Option<StdRng>,
}

impl IncrementalDrf {
    /// An allocator that knows of nothing yet.
    pub fn new(options: Options) -> Self {
        let shuffle = match options.agent_order {
            AgentOrder::Shuffled(seed) => Some(StdRng::seed_from_u64(seed)),
            AgentOrder::ById => None,
        };
        Self {
            names: Names::new(options.fair_share_excluded.clone()),
            total: [0; LANES],
            resized: false,
            agents: Agents::new(),
            members: Members::new(),
            strangers: BTreeSet::new(),
            roles: Roles::new(),
            filters: Filters::new(options.allocation_interval),
            quota: QuotaBook::default(),
            whitelist: None,
            patience: Patience::new(options.decline_backoff),
            due: Due::Nothing,
            runs: 0,
            shuffle,
            options,
        }
    }

    /// Takes back what a framework holds, which may be offered to it again when `refusal` is over.
    fn take_from(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refusal: Option<Refusal>,
        now: Timestamp,
    ) -> Result<(), NotHeld> {
        let Some(number) = self.agents.number(agent) else {
            return Ok(());
        };
        let member = self.members.number(framework);
        match self.take_back(number, framework, member, resources) {
            Err(held) if held.is_empty() && member.is_none() => return Ok(()),
            Err(held) => {
                return Err(NotHeld::new(framework, agent, resources, held));
            }
            Ok(()) => {}
        }
        if let Some(refusal) = refusal.filter(|refusal| self.patience.matters(*refusal))
            && let Some(member) = member
        {
            self.refuse(member, number, resources, refusal, now);
        }
        Ok(())
    }
}

impl Allocator for IncrementalDrf {
    fn add_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
        used: &BTreeMap<AgentId, Resources>,
    ) {
        if self.members.number(id).is_some() {
            self.update_framework(id, terms, suppressed);
            return self.activate_framework(id);
        }
        let framework = self.members.add(id, terms, suppressed);
        self.adopt(framework, used);
        self.seat(framework);
        self.due = Due::All;
    }

    fn update_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
    ) {
        self.patience.keep(id, &terms.roles);
        if let Some(framework) = self.members.number(id) {
            for seat in self.members.get_mut(framework).renew(terms, suppressed) {
                self.filters.clear_seat(seat);
            }
            self.seat(framework);
        }
    }

    fn remove_framework(&mut self, id: &FrameworkId) {
        self.patience.remove(id);
        let Some(member) = self.members.remove(id) else {
            return;
        };
        let mut held: Vec<u32> = member.held_agents().collect();
        self.agents.sort(&mut held);
        for agent in held {
            self.quota.forget_holder(self.agents.get(agent), id);
            self.agents.change(agent, |agent| agent.give_back_all(id));
        }
        for &seat in member.seats.values() {
            self.filters.clear_seat(seat);
            self.roles.unseat(seat);
        }
    }

    fn activate_framework(&mut self, id: &FrameworkId) {
        if self.set_active(id, true) {
            self.due = Due::All;
        }
    }

    fn deactivate_framework(&mut self, id: &FrameworkId) {
        self.patience.remove(id);
        self.set_active(id, false);
        if let Some(framework) = self.members.number(id) {
            for &seat in self.members.get(framework).seats.values() {
                self.filters.clear_seat(seat);
            }
        }
    }

    fn suppress(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        if let Some(framework) = self.members.number(id) {
            let state = &mut self.members.get_mut(framework).state;
            let meant = state.meant(roles);
            state.suppressed.extend(meant);
            self.seat(framework);
        }
    }

    fn revive(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        let Some(framework) = self.members.number(id) else {
            return;
        };
        let member = self.members.get_mut(framework);
        let meant = member.state.meant(roles);
        let suppressed = &mut member.state.suppressed;
        suppressed.retain(|role| !meant.contains(role));
        for role in &meant {
            if let Some(&seat) = member.seats.get(role) {
                self.filters.clear_seat(seat);
            }
        }
        self.patience.clear(id, &meant);
        self.seat(framework);
        self.due = Due::All;
    }

    fn add_agent(
        &mut self,
        id: &AgentId,
        info: &AgentInfo,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) {
        self.remove_agent(id);
        self.admit(id, info, total, used);
        self.request(id);
    }

    fn update_agent(&mut self, id: &AgentId, info: &AgentInfo, total: Resources) {
        if let Some(agent) = self.agents.number(id) {
            self.resize(agent, info, total);
            self.request(id);
        }
    }

    fn remove_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.number(id) {
            self.forget(agent);
        }
    }

    fn activate_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.number(id) {
            self.agents.change(agent, |agent| agent.active = true);
        }
    }

    fn deactivate_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.number(id) {
            self.agents.change(agent, |agent| agent.active = false);
        }
    }

    fn recover(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filter: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), NotHeld> {
        let refusal = filter.map(Refusal::Declined);
        self.take_from(framework, agent, resources, refusal, now)
    }

    fn set_aside(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        span: Duration,
        now: Timestamp,
    ) -> Result<(), NotHeld> {
        let refusal = Some(Refusal::SetAside(span));
        self.take_from(framework, agent, resources, refusal, now)
    }

    fn convert(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), NotHeld> {
        self.change_reservations(framework, agent, from, to)
    }

    fn note_use(&mut self, framework: &FrameworkId, role: &Role) {
        self.patience.used(framework, role);
    }

    fn update_weights(&mut self, weights: &BTreeMap<Role, Weight>) {
        for (role, weight) in weights {
            self.roles.set_weight(role, *weight);
        }
    }

    fn set_quota(&mut self, role: &Role, quota: Quota, force: bool) -> Result<(), QuotaError> {
        self.change_quota(role, quota, force)
    }

    fn set_whitelist(&mut self, hostnames: Option<BTreeSet<String>>) {
        self.whitelist = hostnames;
    }

    fn request(&mut self, agent: &AgentId) {
        if self.due == Due::Nothing {
            self.due = Due::Agents(Vec::new());
        }
        if let Due::Agents(agents) = &mut self.due
            && let Some(number) = self.agents.number(agent)
            && std::mem::replace(&mut self.agents.get_mut(number).due_in, self.runs + 1)
                <= self.runs
        {
            agents.push(number);
        }
    }

    fn needs_run(&self) -> bool {
        self.due != Due::Nothing
    }

    fn allocate(&mut self, now: Timestamp) -> Vec<Allocation> {
        self.filters.expire(now);
        match std::mem::replace(&mut self.due, Due::Nothing) {
            Due::Nothing => Vec::new(),
            Due::Agents(agents) => self.run(agents),
            Due::All => self.run(self.agents.open().to_vec()),
        }
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Allocation> {
        self.due = Due::All;
        let allocations = self.allocate(now);
        self.filters.tick();
        self.filters.expire(now);
        allocations
    }

    fn expire_filters(&mut self, now: Timestamp) {
        self.filters.expire(now);
    }

    fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        self.filters.next_deadline(now)
    }

    fn roles(&self) -> BTreeMap<Role, RoleView> {
        self.role_views()
    }

    fn frameworks(&self) -> BTreeMap<FrameworkId, FrameworkView> {
        self.framework_views()
    }

    fn agents(&self) -> BTreeMap<AgentId, AgentView> {
        self.agents.views()
    }

    fn counters(&self) -> Counters {
        Counters {
            runs: self.runs,
            active_filters: self.filters.counts(),
            backed_off: self.patience.backed_off(),
        }
    }

    fn explain(&mut self, id: &FrameworkId) -> Option<Explanation> {
        self.explanation(id)
    }
}
