//! The built-in allocator: Mesos's hierarchical weighted DRF over plain data structures.
//!
//! Owns the reaction to each call of [`Allocator`]; the parts have files of their own:
//!
//! | part | file |
//! |---|---|
//! | a run | `hierarchical/run.rs`, `hierarchical/quota.rs` |
//! | an agent's ledger | `hierarchical/agents.rs` |
//! | a framework's terms | `hierarchical/frameworks.rs` |
//! | sorters of roles and of frameworks in them | `hierarchical/roles.rs` |
//! | refusals | `hierarchical/filters.rs` |
//!
//! The agents' ledgers are the truth of who holds what; the sorters repeat its scalar sums for the
//! frameworks that are known.

mod agents;
mod filters;
mod frameworks;
mod options;
mod quota;
mod roles;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tepui_protocol::{AgentId, AgentInfo, FrameworkId, Quota, Resources, Role, Timestamp};

pub(crate) use self::frameworks::Framework;
pub use self::options::{AgentOrder, GpuAgents, Options};
use self::{agents::Agent, filters::Filters, roles::Roles};
use crate::{
    allocator::{
        AgentView, Allocation, Allocator, Counters, FrameworkTerms, FrameworkView, NotHeld,
        RoleView,
    },
    patience::{Patience, Refusal},
    quota::{QuotaError, Quotas},
    share::Weight,
    sorter::{DrfSorter, Sorter},
};

/// The allocator with weighted DRF among roles and among the frameworks of a role.
pub type HierarchicalDrf = Hierarchical<DrfSorter<Role>, DrfSorter<FrameworkId>>;

/// Which agents the next run is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Agents(BTreeSet<AgentId>),
    All,
}

/// Serves roles in the order of `R` and the frameworks of each in the order of `F`, each agent to the
/// first that wants it.
///
//= mesos, hierarchical allocator
#[derive(Debug)]
pub struct Hierarchical<R, F> {
    options: Options,
    agents: BTreeMap<AgentId, Agent>,
    frameworks: BTreeMap<FrameworkId, Framework>,
    roles: Roles<R, F>,
    filters: Filters,
    quotas: Quotas,
    whitelist: Option<BTreeSet<String>>,
    patience: Patience,
    due: Due,
    runs: u64,
    shuffle: Option<StdRng>,
}

impl<R: Sorter<Role>, F: Sorter<FrameworkId>> Hierarchical<R, F> {
    /// An allocator that knows of nothing yet.
    pub fn new(options: Options) -> Self {
        let shuffle = match options.agent_order {
            AgentOrder::Shuffled(seed) => Some(StdRng::seed_from_u64(seed)),
            AgentOrder::ById => None,
        };
        Self {
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            roles: Roles::new(options.fair_share_excluded.clone()),
            filters: Filters::new(options.allocation_interval),
            quotas: Quotas::new(),
            whitelist: None,
            patience: Patience::new(options.decline_backoff),
            due: Due::Nothing,
            runs: 0,
            shuffle,
            options,
        }
    }

    /// Books what the ledgers say a new framework holds; where they say nothing, `used` is entered.
    fn adopt(&mut self, id: &FrameworkId, used: &BTreeMap<AgentId, Resources>) {
        for (agent_id, agent) in &mut self.agents {
            if !agent.used().contains_key(id)
                && let Some(resources) = used.get(agent_id)
            {
                agent.take(id, resources);
            }
            if let Some(resources) = agent.used().get(id) {
                self.roles.allocated(id, resources);
            }
        }
    }

    /// Makes the sorters agree with what a framework says of its roles.
    fn seat(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        for role in &framework.terms.roles {
            self.roles.track(role, id);
        }
        for role in self.roles.of(id) {
            self.roles
                .set_active(&role, id, framework.takes_offers_in(&role));
            if !framework.terms.roles.contains(&role) {
                self.roles.untrack_if_idle(&role, id);
            }
        }
    }

    /// Books in the sorters what a framework no longer holds, if it is known.
    fn release(&mut self, id: &FrameworkId, resources: &Resources) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        self.roles.unallocated(id, resources);
        for role in resources.allocations().keys() {
            if !framework.terms.roles.contains(role) {
                self.roles.untrack_if_idle(role, id);
            }
        }
    }

    /// Records a refusal in each role of `resources` that the framework is subscribed to.
    fn refuse(
        &mut self,
        id: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refusal: Refusal,
        now: Timestamp,
    ) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        for (role, refused) in resources.allocations() {
            if framework.terms.roles.contains(&role) {
                let interval = self.options.allocation_interval;
                let timeout = self
                    .patience
                    .refused(id, &role, refusal, interval, self.runs);
                if !timeout.is_zero() {
                    let key = (id.clone(), role, agent.clone());
                    self.filters.add(key, refused.unallocate(), timeout, now);
                }
            }
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
        let Some(ledger) = self.agents.get_mut(agent) else {
            return Ok(());
        };
        if let Err(held) = ledger.give_back(framework, resources) {
            if held.is_empty() && !self.frameworks.contains_key(framework) {
                return Ok(());
            }
            return Err(NotHeld::new(framework, agent, resources, held));
        }
        self.release(framework, resources);
        if let Some(refusal) = refusal.filter(|refusal| self.patience.matters(*refusal)) {
            self.refuse(framework, agent, resources, refusal, now);
        }
        Ok(())
    }
}

impl<R: Sorter<Role>, F: Sorter<FrameworkId>> Allocator for Hierarchical<R, F> {
    fn add_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
        used: &BTreeMap<AgentId, Resources>,
    ) {
        if self.frameworks.contains_key(id) {
            self.update_framework(id, terms, suppressed);
            return self.activate_framework(id);
        }
        self.frameworks
            .insert(id.clone(), Framework::new(terms, suppressed));
        self.adopt(id, used);
        self.seat(id);
        self.due = Due::All;
    }

    fn update_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
    ) {
        self.patience.keep(id, &terms.roles);
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let left = framework
            .terms
            .roles
            .difference(&terms.roles)
            .cloned()
            .collect();
        *framework = Framework {
            active: framework.active,
            ..Framework::new(terms, suppressed)
        };
        self.filters.clear_roles(id, &left);
        self.seat(id);
    }

    fn remove_framework(&mut self, id: &FrameworkId) {
        self.patience.remove(id);
        if self.frameworks.remove(id).is_none() {
            return;
        }
        for agent in self.agents.values_mut() {
            let resources = agent.give_back_all(id);
            self.roles.unallocated(id, &resources);
        }
        for role in self.roles.of(id) {
            self.roles.untrack_if_idle(&role, id);
        }
        self.filters.clear_framework(id);
    }

    fn activate_framework(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.active = true;
        self.seat(id);
        self.due = Due::All;
    }

    fn deactivate_framework(&mut self, id: &FrameworkId) {
        self.patience.remove(id);
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.active = false;
        self.seat(id);
        self.filters.clear_framework(id);
    }

    fn suppress(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let meant = framework.meant(roles);
        framework.suppressed.extend(meant);
        self.seat(id);
    }

    fn revive(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let meant = framework.meant(roles);
        framework.suppressed.retain(|role| !meant.contains(role));
        self.filters.clear_roles(id, &meant);
        self.patience.clear(id, &meant);
        self.seat(id);
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
        self.roles.resize(&Resources::new(), &total);
        let agent = Agent::new(info, total, used);
        for (framework, resources) in agent.used() {
            if self.frameworks.contains_key(framework) {
                self.roles.allocated(framework, resources);
            }
        }
        self.agents.insert(id.clone(), agent);
        self.request(id);
    }

    fn update_agent(&mut self, id: &AgentId, info: &AgentInfo, total: Resources) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        self.roles.resize(agent.total(), &total);
        if agent.update(info, total) {
            self.filters.clear_agent(id);
        }
        self.request(id);
    }

    fn remove_agent(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.remove(id) else {
            return;
        };
        for (framework, resources) in agent.used() {
            self.release(framework, resources);
        }
        self.roles.resize(agent.total(), &Resources::new());
        self.filters.clear_agent(id);
    }

    fn activate_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.active = true;
        }
    }

    fn deactivate_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.active = false;
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
        let Some(ledger) = self.agents.get_mut(agent) else {
            return Ok(());
        };
        match ledger.convert(framework, from, to) {
            Err(held) if held.is_empty() && !self.frameworks.contains_key(framework) => Ok(()),
            Err(held) => Err(NotHeld::new(framework, agent, from, held)),
            Ok(()) => Ok(()),
        }
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
        match &mut self.due {
            Due::Nothing => self.due = Due::Agents(BTreeSet::from([agent.clone()])),
            Due::Agents(agents) => _ = agents.insert(agent.clone()),
            Due::All => {}
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
            Due::All => self.run(self.agents.keys().cloned().collect::<Vec<_>>()),
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
        let view = |(id, framework): (&FrameworkId, &Framework)| {
            let mut view = FrameworkView {
                active: framework.active,
                suppressed: framework.suppressed.clone(),
                ..FrameworkView::default()
            };
            for role in self.roles.of(id) {
                let (allocated, share) = self.roles.standing(&role, id);
                view.shares.insert(role.clone(), share);
                view.allocated.insert(role, allocated);
            }
            (id.clone(), view)
        };
        self.frameworks.iter().map(view).collect()
    }

    fn agents(&self) -> BTreeMap<AgentId, AgentView> {
        self.agents
            .iter()
            .map(|(id, agent)| (id.clone(), agent.view()))
            .collect()
    }

    fn counters(&self) -> Counters {
        Counters {
            runs: self.runs,
            active_filters: self.filters.counts(),
            backed_off: self.patience.backed_off(),
        }
    }
}
