//! Quota: what roles are guaranteed and limited to, and what that does to offers.
//!
//! Pure rules that both allocators share; each keeps its own books and asks here.
//!
//! | question | file |
//! |---|---|
//! | which quotas go together? | `quota/rules.rs` |
//! | what has a role consumed, what is held back for whom? | `quota/tree.rs` |
//! | which part of an agent may a framework be offered? | `quota/portion.rs` |
//!
//! # The model
//! A role *consumes* what is reserved to it and to the roles below it, used or not, and what of the
//! unreserved, non-revocable scalars it and they hold. Ranges, sets, revocable and shared resources are
//! not counted. A run has two stages, each over all candidates:
//!
//! 1. roles whose *guarantee* is not met yet are given what is missing, chopped from agents in the order
//!    of shares; with it comes what else they may have there;
//! 2. the rest is shared fairly, except for the *headroom*: as much as the guarantees still lack stays
//!    free in the cluster, and nobody goes beyond a limit.
//!
//! Guarantees and limits of a role count for all roles below it as well: `a/b` consumes of both its own
//! and of `a`'s, a limit on `a` binds `a/b`, and what `a` is guaranteed beyond the guarantees below it is
//! for whoever comes first there. Within a limited role, what its children are guaranteed is held back
//! from their siblings.
//!
//= mesos, allocator: stages of an allocation run; quota.md
//= mesos, differs: only top-level roles have quota there, and a limit does not bind the roles below

mod portion;
mod rules;
mod tree;

use std::collections::BTreeMap;

use tepui_protocol::{Quantities, Quota, Resource, Resources, Role};

pub(crate) use self::{
    portion::{Portion, Stage, merge},
    tree::{Amounts, Lanes, Tree, UNLIMITED, minus, plus},
};
pub use self::{
    rules::{Problem, QuotaError, Standing, check},
    tree::NAMES,
};

/// Whether quota counts this entry when a framework holds it: an unreserved scalar that nobody takes back.
pub fn is_counted(entry: &Resource) -> bool {
    entry.reservations.is_empty() && !entry.revocable && !entry.shared && entry.amount().is_some()
}

/// An agent's total, and what is held of it on which role's account.
pub(crate) type Books<'a> = (&'a Resources, Vec<(Role, Resources)>);

/// What each of `roles` consumes, by the definition: a walk over all agents.
pub(crate) fn consumed<'a, 'b>(
    roles: impl IntoIterator<Item = &'b Role>,
    agents: impl IntoIterator<Item = Books<'a>>,
) -> BTreeMap<Role, Quantities> {
    let mut consumed: BTreeMap<Role, Quantities> = roles
        .into_iter()
        .map(|role| (role.clone(), Quantities::new()))
        .collect();
    let mut charge = |of: &Role, entry: &Resource| {
        let Some(amount) = entry.amount() else {
            return;
        };
        for role in std::iter::once(of.clone()).chain(of.ancestors()) {
            if let Some(sum) = consumed.get_mut(&role) {
                sum.add_amount(&entry.name, amount);
            }
        }
    };
    for (total, held) in agents {
        for entry in total.iter().filter(|entry| !entry.revocable) {
            if let Some(owner) = entry.reserved_to() {
                charge(owner, entry);
            }
        }
        for (role, part) in held {
            part.iter()
                .filter(|entry| is_counted(entry))
                .for_each(|entry| charge(&role, entry));
        }
    }
    consumed
}

/// The quotas that are set; none of them is the default.
pub type Quotas = BTreeMap<Role, Quota>;
