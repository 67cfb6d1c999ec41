//! The order in which clients (roles, or the frameworks of one role) are served.
//!
//! Owns the interface only. A sorter is told who its clients are, what the cluster has and what each
//! client holds, and answers with the clients in the order they are next served. Policies of one's
//! own start here; the built-in one is [`DrfSorter`].

mod drf;
mod tree;

use std::{collections::BTreeSet, fmt, sync::Arc};

use tepui_protocol::{FrameworkId, Quantities, Role};

pub use self::drf::DrfSorter;
use crate::share::{Share, Weight};

/// Who is sorted. Its path (`a/b`) places it in the tree; a path without a slash is a child of the
/// root. Two clients are equal exactly when their paths are.
pub trait Client: Clone + Ord + fmt::Debug {
    /// The client's path, without a slash at either end.
    fn path(&self) -> &str;
}

impl Client for Role {
    fn path(&self) -> &str {
        self.as_str()
    }
}

impl Client for FrameworkId {
    fn path(&self) -> &str {
        self.as_str()
    }
}

impl Client for String {
    fn path(&self) -> &str {
        self
    }
}

/// An order of clients.
///
/// Calls naming a client that was not added are ignored, and removing one forgets what it held.
/// Implementations are deterministic: equal calls give equal orders.
pub trait Sorter<C: Client>: Send + fmt::Debug {
    /// A sorter without clients, for a cluster that has nothing yet. Resources named in `excluded`
    /// do not count for shares.
    fn new(excluded: &BTreeSet<String>) -> Self
    where
        Self: Sized;

    /// Adds an inactive client that holds nothing; nothing changes if it is there already.
    fn add(&mut self, client: &C);

    /// Removes the client and what it holds.
    fn remove(&mut self, client: &C);

    /// Includes the client in [`Sorter::sort`].
    fn activate(&mut self, client: &C);

    /// Leaves the client out of [`Sorter::sort`]; what it holds still counts for its ancestors.
    fn deactivate(&mut self, client: &C);

    /// Weighs everything under `path` (a role, client or not) against its siblings.
    fn set_weight(&mut self, path: &str, weight: Weight);

    /// Replaces what the whole cluster has.
    fn set_total(&mut self, total: &Quantities);

    /// Adds to what the client holds, as one allocation.
    fn allocated(&mut self, client: &C, amounts: &Quantities);

    /// Takes from what the client holds; never below zero.
    fn unallocated(&mut self, client: &C, amounts: &Quantities);

    /// The active clients, the next to be served first. Cheap when nothing changed since.
    fn sort(&mut self) -> Arc<[C]>;

    /// Whether the client was added.
    fn contains(&self, client: &C) -> bool;

    /// The number of clients, active or not.
    fn len(&self) -> usize;

    /// Whether there is no client.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What everything under `path` holds together; nothing if there is no such path.
    fn held(&self, path: &str) -> Quantities;

    /// The weighted dominant share of everything under `path`, zero if there is no such path.
    fn share(&self, path: &str) -> Share;
}
