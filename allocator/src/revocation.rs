//! Revocation: whose tasks end so that a role gets what it is guaranteed.
//!
//! ```text
//!  a claim ---> plan: who is to go ---> each is asked to end ---> ended by itself, or
//!  (role, amounts)   (Pool::plan)        (Revocation)              killed when its grace is over
//! ```
//! A pool is what may be taken from: an agent, or the whole cluster. Tasks that must run together are one
//! *unit* (a gang), which goes as a whole. The rules, in this order:
//! 1. Only as much as the claim needs beyond what is free, and only up to the claimant's guarantee.
//! 2. Nobody falls below a guarantee of its own, or further below it: not the role that holds a unit, and
//!    none above it. What runs on revocable resources has no guarantee. The claimant and the roles below it lose nothing.
//! 3. Revocable units before others, then the lowest priority: nothing goes while less important units would do.
//! 4. As few tasks as possible of the most important units that must go; the youngest of equals.
//!
//! [`Claim`] does so agent by agent, so that what is asked fits somewhere afterwards (`revocation/sites.rs`).
//!
//! Finding the fewest is a covering problem (NP-hard); see [`plan`](Pool::plan) for how near it comes.
//
//= yarn, reclaim of guaranteed capacity; mesos, revocable resources

mod cover;
mod grace;
mod sites;

use std::{cmp::Reverse, time::Duration};

pub use self::{
    grace::{Revocation, Step},
    sites::{Claim, Site, Victim},
};
use crate::order::Amounts;

/// A role of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<const L: usize> {
    /// The role above, by its place in the list of holders; it comes before this one.
    pub above: Option<usize>,
    /// What it is guaranteed, with everything below it.
    pub guarantee: Amounts<L>,
    /// What it and everything below it hold, without revocable resources.
    pub held: Amounts<L>,
}

/// Tasks that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<const L: usize> {
    /// The role that holds it, by its place in the list of holders.
    pub role: usize,
    /// What all of its tasks hold in this pool.
    pub amounts: Amounts<L>,
    /// What they hold outside of it, which their role loses too.
    pub elsewhere: Amounts<L>,
    /// Its tasks, at least 1.
    pub tasks: u32,
    /// Larger is more important.
    pub priority: i32,
    /// When the first of its tasks began, since any fixed time.
    pub began: Duration,
    /// Whether it runs on revocable resources.
    pub revocable: bool,
}

/// What may be taken from.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a, const L: usize> {
    /// What is free already.
    pub free: Amounts<L>,
    /// The roles, those above before those below.
    pub holders: &'a [Holder<L>],
    /// What runs.
    pub units: &'a [Unit<L>],
}

/// Why nothing is revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclaimable {
    /// With the claim the role would be above its guarantee.
    #[error(
        "the claim is beyond the role's guarantee: it holds {held} of resource {resource}, claims {claimed} \
         and is guaranteed {guaranteed}"
    )]
    BeyondGuarantee {
        /// The resource, by its place in the amounts.
        resource: usize,
        /// What the role holds of it.
        held: u64,
        /// What it claims.
        claimed: u64,
        /// What it is guaranteed.
        guaranteed: u64,
    },
    /// All that may be revoked is not enough.
    #[error(
        "{missing} of resource {resource} would still be missing after all that may be revoked"
    )]
    NotEnough {
        /// The resource, by its place in the amounts.
        resource: usize,
        /// What is missing of it.
        missing: u64,
    },
}

/// How important a unit is: revocable ones are the least.
type Rank = (bool, i32);

fn rank<const L: usize>(unit: &Unit<L>) -> Rank {
    (!unit.revocable, unit.priority)
}

impl<const L: usize> Pool<'_, L> {
    /// Which units are to go, by their places, so that `claim` fits for the role `claimant`.
    ///
    /// In pools of at most 16 units the answer is exact: no more important rank is touched than must be, and the tasks of
    /// the most important one are as few as the rules allow. In larger ones they are few, but not always the fewest.
    ///
    /// # Errors
    /// [`Unclaimable`]; then nothing is to be revoked.
    ///
    /// # Panics
    /// When a role or a unit names a holder that is not there.
    pub fn plan(&self, claimant: usize, claim: &Amounts<L>) -> Result<Vec<usize>, Unclaimable> {
        self.check_guarantee(claimant, claim)?;
        self.cover(claimant, claim)
    }

    /// As [`Pool::plan`], whatever the guarantee of the claimant.
    fn cover(&self, claimant: usize, claim: &Amounts<L>) -> Result<Vec<usize>, Unclaimable> {
        let need: Amounts<L> = std::array::from_fn(|j| claim[j].saturating_sub(self.free[j]));
        let mut order: Vec<usize> = (0..self.units.len())
            .filter(|&at| !self.is_below(self.units[at].role, claimant))
            .collect();
        // The less important first; of equals the youngest.
        order.sort_by_key(|&at| {
            let unit = &self.units[at];
            (rank(unit), Reverse(unit.began), Reverse(at))
        });
        let nothing = Taking::new(*self, need);
        if nothing.is_enough() {
            return Ok(Vec::new());
        }
        let mut upto = 0;
        for units in order.chunk_by(|&a, &b| rank(&self.units[a]) == rank(&self.units[b])) {
            upto += units.len();
            let last = rank(&self.units[units[0]]);
            if let Some(taking) = cover::fewest(&nothing, &order[..upto], last) {
                return Ok(taking.spare(&order));
            }
        }
        Err(nothing.missing(&order))
    }

    fn check_guarantee(&self, claimant: usize, claim: &Amounts<L>) -> Result<(), Unclaimable> {
        let Holder {
            guarantee, held, ..
        } = self.holders[claimant];
        match (0..L).find(|&j| claim[j] > 0 && held[j].saturating_add(claim[j]) > guarantee[j]) {
            None => Ok(()),
            Some(resource) => Err(Unclaimable::BeyondGuarantee {
                resource,
                held: held[resource],
                claimed: claim[resource],
                guaranteed: guarantee[resource],
            }),
        }
    }

    /// Whether a role is `above` or below it.
    fn is_below(&self, role: usize, above: usize) -> bool {
        self.lineage(role).any(|role| role == above)
    }

    /// A role and those above it.
    fn lineage(&self, role: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(role), |&role| self.holders[role].above)
    }
}

/// Units that are taken so far, and what that leaves.
#[derive(Clone, Debug)]
struct Taking<'a, const L: usize> {
    pool: Pool<'a, L>,
    /// What is needed beyond what is free.
    need: Amounts<L>,
    taken: Vec<usize>,
    freed: Amounts<L>,
    /// What each role holds then.
    left: Vec<Amounts<L>>,
}

impl<'a, const L: usize> Taking<'a, L> {
    fn new(pool: Pool<'a, L>, need: Amounts<L>) -> Self {
        let left = pool.holders.iter().map(|holder| holder.held).collect();
        Self {
            pool,
            need,
            taken: Vec::new(),
            freed: [0; L],
            left,
        }
    }

    fn is_enough(&self) -> bool {
        (0..L).all(|j| self.short(j) == 0)
    }

    /// Takes the unit if the guarantees of its roles allow that.
    fn take(&mut self, at: usize) -> bool {
        let unit = &self.pool.units[at];
        if !unit.revocable {
            let lost: Amounts<L> =
                std::array::from_fn(|j| unit.amounts[j].saturating_add(unit.elsewhere[j]));
            let allowed = self.pool.lineage(unit.role).all(|role| {
                let Holder {
                    guarantee, held, ..
                } = &self.pool.holders[role];
                let floor = |j: usize| guarantee[j].min(held[j]);
                (0..L).all(|j| self.left[role][j] >= floor(j).saturating_add(lost[j]))
            });
            if !allowed {
                return false;
            }
            for role in self.pool.lineage(unit.role) {
                for (left, less) in self.left[role].iter_mut().zip(lost) {
                    *left -= less;
                }
            }
        }
        for (freed, more) in self.freed.iter_mut().zip(unit.amounts) {
            *freed = freed.saturating_add(more);
        }
        self.taken.push(at);
        true
    }

    fn short(&self, resource: usize) -> u64 {
        self.need[resource].saturating_sub(self.freed[resource])
    }

    /// Without the units that are not needed after all, the most important and the oldest first.
    fn spare(mut self, order: &[usize]) -> Vec<usize> {
        let mut kept = Vec::new();
        for &at in order.iter().rev().filter(|at| self.taken.contains(at)) {
            let amounts = self.pool.units[at].amounts;
            let spared: Amounts<L> = std::array::from_fn(|j| self.freed[j] - amounts[j]);
            if (0..L).all(|j| spared[j] >= self.need[j]) {
                self.freed = spared;
            } else {
                kept.push(at);
            }
        }
        kept.reverse();
        kept
    }

    /// What is missing after as much as possible was taken.
    fn missing(&self, order: &[usize]) -> Unclaimable {
        let mut taking = self.clone();
        for &at in order {
            taking.take(at);
        }
        let most = (0..L).max_by_key(|&j| (taking.short(j), Reverse(j)));
        let resource = most.unwrap_or(0);
        Unclaimable::NotEnough {
            resource,
            missing: taking.short(resource),
        }
    }
}

#[cfg(test)]
mod tests;
