//! The seam between the simulation and what decides who runs: the trait [`Policy`], and the built-in ones by name.
//!
//! A policy is told of each event, and then, once for all events of one instant, is asked to decide. It starts jobs through the
//! [`Stage`], which checks that they fit and claims their resources at once, so that no policy can over-allocate.

mod easy;
mod external;
mod fair;
mod fifo;
mod production;
mod sized;
mod whole;

use std::fmt;

pub use self::external::External;
pub use crate::stage::{CannotStart, Stage};
use crate::{cluster::NodeId, trace::JobId, world::World};

/// Something that happened, of which a policy is told after it was entered in the [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job waits: it was submitted, or a failing node killed it.
    Submitted(JobId),
    /// A job has ended or was killed; what it held is free.
    Ended(JobId),
    /// A node failed; its jobs have ended before.
    NodeDown(NodeId),
    /// A node is back.
    NodeUp(NodeId),
    /// The time has come for which the policy asked.
    Woke,
}

/// Decides who runs next, and where.
///
/// Equal calls must lead to equal decisions: no clock, no randomness but the stage's.
pub trait Policy: Send {
    /// Is told of an event. Most policies need only the queues of the [`World`] and leave this out.
    fn on_event(&mut self, _world: &World, _event: Event) {}

    /// Starts what is to be started now.
    ///
    /// # Errors
    /// Why the simulation cannot go on: an external policy has gone or answers nonsense.
    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError>;
}

/// Why a policy cannot decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy}: {what}")]
pub struct PolicyError {
    /// The policy's name.
    pub policy: String,
    /// What went wrong.
    pub what: String,
}

/// A built-in policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    /// First in, first out.
    #[default]
    Fifo,
    /// First in, first out with EASY backfill.
    Easy,
    /// Shortest estimate first.
    Shortest,
    /// Any job that fits, by the seed.
    Random,
    /// Dominant resource fairness over all roles.
    Drf,
    /// Hierarchical DRF.
    Hdrf,
    /// The tree sorted by plain sums.
    NaiveTree,
    /// The production allocator with its offers.
    Mesos,
    /// The production engine, which also places.
    Engine,
}

impl BuiltIn {
    /// All built-in policies, their names and what they do.
    pub const ALL: [(&'static str, BuiltIn, &'static str); 9] = [
        (
            "fifo",
            BuiltIn::Fifo,
            "first in, first out: nobody passes the first job that does not fit",
        ),
        (
            "easy",
            BuiltIn::Easy,
            "fifo with EASY backfill: later jobs run if they do not delay the first, by estimates",
        ),
        (
            "sjf",
            BuiltIn::Shortest,
            "the shortest estimate first; jobs that do not fit are passed over",
        ),
        (
            "random",
            BuiltIn::Random,
            "any job that fits, drawn by the seed",
        ),
        (
            "drf",
            BuiltIn::Drf,
            "the role with the least dominant share, its jobs in order (production order)",
        ),
        (
            "hdrf",
            BuiltIn::Hdrf,
            "hierarchical DRF over the role tree (production order)",
        ),
        (
            "tree-sums",
            BuiltIn::NaiveTree,
            "the role tree sorted by plain sums, as Mesos sorts (production order)",
        ),
        (
            "mesos",
            BuiltIn::Mesos,
            "the production allocator: offers, declines, filters; frameworks take what fits",
        ),
        (
            "engine",
            BuiltIn::Engine,
            "the production engine, order and placement, for jobs of one task (hierarchical DRF)",
        ),
    ];

    /// The policy, made anew.
    pub fn make(self, world: &World, seed: u64) -> Box<dyn Policy> {
        match self {
            BuiltIn::Fifo => Box::new(fifo::Fifo),
            BuiltIn::Easy => Box::new(easy::Easy::default()),
            BuiltIn::Shortest => Box::new(sized::Shortest::default()),
            BuiltIn::Random => Box::new(fifo::Lottery),
            BuiltIn::Drf => Box::new(fair::Fair::flat(world)),
            BuiltIn::Hdrf => Box::new(fair::Fair::hierarchical(world)),
            BuiltIn::NaiveTree => Box::new(fair::Fair::sums(world)),
            BuiltIn::Engine => Box::new(whole::Whole::new(world)),
            BuiltIn::Mesos => Box::new(production::Production::new(world, seed)),
        }
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, policy, _)| policy == self);
        f.pad(known.map_or("", |(name, ..)| name))
    }
}
