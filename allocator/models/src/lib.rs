//! Models: the allocator's lock-free files, compiled by path against loom.
//!
//! `make loom` explores the schedules of small cases. Without `--cfg loom` this package is empty. loom has no
//! 128-bit atomics: the word of 64 bits runs the same code.
#![cfg(loom)]
#![cfg(test)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the cases do not use all of what the allocator does"
)]

#[path = "../../src/shared/table.rs"]
mod table;
#[path = "../../src/shared/word.rs"]
mod word;

/// loom's atomics, where the allocator has those of the standard library.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

mod claims;
