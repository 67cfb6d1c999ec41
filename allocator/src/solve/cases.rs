//! What cases have in common: their kind, their capacity, their users.

use num_rational::BigRational;
use num_traits::{One, Zero};

use super::{
    limits,
    number::{Input, Problem},
};

/// What a case asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    FlatDivisible,
    FlatTasks,
    TreeTasks,
    TreeChurn,
    ServersDivisible,
    DynamicArrivals,
}

const KINDS: [(&str, Kind); 6] = [
    ("flat-divisible", Kind::FlatDivisible),
    ("flat-tasks", Kind::FlatTasks),
    ("tree-tasks", Kind::TreeTasks),
    ("tree-churn", Kind::TreeChurn),
    ("servers-divisible", Kind::ServersDivisible),
    ("dynamic-arrivals", Kind::DynamicArrivals),
];

pub(super) fn kind(case: &Input<'_>) -> Result<Kind, Problem> {
    let field = case.field("kind")?;
    let name = field.text()?;
    let found = KINDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
        field.problem(format!(
            "{name:?} is not a kind; write one of {}",
            known.join(", ")
        ))
    })
}

/// What there is of each resource.
pub(super) fn capacity(case: &Input<'_>) -> Result<Vec<BigRational>, Problem> {
    let field = case.field("capacity")?;
    let resources = field.list(limits::RESOURCES)?;
    if resources.is_empty() {
        return Err(field.problem("at least one resource is needed"));
    }
    resources.iter().map(Input::number).collect()
}

/// Who wants what.
#[derive(Clone, Debug)]
pub(super) struct User {
    /// What a task takes, by resource.
    pub(super) demand: Vec<BigRational>,
    pub(super) weight: BigRational,
    /// Tasks that it wants at most.
    pub(super) cap: Option<BigRational>,
}

/// A user, or a leaf of a tree, over so many resources.
pub(super) fn user(entry: &Input<'_>, resources: usize) -> Result<User, Problem> {
    let demand = entry.field("demand")?;
    let user = User {
        demand: demand.vector(resources)?,
        weight: weight(entry)?,
        cap: entry.optional("cap")?.map(|cap| cap.number()).transpose()?,
    };
    if user.cap.is_none() && user.demand.iter().all(Zero::is_zero) {
        return Err(demand.problem("a task that takes nothing needs a \"cap\""));
    }
    Ok(user)
}

pub(super) fn weight(entry: &Input<'_>) -> Result<BigRational, Problem> {
    match entry.optional("weight")? {
        Some(weight) => weight.positive(),
        None => Ok(BigRational::one()),
    }
}

pub(super) fn users(
    case: &Input<'_>,
    resources: usize,
    limit: usize,
) -> Result<Vec<User>, Problem> {
    let entries = case.field("users")?.list(limit)?;
    entries.iter().map(|entry| user(entry, resources)).collect()
}

impl User {
    /// The largest part of a resource that one task takes; none if it needs what there is nothing of.
    pub(super) fn dominant(&self, capacity: &[BigRational]) -> Option<BigRational> {
        let mut largest = BigRational::zero();
        for (each, all) in self.demand.iter().zip(capacity) {
            if all.is_zero() && !each.is_zero() {
                return None;
            }
            if !all.is_zero() {
                largest = largest.max(each / all);
            }
        }
        Some(largest)
    }
}
