//! Service levels of roles: what a role may count on, whether that can be promised, and whether it was kept.
//!
//! A role that comes in bursts asks for so many tasks of a size at once, for so long in each period, each of them to be offered room within
//! a time. [`Admission`] says which class that comes to, and why; [`Contract`] says which jobs belong to the burst; [`Record`] says
//! in which periods the promise was kept.
//!
//! | class | what it means |
//! |---|---|
//! | hard | the room of the burst is kept free, or can be had at once: its jobs never wait |
//! | soft | the jobs of the burst go first while there is room: nothing is kept free |
//! | elastic | the role's fair share, no more |
//!
//! ```text
//!  would an admitted role lose what it was promised? --yes--> refused
//!    | no
//!  is the burst, spread over its period, within the role's fair share? --no--> elastic
//!    | yes
//!  have all hard bursts room beside each other? --no--> soft, else hard
//! ```
//
//= bopf-2019, admission of bursty queues: safety, fairness and resource conditions

mod admission;
mod contract;
mod record;

use std::{fmt, time::Duration};

pub use self::{
    admission::{Admission, Decision, Reason, Refused},
    contract::Contract,
    record::{Record, Verdict},
};
use crate::order::Amounts;

/// How much a role can count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The burst never waits.
    Hard,
    /// The burst goes first.
    Soft,
    /// A fair share.
    Elastic,
}

impl Class {
    /// All classes and their names.
    pub const ALL: [(&'static str, Class); 3] = [
        ("hard", Class::Hard),
        ("soft", Class::Soft),
        ("elastic", Class::Elastic),
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, class)| class == self);
        f.pad(known.map_or("", |(name, _)| name))
    }
}

/// What a role asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective<const L: usize> {
    /// The class it asks for; it may get a lesser one.
    pub asked: Class,
    /// What a task of the burst takes, at most.
    pub unit: Amounts<L>,
    /// Tasks of the burst that run at once, at most.
    pub tasks: u32,
    /// How long all of them run in each period, at most.
    pub length: Duration,
    /// How often the burst comes.
    pub period: Duration,
    /// Room is to be offered within this time of a job's coming,
    pub within: Duration,
    /// to this part of a period's jobs, in percent.
    pub percent: u8,
}

/// What is wrong with an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObjective {
    /// It asks for nothing.
    #[error("the burst takes nothing: at least one task of some resource is needed")]
    Nothing,
    /// The burst is longer than its period, or one of them is nothing.
    #[error("the burst must last longer than nothing, and not longer than its period")]
    Length,
    /// The percentile is none.
    #[error("the percentile must be from 1 to 100")]
    Percent,
}

impl<const L: usize> Objective<L> {
    /// Checks that it makes sense.
    ///
    /// # Errors
    /// [`BadObjective`].
    pub fn check(&self) -> Result<(), BadObjective> {
        if self.tasks == 0 || self.unit.iter().all(|&each| each == 0) {
            return Err(BadObjective::Nothing);
        }
        if self.length.is_zero() || self.length > self.period {
            return Err(BadObjective::Length);
        }
        if !(1..=100).contains(&self.percent) {
            return Err(BadObjective::Percent);
        }
        Ok(())
    }

    /// What all tasks of the burst hold together.
    pub fn burst(&self) -> Amounts<L> {
        self.unit
            .map(|each| each.saturating_mul(u64::from(self.tasks)))
    }

    /// What the burst holds on average over its period, rounded up.
    pub fn average(&self) -> Amounts<L> {
        let (length, period) = (self.length.as_micros(), self.period.as_micros().max(1));
        self.burst().map(|burst| {
            let spread = u128::from(burst).saturating_mul(length).div_ceil(period);
            u64::try_from(spread).unwrap_or(u64::MAX)
        })
    }
}
