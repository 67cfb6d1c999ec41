//! A run while some role has a quota: two stages over the candidates. The rules: [`crate::quota`].
//!
//! ```text
//!  for each candidate:                              guarantees
//!    for each role that lacks something, in the tree's order, its seats in theirs:
//!      offer what is missing of the guarantee
//!  for each candidate, shuffled again:              fair shares
//!    for each seat, in the tree's order:
//!      offer what is free and usable, within limits and headroom
//! ```
//! On one agent the order is the one that held before; what is given there is booked in the tree after it.
//! In the first stage only roles that lack something are looked at, from a heap: within a run nobody's share
//! falls, so that a place in it that is still right is the first one. In the second, what nobody wanted of
//! one agent is not asked about again for another that has no more than that.

use std::{cmp::Reverse, collections::BinaryHeap};

use tepui_protocol::{Resource, Resources, Scalar, resources::Value};

use super::{
    IncrementalDrf,
    cluster::Agents,
    filters::Filters,
    frameworks::Members,
    quota::QuotaBook,
    roles::{Roles, Seat},
};
use crate::{
    allocator::Allocation,
    hierarchical::{GpuAgents, Options},
    order::{Key, NodeId},
    quota::{Amounts, Portion, Stage, merge},
};

/// A group of seats of a role that lacks something of its guarantee.
type Hungry = Reverse<(Vec<Key>, NodeId, u32)>;

/// What a seat is to be offered, or why nothing.
enum Answer {
    Offer(Resources),
    /// Quota leaves it nothing of these names, however much there is.
    Barred,
    Refused,
    Nothing,
}

/// What came of asking seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Quota leaves all of them nothing of these names.
    Barred,
    /// They got what they want.
    Served,
    /// A refusal is why somebody got nothing.
    Refused,
}

/// One agent at a time, without the tree, whose order stands meanwhile.
struct Counter<'a> {
    agent: u32,
    agents: &'a mut Agents,
    quota: &'a mut QuotaBook,
    members: &'a Members,
    filters: &'a Filters,
    options: &'a Options,
    /// What was given, to which seats; allocated to roles.
    given: Vec<(u32, Resources)>,
}

impl Counter<'_> {
    fn is_empty(&self) -> bool {
        self.agents.get(self.agent).available().is_empty()
    }

    fn guaranteed(&self, account: u32) -> bool {
        let tree = self.quota.tree();
        tree.is_some_and(|tree| tree.guaranteed(account) != Amounts::default())
    }

    /// Offers to a seat.
    fn serve(&mut self, stage: Stage, number: u32, seat: &Seat) -> Outcome {
        match self.answer(stage, number, seat) {
            Answer::Barred => Outcome::Barred,
            Answer::Nothing => Outcome::Served,
            Answer::Refused => Outcome::Refused,
            Answer::Offer(part) => {
                let framework = &self.members.get(seat.framework).id;
                let resources = self.agents.change(self.agent, |agent| {
                    agent.give(framework, &seat.role, Some(part))
                });
                self.quota.hold(&resources);
                self.given.push((number, resources));
                Outcome::Served
            }
        }
    }

    fn answer(&self, stage: Stage, number: u32, seat: &Seat) -> Answer {
        let agent = self.agents.get(self.agent);
        let framework = &self.members.get(seat.framework).state;
        let only_for_gpus = self.options.gpu_agents == GpuAgents::ForGpuFrameworks;
        let Some(tree) = self.quota.tree() else {
            return Answer::Nothing;
        };
        let portion = Portion {
            tree,
            free: &self.agents.free(),
            role: &seat.role,
            account: tree.account(&seat.role),
        };
        if stage == Stage::FairShare && portion.is_barred(agent.available()) {
            return Answer::Barred;
        }
        if only_for_gpus && agent.has_gpus() && !framework.takes_gpu_agents() {
            return Answer::Nothing;
        }
        if !agent.is_taken_by(framework, &seat.role, self.options.region.as_deref()) {
            // Of this agent: of another one with as much it may take something.
            return Answer::Refused;
        }
        let usable = agent
            .available()
            .filter(|entry| entry.is_allocatable_to(&seat.role) && framework.understands(entry));
        let offered = portion.of(stage, &usable);
        let worth = framework.minimum(&seat.role, &self.options.min_allocatable);
        if offered.is_empty() || !worth.is_met_by(&offered) {
            Answer::Nothing
        } else if self.filters.block(number, self.agent, &offered) {
            Answer::Refused
        } else {
            Answer::Offer(offered)
        }
    }
}

/// What nobody wanted in this run, of agents with GPUs and of others. Since then shares have grown and free
/// resources become less, so that still nobody wants it, or a part of it.
#[derive(Debug, Default)]
struct Unwanted(Vec<(bool, Resources)>);

impl Unwanted {
    /// More are not worth looking through.
    const MOST: usize = 8;

    fn covers(&self, has_gpus: bool, available: &Resources) -> bool {
        let mut all = self.0.iter();
        all.any(|(gpus, unwanted)| *gpus == has_gpus && unwanted.contains(available))
    }

    fn add(&mut self, has_gpus: bool, available: &Resources) {
        self.0
            .retain(|(gpus, less)| *gpus != has_gpus || !available.contains(less));
        if self.0.len() < Self::MOST {
            self.0.push((has_gpus, available.clone()));
        }
    }
}

impl IncrementalDrf {
    /// Runs over these agents, which are offerable and shuffled.
    pub(super) fn run_with_quota(&mut self, mut candidates: Vec<u32>) -> Vec<Allocation> {
        self.count();
        let mut allocations = Vec::new();
        let mut hungry = self.hungry();
        for &agent in &candidates {
            self.serve_guarantees(agent, &mut hungry, &mut allocations);
        }
        self.shuffle(&mut candidates);
        let mut unwanted = Unwanted::default();
        for &agent in &candidates {
            self.serve_fairly(agent, &mut unwanted, &mut allocations);
        }
        merge(allocations)
    }

    /// The groups of active seats in roles that lack something.
    fn hungry(&self) -> BinaryHeap<Hungry> {
        let Some(tree) = self.quota.tree() else {
            return BinaryHeap::new();
        };
        let lacking = tree.tops().filter(|(_, account)| tree.is_lacking(*account));
        let groups = lacking.flat_map(|(path, _)| self.roles.groups(path));
        let hungry = groups.filter_map(|(group, role)| {
            let account = tree.account(role)?;
            let lacks = tree.guaranteed(account) != Amounts::default();
            lacks.then(|| Reverse((self.roles.path(group), group, account)))
        });
        hungry.collect()
    }

    /// The first stage on one agent.
    fn serve_guarantees(
        &mut self,
        agent: u32,
        hungry: &mut BinaryHeap<Hungry>,
        allocations: &mut Vec<Allocation>,
    ) {
        let tree = self.quota.tree();
        let free = tree.map(|tree| tree.counted(self.agents.get(agent).available()));
        if free.is_none_or(|free| free == Amounts::default()) {
            return;
        }
        let (roles, mut counter) = self.counter(agent);
        let mut seen = Vec::new();
        while !counter.is_empty()
            && let Some((group, account)) = next(hungry, roles)
        {
            for (number, seat) in roles.seats_of(group) {
                if counter.is_empty() || !counter.guaranteed(account) {
                    break;
                }
                counter.serve(Stage::Guarantees, number, seat);
            }
            if counter.guaranteed(account) {
                seen.push((group, account));
            }
        }
        let given = counter.given;
        self.settle(agent, given, allocations);
        let again = seen.into_iter();
        hungry.extend(
            again.map(|(group, account)| Reverse((self.roles.path(group), group, account))),
        );
    }

    /// The second stage on one agent.
    fn serve_fairly(
        &mut self,
        agent: u32,
        unwanted: &mut Unwanted,
        allocations: &mut Vec<Allocation>,
    ) {
        let left = self.agents.get(agent);
        let has_gpus = left.has_gpus();
        if left.available().is_empty() || unwanted.covers(has_gpus, left.available()) {
            return;
        }
        let (roles, mut counter) = self.counter(agent);
        let mut worst = Outcome::Barred;
        let stopped = roles.find(|number, seat| {
            let before = counter.given.len();
            worst = worst.max(counter.serve(Stage::FairShare, number, seat));
            let left = counter.agents.get(agent).available();
            let gave = counter.given.len() > before;
            (left.is_empty() || gave && unwanted.covers(has_gpus, left)).then_some(())
        });
        let given = counter.given;
        self.settle(agent, given, allocations);
        let left = self.agents.get(agent).available();
        match worst {
            _ if stopped.is_some() => {}
            Outcome::Barred => unwanted.add(has_gpus, &without_end(left)),
            Outcome::Served => unwanted.add(has_gpus, left),
            Outcome::Refused => {}
        }
    }

    fn counter(&mut self, agent: u32) -> (&Roles, Counter<'_>) {
        let counter = Counter {
            agent,
            agents: &mut self.agents,
            quota: &mut self.quota,
            members: &self.members,
            filters: &self.filters,
            options: &self.options,
            given: Vec::new(),
        };
        (&self.roles, counter)
    }

    /// Books in the tree what was given of an agent.
    fn settle(
        &mut self,
        agent: u32,
        given: Vec<(u32, Resources)>,
        allocations: &mut Vec<Allocation>,
    ) {
        for (number, resources) in given {
            let amounts = self.names.amounts(&resources);
            self.roles.hold(number, &amounts);
            self.roles.serve(number, self.runs);
            let seat = self.roles.get(number);
            self.members.get_mut(seat.framework).holds_of(agent);
            allocations.push(Allocation {
                framework: self.members.get(seat.framework).id.clone(),
                role: seat.role.clone(),
                agent: self.agents.get(agent).id.clone(),
                resources,
            });
        }
    }
}

/// As much of the same as there can be.
fn without_end(resources: &Resources) -> Resources {
    let all = resources.iter().cloned().map(|entry| Resource {
        value: Value::Scalar(Scalar::MAX),
        ..entry
    });
    all.collect()
}

/// Takes the first group from the heap; those whose place has changed go back to it.
fn next(hungry: &mut BinaryHeap<Hungry>, roles: &Roles) -> Option<(NodeId, u32)> {
    while let Some(Reverse((path, group, account))) = hungry.pop() {
        let now = roles.path(group);
        if now == path {
            return Some((group, account));
        }
        hungry.push(Reverse((now, group, account)));
    }
    None
}
