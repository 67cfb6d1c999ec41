//! Service levels of roles that come in bursts: what they ask for, and what they get.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Quantities, Role, Timestamp};

/// How much a role can count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceClass {
    /// The room of the burst is held free for it.
    Hard,
    /// The burst is within its fair share, but nothing is held free.
    Soft,
    /// Its fair share, no more.
    Elastic,
}

impl fmt::Display for ServiceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ServiceClass::Hard => "hard",
            ServiceClass::Soft => "soft",
            ServiceClass::Elastic => "elastic",
        })
    }
}

/// What a role asks for: a burst of tasks, once in each period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLevel {
    /// The class it asks for; it may get a lesser one.
    pub class: ServiceClass,
    /// What a task of the burst takes.
    pub each: Quantities,
    /// So many tasks at once.
    pub tasks: u32,
    /// How long all of them run in each period.
    pub length: Duration,
    /// How often the burst comes.
    pub period: Duration,
    /// A framework that wants offers is to get its first one within this time,
    pub within: Duration,
    /// in so many of a hundred cases.
    pub percent: u8,
}

impl ServiceLevel {
    /// What all tasks of the burst take.
    pub fn burst(&self) -> Quantities {
        let mut burst = Quantities::new();
        for (name, each) in &self.each {
            let milli = each.milli().saturating_mul(i64::from(self.tasks));
            burst.set(name, crate::Scalar::from_milli(milli));
        }
        burst
    }
}

/// A role's service level, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// Whose.
    pub role: Role,
    /// What was asked for.
    pub level: ServiceLevel,
    /// What it got.
    pub class: ServiceClass,
    /// Why.
    pub reason: String,
    /// How often a framework of the role has waited for a first offer, of late.
    pub waits: usize,
    /// How long the given percentage of them waited at most, in seconds; nothing before the first.
    pub waited_secs: Option<f64>,
    /// The periods in which some waited, and those of them in which the time was kept.
    pub periods: u64,
    /// As `periods`.
    pub kept: u64,
    /// When the hard burst of this period began, if it has.
    #[serde(default)]
    pub began: Option<Timestamp>,
    /// Whether its length is over: until its period is, the role is as any other.
    #[serde(default)]
    pub spent: bool,
}
