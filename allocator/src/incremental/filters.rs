//! Refusals: what frameworks declined, where, and for how long.
//!
//! ```text
//!              its time is over and one tick has passed,
//!              revived, left the role, deactivated, removed,
//!              or the agent is gone or changed its attributes
//!   in force -------------------------------------------------> forgotten
//! ```
//! Only presence counts for an offer, not the clock. A bit says whether a seat refused anything on an agent;
//! only then is it looked up what. Seats and agents are numbers here (see [`super`]).

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tepui_protocol::{Resources, Role, Timestamp};

use crate::engine::Refusals;

type FilterId = u64;

#[derive(Clone, Debug)]
struct Filter {
    id: FilterId,
    deadline: Timestamp,
    /// Refused resources, unallocated.
    refused: Resources,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    seat: u32,
    agent: u32,
    /// Ticks counted when it was made.
    made_at_tick: u64,
}

/// A seat's refusals.
#[derive(Clone, Debug, Default)]
struct Refuser {
    /// The agents with a filter.
    agents: Refusals,
    role: Option<Role>,
}

/// All refusals in force.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    interval: Duration,
    ticks: u64,
    next_id: FilterId,
    /// By seat and agent; looked up, never walked, so that its order means nothing.
    filters: HashMap<(u32, u32), Vec<Filter>>,
    /// By seat.
    refusers: Vec<Refuser>,
    due: BTreeMap<(Timestamp, FilterId), Place>,
    counts: BTreeMap<Role, usize>,
}

impl Filters {
    /// No refusals. Each holds for at least `interval`, and, unless that is zero, until a tick.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            ticks: 0,
            next_id: 0,
            filters: HashMap::new(),
            refusers: Vec::new(),
            due: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Records a refusal of `refused` (unallocated) by a seat in `role`, for at least `timeout`.
    pub(super) fn add(
        &mut self,
        (seat, role, agent): (u32, &Role, u32),
        refused: Resources,
        timeout: Duration,
        now: Timestamp,
    ) {
        let deadline = now + timeout.max(self.interval);
        let id = self.next_id;
        self.next_id += 1;
        if seat as usize >= self.refusers.len() {
            self.refusers.resize(seat as usize + 1, Refuser::default());
        }
        let refuser = &mut self.refusers[seat as usize];
        refuser.role = Some(role.clone());
        if !refuser.agents.contains(agent) {
            refuser.agents.insert(agent);
        }
        match self.counts.get_mut(role) {
            Some(count) => *count += 1,
            None => _ = self.counts.insert(role.clone(), 1),
        }
        let filters = self.filters.entry((seat, agent)).or_default();
        filters.push(Filter {
            id,
            deadline,
            refused,
        });
        let made_at_tick = self.ticks;
        let place = Place {
            seat,
            agent,
            made_at_tick,
        };
        self.due.insert((deadline, id), place);
    }

    /// Whether the seat refused `offered` (unallocated), or more, on the agent.
    pub(super) fn block(&self, seat: u32, agent: u32, offered: &Resources) -> bool {
        let refuser = self.refusers.get(seat as usize);
        if !refuser.is_some_and(|refuser| refuser.agents.contains(agent)) {
            return false;
        }
        let filters = self.filters.get(&(seat, agent));
        filters.is_some_and(|filters| {
            let mut filters = filters.iter();
            filters.any(|filter| filter.refused.contains(offered))
        })
    }

    /// Counts a periodic run.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let over = self.due.range(..=(now, FilterId::MAX));
        let over = over.filter(|(_, place)| self.outlived_a_tick(place));
        let over: Vec<_> = over.map(|(due, place)| (*due, *place)).collect();
        for ((deadline, id), Place { seat, agent, .. }) in over {
            self.due.remove(&(deadline, id));
            self.count_out(seat, 1);
            let Some(filters) = self.filters.get_mut(&(seat, agent)) else {
                continue;
            };
            filters.retain(|filter| filter.id != id);
            if filters.is_empty() {
                self.filters.remove(&(seat, agent));
                self.refusers[seat as usize].agents.remove(agent);
            }
        }
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

    /// Forgets all refusals of a seat.
    pub(super) fn clear_seat(&mut self, seat: u32) {
        let Some(refuser) = self.refusers.get_mut(seat as usize) else {
            return;
        };
        let agents = std::mem::take(&mut refuser.agents);
        agents.iter().for_each(|agent| self.forget(seat, agent));
    }

    /// Forgets all refusals of an agent's resources.
    pub(super) fn clear_agent(&mut self, agent: u32) {
        for (seat, at) in (0..).zip(0..self.refusers.len()) {
            if self.refusers[at].agents.remove(agent) {
                self.forget(seat, agent);
            }
        }
    }

    fn forget(&mut self, seat: u32, agent: u32) {
        let filters = self.filters.remove(&(seat, agent)).unwrap_or_default();
        for filter in &filters {
            self.due.remove(&(filter.deadline, filter.id));
        }
        self.count_out(seat, filters.len());
    }

    fn count_out(&mut self, seat: u32, gone: usize) {
        let Some(role) = &self.refusers[seat as usize].role else {
            return;
        };
        if let Some(count) = self.counts.get_mut(role) {
            *count -= gone;
            if *count == 0 {
                self.counts.remove(role);
            }
        }
    }

    /// How many are in force, per role.
    pub(super) fn counts(&self) -> BTreeMap<Role, usize> {
        self.counts.clone()
    }
}
