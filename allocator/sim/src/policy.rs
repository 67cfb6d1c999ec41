//! The seam between the simulation and what decides who runs: the trait [`Policy`], and the built-in ones by name.
//!
//! A policy is told of each event, and then, once for all events of one instant, is asked to decide. It starts jobs through the
//! [`Stage`], which checks that they fit and claims their resources at once, so that no policy can over-allocate.

mod easy;
mod external;
mod fair;
mod fifo;
mod history;
mod levels;
mod production;
mod reclaim;
mod sized;
mod whole;

use std::fmt;

pub use self::external::External;
pub use crate::stage::{CannotStart, Stage, Withheld};
use crate::{cluster::NodeId, slo, time::Time, trace::JobId, world::World};

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
    /// DRF with the placement that fits it on unlike nodes.
    Drfh,
    /// Task share fairness.
    Tsf,
    /// Hierarchical DRF.
    Hdrf,
    /// DRF with a memory.
    History,
    /// Service levels, and DRF of what they leave.
    Slo,
    /// The tree sorted by plain sums.
    NaiveTree,
    /// The production allocator with its offers.
    Mesos,
    /// The production engine, which also places.
    Engine,
}

/// What policies can be told beside their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After how long `history` counts what was had half.
    pub half_life: Time,
    /// What roles ask of `slo`.
    pub slo: Vec<slo::Terms>,
    /// Whether roles below their fair share take from those above, and how long these have to end.
    pub revoke: Option<Time>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_life: Time::from_secs(24 * 3600),
            slo: Vec::new(),
            revoke: None,
        }
    }
}

impl BuiltIn {
    /// All built-in policies, their names and what they do.
    pub const ALL: [(&'static str, BuiltIn, &'static str); 13] = [
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
            "drfh",
            BuiltIn::Drfh,
            "drf, each task on the node nearest in shape whatever --placement says (best-fit DRFH)",
        ),
        (
            "tsf",
            BuiltIn::Tsf,
            "the role with the least part of the tasks it could run alone without constraints (TSF)",
        ),
        (
            "history",
            BuiltIn::History,
            "the role that had least lately: decayed use with a half-life (--half-life)",
        ),
        (
            "slo",
            BuiltIn::Slo,
            "bursts that were promised service (--slo): hard ones never wait, soft ones go first; then drf",
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

    /// The policy, made anew, with default settings.
    pub fn make(self, world: &World, seed: u64) -> Box<dyn Policy> {
        self.plain(world, seed, &Settings::default(), Vec::new())
    }

    /// The policy, made anew.
    ///
    /// # Errors
    /// What the settings ask and this policy or workload cannot do.
    pub fn make_with(
        self,
        world: &World,
        seed: u64,
        settings: &Settings,
    ) -> Result<Box<dyn Policy>, PolicyError> {
        let failed = |what: String| PolicyError {
            policy: self.to_string(),
            what,
        };
        let grants = slo::grants(world, &settings.slo).map_err(failed)?;
        if self == BuiltIn::Slo && grants.is_empty() {
            return Err(failed(
                "no role asks for a service level; write e.g. --slo 'web=hard,16xcpus:4,10m/1h'"
                    .to_owned(),
            ));
        }
        let plain = self.plain(world, seed, settings, grants);
        let Some(grace) = settings.revoke else {
            return Ok(plain);
        };
        if !Self::RECLAIMING.contains(&self) {
            let names = Self::RECLAIMING.map(|policy| policy.to_string());
            return Err(failed(format!(
                "it does not revoke; --revoke is for {}",
                names.join(", ")
            )));
        }
        Ok(Box::new(reclaim::Reclaim::new(plain, grace)))
    }

    /// Those that serve the least share first: they give what was revoked to who claimed it.
    const RECLAIMING: [BuiltIn; 6] = [
        BuiltIn::Drf,
        BuiltIn::Drfh,
        BuiltIn::Tsf,
        BuiltIn::Hdrf,
        BuiltIn::NaiveTree,
        BuiltIn::History,
    ];

    fn plain(
        self,
        world: &World,
        seed: u64,
        settings: &Settings,
        grants: Vec<slo::Grant>,
    ) -> Box<dyn Policy> {
        match self {
            BuiltIn::Drfh => Box::new(fair::Fair::best_fit(world)),
            BuiltIn::Tsf => Box::new(fair::Fair::tasks(world)),
            BuiltIn::History => Box::new(history::History::new(world, settings.half_life)),
            BuiltIn::Slo => Box::new(levels::Levels::new(world, grants)),
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
