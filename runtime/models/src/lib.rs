//! Models: the runtime's lock-free files, compiled by path against loom or shuttle.
//!
//! `make loom` explores every schedule of small cases, `make shuttle` random schedules of larger
//! ones. Without `--cfg loom` or `--cfg shuttle` this package is empty. To add a file: take its
//! atomics from `crate::sync`, name it here by path, and write its cases in a module beside it.
#![cfg(any(loom, shuttle))]
#![cfg(test)]

#[path = "../../src/sync.rs"]
mod sync;

#[allow(dead_code, reason = "a model needs a part of it")]
#[path = "../../src/node/monitors/table.rs"]
mod table;

#[cfg(loom)]
mod watchers;
