//! What must always hold of an allocator, one predicate each; used by tests and simulation.
//!
//! | id | statement |
//! |---|---|
//! | AL-1 | offered <= available |
//! | AL-2 | available = total - held, per agent |
//! | AL-3 | a role holds what its frameworks, and those below it, hold on all agents |
//! | AL-4 | a framework holds what the agents say |
//! | AL-5 | only frameworks that take offers in the role get some |
//! | AL-6 | a share is the largest held fraction of the cluster, over the weight |
//! | AL-7 | nobody is given more than the limits of the role and those above it leave |
//! | AL-8 | what guarantees lack stays free as far as it was free, unless it is given for them |
//! | AL-9 | a role with a quota consumes what is reserved to it or held there unreserved |
//!
//! AL-1, AL-5, AL-7 and AL-8 are about a run ([`check_run`]), the others about a state ([`check`]). Those about
//! quota are in `invariants/quota.rs`.

mod quota;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use tepui_protocol::{AgentId, FrameworkId, Quantities, Resources, Role};

use crate::{
    allocator::{AgentView, Allocation, Allocator, FrameworkView, RoleView},
    share::{Share, Weight},
};

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} {statement}: {what}")]
pub struct Violation {
    /// As `AL-1`.
    pub id: &'static str,
    /// What should hold.
    pub statement: &'static str,
    /// Where it does not.
    pub what: String,
}

/// What invariants of a state are about; taken from an allocator's views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The roles.
    pub roles: BTreeMap<Role, RoleView>,
    /// The frameworks.
    pub frameworks: BTreeMap<FrameworkId, FrameworkView>,
    /// The agents.
    pub agents: BTreeMap<AgentId, AgentView>,
}

impl State {
    /// The state of an allocator.
    pub fn of(allocator: &dyn Allocator) -> Self {
        Self {
            roles: allocator.roles(),
            frameworks: allocator.frameworks(),
            agents: allocator.agents(),
        }
    }

    /// What each known framework holds on all agents, per role.
    fn held(&self) -> BTreeMap<(&FrameworkId, Role), Quantities> {
        let mut sums = BTreeMap::<_, Quantities>::new();
        for (framework, resources) in self.agents.values().flat_map(|agent| &agent.used) {
            if self.frameworks.contains_key(framework) {
                for (role, resources) in resources.allocations() {
                    *sums.entry((framework, role)).or_default() += &resources.quantities();
                }
            }
        }
        sums
    }

    fn total(&self) -> Quantities {
        let totals = self.agents.values().map(|agent| agent.total.quantities());
        totals.fold(Quantities::new(), |sum, more| sum + &more)
    }
}

/// Checks AL-2, AL-3, AL-4, AL-6 and AL-9; resources named in `excluded` do not count for shares. Costs a
/// walk over all that is held.
///
/// # Errors
/// The first [`Violation`].
pub fn check(allocator: &dyn Allocator, excluded: &BTreeSet<String>) -> Result<(), Violation> {
    let state = State::of(allocator);
    for (id, agent) in &state.agents {
        available_is_total_less_held(id, agent)?;
    }
    roles_hold_what_frameworks_hold(&state)?;
    frameworks_hold_what_agents_say(&state)?;
    quota::consumption_is_what_is_reserved_or_held(&state)?;
    shares_follow_holdings(&state, excluded)
}

/// Checks AL-1, AL-5, AL-7 and AL-8 of the allocations of one run that began in the state `before`.
///
/// # Errors
/// The first [`Violation`].
pub fn check_run(before: &State, allocations: &[Allocation]) -> Result<(), Violation> {
    let available = |(id, agent): (&AgentId, &AgentView)| (id.clone(), agent.available.clone());
    let mut free: BTreeMap<AgentId, Resources> = before.agents.iter().map(available).collect();
    for allocation in allocations {
        offered_is_available(&mut free, allocation)?;
        framework_takes_offers(before, allocation)?;
    }
    quota::limits_hold(before, allocations)?;
    quota::headroom_is_left(before, allocations)
}

fn offered_is_available(
    free: &mut BTreeMap<AgentId, Resources>,
    allocation: &Allocation,
) -> Result<(), Violation> {
    let available = free.entry(allocation.agent.clone()).or_default();
    match available.checked_sub(&allocation.resources.unallocate()) {
        Some(left) => *available = left,
        None => return violated("AL-1", "offered <= available", (allocation, available)),
    }
    Ok(())
}

fn framework_takes_offers(before: &State, allocation: &Allocation) -> Result<(), Violation> {
    let takes = before
        .frameworks
        .get(&allocation.framework)
        .is_some_and(|framework| {
            framework.active
                && framework.shares.contains_key(&allocation.role)
                && !framework.suppressed.contains(&allocation.role)
        });
    holds(
        takes,
        "AL-5",
        "only frameworks that take offers in the role get some",
        allocation,
    )
}

fn available_is_total_less_held(id: &AgentId, agent: &AgentView) -> Result<(), Violation> {
    let held: Resources = agent
        .used
        .values()
        .map(Resources::unallocate)
        .fold(Resources::new(), |sum, more| sum + &more);
    let right = agent.available == &agent.total - &held;
    let conserved = !agent.total.contains(&held) || &agent.available + &held == agent.total;
    holds(
        right && conserved,
        "AL-2",
        "available = total - held",
        (id, agent),
    )
}

fn roles_hold_what_frameworks_hold(state: &State) -> Result<(), Violation> {
    let mut expected = BTreeMap::<Role, Quantities>::new();
    for ((_, role), amounts) in state.held() {
        for above in role.ancestors().chain([role.clone()]) {
            *expected.entry(above).or_default() += &amounts;
        }
    }
    let roles: BTreeSet<&Role> = expected.keys().chain(state.roles.keys()).collect();
    for role in roles {
        let expected = expected.get(role).cloned().unwrap_or_default();
        let said = state
            .roles
            .get(role)
            .map(|view| view.allocated.clone())
            .unwrap_or_default();
        holds(
            said == expected,
            "AL-3",
            "a role holds what its frameworks hold",
            (role, said),
        )?;
    }
    Ok(())
}

fn frameworks_hold_what_agents_say(state: &State) -> Result<(), Violation> {
    let mut expected = state.held();
    expected.retain(|_, amounts| !amounts.is_empty());
    let mut said = BTreeMap::new();
    for (id, framework) in &state.frameworks {
        for (role, amounts) in framework
            .allocated
            .iter()
            .filter(|(_, held)| !held.is_empty())
        {
            said.insert((id, role.clone()), amounts.clone());
        }
    }
    holds(
        said == expected,
        "AL-4",
        "a framework holds what the agents say",
        (said, expected),
    )
}

fn shares_follow_holdings(state: &State, excluded: &BTreeSet<String>) -> Result<(), Violation> {
    const STATEMENT: &str = "a share is the largest held fraction over the weight";
    let total = state.total();
    let expected = |held: &Quantities, weight| {
        let counts = held.iter().filter(|(name, _)| !excluded.contains(*name));
        let of = |(name, held): (&str, tepui_protocol::Scalar)| {
            let (held, total) = (held.milli().unsigned_abs(), total.get(name).milli());
            Share::of(held, total.unsigned_abs(), weight)
        };
        counts.filter_map(of).max().unwrap_or_default()
    };
    for (role, view) in &state.roles {
        let right = view.dominant_share == expected(&view.allocated, view.weight);
        holds(right, "AL-6", STATEMENT, (role, view))?;
    }
    for (id, view) in &state.frameworks {
        let right = view
            .allocated
            .iter()
            .all(|(role, held)| view.shares.get(role) == Some(&expected(held, Weight::ONE)));
        holds(right, "AL-6", STATEMENT, (id, view))?;
    }
    Ok(())
}

fn holds(
    fact: bool,
    id: &'static str,
    statement: &'static str,
    what: impl Debug,
) -> Result<(), Violation> {
    if fact {
        Ok(())
    } else {
        violated(id, statement, what)
    }
}

fn violated(id: &'static str, statement: &'static str, what: impl Debug) -> Result<(), Violation> {
    Err(Violation {
        id,
        statement,
        what: format!("{what:?}"),
    })
}
