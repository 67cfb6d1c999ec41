//! What the engine knows, for those who look at it.

use super::{
    Engine, Task,
    agents::{Agent, Ledger},
    classes::NONE,
    refusals::Refusals,
    seats::Seat,
    slots::Slot,
};
use crate::order::{NodeId, ShareTree};

impl<const L: usize> Engine<L> {
    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// What a seat, a role or everything holds.
    pub fn held(&self, node: NodeId) -> &[u64; L] {
        self.tree.held(node)
    }

    /// What all agents have, and what of it can be given.
    pub fn amounts(&self) -> (&[u64; L], &[u64; L]) {
        (&self.total, &self.free)
    }

    /// The order, for explanations and checks.
    pub fn tree(&self) -> &ShareTree<L> {
        &self.tree
    }

    /// Whether this is a role, and not a framework's node or nothing.
    pub fn is_role(&self, node: NodeId) -> bool {
        node == NodeId::ROOT || self.seat_of.get(node.index()) == Some(&NONE)
    }

    /// All frameworks, by number.
    pub fn seats(&self) -> impl Iterator<Item = Slot<Seat>> + '_ {
        self.seats.handles()
    }

    /// All agents, by number.
    pub fn agents(&self) -> impl Iterator<Item = Slot<Agent>> + '_ {
        self.agents.handles()
    }

    /// Whose a task is, and where it runs; none if it has ended.
    pub fn task(&self, task: Slot<Task>) -> Option<(Slot<Seat>, Slot<Agent>)> {
        let task = self.tasks.get(task)?;
        Some((self.seats.handle(task.seat), self.agents.handle(task.agent)))
    }

    /// The memory it uses, in bytes: for agents, for frameworks and roles, and for tasks.
    pub fn bytes(&self) -> (usize, usize, usize) {
        let ledgers = self.ledgers.capacity() * size_of::<Ledger<L>>();
        let refusals: usize = self.refusals.iter().map(Refusals::bytes).sum();
        let seats = self.seats.bytes()
            + self.seat_of.capacity() * size_of::<u32>()
            + self.refusals.capacity() * size_of::<Refusals>();
        (
            self.agents.bytes() + ledgers + self.capacity.bytes(),
            seats + refusals + self.tree.bytes() + self.classes.bytes(),
            self.tasks.bytes(),
        )
    }
}
