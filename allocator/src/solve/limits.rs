//! What a document may ask for, at most.

/// Cases in a document.
pub(super) const CASES: usize = 10_000;
/// Users, leaves, events or servers of a case.
pub(super) const ENTRIES: usize = 10_000;
/// Resources of a case.
pub(super) const RESOURCES: usize = 16;
/// Tasks that a case of whole tasks may hand out, ends included.
pub(super) const STEPS: u64 = 2_000_000;
/// Leaves of a tree times steps: what it costs to settle who is blocked.
pub(super) const WORK: u64 = 400_000_000;
/// Users times servers of an exact case.
pub(super) const PAIRS: usize = 200;
/// Users of an exact case without servers.
pub(super) const USERS: usize = 500;
/// Digits of a number, before and after the point.
pub(super) const DIGITS: usize = 40;
