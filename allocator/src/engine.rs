//! The whole decision, kept up with every event: whose turn it is, where the task fits, the claim, the shares.
//!
//! One owner, one thread, no clock and no chance: equal calls give equal decisions. Nothing is searched
//! through but what has changed, and nothing allocated in steady state.
//!
//! ```text
//!   want, end, add_agent, refuse, ...          decide() until it answers with none
//!        |                                         |
//!        v                                         v
//!   seats, classes, ledgers  --- order::ShareTree: the seat whose turn it is
//!                            --- capacity: an agent on which its class fits  -> claim, shares move
//!                            --- parking: seats for which nothing fits, woken when something comes free
//! ```
//! - A *seat* is a framework in a role. Its tasks demand the same; it says how many it wants.
//! - Amounts are exact integers, `amounts[j]` of resource `j` in any unit; what is packed is only for searching.
//! - An agent is never over-allocated: what is free is its total less what its tasks hold.
//!
//! | part | file |
//! |---|---|
//! | frameworks and roles come, want and go | `engine/seats.rs` |
//! | agents come, change and go | `engine/agents.rs` |
//! | who waits for room, and is woken | `engine/parking.rs` |
//! | where something fits | `engine/capacity.rs`, `engine/packing.rs` |
//! | equal demands | `engine/classes.rs` |
//! | refusals | `engine/refusals.rs`, `engine/wheel.rs` |
//! | what is known of all that | `engine/views.rs` |
//!
//! # Example
//! ```
//! use tepui_allocator::{Weight, engine::Engine, order::{NodeId, Rule}};
//! let mut engine = Engine::<2>::new(Rule::Hierarchical);
//! let batch = engine.add_role(NodeId::ROOT, Weight::ONE);
//! let framework = engine.add_framework(batch, Weight::ONE, [1000, 4096])?;
//! let agent = engine.add_agent([2000, 8192])?;
//! engine.want(framework, 3);
//! let first = engine.decide().expect("there is room");
//! let second = engine.decide().expect("there is room");
//! assert_eq!((first.seat, second.agent), (framework, agent));
//! assert_eq!(engine.decide(), None);
//! assert!(engine.end(first.task));
//! assert!(engine.decide().is_some());
//! # Ok::<(), tepui_allocator::engine::Refused>(())
//! ```

mod agents;
mod capacity;
mod classes;
mod packing;
mod parking;
mod refusals;
mod seats;
mod slots;
mod views;
mod wheel;

pub(crate) use self::refusals::Refusals;
pub use self::{agents::Agent, seats::Seat, slots::Slot};
use self::{capacity::Capacity, classes::Classes, refusals::Expiries, slots::Slots};
use crate::order::{Rule, ShareTree};

/// A task that runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    seat: u32,
    agent: u32,
    class: u32,
}

/// A task of this framework goes to this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Names the task until it ends.
    pub task: Slot<Task>,
    /// Whose it is.
    pub seat: Slot<Seat>,
    /// Where it runs.
    pub agent: Slot<Agent>,
}

/// Why something could not be done; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Tasks run on it, or are its own.
    #[error("{running} of its tasks have not ended")]
    InUse {
        /// How many.
        running: u32,
    },
    /// It is gone, or never was.
    #[error("there is no such agent, framework or role")]
    Unknown,
    /// A framework is to join what is no role.
    #[error("there is no such role: it was removed, or never was one")]
    NoRole,
    /// The cluster would have more of a resource than can be counted.
    #[error("resource {resource}: the cluster's total would exceed 2^62")]
    TooLarge {
        /// Which one.
        resource: usize,
    },
}

/// Allocates tasks of `L` resources to agents. See the module.
#[derive(Clone, Debug)]
pub struct Engine<const L: usize> {
    rule: Rule,
    tree: ShareTree<L>,
    /// By number of the tree's node; [`classes::NONE`] for roles.
    seat_of: Vec<u32>,
    seats: Slots<Seat>,
    refusals: Vec<Refusals>,
    expiries: Expiries,
    agents: Slots<Agent>,
    ledgers: Vec<agents::Ledger<L>>,
    capacity: Capacity,
    classes: Classes<L>,
    tasks: Slots<Task>,
    total: [u64; L],
    free: [u64; L],
    /// Whether the total has changed since the tree was told.
    resized: bool,
    /// Counts what may have made room somewhere.
    releases: u64,
    /// Agents where something came free for seats that may wait for it.
    pending: Vec<u32>,
    /// For [`parking`], kept to allocate once.
    scratch: Vec<u32>,
    labels: u32,
}

impl<const L: usize> Engine<L> {
    /// An engine that knows of nothing yet.
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            tree: ShareTree::new([0; L], rule),
            seat_of: Vec::new(),
            seats: Slots::new(),
            refusals: Vec::new(),
            expiries: Expiries::new(),
            agents: Slots::new(),
            ledgers: Vec::new(),
            capacity: Capacity::new(),
            classes: Classes::new(rule == Rule::Hierarchical),
            tasks: Slots::new(),
            total: [0; L],
            free: [0; L],
            resized: false,
            releases: 0,
            pending: Vec::new(),
            scratch: Vec::new(),
            labels: 0,
        }
    }

    /// Gives one task to the seat whose turn it is, on an agent with room for it; none if nobody who wants
    /// a task fits anywhere. O(depth × log siblings), and the search for room.
    pub fn decide(&mut self) -> Option<Decision> {
        self.settle();
        self.wake_first();
        loop {
            let node = self.tree.next()?;
            let seat = self.seat_of[node.index()];
            match self.room_for(seat) {
                Some(agent) => return Some(self.start(seat, agent)),
                None => self.found_no_room(seat),
            }
        }
    }

    /// A task has ended, and what it held is free. False if there is no such task (any more).
    pub fn end(&mut self, task: Slot<Task>) -> bool {
        let Some(task) = self.tasks.remove(task) else {
            return false;
        };
        let Task { seat, agent, class } = task;
        let demand = self.classes.get(class).demand;
        let ledger = &mut self.ledgers[agent as usize];
        let before = ledger.free();
        ledger.give_back(&demand);
        let after = ledger.free();
        for j in 0..L {
            self.free[j] += after[j] - before[j];
        }
        self.agents.at_mut(agent).running -= 1;
        let owner = self.seats.at_mut(seat);
        owner.running -= 1;
        let node = owner.node;
        self.tree.release(node, &demand);
        self.classes.leave(class);
        self.room_changed(agent);
        true
    }

    /// An agent on which a task of the seat fits.
    fn room_for(&mut self, seat: u32) -> Option<u32> {
        let class = self.classes.get(self.seats.at(seat).class);
        if class.failed_at == self.releases {
            return None;
        }
        let refusals = &self.refusals[seat as usize];
        let (demand, word) = (&class.demand, class.word);
        let ledgers = &self.ledgers;
        let found = self.capacity.find(
            word,
            |block| refusals.of_block(block),
            |agent| ledgers[agent as usize].has_room(demand),
        );
        if found.is_none() && refusals.is_empty() {
            let class = self.seats.at(seat).class;
            self.classes.get_mut(class).failed_at = self.releases;
        }
        found
    }

    fn start(&mut self, seat: u32, agent: u32) -> Decision {
        let owner = self.seats.at_mut(seat);
        owner.running += 1;
        owner.wants -= 1;
        let (class, node, wants) = (owner.class, owner.node, owner.wants);
        let demand = self.classes.get(class).demand;
        self.classes.share(class);
        let ledger = &mut self.ledgers[agent as usize];
        ledger.take(&demand);
        self.agents.at_mut(agent).running += 1;
        for (free, taken) in self.free.iter_mut().zip(&demand) {
            *free -= taken;
        }
        let task = self.tasks.add(Task { seat, agent, class });
        self.tree.hold(node, &demand);
        if wants == 0 {
            self.classes.want(class, false);
            self.tree.block(node, true);
        }
        self.took_room(class, agent);
        Decision {
            task,
            seat: self.seats.handle(seat),
            agent: self.agents.handle(agent),
        }
    }

    /// Tells the tree of a new total, once for many changes.
    fn settle(&mut self) {
        if std::mem::take(&mut self.resized) {
            self.tree.set_capacity(self.total);
            self.saturate();
        }
    }
}
