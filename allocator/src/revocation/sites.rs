//! Victims by agent: what is asked must fit on an agent afterwards, and not only into the sum of what came free.
//!
//! A claim is split into tasks of the size that is asked, as far as that is known; each goes where it costs least: nobody, then
//! the least important, then the fewest tasks, then the agent that is named first. What one task leaves of an agent the next may use. A claim of
//! unknown size is one task; where it fits on no agent, it is made up of several, as a [`Pool`] of the whole cluster plans it.

use std::cmp::Reverse;

use super::{Holder, Pool, Rank, Unclaimable, Unit, rank};
use crate::order::Amounts;

/// So many agents are looked at closely for a task: those that lack least for it.
const LOOKED_AT: usize = 64;

/// So many tasks are made room for in one plan.
const TASKS: u64 = 256;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site<const L: usize> {
    /// What is free already.
    pub free: Amounts<L>,
    /// What runs there, with nothing elsewhere.
    pub units: Vec<Unit<L>>,
}

/// What is asked, and from whom.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a, const L: usize> {
    /// The roles, those above before those below.
    pub holders: &'a [Holder<L>],
    /// The role that claims, by its place.
    pub claimant: usize,
    /// What it claims in all.
    pub amounts: Amounts<L>,
    /// What one of its tasks takes, if that is known. Of resources of which the role is guaranteed nothing, a task may take what it needs:
    /// without them, it could not use the others.
    pub each: Option<Amounts<L>>,
}

/// A victim: the place of its agent, and that of the unit there.
pub type Victim = (usize, usize);

/// An agent in the course of a plan.
struct Left<'a, const L: usize> {
    free: Amounts<L>,
    units: &'a [Unit<L>],
    taken: Vec<usize>,
}

impl<const L: usize> Left<'_, L> {
    /// The units that are left, by place.
    fn others(&self) -> Vec<usize> {
        let all = 0..self.units.len();
        all.filter(|at| !self.taken.contains(at)).collect()
    }
}

/// What a task costs on an agent.
type Cost = (Option<Rank>, u64);

impl<const L: usize> Claim<'_, L> {
    /// Which units are to go. Where only some of its tasks can be made room for, those of these.
    ///
    /// # Errors
    /// [`Unclaimable`] where there is room for none; then nothing is to be revoked.
    ///
    /// # Panics
    /// As [`Pool::plan`].
    pub fn plan(&self, sites: &[Site<L>]) -> Result<Vec<Victim>, Unclaimable> {
        let each = self.each.filter(|each| *each != [0; L]);
        let size = each.unwrap_or(self.amounts);
        let count = match each {
            Some(each) => self.tasks(&each)?,
            None => 1,
        };
        let mut holders = self.holders.to_vec();
        let mut left: Vec<Left<'_, L>> = sites
            .iter()
            .map(|site| Left {
                free: site.free,
                units: &site.units,
                taken: Vec::new(),
            })
            .collect();
        let mut victims = Vec::new();
        for nth in 0..count {
            match self.place(&size, &mut holders, &mut left) {
                Ok(more) => victims.extend(more),
                Err(_) if nth > 0 => break,
                Err(_) if each.is_none() => return self.spread(sites),
                Err(problem) => return Err(problem),
            }
        }
        Ok(victims)
    }

    /// How many of its tasks the claim is for.
    fn tasks(&self, each: &Amounts<L>) -> Result<u64, Unclaimable> {
        let Holder {
            guarantee, held, ..
        } = self.holders[self.claimant];
        let counted = (0..L).filter(|&j| each[j] > 0 && guarantee[j] > 0);
        let Some(least) = counted.min_by_key(|&j| self.amounts[j] / each[j]) else {
            return Ok(0);
        };
        match self.amounts[least] / each[least] {
            0 => Err(Unclaimable::BeyondGuarantee {
                resource: least,
                held: held[least],
                claimed: each[least],
                guaranteed: guarantee[least],
            }),
            count => Ok(count.min(TASKS)),
        }
    }

    /// Makes room for one task where that costs least.
    fn place(
        &self,
        size: &Amounts<L>,
        holders: &mut [Holder<L>],
        left: &mut [Left<'_, L>],
    ) -> Result<Vec<Victim>, Unclaimable> {
        let mut best: Option<(Cost, usize, Vec<usize>)> = None;
        let mut problem = None;
        for at in nearest(size, left) {
            match self.cheapest(size, holders, &left[at]) {
                Ok((cost, units)) => {
                    if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                        best = Some((cost, at, units));
                    }
                }
                Err(error) => problem = problem.or(Some(error)),
            }
            if best.as_ref().is_some_and(|(cost, ..)| cost.0.is_none()) {
                break;
            }
        }
        let Some((_, at, units)) = best else {
            return Err(problem.unwrap_or_else(|| largest_gap(size, left)));
        };
        let site = &mut left[at];
        for &unit in &units {
            let Unit {
                role,
                amounts,
                revocable,
                ..
            } = site.units[unit];
            site.free = std::array::from_fn(|j| site.free[j].saturating_add(amounts[j]));
            let mut above = Some(role).filter(|_| !revocable);
            while let Some(role) = above {
                let held = &mut holders[role].held;
                *held = std::array::from_fn(|j| held[j].saturating_sub(amounts[j]));
                above = holders[role].above;
            }
        }
        site.free = std::array::from_fn(|j| site.free[j].saturating_sub(size[j]));
        site.taken.extend(&units);
        Ok(units.into_iter().map(|unit| (at, unit)).collect())
    }

    /// Whom a task costs on an agent.
    fn cheapest(
        &self,
        size: &Amounts<L>,
        holders: &[Holder<L>],
        site: &Left<'_, L>,
    ) -> Result<(Cost, Vec<usize>), Unclaimable> {
        let places = site.others();
        let units: Vec<Unit<L>> = places.iter().map(|&at| site.units[at]).collect();
        let pool = Pool {
            free: site.free,
            holders,
            units: &units,
        };
        let chosen = pool.cover(self.claimant, size)?;
        let tasks = chosen.iter().map(|&at| u64::from(units[at].tasks)).sum();
        let worst = chosen.iter().map(|&at| rank(&units[at])).max();
        let victims = chosen.into_iter().map(|at| places[at]).collect();
        Ok(((worst, tasks), victims))
    }

    /// All agents as one.
    fn spread(&self, sites: &[Site<L>]) -> Result<Vec<Victim>, Unclaimable> {
        let names: Vec<Victim> = sites
            .iter()
            .enumerate()
            .flat_map(|(at, site)| (0..site.units.len()).map(move |unit| (at, unit)))
            .collect();
        let units: Vec<Unit<L>> = names
            .iter()
            .map(|&(at, unit)| sites[at].units[unit])
            .collect();
        let add = |sum: Amounts<L>, site: &Site<L>| {
            std::array::from_fn(|j| sum[j].saturating_add(site.free[j]))
        };
        let pool = Pool {
            free: sites.iter().fold([0; L], add),
            holders: self.holders,
            units: &units,
        };
        let chosen = pool.plan(self.claimant, &self.amounts)?;
        Ok(chosen.into_iter().map(|at| names[at]).collect())
    }
}

/// All that is on an agent, free or not.
fn whole<const L: usize>(site: &Left<'_, L>) -> Amounts<L> {
    let units = site.others();
    units.into_iter().fold(site.free, |sum, at| {
        let amounts = site.units[at].amounts;
        std::array::from_fn(|j| sum[j].saturating_add(amounts[j]))
    })
}

/// The agents that a task could fit on, those that lack least for it first.
fn nearest<const L: usize>(size: &Amounts<L>, left: &[Left<'_, L>]) -> Vec<usize> {
    let lacks = |site: &Left<'_, L>| {
        let part = |j: usize| match size[j] {
            0 => 0,
            size => u128::from(size.saturating_sub(site.free[j])) * 1_000_000 / u128::from(size),
        };
        (0..L).map(part).sum::<u128>()
    };
    let fits = |site: &Left<'_, L>| size.iter().zip(whole(site)).all(|(less, all)| *less <= all);
    let mut places: Vec<(u128, usize)> = left
        .iter()
        .enumerate()
        .filter(|(_, site)| fits(site))
        .map(|(at, site)| (lacks(site), at))
        .collect();
    places.sort();
    places.truncate(LOOKED_AT);
    places.into_iter().map(|(_, at)| at).collect()
}

/// What is missing on the agent that comes nearest.
fn largest_gap<const L: usize>(size: &Amounts<L>, left: &[Left<'_, L>]) -> Unclaimable {
    let gap = |all: Amounts<L>| {
        let gaps = (0..L).map(|j| (size[j].saturating_sub(all[j]), Reverse(j)));
        gaps.max().unwrap_or((0, Reverse(0)))
    };
    let nothing = gap([0; L]);
    let (missing, Reverse(resource)) = left
        .iter()
        .map(|site| gap(whole(site)))
        .min()
        .unwrap_or(nothing);
    Unclaimable::NotEnough { resource, missing }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn unit(role: usize, amount: u64, priority: i32) -> Unit<1> {
        Unit {
            role,
            amounts: [amount],
            elsewhere: [0],
            tasks: 1,
            priority,
            began: Duration::from_secs(1),
            revocable: false,
        }
    }

    fn holder(guarantee: u64, held: u64) -> Holder<1> {
        Holder {
            above: None,
            guarantee: [guarantee],
            held: [held],
        }
    }

    fn site(free: u64, units: &[Unit<1>]) -> Site<1> {
        Site {
            free: [free],
            units: units.to_vec(),
        }
    }

    fn claim(holders: &[Holder<1>], amount: u64, each: Option<u64>) -> Claim<'_, 1> {
        Claim {
            holders,
            claimant: 0,
            amounts: [amount],
            each: each.map(|each| [each]),
        }
    }

    #[test]
    fn what_is_asked_fits_on_an_agent_afterwards() {
        let holders = [holder(8, 0), holder(0, 12)];
        // Four units of 1 would make up 4 in the sum, but on no agent.
        let small = [unit(1, 1, 0), unit(1, 1, 0)];
        let sites = [site(1, &small), site(1, &small), site(0, &[unit(1, 4, 0)])];
        assert_eq!(claim(&holders, 4, Some(4)).plan(&sites), Ok(vec![(2, 0)]));
        // Of unknown size: one agent if it goes, else several.
        assert_eq!(claim(&holders, 4, None).plan(&sites), Ok(vec![(2, 0)]));
        let spread = claim(&holders, 7, None).plan(&sites).unwrap();
        assert_eq!(spread.len(), 2, "{spread:?}");
        let missing = Unclaimable::NotEnough {
            resource: 0,
            missing: 1,
        };
        assert_eq!(claim(&holders, 6, Some(5)).plan(&sites), Err(missing));
    }

    #[test]
    fn tasks_go_where_they_cost_least_and_share_what_is_freed() {
        let holders = [holder(8, 0), holder(0, 30)];
        let sites = [
            site(0, &[unit(1, 4, 9)]),
            site(1, &[unit(1, 3, 0)]),
            site(2, &[]),
        ];
        // Free room first, then the unit of least importance, whose room is for two.
        let plan = claim(&holders, 6, Some(2)).plan(&sites);
        assert_eq!(plan, Ok(vec![(1, 0)]));
        let plan = claim(&holders, 8, Some(2)).plan(&sites);
        assert_eq!(plan, Ok(vec![(1, 0), (0, 0)]));
    }

    #[test]
    fn what_does_not_fit_into_the_guarantee_revokes_nothing() {
        let holders = [holder(8, 6), holder(0, 30)];
        let sites = [site(0, &[unit(1, 4, 0)])];
        let beyond = Unclaimable::BeyondGuarantee {
            resource: 0,
            held: 6,
            claimed: 3,
            guaranteed: 8,
        };
        assert_eq!(claim(&holders, 2, Some(3)).plan(&sites), Err(beyond));
    }

    proptest! {
        #[test]
        fn plans_keep_guarantees_and_make_room_for_each_task(
            units in prop::collection::vec(
                (1_usize..4, 1_u64..4, 0_i32..3, 0_usize..4), 0..20
            ),
            free in prop::collection::vec(0_u64..3, 4),
            guarantees in prop::collection::vec(0_u64..8, 3),
            each in 1_u64..5,
            tasks in 1_u64..4,
        ) {
            let mut holders = vec![holder(20, 0)];
            holders.extend(guarantees.iter().map(|&guarantee| holder(guarantee, 0)));
            let mut sites: Vec<Site<1>> = free.iter().map(|&free| site(free, &[])).collect();
            for &(role, amount, priority, at) in &units {
                holders[role].held[0] += amount;
                sites[at].units.push(unit(role, amount, priority));
            }
            let plan = claim(&holders, each * tasks, Some(each)).plan(&sites);
            let Ok(victims) = plan else { return Ok(()) };
            let mut left = holders.clone();
            let mut room: Vec<u64> = free.clone();
            for &(at, unit) in &victims {
                let unit = sites[at].units[unit];
                left[unit.role].held[0] -= unit.amounts[0];
                room[at] += unit.amounts[0];
            }
            for (before, after) in holders.iter().zip(&left) {
                let floor = before.guarantee[0].min(before.held[0]);
                prop_assert!(after.held[0] >= floor, "{holders:?} {victims:?}");
            }
            let fit: u64 = room.iter().map(|room| room / each).sum();
            prop_assert!(fit >= 1);
            let mut twice = victims.clone();
            twice.sort();
            twice.dedup();
            prop_assert_eq!(twice.len(), victims.len());
            // Nobody goes for nothing: without any one of them, fewer tasks fit.
            if let [last] = victims[..] {
                let before: u64 = free.iter().map(|free| free / each).sum();
                prop_assert!(fit > before, "{last:?}");
            }
        }
    }
}
