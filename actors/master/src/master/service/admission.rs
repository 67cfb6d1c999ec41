//! Which class a level gets, and why: the rules are `tepui_allocator::slo`, the tree of roles is added here.

use std::{collections::BTreeSet, time::Duration};

use tepui_allocator::{
    Quotas,
    quota::{self, Standing},
    slo::{Admission, Class, Objective, Reason},
};
use tepui_protocol::{Quantities, Quota, Role, service::ServiceClass};

use super::{
    super::{Master, lanes},
    Admitted, objective,
};

/// What a level asks for, in the lanes of the master.
type Wanted = Objective<{ lanes::NAMES.len() }>;

impl Master {
    /// Which class a role gets beside those that were admitted before: at each level of the tree from the top down, its promises and
    /// those of the roles beside it are to be within the parts that they have of the role above.
    pub(super) fn decide(
        &self,
        role: &Role,
        objective: &Wanted,
    ) -> Result<(ServiceClass, String), String> {
        let capacity = lanes::amounts(&self.capacity());
        let mut path: Vec<Role> = role.ancestors().collect();
        path.reverse();
        path.push(role.clone());
        let mut share = capacity;
        for node in &path {
            let reason = match self.join(node, role, objective, &mut share)? {
                Reason::AsAsked => continue,
                reason if node == role => words(reason),
                reason => format!("role {node}, with all below it: {}", words(reason)),
            };
            return Ok((ServiceClass::Elastic, reason));
        }
        if objective.asked != Class::Hard {
            return Ok((named(objective.asked), words(Reason::AsAsked)));
        }
        if let Err(problem) = self.has_room(role, objective, &capacity) {
            return Ok((ServiceClass::Soft, problem));
        }
        match self.can_be_guaranteed(role, &burst(objective)) {
            Ok(()) => Ok((ServiceClass::Hard, words(Reason::AsAsked))),
            Err(problem) => Ok((ServiceClass::Soft, problem)),
        }
    }

    /// Whether a role joins those beside it, with what was promised to it and below it and is to be promised to `role`. `share` is what
    /// the role above has, and then what it has.
    fn join(
        &self,
        node: &Role,
        role: &Role,
        objective: &Wanted,
        share: &mut lanes::Amounts,
    ) -> Result<Reason, String> {
        let weight = |role: &Role| self.weights.get(role).copied().unwrap_or_default();
        let mut admission = Admission::new(*share);
        let mut weights = u128::from(weight(node).milli());
        let mut joined = Vec::new();
        for other in self.beside(node) {
            // What the cluster has lost since may have cost it its promise; it is not what is asked here.
            let promised = steady(self.promised(&other, role));
            if admission.join(weight(&other), promised.as_ref()).is_ok() {
                weights += u128::from(weight(&other).milli());
                joined.push(other);
            }
        }
        let mut all = self.promised(node, role);
        if objective.asked != Class::Elastic {
            lanes::plus(&mut all, &objective.average());
        }
        let decision = admission.join(weight(node), steady(all).as_ref()).map_err(|refused| {
            let whose = joined.get(refused.role).map(ToString::to_string).unwrap_or_default();
            let name = lanes::NAMES[refused.resource];
            format!(
                "role {whose}, admitted before, is promised {} of {name} on average, and would have a fair share of {}",
                units(refused.average),
                units(refused.share)
            )
        })?;
        *share = share.map(|all| {
            let part = u128::from(all) * u128::from(weight(node).milli()) / weights.max(1);
            u64::try_from(part).unwrap_or(u64::MAX)
        });
        Ok(decision.reason)
    }

    /// The roles beside one, below the same role, that have a level or a framework, or have one below them: in the order in which
    /// they were admitted, then by name.
    fn beside(&self, node: &Role) -> Vec<Role> {
        let above = node.parent();
        let place = |role: &Role| {
            let mut lineage = std::iter::once(role.clone()).chain(role.ancestors());
            lineage.find(|role| role.parent() == above && role != node)
        };
        let mut levels: Vec<(&Role, &Admitted)> = self.levels.iter().collect();
        levels.sort_by_key(|(_, admitted)| admitted.number);
        let mut others: Vec<Role> = Vec::new();
        let named = self.frameworks.values().flat_map(|it| &it.info.roles);
        let named: BTreeSet<&Role> = named.collect();
        for role in levels.into_iter().map(|(role, _)| role).chain(named) {
            others.extend(place(role).filter(|other| !others.contains(other)));
        }
        others
    }

    /// What a role and those below it were promised on average, without `except`.
    fn promised(&self, role: &Role, except: &Role) -> lanes::Amounts {
        let mut sum = lanes::Amounts::default();
        let below = |other: &Role| other == role || role.is_ancestor_of(other);
        let own = self.levels.iter().filter(|(other, admitted)| {
            below(other) && *other != except && admitted.class != ServiceClass::Elastic
        });
        for (_, admitted) in own {
            lanes::plus(&mut sum, &objective(&admitted.level).average());
        }
        sum
    }

    /// Whether a hard burst has room beside those that were admitted before.
    fn has_room(
        &self,
        role: &Role,
        wanted: &Wanted,
        capacity: &lanes::Amounts,
    ) -> Result<(), String> {
        let mut hard = lanes::Amounts::default();
        let others = self
            .levels
            .iter()
            .filter(|(other, admitted)| *other != role && admitted.class == ServiceClass::Hard);
        for (_, admitted) in others {
            lanes::plus(&mut hard, &objective(&admitted.level).burst());
        }
        let burst = wanted.burst();
        let left: lanes::Amounts = std::array::from_fn(|j| capacity[j].saturating_sub(hard[j]));
        match (0..burst.len()).find(|&j| burst[j] > left[j]) {
            None => Ok(()),
            Some(resource) => Err(words(Reason::NoRoom {
                resource,
                burst: burst[resource],
                left: left[resource],
            })),
        }
    }

    /// Whether a hard burst goes together with all quotas.
    fn can_be_guaranteed(&self, role: &Role, burst: &Quantities) -> Result<(), String> {
        let quotas = self.quotas_with(|_| true);
        let mut raised = quotas.clone();
        guarantee(&mut raised, role, burst);
        let standing = Standing {
            capacity: self.capacity(),
            consumed: Quantities::new(),
        };
        let mut quotas = quotas;
        // From the top down, as roles above are to cover those below.
        let mut lineage: Vec<Role> = role.ancestors().collect();
        lineage.reverse();
        lineage.push(role.clone());
        for role in lineage {
            let quota = raised.remove(&role).unwrap_or_default();
            let checked = quota::check(&role, &quota, &quotas, &standing, false);
            checked.map_err(|error| error.to_string())?;
            quotas.insert(role, quota);
        }
        Ok(())
    }
}

/// Guarantees a role at least so much, and those above it at least what those below them are guaranteed.
pub(super) fn guarantee(quotas: &mut Quotas, role: &Role, least: &Quantities) {
    raise(quotas.entry(role.clone()).or_default(), least);
    for above in role.ancestors() {
        let below = quotas
            .iter()
            .filter(|(role, _)| role.parent().as_ref() == Some(&above));
        let sum = below.fold(Quantities::new(), |sum, (_, quota)| sum + &quota.guarantees);
        raise(quotas.entry(above).or_default(), &sum);
    }
}

/// Guarantees at least so much.
fn raise(quota: &mut Quota, least: &Quantities) {
    for (name, amount) in least {
        if quota.guarantees.get(name) < amount {
            quota.guarantees.set(name, amount);
        }
    }
}

/// A promise of so much on average, if it is one.
fn steady(average: lanes::Amounts) -> Option<Wanted> {
    let second = Duration::from_secs(1);
    (average != lanes::Amounts::default()).then_some(Objective {
        asked: Class::Soft,
        unit: average,
        tasks: 1,
        length: second,
        period: second,
        within: Duration::ZERO,
        percent: 100,
    })
}

fn burst(objective: &Wanted) -> Quantities {
    let mut all = Quantities::new();
    for (name, milli) in lanes::NAMES.iter().zip(objective.burst()) {
        let milli = i64::try_from(milli).unwrap_or(i64::MAX);
        all.set(name, tepui_protocol::Scalar::from_milli(milli));
    }
    all
}

fn named(class: Class) -> ServiceClass {
    match class {
        Class::Hard => ServiceClass::Hard,
        Class::Soft => ServiceClass::Soft,
        Class::Elastic => ServiceClass::Elastic,
    }
}

fn units(milli: u64) -> tepui_protocol::Scalar {
    tepui_protocol::Scalar::from_milli(i64::try_from(milli).unwrap_or(i64::MAX))
}

fn words(reason: Reason) -> String {
    match reason {
        Reason::AsAsked => "as asked".to_owned(),
        Reason::AboveFairShare {
            resource,
            average,
            share,
        } => format!(
            "spread over its period the burst takes {} of {}, the role's fair share is {}",
            units(average),
            lanes::NAMES[resource],
            units(share)
        ),
        Reason::NoRoom {
            resource,
            burst,
            left,
        } => format!(
            "the burst takes {} of {}, {} are left beside the hard bursts admitted before",
            units(burst),
            lanes::NAMES[resource],
            units(left)
        ),
    }
}
