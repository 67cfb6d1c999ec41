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
    /// Ticks counted when it was made.
    made_at_tick: u64,
    /// Refused resources, unallocated.
    refused: Resources,
}

type FilterId = u64;
type Key = (FrameworkId, Role, AgentId);
type ByRole = BTreeMap<Role, BTreeMap<AgentId, BTreeMap<FilterId, Filter>>>;

/// All refusals in force.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    interval: Duration,
    ticks: u64,
    next_id: FilterId,
    by_framework: BTreeMap<FrameworkId, ByRole>,
    due: BTreeMap<(Timestamp, FilterId), Key>,
}

impl Filters {
    /// No refusals. Each holds for at least `interval`, and, unless that is zero, until a tick.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            ticks: 0,
            next_id: 0,
            by_framework: BTreeMap::new(),
            due: BTreeMap::new(),
        }
    }

    /// Records a refusal of `refused` (unallocated) for at least `timeout`.
    pub(super) fn add(&mut self, key: Key, refused: Resources, timeout: Duration, now: Timestamp) {
        let deadline = now + timeout.max(self.interval);
        let id = self.next_id;
        self.next_id += 1;
        let filter = Filter {
            deadline,
            made_at_tick: self.ticks,
            refused,
        };
        let (framework, role, agent) = key.clone();
        let roles = self.by_framework.entry(framework).or_default();
        let filters = roles.entry(role).or_default().entry(agent).or_default();
        filters.insert(id, filter);
        self.due.insert((deadline, id), key);
    }

    /// Whether the framework refused `offered` (unallocated), or more, on this agent in this role.
    pub(super) fn block(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
    ) -> bool {
        let agents = self
            .by_framework
            .get(framework)
            .and_then(|roles| roles.get(role));
        let filters = agents.and_then(|agents| agents.get(agent));
        filters.is_some_and(|filters| {
            filters
                .values()
                .any(|filter| filter.refused.contains(offered))
        })
    }

    /// Counts a periodic run.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let over = self.due.range(..=(now, FilterId::MAX));
        let over: Vec<_> = over
            .filter(|&(due, key)| self.outlived_a_tick(due.1, key))
            .map(|(due, _)| *due)
            .collect();
        for due in over {
            self.forget(due);
        }
    }

    /// When the next one expires without a further tick, `now` at the earliest.
    pub(super) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let mut ready = self
            .due
            .iter()
            .filter(|&(due, key)| self.outlived_a_tick(due.1, key));
        ready.next().map(|(&(deadline, _), _)| deadline.max(now))
    }

    fn outlived_a_tick(&self, id: FilterId, (framework, role, agent): &Key) -> bool {
        let filter = &self.by_framework[framework][role][agent][&id];
        self.interval.is_zero() || self.ticks > filter.made_at_tick
    }

    fn forget(&mut self, due: (Timestamp, FilterId)) {
        let Some((framework, role, agent)) = self.due.remove(&due) else {
            return;
        };
        let Some(roles) = self.by_framework.get_mut(&framework) else {
            return;
        };
        let Some(agents) = roles.get_mut(&role) else {
            return;
        };
        let Some(filters) = agents.get_mut(&agent) else {
            return;
        };
        filters.remove(&due.1);
        if filters.is_empty() {
            agents.remove(&agent);
        }
        if agents.is_empty() {
            roles.remove(&role);
        }
        if roles.is_empty() {
            self.by_framework.remove(&framework);
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
        let roles = self.by_framework.get(framework).into_iter().flatten();
        let agents = roles
            .filter(|(role, _)| unwanted(role))
            .flat_map(|(_, agents)| agents.values());
        let dues: Vec<_> = agents.flat_map(dues).collect();
        dues.into_iter().for_each(|due| self.forget(due));
    }

    /// Forgets all refusals of an agent's resources.
    pub(super) fn clear_agent(&mut self, agent: &AgentId) {
        let agents = self.by_framework.values().flat_map(BTreeMap::values);
        let dues: Vec<_> = agents
            .filter_map(|agents| agents.get(agent))
            .flat_map(dues)
            .collect();
        dues.into_iter().for_each(|due| self.forget(due));
    }

    /// How many are in force, per role.
    pub(super) fn counts(&self) -> BTreeMap<Role, usize> {
        let mut counts = BTreeMap::new();
        for (_, role, _) in self.due.values() {
            *counts.entry(role.clone()).or_default() += 1;
        }
        counts
    }
}

fn dues(filters: &BTreeMap<FilterId, Filter>) -> impl Iterator<Item = (Timestamp, FilterId)> + '_ {
    filters.iter().map(|(&id, filter)| (filter.deadline, id))
}
