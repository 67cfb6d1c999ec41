//! Operations on reservations that a framework wants to hear of: each has an id, and a status until that is acknowledged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentId, OperationId, Resources};

/// A change of reservations in an ACCEPT, of which the framework is told what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Chosen by the framework; not one whose status it has not acknowledged.
    pub id: OperationId,
    /// What is to be done.
    pub change: ReservationChange,
}

/// What is done to reservations of offered resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReservationChange {
    /// As [`crate::Operation::Reserve`].
    Reserve(Resources),
    /// As [`crate::Operation::Unreserve`].
    Unreserve(Resources),
}

/// What became of an operation.
//= mesos, operation states; those of resource providers are not there
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationState {
    /// It is done, for good.
    Finished,
    /// It is not valid, and changed nothing.
    Error,
    /// It was not tried: its offers are void, or no master was there.
    Dropped,
    /// The master knows of none with this id: it was acknowledged, or never arrived.
    Unknown,
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OperationState::Finished => "OPERATION_FINISHED",
            OperationState::Error => "OPERATION_ERROR",
            OperationState::Dropped => "OPERATION_DROPPED",
            OperationState::Unknown => "OPERATION_UNKNOWN",
        })
    }
}

/// News of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// Which.
    pub id: OperationId,
    /// What became of it.
    pub state: OperationState,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// On which agent, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
}

impl OperationStatus {
    /// Whether the master sends it again until it is acknowledged.
    pub fn is_kept(&self) -> bool {
        self.state != OperationState::Unknown
    }
}
