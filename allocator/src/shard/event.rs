//! What a shard is told, and what it answers.

use crate::{
    engine::{Agent, Decision, Refused, Seat, Slot, Task},
    order::NodeId,
    share::Weight,
};

/// Something that the engine of a shard is told. What names somebody who is gone is ignored, or answered with
/// [`Refused::Unknown`] if it has a `tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<const L: usize> {
    /// An agent joins; answered with [`Named::Agent`].
    AddAgent {
        /// What it has.
        total: [u64; L],
        /// Comes back with the answer.
        tag: u64,
    },
    /// An agent has this instead of what it had.
    ResizeAgent {
        /// Which one.
        agent: Slot<Agent>,
        /// What it has.
        total: [u64; L],
        /// Comes back with the answer.
        tag: u64,
    },
    /// Nothing more of an agent is given.
    CloseAgent {
        /// Which one.
        agent: Slot<Agent>,
    },
    /// A closed agent is given of again.
    OpenAgent {
        /// Which one.
        agent: Slot<Agent>,
    },
    /// An agent on which nothing runs leaves.
    RemoveAgent {
        /// Which one.
        agent: Slot<Agent>,
        /// Comes back with the answer.
        tag: u64,
    },
    /// A framework joins a role; answered with [`Named::Framework`].
    AddFramework {
        /// Its role, which was added before the shard began.
        role: NodeId,
        /// Against the other frameworks of the role.
        weight: Weight,
        /// What each of its tasks demands.
        demand: [u64; L],
        /// Comes back with the answer.
        tag: u64,
    },
    /// What each further task of a framework demands.
    SetDemand {
        /// Whose.
        seat: Slot<Seat>,
        /// How much.
        demand: [u64; L],
    },
    /// A framework of which nothing runs leaves.
    RemoveFramework {
        /// Which one.
        seat: Slot<Seat>,
        /// Comes back with the answer.
        tag: u64,
    },
    /// A framework wants so many tasks more.
    Want {
        /// Who.
        seat: Slot<Seat>,
        /// How many.
        more: u64,
    },
    /// A task has ended.
    End {
        /// Which one.
        task: Slot<Task>,
    },
    /// A framework takes nothing on an agent before a tick.
    Refuse {
        /// Who.
        seat: Slot<Seat>,
        /// Where.
        agent: Slot<Agent>,
        /// Until when.
        until: u64,
    },
    /// A framework takes again what it refused.
    Revive {
        /// Who.
        seat: Slot<Seat>,
    },
    /// The time is now this tick.
    Advance {
        /// Which one.
        tick: u64,
    },
}

/// What came of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A task of a framework goes to an agent.
    Decided(Decision),
    /// The answer to the event with this tag.
    Answered {
        /// The event's.
        tag: u64,
        /// What is known by which name now, or why nothing was done.
        answer: Result<Named, Refused>,
    },
}

/// By what is named what an event has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A new agent.
    Agent(Slot<Agent>),
    /// A new framework.
    Framework(Slot<Seat>),
    /// Nothing new: it was done.
    Done,
}
