//! Service levels of roles: what an operator asks for is admitted or not, with the reason, and how long frameworks wait for their
//! first offer is measured.
//!
//! ```text
//!   UpdateServiceLevel --> admission (`tepui_allocator::slo`) --> hard: its burst is guaranteed to the role, as a quota is
//!                                                             --> soft, elastic: noted
//!                                                             --> refused: a role admitted before would lose its promise
//! ```
//! What a hard burst takes is guaranteed until it comes, and for its length from then on; not for the rest of its period.
//!
//! ```text
//!   held free --the role uses something--> burst --`length`--> spent: as any other role --`period` from its beginning--> held free
//! ```
//! Levels are kept in the registry in the order in which they came; after a restart they are admitted in that order again. A wait begins when a
//! framework subscribes or revives, and ends with the first offer in the role.
//
//= bopf-2019, differs: periods begin with their bursts, not by the clock

mod admission;
mod waits;

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use tepui_allocator::{
    Quotas,
    slo::{Class, Objective, Record},
};
use tepui_protocol::{
    FrameworkId, Role, Timestamp,
    messages::operator::UpdateServiceLevel,
    service::{ServiceClass, ServiceLevel, ServiceSummary},
};

pub(super) use self::waits::Waits;
use self::{admission::guarantee, waits::percentile};
use super::{Master, lanes, registry};
use crate::effects::{Call, Effect, Effects, Outcome};

/// A level that was admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Admitted {
    pub(super) level: ServiceLevel,
    pub(super) class: ServiceClass,
    pub(super) reason: String,
    /// Who came first has the smaller one.
    pub(super) number: u64,
    /// When the burst of this period began, if it has.
    #[serde(default)]
    pub(super) began: Option<Timestamp>,
    /// Whether its length is over, and its period is not.
    #[serde(default)]
    pub(super) spent: bool,
}

impl Admitted {
    /// Goes on with the period; true if something has changed.
    fn follow(&mut self, now: Timestamp, is_used: bool) -> bool {
        let before = (self.began, self.spent);
        if self
            .began
            .is_some_and(|began| now.since(began) >= self.level.period)
        {
            self.began = None;
        }
        if self.began.is_none() && is_used {
            self.began = Some(now);
        }
        self.spent = self.began.is_some_and(|began| {
            let length = self.level.length;
            length < self.level.period && now.since(began) >= length
        });
        before != (self.began, self.spent)
    }
}

impl Master {
    /// An operator sets a role's service level, or takes it away.
    pub fn on_update_service_level(
        &mut self,
        _now: Timestamp,
        call: UpdateServiceLevel,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = match call.level {
            Some(level) => self.admit(call.role, level, out),
            None => self.drop_level(&call.role, out),
        };
        out.push(Effect::Answer { token, outcome });
    }

    fn drop_level(&mut self, role: &Role, out: &mut Effects) -> Outcome {
        if self.levels.remove(role).is_none() {
            return Err(format!("role {role} has no service level"));
        }
        registry::keep_level(role, None, out);
        self.tell_quota(role, out);
        Ok(())
    }

    fn admit(&mut self, role: Role, level: ServiceLevel, out: &mut Effects) -> Outcome {
        let of = |problem: String| format!("service level of role {role}: {problem}");
        if role.is_star() {
            return Err(of("all roles but * can have one".to_owned()));
        }
        let objective = objective(&level);
        objective.check().map_err(|error| of(error.to_string()))?;
        let (class, reason) = self.decide(&role, &objective).map_err(of)?;
        let known = self.levels.get(&role);
        let before = known.map(|admitted| admitted.number);
        let began = known.and_then(|admitted| admitted.began);
        let next = self
            .levels
            .values()
            .map(|admitted| admitted.number + 1)
            .max();
        let admitted = Admitted {
            level,
            class,
            reason,
            number: before.or(next).unwrap_or(0),
            began,
            spent: false,
        };
        registry::keep_level(&role, Some(&admitted), out);
        self.levels.insert(role.clone(), admitted);
        self.hold_free(&role, out);
        Ok(())
    }

    /// What a role's quota is has changed: the allocator is told, and offers in the way are withdrawn.
    fn hold_free(&mut self, role: &Role, out: &mut Effects) {
        self.tell_quota(role, out);
        if let Some(quota) = self.effective_quotas().get(role).cloned() {
            for id in self.offers_in_the_way(role, &quota) {
                self.rescind(&id, out);
            }
        }
    }

    /// Goes on with the periods of hard bursts.
    pub(super) fn follow_bursts(&mut self, now: Timestamp, out: &mut Effects) {
        let hard = |admitted: &Admitted| admitted.class == ServiceClass::Hard;
        if !self.levels.values().any(hard) {
            return;
        }
        let agents = self.agents.values();
        let mut used: BTreeSet<Role> = BTreeSet::new();
        for part in agents.flat_map(|agent| agent.used.values()) {
            for role in part.iter().filter_map(|entry| entry.allocation.as_ref()) {
                used.extend(std::iter::once(role.clone()).chain(role.ancestors()));
            }
        }
        let mut levels = std::mem::take(&mut self.levels);
        let mut changed = Vec::new();
        for (role, admitted) in levels.iter_mut().filter(|(_, admitted)| hard(admitted)) {
            if admitted.follow(now, used.contains(role)) {
                registry::keep_level(role, Some(admitted), out);
                changed.push(role.clone());
            }
        }
        self.levels = levels;
        changed.iter().for_each(|role| self.hold_free(role, out));
    }

    /// Quotas as the allocator is to keep them now: guarantees of hard service levels included, unless they are spent.
    pub(super) fn effective_quotas(&self) -> Quotas {
        self.quotas_with(|admitted| !admitted.spent)
    }

    /// Quotas, and guarantees of those hard service levels.
    pub(super) fn quotas_with(&self, which: impl Fn(&Admitted) -> bool) -> Quotas {
        let mut quotas = self.quotas.clone();
        for (role, admitted) in &self.levels {
            if admitted.class == ServiceClass::Hard && which(admitted) {
                guarantee(&mut quotas, role, &admitted.level.burst());
            }
        }
        quotas
    }

    /// Tells the allocator what the quotas of a role and of those above it are now.
    pub(super) fn tell_quota(&self, role: &Role, out: &mut Effects) {
        let mut quotas = self.effective_quotas();
        for role in std::iter::once(role.clone()).chain(role.ancestors()) {
            let quota = quotas.remove(&role).unwrap_or_default();
            out.push(Effect::Allocator(Call::SetQuota { role, quota }));
        }
    }

    /// The service levels, and how they stand.
    pub fn service_levels(&self) -> Vec<ServiceSummary> {
        let levels = self.levels.iter().map(|(role, admitted)| {
            let level = &admitted.level;
            let mut record = Record::new(&objective(level));
            let done = self.waits.done.get(role);
            for (at, wait) in done.into_iter().flatten() {
                let period = u128::from(at.0) / level.period.as_micros().max(1);
                record.offered(period, *wait);
            }
            let verdict = record.verdict();
            let waited = percentile(&self.waits.sorted(role), level.percent);
            ServiceSummary {
                role: role.clone(),
                level: level.clone(),
                class: admitted.class,
                reason: admitted.reason.clone(),
                waits: done.map_or(0, VecDeque::len),
                waited_secs: waited.map(|wait| wait.as_secs_f64()),
                periods: verdict.periods,
                kept: verdict.held,
                began: admitted.began,
                spent: admitted.spent,
            }
        });
        levels.collect()
    }

    /// How long frameworks waited for their first offers, by role.
    pub(super) fn wait_gauges(&self) -> Vec<(String, f64)> {
        let mut gauges = Vec::new();
        for role in self.waits.done.keys() {
            let sorted = self.waits.sorted(role);
            let name = |what: &str| format!("allocator/roles/{role}/time_to_first_offer_ms/{what}");
            gauges.push((name("count"), sorted.len() as f64));
            for (what, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
                if let Some(wait) = percentile(&sorted, percent) {
                    gauges.push((name(what), wait.as_secs_f64() * 1e3));
                }
            }
        }
        gauges
    }

    /// A framework is gone: forgets what nobody is in.
    pub(super) fn forget_waits(&mut self, id: &FrameworkId) {
        self.waits.cancel(id, |_| true);
        let (frameworks, levels) = (&self.frameworks, &self.levels);
        self.waits.keep(|role| {
            let mut frameworks = frameworks.values();
            levels.contains_key(role)
                || frameworks.any(|framework| framework.info.roles.contains(role))
        });
    }
}

fn objective(level: &ServiceLevel) -> Objective<{ lanes::NAMES.len() }> {
    Objective {
        asked: class_of(level.class),
        unit: lanes::amounts(&level.each),
        tasks: level.tasks,
        length: level.length,
        period: level.period,
        within: level.within,
        percent: level.percent,
    }
}

fn class_of(class: ServiceClass) -> Class {
    match class {
        ServiceClass::Hard => Class::Hard,
        ServiceClass::Soft => Class::Soft,
        ServiceClass::Elastic => Class::Elastic,
    }
}
