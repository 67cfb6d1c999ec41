//! Free amounts that many threads claim from at once, without a lock and without waiting for each other.
//!
//! The engine has one owner. Where several schedulers decide at the same time, each on its own view, they meet
//! here: one word an agent holds what is free, and a claim is a compare-and-swap on it. A scheduler whose view
//! was too old is told of the *conflict* and looks again; a claim only fails because it does not fit, never
//! because somebody else changed the same word. A thread that is suspended anywhere stops no other.
//!
//! | part | file |
//! |---|---|
//! | packed amounts, and rounding that never gives too much | `shared/word.rs` |
//! | claims, releases, gangs | `shared/table.rs` |
//! | a scheduler with a view of its own | `shared/optimistic.rs` |
//!
//! `allocator/models` explores all schedules of small cases (`make loom`).
//
//= omega-2013 §3.4, shared state and optimistic concurrency

mod optimistic;
mod table;
mod word;

/// What the table runs on; loom's in the models.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

pub use self::{
    optimistic::{Optimistic, Tally},
    table::{Atomic, Conflict, FreeTable},
    word::{Packed, Units, Word},
};
