//! The master: agents and frameworks meet here, and each task's place in the cluster is known.
//!
//! ```text
//!   scheduler drivers         agents             operators
//!          \                    |                   /
//!           +------------- MasterActor ------------+      actor.rs: carries effects out
//!                 |             |          |
//!              Master     AllocatorActor  StateStore
//!            master.rs     allocation.rs  (registry)
//!           pure state      who gets what   what survives
//! ```
//! The way of an offer: the allocator grants resources (`allocation.rs`), the master makes offers of
//! them (`master/offers.rs`), the framework accepts (`master/tasks.rs`), the agent reports
//! (`master/updates.rs`), and the resources are the allocator's again.

mod actor;
mod allocation;
pub mod api;
pub mod config;
pub mod effects;
pub mod invariants;
pub mod master;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use actor::MasterActor;
pub use config::{InvalidConfig, MasterConfig};
pub use master::{Master, StartError};
