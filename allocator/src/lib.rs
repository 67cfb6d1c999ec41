//! Who is offered what: dominant resource fairness over a tree of roles.
//!
//! Pure and synchronous: no actors, no I/O, no clock (callers pass the time) and no random source but
//! one seeded by the caller. Equal calls give equal answers.
//!
//! # The model
//! *Agents* have resources. *Frameworks* subscribe to *roles*, which form a tree with weights. A run offers
//! what is free to frameworks; an offer is held until it is [recovered](Allocator::recover), whether
//! it was declined, used up or rescinded. Who holds the smallest *dominant share* is served next: the
//! largest fraction that it holds of any one resource of the cluster, divided by its weight. Roles
//! compete with their siblings at each level of the tree, then the frameworks of a role with each
//! other. The terms are those of Ghodsi et al., *Dominant Resource Fairness* (NSDI 2011), and of Apache
//! Mesos, whose semantics are kept where a framework would notice.
//!
//! # A run
//! 1. Candidates are the agents that changed since the last run, or all of them at a tick; only
//!    active, whitelisted ones count. They are shuffled.
//! 2. For each agent, roles are visited in order of share, and in each role its frameworks.
//! 3. A framework is offered *everything* that is free on the agent, unreserved or reserved to the role
//!    or one above it, unless it cannot handle it, refused it, or it is below the minimum.
//! 4. What was offered counts for the shares at once, so that the next agent goes to the next in
//!    order.
//!
//! Where a role has a *quota*, a stage for guarantees goes before, and agents are divided: see [`quota`].
//!
//! # Where to read
//! | question | file |
//! |---|---|
//! | what may the master call? | `allocator.rs` |
//! | what does each call do? | `hierarchical.rs`, then `hierarchical/run.rs`: the readable version |
//! | what does the master use? | `incremental.rs`: the same rules, fast |
//! | who is next? | `sorter.rs`, then `sorter/drf.rs` |
//! | what do guarantees and limits do? | `quota.rs` |
//! | what must always hold? | `invariants.rs` |
//! | who is next, without sorting? | `order.rs`, then `order/share_tree.rs` |
//! | tasks of known size on many agents, fast | `engine.rs` |
//! | the engine with many threads around it | `shard.rs` |
//! | claims from many threads at once | `shared.rs` |
//! | whose tasks go for a guarantee? | `revocation.rs` |
//! | shares with a memory, limits that fit | `history.rs` |
//! | what of frameworks that keep declining? | `patience.rs` |
//! | what can a bursty role count on? | `slo.rs` |
//!
//! # Writing another policy
//! - Another **order** (first in first out, random, lottery): implement [`Sorter`] for any [`sorter::Client`] and use
//!   `Hierarchical<MySorter<Role>, MySorter<FrameworkId>>`. Filters, reservations and bookkeeping stay.
//! - Another **allocator** altogether: implement [`Allocator`]. [`invariants::check`] and
//!   [`invariants::check_run`] work on any implementation.
//!
//! # Example
//! ```
//! use std::collections::{BTreeMap, BTreeSet};
//! use tepui_allocator::{Allocator, FrameworkTerms, IncrementalDrf, Options};
//! use tepui_protocol::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resources, Role, Timestamp};
//!
//! let mut allocator = IncrementalDrf::new(Options::default());
//! let (framework, agent) = (FrameworkId::new("f")?, AgentId::new("a")?);
//! let info = FrameworkInfo::new("batch", Role::new("eng/web")?);
//! allocator.add_framework(&framework, FrameworkTerms::from(&info), &BTreeSet::new(), &BTreeMap::new());
//!
//! let total = Resources::parse("cpus:4;mem:4096")?;
//! let hostname = "node1".to_owned();
//! let info = AgentInfo { id: None, hostname, resources: total.clone(), attributes: BTreeMap::new() };
//! allocator.add_agent(&agent, &info, total, &BTreeMap::new());
//!
//! let offers = allocator.allocate(Timestamp::from_secs(1));
//! assert_eq!(offers[0].resources.to_string(), "cpus(allocated:eng/web):4;mem(allocated:eng/web):4096");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod allocator;
pub mod engine;
pub mod filling;
pub mod hierarchical;
pub mod history;
pub mod incremental;
pub mod invariants;
pub mod minimum;
pub mod order;
mod patience;
pub mod quota;
pub mod revocation;
pub mod shard;
pub mod share;
pub mod shared;
pub mod slo;
#[cfg(feature = "solve")]
pub mod solve;
pub mod sorter;
mod sparing;

pub use allocator::{
    AgentView, Allocation, Allocator, Counters, FrameworkTerms, FrameworkView, NotHeld, RoleView,
};
pub use hierarchical::{AgentOrder, GpuAgents, Hierarchical, HierarchicalDrf, Options};
pub use incremental::IncrementalDrf;
pub use minimum::Minimum;
pub use quota::{QuotaError, Quotas};
pub use share::{Share, Weight};
pub use sorter::{DrfSorter, Sorter};
