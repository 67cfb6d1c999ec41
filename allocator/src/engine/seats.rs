//! Seats: frameworks in roles, what their tasks demand, how many they want, where they want none.

use super::{
    Engine, Refused,
    agents::Agent,
    classes::{GONE, NONE},
    refusals::{Expiry, Refusals},
    slots::Slot,
};
use crate::{order::NodeId, share::Weight, sparing};

/// A framework in a role. What it refuses is beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seat {
    pub(super) node: NodeId,
    pub(super) class: u32,
    /// Its place among the members of its class.
    pub(super) member_at: u32,
    pub(super) running: u32,
    /// Whether it waits for room.
    pub(super) parked: bool,
    /// How many tasks it wants beside those that run.
    pub(super) wants: u64,
}

impl<const L: usize> Engine<L> {
    /// Adds a role below another, or below [`NodeId::ROOT`]. Where shares tie, who was added first goes
    /// first.
    pub fn add_role(&mut self, parent: NodeId, weight: Weight) -> NodeId {
        let label = self.next_label();
        let node = self.tree.add_inner(parent, weight, label);
        self.note(node, NONE);
        node
    }

    /// Adds a framework to a role; it wants nothing yet.
    ///
    /// # Errors
    /// [`Refused::NoRole`] for what is no role, as one that was removed. Numbers of nodes are used again: a role that was
    /// added since may have the same.
    pub fn add_framework(
        &mut self,
        role: NodeId,
        weight: Weight,
        demand: [u64; L],
    ) -> Result<Slot<Seat>, Refused> {
        if !self.is_role(role) {
            return Err(Refused::NoRole);
        }
        let label = self.next_label();
        let node = self.tree.add_leaf(role, weight, label);
        self.tree.block(node, true);
        let slot = self.seats.add(Seat {
            node,
            ..Seat::default()
        });
        self.note(node, index(slot));
        if slot.index() >= self.refusals.len() {
            sparing::resize(&mut self.refusals, slot.index() + 1, Refusals::default());
        }
        self.enter(slot, &demand);
        Ok(slot)
    }

    /// Forgets a framework of which nothing runs.
    ///
    /// # Errors
    /// [`Refused::InUse`], [`Refused::Unknown`].
    pub fn remove_framework(&mut self, slot: Slot<Seat>) -> Result<(), Refused> {
        let seat = *self.seats.get(slot).ok_or(Refused::Unknown)?;
        if seat.running > 0 {
            let running = seat.running;
            return Err(Refused::InUse { running });
        }
        self.leave(slot);
        self.refusals[slot.index()].clear();
        self.seats.remove(slot);
        self.tree.remove(seat.node);
        self.saturate();
        Ok(())
    }

    /// Forgets a role without frameworks and roles below it.
    ///
    /// # Errors
    /// [`Refused::Unknown`] for the root, for what is no role, and where there is something below.
    pub fn remove_role(&mut self, role: NodeId) -> Result<(), Refused> {
        if role == NodeId::ROOT || !self.is_role(role) || self.tree.has_children(role) {
            return Err(Refused::Unknown);
        }
        self.tree.remove(role);
        self.note(role, GONE);
        Ok(())
    }

    /// Weighs a role or a framework's node against its siblings.
    pub fn set_weight(&mut self, node: NodeId, weight: Weight) {
        self.tree.set_weight(node, weight);
    }

    /// The framework wants so many tasks more; [`u64::MAX`] for as many as it can get.
    pub fn want(&mut self, slot: Slot<Seat>, more: u64) {
        let Some(seat) = self.seats.get_mut(slot) else {
            return;
        };
        let before = seat.wants;
        seat.wants = before.saturating_add(more);
        if before == 0 && more > 0 {
            let class = seat.class;
            self.classes.want(class, true);
            self.began_to_want(index(slot));
        }
    }

    /// Changes what each further task of the framework demands.
    pub fn set_demand(&mut self, slot: Slot<Seat>, demand: [u64; L]) {
        if self.seats.get(slot).is_some() {
            self.leave(slot);
            self.enter(slot, &demand);
        }
    }

    /// The framework takes nothing on this agent before the tick `until`.
    pub fn refuse(&mut self, slot: Slot<Seat>, agent: Slot<Agent>, until: u64) {
        if self.seats.get(slot).is_none() || self.agents.get(agent).is_none() {
            return;
        }
        let agent_index = u32::try_from(agent.index()).expect("slots are numbered with 32 bits");
        self.refusals[slot.index()].insert(agent_index);
        let epoch = self.refusals[slot.index()].epoch();
        let expiry = Expiry {
            seat: slot,
            agent,
            epoch,
        };
        self.expiries.add(until, expiry);
    }

    /// The framework takes again what it refused.
    pub fn revive(&mut self, slot: Slot<Seat>) {
        if self.seats.get(slot).is_some() && !self.refusals[slot.index()].is_empty() {
            self.refusals[slot.index()].clear();
            self.reconsider(index(slot));
        }
    }

    /// The time is now this tick; refusals that are over are forgotten.
    pub fn advance(&mut self, tick: u64) {
        let mut over = std::mem::take(&mut self.scratch);
        let (seats, agents, refusals) = (&self.seats, &self.agents, &mut self.refusals);
        self.expiries.advance(tick, |expiry| {
            let known = seats.get(expiry.seat).is_some() && agents.get(expiry.agent).is_some();
            let refusals = &mut refusals[expiry.seat.index()];
            let agent = u32::try_from(expiry.agent.index()).expect("numbered with 32 bits");
            if known && refusals.epoch() == expiry.epoch && refusals.expire(agent) {
                over.push(index(expiry.seat));
            }
        });
        over.drain(..).for_each(|seat| self.reconsider(seat));
        self.scratch = over;
    }

    /// The tree's node of a framework, by which its share is known.
    pub fn node(&self, slot: Slot<Seat>) -> Option<NodeId> {
        self.seats.get(slot).map(|seat| seat.node)
    }

    /// How many tasks a framework has, and how many more it wants.
    pub fn standing(&self, slot: Slot<Seat>) -> Option<(u32, u64)> {
        self.seats.get(slot).map(|seat| (seat.running, seat.wants))
    }

    fn next_label(&mut self) -> u32 {
        self.labels = self.labels.saturating_add(1);
        self.labels
    }

    fn note(&mut self, node: NodeId, seat: u32) {
        if node.index() >= self.seat_of.len() {
            sparing::resize(&mut self.seat_of, node.index() + 1, GONE);
        }
        self.seat_of[node.index()] = seat;
    }

    fn enter(&mut self, slot: Slot<Seat>, demand: &[u64; L]) {
        let class = self.classes.enter(demand, self.capacity.packing());
        let members = &mut self.classes.get_mut(class).members;
        sparing::push(members, index(slot));
        let at = u32::try_from(members.len() - 1).expect("no more than seats");
        let seat = self.seats.at_mut(index(slot));
        (seat.class, seat.member_at) = (class, at);
        if seat.wants > 0 {
            self.classes.want(class, true);
            self.began_to_want(index(slot));
        }
    }

    /// Takes a seat out of its class; it is served no more.
    fn leave(&mut self, slot: Slot<Seat>) {
        let number = index(slot);
        self.unpark(number);
        let seat = *self.seats.at(number);
        self.tree.block(seat.node, true);
        if seat.wants > 0 {
            self.classes.want(seat.class, false);
        }
        let members = &mut self.classes.get_mut(seat.class).members;
        members.swap_remove(seat.member_at as usize);
        if let Some(&moved) = members.get(seat.member_at as usize) {
            self.seats.at_mut(moved).member_at = seat.member_at;
        }
        self.classes.leave(seat.class);
    }
}

fn index(slot: Slot<Seat>) -> u32 {
    u32::try_from(slot.index()).expect("slots are numbered with 32 bits")
}
