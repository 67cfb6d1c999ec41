//! Models: the runtime's lock-free files, compiled by path against loom or shuttle.
//!
//! `make loom` explores the schedules of small cases, `make shuttle` random schedules of larger
//! ones. Without `--cfg loom` or `--cfg shuttle` this package is empty. To add a file: take its
//! atomics from `crate::sync`, name it here by path, and write its cases in a module beside it.
#![cfg(any(loom, shuttle))]
#![cfg(test)]
#![expect(
    unsafe_code,
    reason = "the files under test have it, and say why it is sound"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the cases do not use all of what the runtime does"
)]

#[path = "../../src/sync.rs"]
mod sync;

#[path = "../../src/node/monitors/table.rs"]
mod table;

#[path = "../../src/rt/raw/doorbell.rs"]
mod doorbell;
#[path = "../../src/rt/raw/lane.rs"]
mod lane;
#[path = "../../src/rt/raw/mailbox.rs"]
mod mailbox;
#[path = "../../src/rt/raw/place.rs"]
mod place;
#[path = "../../src/rt/raw/pool.rs"]
mod pool;
#[path = "../../src/rt/raw/queue.rs"]
mod queue;
#[path = "../../src/rt/raw/reply.rs"]
mod reply;
#[cfg(all(shuttle, not(loom)))]
#[path = "../../src/rt/raw/round.rs"]
mod round;

#[cfg(loom)]
mod mailboxes;
#[cfg(loom)]
mod replies;
#[cfg(loom)]
mod watchers;
#[cfg(all(shuttle, not(loom)))]
mod worker;
