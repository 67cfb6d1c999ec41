//! Revocation: tasks of others end so that a role gets what it is guaranteed.
//!
//! ```text
//!   a role lacks part of its guarantee, takes offers, and nothing free would do
//!     --for `revoke_after`--> victims are chosen (`tepui_allocator::revocation`), their frameworks told
//!         --`revoke_grace`--> those that still run are killed: TASK_KILLED, REASON_CONTAINER_PREEMPTED
//!         --it no longer lacks--> those that still run are told that they may go on
//! ```
//! Off unless `revoke_after` is set. Offers of others are withdrawn before any task is ended. A role that declines an offer of all that it lacks
//! lacks nothing: its time begins anew; and each claim that brought it nothing doubles the time to its next one. Groups of tasks go as a
//! whole. What is reserved or revocable is nobody's guarantee and is left alone.
//
//= yarn, reclaim of guaranteed capacity; mesos, differs: it has no revocation for quota (MESOS-4967)

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_allocator::{
    quota,
    revocation::{Holder, Pool, Revocation, Step, Unit},
};
use tepui_protocol::{
    ExecutorId, FrameworkId, Offer, OfferId, Reason, Resources, Role, Timestamp,
    messages::scheduler::RevocationNotice,
};

use super::{
    Master, TaskKey,
    lanes::{Amounts, NAMES, amounts, counted, plus},
};
use crate::{config::RevokeFor, effects::Effects};

/// A revocation under way.
#[derive(Clone, Debug)]
struct Claim {
    victims: BTreeSet<TaskKey>,
    course: Revocation<TaskKey>,
}

/// What came of the claims of a role.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// What it used when it claimed last.
    used: Amounts,
    /// Claims in a row after which it used no more than before.
    fruitless: u32,
}

/// Roles that starve, and what is done about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Revocations {
    /// Since when.
    starving: BTreeMap<Role, Timestamp>,
    claims: BTreeMap<Role, Claim>,
    past: BTreeMap<Role, Past>,
    /// What was declined since the last look, one offer of each role.
    declined: BTreeMap<Role, Amounts>,
}

/// What all roles are to have, and have.
struct Standing {
    /// Ascending.
    roles: Vec<Role>,
    /// What they use, and are to have.
    holders: Vec<Holder<{ NAMES.len() }>>,
    /// What is offered to each, and to those below it.
    offered: Vec<Amounts>,
    /// What nobody uses or is offered.
    free: Amounts,
}

impl Standing {
    fn place(&self, role: &Role) -> Option<usize> {
        self.roles.binary_search(role).ok()
    }

    fn lacks(&self, at: usize) -> Amounts {
        let Holder {
            guarantee, held, ..
        } = self.holders[at];
        let offered = self.offered[at];
        std::array::from_fn(|j| {
            guarantee[j]
                .saturating_sub(held[j])
                .saturating_sub(offered[j])
        })
    }

    /// Whether what a role lacks is free.
    fn is_served(&self, at: usize) -> bool {
        is_within(&self.lacks(at), &self.free)
    }
}

fn is_within(less: &Amounts, more: &Amounts) -> bool {
    less.iter().zip(more).all(|(less, more)| less <= more)
}

impl Master {
    /// Goes on with revocations, and begins those that are due.
    pub(super) fn revoke(&mut self, now: Timestamp, out: &mut Effects) {
        let Some(after) = self.config.revoke_after else {
            return;
        };
        let standing = self.standing();
        self.go_on_revoking(now, &standing, out);
        let hungry = self.hungry(&standing);
        let Revocations {
            starving,
            claims,
            past,
            declined,
        } = &mut self.revocations;
        starving.retain(|role, _| hungry.contains_key(role));
        past.retain(|role, _| standing.place(role).is_some());
        for (role, lacks) in &hungry {
            let below = |other: &Role| other == role || role.is_ancestor_of(other);
            let mut declined = declined.iter().filter(|(other, _)| below(other));
            if declined.any(|(_, part)| is_within(lacks, part)) {
                starving.insert(role.clone(), now);
            }
        }
        declined.clear();
        let mut due = Vec::new();
        for role in hungry.into_keys() {
            let since = *starving.entry(role.clone()).or_insert(now);
            let fruitless = past.get(&role).map_or(0, |past| past.fruitless);
            let after = after.saturating_mul(2_u32.saturating_pow(fruitless));
            if now.since(since) >= after && !claims.contains_key(&role) {
                due.push(role);
            }
        }
        for role in due {
            self.claim(now, &role, &standing, out);
        }
    }

    /// A framework declines an offer.
    pub(super) fn note_decline(&mut self, offer: &Offer) {
        if self.config.revoke_after.is_some() {
            let declined = &mut self.revocations.declined;
            declined.insert(offer.role.clone(), counted(&offer.resources));
        }
    }

    /// The roles that lack something, and have a framework that takes offers.
    fn hungry(&self, standing: &Standing) -> BTreeMap<Role, Amounts> {
        let roles = standing.roles.iter().enumerate();
        let lacking = roles.filter(|(at, role)| !standing.is_served(*at) && self.is_eager(role));
        lacking
            .map(|(at, role)| (role.clone(), standing.lacks(at)))
            .collect()
    }

    /// Whether somebody in a role, or below it, takes offers.
    fn is_eager(&self, role: &Role) -> bool {
        let mut active = self
            .frameworks
            .values()
            .filter(|framework| framework.is_active());
        active.any(|framework| {
            let mut takes = framework.info.roles.difference(&framework.suppressed);
            takes.any(|own| own == role || role.is_ancestor_of(own))
        })
    }

    /// Kills whose grace is over; withdraws claims of roles that no longer lack anything.
    fn go_on_revoking(&mut self, now: Timestamp, standing: &Standing, out: &mut Effects) {
        let claims = std::mem::take(&mut self.revocations.claims);
        for (role, mut claim) in claims {
            let live = |key: &TaskKey| self.task(key).is_some_and(|task| !task.state.is_terminal());
            let ended: Vec<_> = claim
                .victims
                .iter()
                .filter(|key| !live(key))
                .cloned()
                .collect();
            for key in ended {
                claim.victims.remove(&key);
                claim.course.ended(&key);
            }
            let served = standing
                .place(&role)
                .is_none_or(|at| standing.is_served(at));
            if served || !self.is_eager(&role) {
                let spared = claim.course.withdraw();
                self.tell_victims(&spared, &role, None, out);
            }
            while let Some(step) = claim.course.step(since_epoch(now)) {
                if let Step::Kill(victims) = step {
                    self.end_victims(&victims, &role, out);
                }
            }
            if claim.course.is_over() {
                // What it still lacks is looked at anew.
                self.revocations.starving.remove(&role);
            } else {
                self.revocations.claims.insert(role, claim);
            }
        }
    }

    fn end_victims(&mut self, victims: &[TaskKey], role: &Role, out: &mut Effects) {
        for key in victims {
            let message = format!("revoked: role {role} was below what it is guaranteed");
            self.metrics.count("master/tasks_revoked");
            let cause = (Reason::ContainerPreempted, message);
            self.kill_because(key, None, cause, out);
        }
    }

    /// Chooses who is to go for a role, and tells them.
    fn claim(&mut self, now: Timestamp, role: &Role, standing: &Standing, out: &mut Effects) {
        let Some(at) = standing.place(role) else {
            return;
        };
        let others = self.offers_of_others(role);
        let (units, names) = self.units(standing);
        let offered = others.iter().filter_map(|id| self.offers.get(id));
        let mut free = standing.free;
        offered.for_each(|offer| plus(&mut free, &counted(&offer.resources)));
        let pool = Pool {
            free,
            holders: &standing.holders,
            units: &units,
        };
        let chosen = match pool.plan(at, &standing.lacks(at)) {
            Ok(chosen) => chosen,
            Err(problem) => {
                tracing::info!(%role, %problem, "nothing is revoked for a role below its guarantee");
                self.revocations.starving.insert(role.clone(), now);
                return;
            }
        };
        let victims: BTreeSet<TaskKey> = chosen
            .into_iter()
            .flat_map(|at| names[at].iter().cloned())
            .collect();
        let used = standing.holders[at].held;
        let past = self.revocations.past.get(role);
        let fruitless = match past {
            Some(past) if is_within(&used, &past.used) => past.fruitless.saturating_add(1),
            _ => 0,
        };
        self.revocations
            .past
            .insert(role.clone(), Past { used, fruitless });
        self.revocations.starving.insert(role.clone(), now);
        others.iter().for_each(|id| self.rescind(id, out));
        if victims.is_empty() {
            return;
        }
        let grace = self.config.revoke_grace;
        tracing::info!(%role, victims = victims.len(), "revokes for a role below its guarantee");
        let told: Vec<TaskKey> = victims.iter().cloned().collect();
        self.tell_victims(&told, role, Some(now + grace), out);
        let mut course = Revocation::begin(told, since_epoch(now), grace);
        // They are told already.
        course.step(since_epoch(now));
        self.metrics.count("master/revocations");
        self.revocations
            .claims
            .insert(role.clone(), Claim { victims, course });
    }

    /// Offers that may be what a role lacks: to others, without a guarantee.
    fn offers_of_others(&self, role: &Role) -> Vec<OfferId> {
        let own = |other: &Role| other == role || role.is_ancestor_of(other);
        let others = self.offers.values().filter(|offer| {
            !own(&offer.role)
                && !self.is_guaranteed(&offer.role)
                && offer.resources.iter().any(quota::is_counted)
        });
        others.map(|offer| offer.id.clone()).collect()
    }

    fn tell_victims(
        &self,
        victims: &[TaskKey],
        role: &Role,
        deadline: Option<Timestamp>,
        out: &mut Effects,
    ) {
        let mut by_framework = BTreeMap::<&FrameworkId, Vec<_>>::new();
        for (framework, task) in victims {
            by_framework
                .entry(framework)
                .or_default()
                .push(task.clone());
        }
        for (id, tasks) in by_framework {
            let notice = RevocationNotice {
                tasks,
                role: role.clone(),
                deadline,
            };
            if let Some(framework) = self.frameworks.get(id) {
                framework.send(notice, out);
            }
        }
    }

    /// What runs on active agents and may be taken, tasks of a group as one, and the names of each.
    fn units(&self, standing: &Standing) -> (Vec<Unit<{ NAMES.len() }>>, Vec<Vec<TaskKey>>) {
        let mut groups =
            BTreeMap::<(&FrameworkId, ExecutorId, Option<&TaskKey>), Vec<&TaskKey>>::new();
        let under_way: BTreeSet<&TaskKey> = self
            .revocations
            .claims
            .values()
            .flat_map(|claim| &claim.victims)
            .collect();
        for agent in self.agents.values().filter(|agent| agent.is_active()) {
            for key in agent.tasks.iter().filter(|key| !under_way.contains(key)) {
                let Some(task) = self.task(key).filter(|task| !task.state.is_terminal()) else {
                    continue;
                };
                // Tasks of one executor that are no group go one by one.
                let single = task.info.group.is_none().then_some(key);
                groups
                    .entry((&key.0, task.info.executor_id(), single))
                    .or_default()
                    .push(key);
            }
        }
        let (mut units, mut names) = (Vec::new(), Vec::new());
        for tasks in groups.into_values() {
            let mut unit: Option<Unit<{ NAMES.len() }>> = None;
            for task in tasks.iter().filter_map(|key| self.task(key)) {
                let account = task
                    .info
                    .resources
                    .iter()
                    .find_map(|entry| entry.allocation.as_ref());
                let Some(role) = account.and_then(|role| standing.place(role)) else {
                    continue;
                };
                let amounts = counted(&task.info.resources);
                let began = task.statuses.first().map(|status| status.timestamp);
                let began = since_epoch(began.unwrap_or(self.started));
                let unit = unit.get_or_insert(Unit {
                    role,
                    amounts: Amounts::default(),
                    elsewhere: Amounts::default(),
                    tasks: 0,
                    priority: 0,
                    began,
                    revocable: false,
                });
                unit.tasks += 1;
                unit.began = unit.began.min(began);
                unit.amounts = std::array::from_fn(|j| unit.amounts[j].saturating_add(amounts[j]));
            }
            if let Some(unit) = unit.filter(|unit| unit.amounts != Amounts::default()) {
                units.push(unit);
                names.push(tasks.into_iter().cloned().collect());
            }
        }
        (units, names)
    }

    /// What all roles in use are to have, and have.
    fn standing(&self) -> Standing {
        let (mut used, mut offered) = (Sums::default(), Sums::default());
        let books = self.agents.values().flat_map(|agent| agent.used.values());
        for (role, part) in books.flat_map(Resources::allocations) {
            used.add(&role, &counted(&part));
        }
        for offer in self.offers.values() {
            offered.add(&offer.role, &counted(&offer.resources));
        }
        let active = self
            .frameworks
            .values()
            .filter(|framework| framework.is_active());
        let named = active.flat_map(|framework| &framework.info.roles);
        for role in named.chain(self.quotas.keys()).chain(self.levels.keys()) {
            used.add(role, &Amounts::default());
        }
        let (mut free, mut capacity) = (Amounts::default(), Amounts::default());
        for agent in self.agents.values().filter(|agent| agent.is_active()) {
            plus(&mut free, &counted(&agent.available()));
            plus(&mut capacity, &counted(&agent.info.resources));
        }
        let quotas = self.effective_quotas();
        let shares = self.fair_shares(used.0.keys(), &capacity);
        // A role comes before those below it: `a` before `a/b`.
        let roles: Vec<Role> = used.0.keys().cloned().collect();
        let holders = roles.iter().map(|role| {
            let above = role.ancestors().next();
            let guarantees = quotas.get(role).map(|quota| amounts(&quota.guarantees));
            let mut guarantee = guarantees.unwrap_or_default();
            if let Some(share) = shares.get(role) {
                guarantee = std::array::from_fn(|j| guarantee[j].max(share[j]));
            }
            Holder {
                above: above.and_then(|above| roles.binary_search(&above).ok()),
                guarantee,
                held: used.of(role),
            }
        });
        Standing {
            holders: holders.collect(),
            offered: roles.iter().map(|role| offered.of(role)).collect(),
            roles: roles.clone(),
            free,
        }
    }

    /// Fair shares of top-level roles in use, if revocation is for them.
    fn fair_shares<'a>(
        &self,
        roles: impl Iterator<Item = &'a Role>,
        capacity: &Amounts,
    ) -> BTreeMap<Role, Amounts> {
        if self.config.revoke_for == RevokeFor::Guarantee {
            return BTreeMap::new();
        }
        let tops: Vec<&Role> = roles
            .filter(|role| role.ancestors().next().is_none())
            .collect();
        let weight =
            |role: &Role| u128::from(self.weights.get(role).copied().unwrap_or_default().milli());
        let all: u128 = tops.iter().map(|role| weight(role)).sum();
        let share = |role: &Role| {
            capacity.map(|all_of| {
                let part = u128::from(all_of) * weight(role) / all.max(1);
                u64::try_from(part).unwrap_or(u64::MAX)
            })
        };
        tops.into_iter()
            .map(|role| (role.clone(), share(role)))
            .collect()
    }
}

/// Amounts by role, those below included.
#[derive(Default)]
struct Sums(BTreeMap<Role, Amounts>);

impl Sums {
    fn add(&mut self, role: &Role, amounts: &Amounts) {
        for role in role.ancestors().chain([role.clone()]) {
            plus(self.0.entry(role).or_default(), amounts);
        }
    }

    fn of(&self, role: &Role) -> Amounts {
        self.0.get(role).copied().unwrap_or_default()
    }
}

fn since_epoch(at: Timestamp) -> Duration {
    at.since(Timestamp::default())
}
