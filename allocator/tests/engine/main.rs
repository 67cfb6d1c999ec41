//! The engine against plain models, on random events.
//!
//! | file | what |
//! |---|---|
//! | `world.rs` | events, and a plain copy of all that the engine should know |
//! | `properties.rs` | whose turn it is, never over-allocated, nothing wanted is left, conservation, determinism |
//! | `roles.rs` | roles come and go |
//! | `one_pool.rs` | on one agent, the engine serves as progressive filling does |

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod one_pool;
mod properties;
mod roles;
mod world;
