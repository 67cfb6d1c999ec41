//! Discrete-event simulation of cluster allocation.
//!
//! Jobs of a trace arrive in virtual time at a cluster of nodes; a policy decides which of them start and where. Policies are the
//! *production* allocator and its orders, simple ones to compare with, and one's own (the trait [`Policy`]). Equal inputs and seeds give equal
//! bytes: no clock, no threads inside a run, no hash order.
//!
//! | question | file |
//! |---|---|
//! | which traces are read, and how? | `trace.rs` |
//! | which nodes are there? | `nodes.rs`, `cluster.rs` |
//! | what happens when? | `engine.rs`, `engine/core.rs` |
//! | who runs next? | `policy.rs` |
//! | where? | `cluster/place.rs` |
//! | what was promised to roles, and kept? | `slo.rs` |
//! | what is measured? | `meter.rs`, `summary.rs` |
//! | what is written? | `output.rs` |

pub mod amounts;
pub mod cluster;
pub mod engine;
pub mod meter;
pub mod nodes;
pub mod output;
pub mod plot;
pub mod policy;
pub mod random;
pub mod recommend;
pub mod roles;
pub mod slo;
mod stage;
pub mod summary;
pub mod sweep;
pub mod time;
pub mod trace;
pub mod world;

pub use cluster::{NodeId, Placement};
pub use engine::{Failures, Options, Outcome, Progress};
pub use nodes::Nodes;
pub use policy::{BuiltIn, Event, Policy, PolicyError, Settings, Stage};
pub use summary::Summary;
pub use time::Time;
pub use trace::{Format, JobId, Reading, Workload};
pub use world::World;
