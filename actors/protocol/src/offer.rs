//! Offers, what may be done with them, and refusals.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    id::{AgentId, FrameworkId, OfferId},
    maintenance::Unavailability,
    operation::Tracked,
    resources::Resources,
    role::Role,
    task::{TaskGroup, TaskInfo},
};

/// Resources of one agent, held for one framework in one role until it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Names the offer in the answer.
    pub id: OfferId,
    /// To whom it was made.
    pub framework_id: FrameworkId,
    /// The agent that has the resources.
    pub agent_id: AgentId,
    /// That agent's machine.
    pub hostname: String,
    /// The role on whose account the resources are allocated.
    pub role: Role,
    /// What is offered; each resource carries the allocation to `role`.
    pub resources: Resources,
    /// The agent's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// When the agent's machine will be taken down, if that is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailability: Option<Unavailability>,
}

/// One step of an ACCEPT; steps are applied in order and see what those before them left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// Starts tasks on the offered resources.
    Launch(Vec<TaskInfo>),
    /// Starts tasks together on the offered resources, all or none.
    LaunchGroup(TaskGroup),
    /// Reserves offered resources to the offers' role: those that are named, with the new claim as the topmost of
    /// each. Claims below it stay; they are of roles above. One that is not valid changes nothing.
    Reserve(Resources),
    /// Takes the topmost claim off reserved resources of the offers: off those that are named, all of their
    /// claims included. One that is not valid changes nothing.
    Unreserve(Resources),
    /// One of these two, of which the framework is told what became of it.
    Tracked(Tracked),
}

impl Operation {
    /// The tasks that it starts.
    pub fn tasks(&self) -> &[TaskInfo] {
        match self {
            Operation::Launch(tasks) => tasks,
            Operation::LaunchGroup(group) => &group.tasks,
            Operation::Reserve(_) | Operation::Unreserve(_) | Operation::Tracked(_) => &[],
        }
    }

    /// The tasks that it starts; those of a group with their membership.
    pub fn into_tasks(self) -> Vec<TaskInfo> {
        match self {
            Operation::Launch(tasks) => tasks,
            Operation::LaunchGroup(group) => group.members(),
            Operation::Reserve(_) | Operation::Unreserve(_) | Operation::Tracked(_) => Vec::new(),
        }
    }
}

/// For how long refused resources stay away from a framework.
///
//= mesos, Filters.refuse_seconds: default 5 s, at most 365 days; invalid values mean the default
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// Seconds; zero for no filter.
    pub refuse_seconds: f64,
}

impl Filters {
    const DEFAULT_SECONDS: f64 = 5.0;
    const MAX_SECONDS: f64 = 365.0 * 86_400.0;

    /// No filter at all: the same resources may be offered again at once.
    pub const NONE: Filters = Filters {
        refuse_seconds: 0.0,
    };

    /// A filter of `seconds`.
    pub fn seconds(seconds: f64) -> Self {
        Self {
            refuse_seconds: seconds,
        }
    }

    /// The duration that is in force: clamped as Mesos does.
    pub fn refuse(&self) -> Duration {
        let seconds = if self.refuse_seconds.is_nan() || self.refuse_seconds < 0.0 {
            Self::DEFAULT_SECONDS
        } else {
            self.refuse_seconds.min(Self::MAX_SECONDS)
        };
        Duration::from_secs_f64(seconds)
    }
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            refuse_seconds: Self::DEFAULT_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuse_seconds_are_clamped_as_mesos_does() {
        assert_eq!(Filters::default().refuse(), Duration::from_secs(5));
        assert_eq!(Filters::seconds(-1.0).refuse(), Duration::from_secs(5));
        assert_eq!(Filters::seconds(f64::NAN).refuse(), Duration::from_secs(5));
        assert_eq!(Filters::NONE.refuse(), Duration::ZERO);
        assert_eq!(
            Filters::seconds(f64::INFINITY).refuse(),
            Duration::from_secs(365 * 86_400)
        );
    }
}
