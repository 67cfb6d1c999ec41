//! What must always hold of quota, worked out from the views alone.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{Quantities, Role};

use super::{State, Violation, holds};
use crate::{
    allocator::{Allocation, RoleView},
    quota::is_counted,
};

/// What each role and those below it got in a run, as far as quota counts it.
fn given(allocations: &[Allocation]) -> BTreeMap<Role, Quantities> {
    let mut given = BTreeMap::<Role, Quantities>::new();
    for allocation in allocations {
        let counted = allocation.resources.filter(is_counted).quantities();
        for role in allocation.role.ancestors().chain([allocation.role.clone()]) {
            *given.entry(role).or_default() += &counted;
        }
    }
    given
}

/// AL-7.
pub(super) fn limits_hold(before: &State, allocations: &[Allocation]) -> Result<(), Violation> {
    let given = given(allocations);
    for (role, view) in &before.roles {
        let more = given.get(role).cloned().unwrap_or_default();
        let left = |name: &str, limit: tepui_protocol::Scalar| {
            limit.saturating_sub(view.consumed.get(name))
        };
        let mut limits = view.quota.limits.iter();
        let kept = limits.all(|(name, limit)| more.get(name) <= left(name, limit));
        holds(
            kept,
            "AL-7",
            "nobody is given more than limits leave",
            (role, view, more),
        )?;
    }
    Ok(())
}

/// AL-8.
pub(super) fn headroom_is_left(
    before: &State,
    allocations: &[Allocation],
) -> Result<(), Violation> {
    let given = given(allocations);
    let mut free = Quantities::new();
    for agent in before.agents.values().filter(|agent| agent.active) {
        free += &agent.available.filter(is_counted).quantities();
    }
    let mut after = free.clone();
    for allocation in allocations {
        after -= &allocation.resources.filter(is_counted).quantities();
    }
    let lacked = lacks(before, &BTreeMap::new());
    let lacking = lacks(before, &given);
    // What was missing before the run cannot be there after it.
    let kept = lacking.iter().all(|(name, lacking)| {
        let missing = lacked.get(name).saturating_sub(free.get(name));
        after.get(name) + missing >= lacking
    });
    let what = (&free, &lacked, &after, &lacking);
    holds(kept, "AL-8", "what guarantees lack stays free", what)
}

/// What all guarantees lack, after roles were `given` this.
fn lacks(state: &State, given: &BTreeMap<Role, Quantities>) -> Quantities {
    let quotas = state
        .roles
        .iter()
        .filter(|(_, view)| !view.quota.is_default());
    let quotas: BTreeMap<&Role, &RoleView> = quotas.collect();
    let mut below = BTreeMap::<Option<Role>, Quantities>::new();
    for (role, view) in quotas.iter().rev() {
        let consumed = view.consumed.clone() + &given.get(*role).cloned().unwrap_or_default();
        let unmet = view.quota.guarantees.clone() - &consumed;
        let children = below.remove(&Some((*role).clone())).unwrap_or_default();
        let names: BTreeSet<&str> = unmet
            .iter()
            .chain(&children)
            .map(|(name, _)| name)
            .collect();
        let above = role.ancestors().find(|above| quotas.contains_key(above));
        for name in names {
            let lacks = unmet.get(name).max(children.get(name));
            below
                .entry(above.clone())
                .or_default()
                .add_amount(name, lacks);
        }
    }
    below.remove(&None).unwrap_or_default()
}

/// AL-9.
pub(super) fn consumption_is_what_is_reserved_or_held(state: &State) -> Result<(), Violation> {
    for (role, view) in &state.roles {
        let mut expected = Quantities::new();
        let within = |other: &Role| other == role || role.is_ancestor_of(other);
        for agent in state.agents.values().filter(|_| !view.quota.is_default()) {
            let reserved = agent
                .total
                .filter(|entry| !entry.revocable && entry.reserved_to().is_some_and(within));
            expected += &reserved.quantities();
            for held in agent.used.values() {
                let held = held.filter(|entry| {
                    is_counted(entry) && entry.allocation.as_ref().is_some_and(within)
                });
                expected += &held.quantities();
            }
        }
        let right = view.consumed == expected;
        holds(
            right,
            "AL-9",
            "a role consumes what is reserved or held",
            (role, view, expected),
        )?;
    }
    Ok(())
}
