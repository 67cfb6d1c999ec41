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
//! whole. What is reserved or revocable is nobody's guarantee and is left alone. A claim is in the registry while it is under way, so that it
//! goes on after a restart of the master.
//
//= yarn, reclaim of guaranteed capacity; mesos, differs: it has no revocation for quota (MESOS-4967)

mod standing;
mod victims;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_allocator::{
    quota,
    revocation::{self, Revocation, Step},
};
use tepui_protocol::{
    AgentId, FrameworkId, Offer, OfferId, Reason, Role, TaskId, Timestamp,
    messages::{operator::AgentStanding, scheduler::RevocationNotice},
};

use self::standing::{Standing, is_own, is_within};
use super::{
    Master, TaskKey,
    lanes::{Amounts, counted},
    registry,
};
use crate::effects::Effects;

/// A revocation under way.
#[derive(Clone, Debug)]
struct Claim {
    /// And where they run.
    victims: BTreeMap<TaskKey, AgentId>,
    course: Revocation<TaskKey>,
}

/// What is kept of a claim over a restart of the master: its victims were told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    victims: Vec<(FrameworkId, TaskId, AgentId)>,
    deadline: Timestamp,
}

impl From<Kept> for Claim {
    fn from(kept: Kept) -> Self {
        let victims = kept.victims.into_iter();
        let victims: BTreeMap<TaskKey, AgentId> = victims
            .map(|(framework, task, agent)| ((framework, task), agent))
            .collect();
        let deadline = since_epoch(kept.deadline);
        let course = told(victims.keys().cloned(), deadline, Duration::ZERO);
        Self { victims, course }
    }
}

/// The course of a revocation whose victims were told.
fn told(
    victims: impl IntoIterator<Item = TaskKey>,
    now: Duration,
    grace: Duration,
) -> Revocation<TaskKey> {
    let mut course = Revocation::begin(victims, now, grace);
    course.step(now);
    course
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

impl Revocations {
    /// Claims that were under way when the master stopped.
    pub(super) fn recovered(kept: Vec<(Role, Kept)>) -> Self {
        let claims = kept.into_iter().map(|(role, kept)| (role, kept.into()));
        Self {
            claims: claims.collect(),
            ..Self::default()
        }
    }
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
            let mut declined = declined.iter().filter(|(other, _)| is_own(role, other));
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

    /// Kills whose grace is over; withdraws claims of roles that no longer lack anything.
    fn go_on_revoking(&mut self, now: Timestamp, standing: &Standing, out: &mut Effects) {
        let claims = std::mem::take(&mut self.revocations.claims);
        for (role, mut claim) in claims {
            let is_back = |id: &AgentId| {
                let agent = self.agents.get(id);
                agent.is_none_or(|agent| agent.standing != AgentStanding::Recovered)
            };
            if !claim.victims.values().all(is_back) {
                // The master has started anew: what runs, and who is served, shows when the agents are back.
                self.revocations.claims.insert(role, claim);
                continue;
            }
            let live = |key: &TaskKey| self.task(key).is_some_and(|task| !task.state.is_terminal());
            let victims = claim.victims.keys();
            let ended: Vec<_> = victims.filter(|key| !live(key)).cloned().collect();
            for key in ended {
                claim.victims.remove(&key);
                claim.course.ended(&key);
            }
            let served = standing
                .place(&role)
                .is_none_or(|at| standing.is_served(at));
            if served || !(self.is_eager(&role) || self.is_awaited(&role)) {
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
                registry::keep_claim(&role, None, out);
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
        let sites = self.sites(role, standing);
        let claim = revocation::Claim {
            holders: &standing.holders,
            claimant: at,
            amounts: standing.lacks(at),
            each: self.asked_size(role),
        };
        let chosen = match claim.plan(&sites.sites) {
            Ok(chosen) => chosen,
            Err(problem) => {
                tracing::info!(%role, %problem, "nothing is revoked for a role below its guarantee");
                self.revocations.starving.insert(role.clone(), now);
                return;
            }
        };
        let victims = sites.tasks(&chosen);
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
        let kept = Kept {
            victims: (victims.iter())
                .map(|((framework, task), agent)| (framework.clone(), task.clone(), agent.clone()))
                .collect(),
            deadline: now + grace,
        };
        registry::keep_claim(role, Some(&kept), out);
        let names: Vec<TaskKey> = victims.keys().cloned().collect();
        self.tell_victims(&names, role, Some(now + grace), out);
        let course = told(names, since_epoch(now), grace);
        self.metrics.count("master/revocations");
        self.revocations
            .claims
            .insert(role.clone(), Claim { victims, course });
    }

    /// Offers that may be what a role lacks: to others, without a guarantee.
    fn offers_of_others(&self, role: &Role) -> Vec<OfferId> {
        let others = self.offers.values();
        let others = others.filter(|offer| self.may_withdraw(role, offer));
        others.map(|offer| offer.id.clone()).collect()
    }

    fn may_withdraw(&self, role: &Role, offer: &Offer) -> bool {
        !is_own(role, &offer.role)
            && !self.is_guaranteed(&offer.role)
            && offer.resources.iter().any(quota::is_counted)
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
}

fn since_epoch(at: Timestamp) -> Duration {
    at.since(Timestamp::default())
}
