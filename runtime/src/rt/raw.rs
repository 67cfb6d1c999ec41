//! The lock-free and pinned parts under the mailbox: the one place of `rt` with `unsafe` code.
//!
//! Each file owns one structure, says in its header what makes it sound, and offers the rest of
//! the crate a safe interface ([`mailbox`], [`envelope`], [`reply`], [`held`]). All but the last are
//! explored by loom and shuttle in `runtime/models`, which compiles them by path; so is the turn that an
//! actor takes ([`round`], which has no `unsafe`).

#![expect(
    unsafe_code,
    reason = "lock-free queues and erased types; every block says why it is sound"
)]

mod doorbell;
pub(crate) mod envelope;
pub(crate) mod held;
mod lane;
pub(crate) mod mailbox;
pub(crate) mod place;
mod pool;
pub(crate) mod queue;
pub(crate) mod reply;
pub(crate) mod round;
