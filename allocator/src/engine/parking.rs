//! Who waits for room, and who is woken when some came free.
//!
//! ```text
//!   satisfied --want--> live --nothing fits--> parked --room came free where its class fits--> live
//! ```
//! Only live seats are in the tree's order.
//!
//! Under plain sums, seats are parked when it is their turn and nothing fits. Agents where something came
//! free are *pending* until nobody who waits fits there; before each decision, the one whose turn comes
//! first is woken of each class that fits on one, or all of them if there is room for many.
//!
//! H-DRF does not rescale blocked nodes, so that it matters at once who is blocked. Whenever no agent has as
//! much of some resource as before, the classes that need more are parked whole; with one pool of resources
//! this is the rule itself. A class that each agent lacks another resource for is found out when its turn
//! comes. All of a class is woken together.
//
//= hdrf-2013 §3, differs: the paper has one pool

use super::Engine;
use crate::order::Rule;

impl<const L: usize> Engine<L> {
    /// It is a seat's turn, and there is no room for it.
    pub(super) fn found_no_room(&mut self, seat: u32) {
        self.park(seat);
        if self.rule == Rule::Hierarchical && self.refusals[seat as usize].is_empty() {
            self.park_class(self.seats.at(seat).class);
        }
    }

    fn park(&mut self, seat: u32) {
        let entry = self.seats.at_mut(seat);
        if entry.parked {
            return;
        }
        entry.parked = true;
        let (class, node) = (entry.class, entry.node);
        self.classes.park(class, true);
        self.tree.block(node, true);
    }

    /// A seat may find room.
    pub(super) fn unpark(&mut self, seat: u32) {
        let entry = self.seats.at_mut(seat);
        if !entry.parked {
            return;
        }
        entry.parked = false;
        let (class, node) = (entry.class, entry.node);
        self.classes.park(class, false);
        self.tree.block(node, false);
    }

    /// A seat wants tasks, which it did not before.
    pub(super) fn began_to_want(&mut self, seat: u32) {
        let entry = self.seats.at(seat);
        let (class, node) = (entry.class, entry.node);
        self.tree.block(node, false);
        if self.rule == Rule::Hierarchical && !self.may_fit(class) {
            self.park(seat);
        }
        self.saturate();
    }

    /// A seat's refusals are fewer.
    pub(super) fn reconsider(&mut self, seat: u32) {
        let class = self.seats.at(seat).class;
        if self.rule == Rule::Sum || self.may_fit(class) {
            self.unpark(seat);
        }
    }

    /// An agent has more or less than before.
    pub(super) fn room_changed(&mut self, agent: u32) {
        let free = self.ledgers[agent as usize].free();
        self.releases += 1;
        match self.rule {
            Rule::Sum => {
                self.capacity.set(agent, &free);
                self.expect_takers(agent);
            }
            Rule::Hierarchical => {
                let lowered = self.capacity.lower_all(agent, &free);
                self.capacity.set(agent, &free);
                if lowered {
                    self.park_too_large();
                }
                self.wake_all(agent);
                self.saturate();
            }
        }
    }

    /// A task of a class went to an agent.
    pub(super) fn took_room(&mut self, class: u32, agent: u32) {
        let free = self.ledgers[agent as usize].free();
        match self.rule {
            Rule::Sum => {
                self.capacity.lower(agent, &free);
                if self.classes.get(class).parked > 0 {
                    self.expect_takers(agent);
                }
            }
            Rule::Hierarchical => {
                if self.capacity.lower_all(agent, &free) {
                    self.park_too_large();
                }
                self.saturate();
            }
        }
    }

    fn expect_takers(&mut self, agent: u32) {
        if !std::mem::replace(&mut self.agents.at_mut(agent).pending, true) {
            self.pending.push(agent);
        }
    }

    /// Wakes who is first among those who wait for what came free.
    pub(super) fn wake_first(&mut self) {
        let mut at = 0;
        while let Some(&agent) = self.pending.get(at) {
            if self.wake_first_on(agent) {
                at += 1;
            } else {
                self.agents.at_mut(agent).pending = false;
                self.pending.swap_remove(at);
            }
        }
    }

    /// Whether somebody waited for what the agent has free.
    fn wake_first_on(&mut self, agent: u32) -> bool {
        let mut any = false;
        let mut waiting = self.waiting_for(agent);
        for class in waiting.drain(..) {
            let Some(first) = self.first_parked(class, agent) else {
                continue;
            };
            any = true;
            self.unpark(first);
            let parked = self.classes.get(class).parked;
            let rooms = self.room(class, agent).max(self.pending.len() as u64);
            if u64::from(parked) < rooms.saturating_mul(16) {
                self.unpark_class(class);
            }
        }
        self.scratch = waiting;
        any
    }

    /// Wakes all who wait for what the agent has free.
    fn wake_all(&mut self, agent: u32) {
        let mut waiting = self.waiting_for(agent);
        for class in waiting.drain(..) {
            self.unpark_class(class);
        }
        self.scratch = waiting;
    }

    /// The classes with parked seats that fit on an agent; give the list back as [`Engine::scratch`].
    fn waiting_for(&mut self, agent: u32) -> Vec<u32> {
        let mut waiting = std::mem::take(&mut self.scratch);
        let ledger = &self.ledgers[agent as usize];
        let word = self.capacity.packing().pack(&ledger.free());
        self.classes.waiting_for(word, &mut waiting);
        waiting.retain(|&class| ledger.has_room(&self.classes.get(class).demand));
        waiting
    }

    /// How many tasks of a class fit on an agent.
    fn room(&self, class: u32, agent: u32) -> u64 {
        let free = self.ledgers[agent as usize].free();
        let demand = &self.classes.get(class).demand;
        let times = free
            .iter()
            .zip(demand)
            .filter_map(|(free, each)| free.checked_div(*each));
        times.min().unwrap_or(u64::MAX >> 8)
    }

    fn unpark_class(&mut self, class: u32) {
        for at in 0..self.classes.get(class).members.len() {
            self.unpark(self.classes.get(class).members[at]);
        }
    }

    /// The parked seat of a class whose turn is first and which does not refuse the agent.
    fn first_parked(&self, class: u32, agent: u32) -> Option<u32> {
        let members = self.classes.get(class).members.iter().copied();
        let waiting = members.filter(|&seat| {
            self.seats.at(seat).parked && !self.refusals[seat as usize].contains(agent)
        });
        waiting.reduce(|first, other| {
            let (a, b) = (self.seats.at(first).node, self.seats.at(other).node);
            if self.tree.precedes(b, a) {
                other
            } else {
                first
            }
        })
    }

    /// Whether some agent has enough of each resource, though perhaps no agent of all.
    fn may_fit(&self, class: u32) -> bool {
        self.capacity.most().fits(self.classes.get(class).word)
    }

    /// Parks the classes that need more than any agent has.
    fn park_too_large(&mut self) {
        let mut large = std::mem::take(&mut self.scratch);
        self.classes.too_large_for(self.capacity.most(), &mut large);
        large.drain(..).for_each(|class| self.park_class(class));
        self.scratch = large;
    }

    fn park_class(&mut self, class: u32) {
        for at in 0..self.classes.get(class).members.len() {
            let seat = self.classes.get(class).members[at];
            if self.seats.at(seat).wants > 0 {
                self.park(seat);
            }
        }
    }

    /// Tells the tree of which resources nothing can be given any more. While nobody wants anything, nobody is
    /// served by that, and it stays as it was: all keys would be computed anew, twice for a task in an idle cluster.
    pub(super) fn saturate(&mut self) {
        if self.rule == Rule::Hierarchical && self.classes.is_anything_wanted() {
            let free = &self.free;
            let takes = |j: usize| self.classes.least(j).is_some_and(|least| least <= free[j]);
            self.tree
                .set_saturated(std::array::from_fn(|j| free[j] == 0 || !takes(j)));
        }
    }
}
