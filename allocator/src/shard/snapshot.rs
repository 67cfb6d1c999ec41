//! What readers see of a shard: all of one moment, between two turns.

use super::pages::Pages;
use crate::engine::{Agent, Engine, Seat, Slot};

/// A framework's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatView<const L: usize> {
    /// Who.
    pub seat: Slot<Seat>,
    /// Its tasks.
    pub running: u32,
    /// How many tasks it wants beside those.
    pub wants: u64,
    /// What its tasks hold.
    pub held: [u64; L],
}

/// An agent's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentView<const L: usize> {
    /// Which one.
    pub agent: Slot<Agent>,
    /// What can be given of it.
    pub free: [u64; L],
}

/// A shard between two turns.
#[derive(Clone, Debug)]
pub struct Snapshot<const L: usize> {
    /// How many turns were taken.
    pub turns: u64,
    /// How many events were applied.
    pub events: u64,
    /// How many tasks were placed.
    pub decisions: u64,
    /// How many tasks run.
    pub running: usize,
    /// What all agents have.
    pub total: [u64; L],
    /// What of it can be given.
    pub free: [u64; L],
    seats: Pages<SeatView<L>>,
    agents: Pages<AgentView<L>>,
}

impl<const L: usize> Snapshot<L> {
    /// Before the first turn of a shard over this engine.
    pub(super) fn of(engine: &Engine<L>) -> Self {
        let (total, free) = engine.amounts();
        let (total, free) = (*total, *free);
        let mut snapshot = Self {
            turns: 0,
            events: 0,
            decisions: 0,
            running: engine.running(),
            total,
            free,
            seats: Pages::new(),
            agents: Pages::new(),
        };
        engine
            .seats()
            .for_each(|seat| snapshot.note_seat(engine, seat));
        let agents = engine.agents();
        agents.for_each(|agent| snapshot.note_agent(engine, agent));
        snapshot
    }

    /// A framework's standing; none if it was not there.
    pub fn seat(&self, seat: Slot<Seat>) -> Option<&SeatView<L>> {
        let view = self.seats.get(seat.index());
        view.filter(|view| view.seat == seat)
    }

    /// An agent's standing; none if it was not there.
    pub fn agent(&self, agent: Slot<Agent>) -> Option<&AgentView<L>> {
        let view = self.agents.get(agent.index());
        view.filter(|view| view.agent == agent)
    }

    /// All frameworks, by number.
    pub fn seats(&self) -> impl Iterator<Item = &SeatView<L>> {
        self.seats.iter()
    }

    /// All agents, by number.
    pub fn agents(&self) -> impl Iterator<Item = &AgentView<L>> {
        self.agents.iter()
    }

    /// A seat's standing may be another.
    pub(super) fn note_seat(&mut self, engine: &Engine<L>, seat: Slot<Seat>) {
        let view = engine.standing(seat).zip(engine.node(seat));
        let view = view.map(|((running, wants), node)| SeatView {
            seat,
            running,
            wants,
            held: *engine.held(node),
        });
        // Whoever has the number of somebody who is gone stays.
        let shown = self.seats.get(seat.index());
        if view.is_some() || shown.is_some_and(|shown| shown.seat == seat) {
            self.seats.set(seat.index(), view);
        }
    }

    /// An agent's standing may be another.
    pub(super) fn note_agent(&mut self, engine: &Engine<L>, agent: Slot<Agent>) {
        let view = engine.agent(agent);
        let view = view.map(|(_, free)| AgentView { agent, free });
        let shown = self.agents.get(agent.index());
        if view.is_some() || shown.is_some_and(|shown| shown.agent == agent) {
            self.agents.set(agent.index(), view);
        }
    }

    /// The sums of a moment.
    pub(super) fn sum_up(&mut self, engine: &Engine<L>) {
        let (total, free) = engine.amounts();
        (self.total, self.free) = (*total, *free);
        self.running = engine.running();
    }

    /// What a copy costs, in events.
    pub(super) fn cost(&self) -> usize {
        self.seats.len() + self.agents.len()
    }
}
