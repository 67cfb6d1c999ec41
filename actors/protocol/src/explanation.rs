//! Why a framework is offered what it is offered: the allocator's answer, as data.
//!
//! It tells of what is free now. What is free after a run is what nobody was to be offered in it, so that the reasons
//! are those of the last run.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Quantities, Role, gang::GangStanding};

/// What becomes of an agent's resources for a framework in a role; the first reason that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The framework takes no offers in this role now.
    TakesNone,
    /// The agent is away, or not to be offered.
    NotOffered,
    /// Everything is used or offered.
    NothingFree,
    /// It has GPUs, and the framework lacks the capability GPU_RESOURCES.
    ForGpuFrameworks,
    /// It is in another region, and the framework lacks the capability REGION_AWARE.
    Remote,
    /// The framework takes no such agents, by its constraints.
    Constrained,
    /// What is free is reserved for other roles, or of a kind that the framework does not understand.
    NotUsable,
    /// A limit of the role, or of one above it, leaves too little.
    Limit,
    /// It is held back for guarantees of other roles.
    Headroom,
    /// What is free is less than the least worth offering.
    BelowMinimum,
    /// The framework refused it, and its filter has not run out.
    Refused,
    /// It is offered in the next run, to this framework or to one before it in the order.
    Next,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::TakesNone => {
                "the framework takes no offers in this role: inactive, suppressed or not subscribed"
            }
            Reason::NotOffered => "inactive, or not on the whitelist",
            Reason::NothingFree => "all is used or offered",
            Reason::ForGpuFrameworks => {
                "has GPUs; the framework lacks the capability GPU_RESOURCES"
            }
            Reason::Remote => "in another region; the framework lacks the capability REGION_AWARE",
            Reason::Constrained => {
                "its attributes or its host are not what the framework's constraints ask for"
            }
            Reason::NotUsable => {
                "what is free is reserved for others, or of a kind it does not understand"
            }
            Reason::Limit => {
                "a limit of the role or of one above it leaves too little; see `tepui quota`"
            }
            Reason::Headroom => "held back for what other roles are guaranteed; see `tepui quota`",
            Reason::BelowMinimum => "what is free is less than is worth an offer",
            Reason::Refused => "refused, and the filter has not run out",
            Reason::Next => "to be offered in the next run, by the order of shares",
        })
    }
}

/// A framework's turn in one role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The role.
    pub role: Role,
    /// What it holds there, offered or used.
    pub held: Quantities,
    /// The dominant share of the cluster that this is, 0 to 1.
    pub dominant_share: f64,
    /// So many are served before it; none if it takes no offers.
    pub before: Option<usize>,
    /// So many take offers, in all roles.
    pub turns: usize,
    /// The last run in which it was given something, by number.
    pub served_in: Option<u64>,
    /// So many runs in a row it has declined all that it was offered, if its refusals hold longer for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined_runs: Option<u32>,
    /// How many agents it is offered nothing of, and why.
    pub agents: BTreeMap<Reason, usize>,
}

/// Why a framework is offered what it is offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Runs of the allocator so far.
    pub runs: u64,
    /// By role.
    pub turns: Vec<Turn>,
    /// Its gangs that have not begun; the master's part of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gangs: Vec<GangStanding>,
}
