//! The semantics of `tests/semantics`, of the allocator that the master uses; and both side by side.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "semantics/allocator_oracles.rs"]
mod allocator_oracles;
#[path = "semantics/amounts.rs"]
mod amounts;
#[path = "semantics/behaviour.rs"]
mod behaviour;
#[path = "semantics/cluster_properties.rs"]
mod cluster_properties;
#[path = "semantics/cluster_table.rs"]
mod cluster_table;
#[path = "semantics/quota_behaviour.rs"]
mod quota_behaviour;
#[path = "semantics/quota_oracles.rs"]
mod quota_oracles;

use std::time::Duration;

use proptest::prelude::*;
use tepui_allocator::{AgentOrder, HierarchicalDrf, IncrementalDrf, Options};

use crate::cluster_properties::{World, events, trace};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// With agents visited by id, both offer the same, in the same order, and say the same of their state.
    #[test]
    fn the_plain_and_the_incremental_allocator_agree(events in events()) {
        let options = Options { agent_order: AgentOrder::ById, ..Options::default() };
        let plain = World::of(Box::new(HierarchicalDrf::new(options.clone())));
        let incremental = World::of(Box::new(IncrementalDrf::new(options)));
        prop_assert_eq!(trace(plain, &events), trace(incremental, &events));
    }

    /// The same where frameworks that keep declining are asked less often.
    #[test]
    fn both_back_off_alike(events in events()) {
        let options = Options {
            agent_order: AgentOrder::ById,
            decline_backoff: Some(Duration::from_secs(30)),
            ..Options::default()
        };
        let plain = World::backing_off(Box::new(HierarchicalDrf::new(options.clone())));
        let incremental = World::backing_off(Box::new(IncrementalDrf::new(options)));
        prop_assert_eq!(trace(plain, &events), trace(incremental, &events));
    }
}

/// The allocator under test.
mod subject {
    pub(crate) use tepui_allocator::IncrementalDrf as Subject;
}
