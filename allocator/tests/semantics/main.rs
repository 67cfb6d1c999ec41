//! What the allocator must do, as a framework or an operator would notice it. All but the sorters' files hold
//! for the allocator of the master as well, see `tests/incremental.rs`.
//!
//! | file | what |
//! |---|---|
//! | `sorter_oracles.rs` | Mesos's sorter tests S1 to S22, as tables |
//! | `allocator_oracles.rs` | Mesos's allocator tests A1 to A21, as tables |
//! | `quota_oracles.rs` | Mesos's quota tests Q1 to Q26, as tables |
//! | `quota_behaviour.rs` | what no oracle says of quota |
//! | `behaviour.rs` | promises of the trait that no oracle covers |
//! | `drf_paper.rs` | the worked example of the DRF paper, with whole tasks |
//! | `sorter_properties.rs` | the sorter against a brute-force one |
//! | `cluster_properties.rs` | random clusters: conservation, determinism |
//! | `amounts.rs`, `sorter_table.rs`, `cluster_table.rs` | the tables' notation |

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod allocator_oracles;
mod amounts;
mod behaviour;
mod cluster_properties;
mod cluster_table;
mod drf_paper;
mod quota_behaviour;
mod quota_oracles;
mod sorter_oracles;
mod sorter_properties;
mod sorter_table;

/// The allocator under test.
mod subject {
    pub(crate) use tepui_allocator::HierarchicalDrf as Subject;
}
