//! Models: the allocator's lock-free files, compiled by path against loom or shuttle.
//!
//! `make loom` explores the schedules of small cases, `make shuttle` random schedules of whole shards. Without
//! `--cfg loom` or `--cfg shuttle` this package is empty. loom has no 128-bit atomics: the word of 64 bits runs
//! the same code.
#![cfg(any(loom, shuttle))]
#![cfg(test)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the cases do not use all of what the allocator does"
)]

#[cfg(loom)]
#[path = "../../src/shared/table.rs"]
mod table;
#[cfg(loom)]
#[path = "../../src/shared/word.rs"]
mod word;

#[path = "../../src/shard/bell.rs"]
mod bell;
#[path = "../../src/shard/board.rs"]
mod board;
#[path = "../../src/shard/ingest.rs"]
mod ingest;
#[path = "../../src/shard/lane.rs"]
mod lane;

// A whole shard: its other files, over the real engine.
#[cfg(all(shuttle, not(loom)))]
use tepui_allocator::{engine, order, share};
#[cfg(all(shuttle, not(loom)))]
#[path = "../../src/shard/event.rs"]
mod event;
#[cfg(all(shuttle, not(loom)))]
#[path = "../../src/shard/owner.rs"]
mod owner;
#[cfg(all(shuttle, not(loom)))]
#[path = "../../src/shard/pages.rs"]
mod pages;
#[cfg(all(shuttle, not(loom)))]
#[path = "../../src/shard/snapshot.rs"]
mod snapshot;

/// loom's or shuttle's, where the allocator has those of the standard library.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::{
        sync::{
            Mutex, RwLock,
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
        },
        thread::{Thread, current, park, yield_now as pause},
    };
    #[cfg(all(shuttle, not(loom)))]
    pub(super) use shuttle::{
        sync::{
            Mutex, RwLock,
            atomic::{AtomicBool, AtomicUsize, Ordering, fence},
        },
        thread::{Thread, current, park, yield_now as pause},
    };
    pub(super) use std::sync::PoisonError;

    /// The moment is over at once.
    pub(super) fn park_timeout(_: std::time::Duration) {
        pause();
    }
}

#[cfg(loom)]
mod claims;
#[cfg(loom)]
mod queues;
#[cfg(all(shuttle, not(loom)))]
mod shards;
