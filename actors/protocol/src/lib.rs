//! The vocabulary of the cluster: ids, resources, roles, offers, tasks, and (feature `messages`)
//! the messages its components exchange.
//!
//! Owns data and its rules (validation, arithmetic, text forms), no behaviour of any component.
//! Names follow Mesos, so that a reader of its documentation is at home. Start with [`resources`],
//! then [`task`], then `messages`.

pub mod agent;
pub mod constraints;
pub mod explanation;
pub mod framework;
pub mod gang;
pub mod id;
pub mod lifecycle;
pub mod maintenance;
#[cfg(feature = "messages")]
pub mod messages;
pub mod network;
pub mod offer;
pub mod operation;
pub mod provision;
pub mod quota;
pub mod resources;
pub mod role;
pub mod service;
pub mod start;
pub mod task;
pub mod terminal;
pub mod time;
pub mod usage;

pub use agent::AgentInfo;
pub use constraints::{Constraint, Constraints};
pub use explanation::Explanation;
pub use framework::{Capability, FrameworkInfo};
pub use gang::Gang;
pub use id::{AgentId, ExecutorId, FrameworkId, MasterId, OfferId, OperationId, TaskId};
pub use maintenance::{InverseOffer, Unavailability};
pub use network::{ContainerStatus, NetworkInfo, NetworkMode, PortMapping};
pub use offer::{Filters, Offer, Operation};
pub use operation::{OperationState, OperationStatus};
pub use quota::Quota;
pub use resources::{Limits, Quantities, Resource, Resources, Scalar};
pub use role::Role;
pub use task::{
    CommandInfo, ExecutorInfo, GroupPolicy, KillPolicy, Membership, Reason, Source, TaskGroup,
    TaskInfo, TaskState, TaskStatus,
};
pub use terminal::WindowSize;
pub use time::Timestamp;
pub use usage::{GpuShare, Usage};
