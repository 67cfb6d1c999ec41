//! The agents by number, those of them with something to offer, and the cluster's total.

use std::collections::BTreeMap;

use tepui_protocol::{AgentId, AgentInfo, FrameworkId, Resources};

use super::{Due, IncrementalDrf, agents::Agent};
use crate::{
    allocator::AgentView,
    quota::{self, Amounts, Lanes},
};

/// All agents. Numbers are used again.
#[derive(Clone, Debug)]
pub(super) struct Agents {
    all: Vec<Option<Agent>>,
    vacant: Vec<u32>,
    numbers: BTreeMap<AgentId, u32>,
    /// By number, the place among all by id, unless agents have come or gone since.
    ranks: Vec<u32>,
    unranked: bool,
    /// Those with something to offer, in no telling order.
    open: Vec<u32>,
    /// By number, the place among those; [`CLOSED`] for others.
    open_at: Vec<u32>,
    /// While some role has a quota.
    meter: Option<Meter>,
}

/// No place in the list of agents with something to offer.
const CLOSED: u32 = u32::MAX;

/// What all active agents have free, as far as quota counts it.
#[derive(Clone, Debug)]
struct Meter {
    lanes: Lanes,
    free: Amounts,
}

impl Meter {
    fn read(&self, agent: &Agent) -> Amounts {
        match agent.active {
            true => self.lanes.counted(agent.available()),
            false => Amounts::default(),
        }
    }

    fn turn(&mut self, before: &Amounts, after: &Amounts) {
        self.free = quota::plus(&quota::minus(&self.free, before), after);
    }
}

impl Agents {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            vacant: Vec::new(),
            numbers: BTreeMap::new(),
            ranks: Vec::new(),
            unranked: true,
            open: Vec::new(),
            open_at: Vec::new(),
            meter: None,
        }
    }

    fn add(&mut self, agent: Agent) -> u32 {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.open_at.push(CLOSED);
            u32::try_from(self.all.len() - 1).expect("fewer than 2^32 agents")
        });
        self.numbers.insert(agent.id.clone(), number);
        self.unranked = true;
        if let Some(meter) = &mut self.meter {
            let more = meter.read(&agent);
            meter.turn(&Amounts::default(), &more);
        }
        self.all[number as usize] = Some(agent);
        self.change(number, |_| ());
        number
    }

    fn remove(&mut self, number: u32) -> Option<Agent> {
        self.change(number, |agent| agent.active = false);
        let agent = self.all[number as usize].take()?;
        self.numbers.remove(&agent.id);
        self.unranked = true;
        self.vacant.push(number);
        Some(agent)
    }

    pub(super) fn number(&self, id: &AgentId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Sorts numbers by id.
    pub(super) fn sort(&mut self, numbers: &mut [u32]) {
        // Few are compared by their texts, many by where they are among all.
        if numbers.len() * 8 < self.numbers.len() {
            return numbers.sort_by(|&a, &b| self.get(a).id.cmp(&self.get(b).id));
        }
        if std::mem::take(&mut self.unranked) {
            self.ranks.resize(self.all.len(), 0);
            for (rank, &number) in (0..).zip(self.numbers.values()) {
                self.ranks[number as usize] = rank;
            }
        }
        numbers.sort_unstable_by_key(|&number| self.ranks[number as usize]);
    }

    /// All numbers in use, by id.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.numbers.values().copied().collect()
    }

    /// The agents with something to offer, in no telling order.
    pub(super) fn open(&self) -> &[u32] {
        &self.open
    }

    /// Whether an agent has something to offer.
    pub(super) fn is_open(&self, number: u32) -> bool {
        self.open_at[number as usize] != CLOSED
    }

    /// The agent of a number, if it is in use.
    pub(super) fn find(&self, number: u32) -> Option<&Agent> {
        self.all[number as usize].as_ref()
    }

    pub(super) fn get(&self, number: u32) -> &Agent {
        self.find(number).expect("agents that are named are there")
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Agent {
        let agent = self.all[number as usize].as_mut();
        agent.expect("agents that are named are there")
    }

    /// Changes an agent, and whether it is among those with something to offer.
    pub(super) fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut Agent) -> T) -> T {
        let agent = self.all[number as usize].as_mut();
        let agent = agent.expect("agents that are named are there");
        let before = self.meter.as_ref().map(|meter| meter.read(agent));
        let answer = change(agent);
        if let (Some(meter), Some(before)) = (&mut self.meter, before) {
            let after = meter.read(agent);
            meter.turn(&before, &after);
        }
        match (self.open_at[number as usize], agent.is_open()) {
            (CLOSED, true) => {
                let at = u32::try_from(self.open.len()).expect("no more than agents");
                self.open_at[number as usize] = at;
                self.open.push(number);
            }
            (CLOSED, false) | (_, true) => {}
            (at, false) => {
                self.open_at[number as usize] = CLOSED;
                self.open.swap_remove(at as usize);
                if let Some(&moved) = self.open.get(at as usize) {
                    self.open_at[moved as usize] = at;
                }
            }
        }
        answer
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.all.iter().flatten()
    }

    /// From now on counts what is free, in these lanes; or no longer.
    pub(super) fn meter(&mut self, lanes: Option<Lanes>) {
        self.meter = lanes.map(|lanes| {
            let free = Amounts::default();
            let mut meter = Meter { lanes, free };
            for agent in self.all.iter().flatten() {
                let more = meter.read(agent);
                meter.turn(&Amounts::default(), &more);
            }
            meter
        });
    }

    /// What is free, while it is counted.
    pub(super) fn free(&self) -> Amounts {
        self.meter
            .as_ref()
            .map(|meter| meter.free)
            .unwrap_or_default()
    }

    pub(super) fn views(&self) -> BTreeMap<AgentId, AgentView> {
        let all = self.all.iter().flatten();
        all.map(|agent| (agent.id.clone(), agent.view())).collect()
    }
}

impl IncrementalDrf {
    /// Adds an agent that is not known.
    pub(super) fn admit(
        &mut self,
        id: &AgentId,
        info: &AgentInfo,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) {
        let amounts = self.names.amounts(&total);
        for (sum, more) in self.total.iter_mut().zip(amounts) {
            *sum += more;
        }
        self.resized = true;
        self.quota.resize(&Resources::new(), &total);
        let agent = Agent::new(id, info, total, amounts, used);
        let number = self.agents.add(agent);
        for (framework, resources) in used {
            self.quota.hold(resources);
            match self.members.number(framework) {
                Some(framework) => {
                    self.members.get_mut(framework).holds_of(number);
                    self.book(framework, resources);
                }
                None => _ = self.strangers.insert(framework.clone()),
            }
        }
    }

    /// Replaces what an agent has.
    pub(super) fn resize(&mut self, number: u32, info: &AgentInfo, total: Resources) {
        let amounts = self.names.amounts(&total);
        let before = self.agents.get(number).amounts;
        for ((sum, less), more) in self.total.iter_mut().zip(before).zip(amounts) {
            *sum = *sum - less + more;
        }
        self.resized |= before != amounts;
        self.quota.resize(self.agents.get(number).total(), &total);
        let update = |agent: &mut Agent| agent.update(info, total, amounts);
        if self.agents.change(number, update) {
            self.filters.clear_agent(number);
        }
    }

    /// Forgets an agent and what is held of it.
    pub(super) fn forget(&mut self, number: u32) {
        let Some(agent) = self.agents.remove(number) else {
            return;
        };
        self.quota.resize(agent.total(), &Resources::new());
        for held in agent.used() {
            self.quota.release_of(held.role.as_ref(), &held.resources);
            if let Some(framework) = self.members.number(&held.framework) {
                self.members.get_mut(framework).holds_nothing_of(number);
                self.release(framework, &held.allocated());
            }
        }
        for (sum, less) in self.total.iter_mut().zip(agent.amounts) {
            *sum -= less;
        }
        self.resized = true;
        self.filters.clear_agent(number);
        if let Due::Agents(due) = &mut self.due {
            due.retain(|&other| other != number);
        }
    }
}
