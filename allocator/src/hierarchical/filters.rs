//! Refusals: what frameworks declined, where, and for how long.
//!
//! ```text
//!              its time is over and one tick has passed,
//!              revived, left the role, deactivated, removed,
//!              or the agent is gone or changed its attributes
//!   in force -------------------------------------------------> forgotten
//! ```
//! Only presence counts for an offer, not the clock. Who clears what when: [`super`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_protocol::{AgentId, FrameworkId, Resources, Role, Timestamp};

#[derive(Clone, Debug)]
struct Filter {
    deadline: Timestamp,
    /// Refused resources, unallocated.
    refused: Resources,
}

/// Whose refusal it is and where.
#[derive(Clone, Debug)]
struct Place {
    framework: FrameworkId,
    role: Role,
    agent: AgentId,
    /// Ticks counted when it was made.
    made_at_tick: u64,
}

type FilterId = u64;
type ByFramework = BTreeMap<FrameworkId, BTreeMap<FilterId, Filter>>;

/// All refusals in force.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    interval: Duration,
    ticks: u64,
    next_id: FilterId,
    by_agent: BTreeMap<AgentId, BTreeMap<Role, ByFramework>>,
    due: BTreeMap<(Timestamp, FilterId), Place>,
}

/// The refusals of one agent's resources in one role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusals<'a>(Option<&'a ByFramework>);

impl Refusals<'_> {
    /// Whether the framework refused `offered` (unallocated), or more.
    pub(super) fn block(self, framework: &FrameworkId, offered: &Resources) -> bool {
        let filters = self.0.and_then(|refusals| refusals.get(framework));
        filters.is_some_and(|filters| {
            filters
                .values()
                .any(|filter| filter.refused.contains(offered))
        })
    }
}

impl Filters {
    /// No refusals. Each holds for at least `interval`, and, unless that is zero, until a tick.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            ticks: 0,
            next_id: 0,
            by_agent: BTreeMap::new(),
            due: BTreeMap::new(),
        }
    }

    /// Records a refusal of `refused` (unallocated) for at least `timeout`.
    pub(super) fn add(
        &mut self,
        (framework, role, agent): (FrameworkId, Role, AgentId),
        refused: Resources,
        timeout: Duration,
        now: Timestamp,
    ) {
        let deadline = now + timeout.max(self.interval);
        let id = self.next_id;
        self.next_id += 1;
        let roles = self.by_agent.entry(agent.clone()).or_default();
        let frameworks = roles.entry(role.clone()).or_default();
        let filters = frameworks.entry(framework.clone()).or_default();
        filters.insert(id, Filter { deadline, refused });
        let place = Place {
            framework,
            role,
            agent,
            made_at_tick: self.ticks,
        };
        self.due.insert((deadline, id), place);
    }

    /// The refusals of this agent's resources in this role.
    pub(super) fn on(&self, agent: &AgentId, role: &Role) -> Refusals<'_> {
        Refusals(self.by_agent.get(agent).and_then(|roles| roles.get(role)))
    }

    /// Counts a periodic run.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let over = self.due.range(..=(now, FilterId::MAX));
        let over = over
            .filter(|(_, place)| self.outlived_a_tick(place))
            .map(|(due, _)| *due);
        let over: Vec<_> = over.collect();
        over.into_iter().for_each(|due| self.forget(due));
    }

    /// When the next one expires without a further tick, `now` at the earliest.
    pub(super) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let mut ready = self
            .due
            .iter()
            .filter(|(_, place)| self.outlived_a_tick(place));
        ready.next().map(|(&(deadline, _), _)| deadline.max(now))
    }

    fn outlived_a_tick(&self, place: &Place) -> bool {
        self.interval.is_zero() || self.ticks > place.made_at_tick
    }

    fn forget(&mut self, due: (Timestamp, FilterId)) {
        let Some(Place {
            framework,
            role,
            agent,
            ..
        }) = self.due.remove(&due)
        else {
            return;
        };
        let Some(roles) = self.by_agent.get_mut(&agent) else {
            return;
        };
        let Some(frameworks) = roles.get_mut(&role) else {
            return;
        };
        let Some(filters) = frameworks.get_mut(&framework) else {
            return;
        };
        filters.remove(&due.1);
        if filters.is_empty() {
            frameworks.remove(&framework);
        }
        if frameworks.is_empty() {
            roles.remove(&role);
        }
        if roles.is_empty() {
            self.by_agent.remove(&agent);
        }
    }

    /// Forgets a framework's refusals in these roles.
    pub(super) fn clear_roles(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        self.clear(framework, |role| roles.contains(role));
    }

    /// Forgets all of a framework's refusals.
    pub(super) fn clear_framework(&mut self, framework: &FrameworkId) {
        self.clear(framework, |_| true);
    }

    fn clear(&mut self, framework: &FrameworkId, unwanted: impl Fn(&Role) -> bool) {
        let refusals = self
            .by_agent
            .values()
            .flatten()
            .filter(|(role, _)| unwanted(role));
        let filters = refusals.filter_map(|(_, frameworks)| frameworks.get(framework));
        let dues: Vec<_> = filters.flat_map(dues).collect();
        dues.into_iter().for_each(|due| self.forget(due));
    }

    /// Forgets all refusals of an agent's resources.
    pub(super) fn clear_agent(&mut self, agent: &AgentId) {
        let roles = self.by_agent.get(agent).into_iter().flatten();
        let filters = roles.flat_map(|(_, frameworks)| frameworks.values());
        let dues: Vec<_> = filters.flat_map(dues).collect();
        dues.into_iter().for_each(|due| self.forget(due));
    }

    /// How many are in force, per role.
    pub(super) fn counts(&self) -> BTreeMap<Role, usize> {
        let mut counts = BTreeMap::new();
        for place in self.due.values() {
            *counts.entry(place.role.clone()).or_default() += 1;
        }
        counts
    }
}

fn dues(filters: &BTreeMap<FilterId, Filter>) -> impl Iterator<Item = (Timestamp, FilterId)> + '_ {
    filters.iter().map(|(&id, filter)| (filter.deadline, id))
}
