//! Which quotas go together: what is checked before one is set.

use std::collections::BTreeSet;

use tepui_protocol::{
    Quantities, Quota, Role, Scalar,
    quota::InvalidQuota,
    resources::{CPUS, DISK, GPUS, MEM},
};

use super::{NAMES, Quotas};

/// Why a quota is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quota of role {role}: {problem}")]
pub struct QuotaError {
    /// Whose quota it would be.
    pub role: Role,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It makes no sense by itself.
    #[error("{0}")]
    Invalid(InvalidQuota),
    /// Quotas name too many resources.
    #[error(
        "all quotas together would name {} resources beside cpus, mem, disk and gpus; at most {} can be counted",
        .0,
        NAMES - USUAL.len()
    )]
    TooManyNames(usize),
    /// Guarantees are above that of the role above.
    #[error(
        "the guarantees below role {above} would add up to {name}:{sum}, but {above} has {kind} {name}:{bound}; raise that or lower the guarantees below"
    )]
    AboveParent {
        /// The role above.
        above: Role,
        /// Which of its bounds is passed.
        kind: &'static str,
        /// The resource.
        name: String,
        /// The guarantees below.
        sum: Scalar,
        /// What they must not pass.
        bound: Scalar,
    },
    /// More is guaranteed than there is.
    #[error(
        "all guarantees would add up to {name}:{sum}, but the cluster has {name}:{capacity}; lower a guarantee, add agents, or force it (--force)"
    )]
    AboveCapacity {
        /// The resource.
        name: String,
        /// All guarantees.
        sum: Scalar,
        /// What the cluster has.
        capacity: Scalar,
    },
    /// The role has more already.
    #[error(
        "it consumes {name}:{consumed} already, above limit {name}:{limit}; raise the limit, free some, or force it (--force)"
    )]
    Consumed {
        /// The resource.
        name: String,
        /// What it consumes.
        consumed: Scalar,
        /// What it would be limited to.
        limit: Scalar,
    },
}

/// What quotas are checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The non-revocable scalars of all agents.
    pub capacity: Quantities,
    /// What the role and those below it consume.
    pub consumed: Quantities,
}

/// Whether `role` may have `quota` beside what `quotas` says of the others. Unless forced, the cluster must be
/// able to keep all guarantees that grow, and the role must be within limits that shrink.
///
/// # Errors
/// [`QuotaError`] says what does not go together and what to do.
//= mesos, UPDATE_QUOTA: refused when consumption exceeds the limit or guarantees exceed capacity unless forced
pub fn check(
    role: &Role,
    quota: &Quota,
    quotas: &Quotas,
    standing: &Standing,
    force: bool,
) -> Result<(), QuotaError> {
    let refused = |problem| QuotaError {
        role: role.clone(),
        problem,
    };
    quota
        .validate()
        .map_err(|error| refused(Problem::Invalid(error)))?;
    if quota.is_default() {
        return Ok(());
    }
    few_names(role, quota, quotas).map_err(refused)?;
    let family = Family {
        role,
        quota,
        quotas,
    };
    family.check_upwards().map_err(refused)?;
    if force {
        return Ok(());
    }
    let before = quotas.get(role).cloned().unwrap_or_default();
    let grows = |name: &str| quota.guarantees.get(name) > before.guarantees.get(name);
    within_capacity(&family.below(None), &standing.capacity, grows).map_err(refused)?;
    let shrinks = |name: &str, limit| before.limits.get(name).is_none_or(|old| limit < old);
    let mut limits = quota
        .limits
        .iter()
        .filter(|(name, limit)| shrinks(name, *limit));
    match limits.find(|(name, limit)| standing.consumed.get(name) > *limit) {
        Some((name, limit)) => Err(refused(Problem::Consumed {
            name: name.to_owned(),
            consumed: standing.consumed.get(name),
            limit,
        })),
        None => Ok(()),
    }
}

/// There is always room for these four.
const USUAL: [&str; 4] = [CPUS, MEM, DISK, GPUS];

fn unusual(quota: &Quota) -> impl Iterator<Item = &str> {
    let guaranteed = quota.guarantees.iter().map(|(name, _)| name);
    let limited = quota.limits.iter().map(|(name, _)| name);
    guaranteed
        .chain(limited)
        .filter(|name| !USUAL.contains(name))
}

fn few_names(role: &Role, quota: &Quota, quotas: &Quotas) -> Result<(), Problem> {
    let mut names: BTreeSet<&str> = unusual(quota).collect();
    if !names.is_empty() {
        let others = quotas.iter().filter(|(other, _)| *other != role);
        names.extend(others.flat_map(|(_, quota)| unusual(quota)));
    }
    if names.len() <= NAMES - USUAL.len() {
        Ok(())
    } else {
        Err(Problem::TooManyNames(names.len()))
    }
}

/// The quotas as they would be. A role that is guaranteed nothing itself counts as guaranteed what is
/// guaranteed below it.
struct Family<'a> {
    role: &'a Role,
    quota: &'a Quota,
    quotas: &'a Quotas,
}

impl Family<'_> {
    fn get(&self, role: &Role) -> Option<&Quota> {
        if role == self.role {
            Some(self.quota)
        } else {
            self.quotas.get(role)
        }
    }

    /// The nearest role above with a quota.
    fn parent(&self, role: &Role) -> Option<Role> {
        role.ancestors().find(|above| self.get(above).is_some())
    }

    /// What is guaranteed just below a role, or at the top.
    fn below(&self, above: Option<&Role>) -> Quantities {
        let all = match above {
            // Whatever begins with its name stands together.
            Some(above) => self.quotas.range(above.clone()..),
            None => self.quotas.range(..),
        };
        let near = all.take_while(|(role, _)| {
            above.is_none_or(|above| role.as_str().starts_with(above.as_str()))
        });
        let roles = near.map(|(role, _)| role).filter(|role| *role != self.role);
        let children = roles
            .chain([self.role])
            .filter(|role| Some(*role) != above && self.parent(role).as_ref() == above);
        children.fold(Quantities::new(), |sum, role| sum + &self.guaranteed(role))
    }

    fn guaranteed(&self, role: &Role) -> Quantities {
        match self.get(role).map(|quota| &quota.guarantees) {
            Some(own) if !own.is_empty() => own.clone(),
            _ => self.below(Some(role)),
        }
    }

    /// Checks that what is guaranteed below the role, and below those above it that change by it, is within
    /// what they are guaranteed themselves.
    fn check_upwards(&self) -> Result<(), Problem> {
        self.check_below(self.role)?;
        let mut at = self.parent(self.role);
        while let Some(role) = at {
            self.check_below(&role)?;
            let own = self
                .get(&role)
                .is_some_and(|quota| !quota.guarantees.is_empty());
            at = if own { None } else { self.parent(&role) };
        }
        Ok(())
    }

    fn check_below(&self, role: &Role) -> Result<(), Problem> {
        let Some(quota) = self.get(role) else {
            return Ok(());
        };
        let below = self.below(Some(role));
        let passed = |name: &str, kind, bound| Problem::AboveParent {
            above: role.clone(),
            kind,
            name: name.to_owned(),
            sum: below.get(name),
            bound,
        };
        if quota.guarantees.is_empty() {
            return match quota.limits.exceeded_by(&below) {
                Some((name, limit)) => Err(passed(name, "limit", limit)),
                None => Ok(()),
            };
        }
        let own = &quota.guarantees;
        match below.iter().find(|(name, sum)| *sum > own.get(name)) {
            Some((name, _)) => Err(passed(name, "guarantee", own.get(name))),
            None => Ok(()),
        }
    }
}

fn within_capacity(
    sum: &Quantities,
    capacity: &Quantities,
    grows: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    let mut passed = sum
        .iter()
        .filter(|(name, sum)| *sum > capacity.get(name) && grows(name));
    match passed.next() {
        Some((name, sum)) => Err(Problem::AboveCapacity {
            name: name.to_owned(),
            sum,
            capacity: capacity.get(name),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        Role::new(name).unwrap()
    }

    fn quota(guarantees: &str, limits: &str) -> Quota {
        Quota {
            guarantees: guarantees.parse().unwrap(),
            limits: limits.parse().unwrap(),
        }
    }

    /// The answer to setting quotas one after another in a cluster of 10 cpus where each role consumes 3.
    fn set(quotas: &[(&str, &str, &str)], force: bool) -> Result<Quotas, String> {
        let standing = Standing {
            capacity: "cpus:10".parse().unwrap(),
            consumed: "cpus:3".parse().unwrap(),
        };
        let mut all = Quotas::new();
        for (name, guarantees, limits) in quotas {
            let (role, quota) = (role(name), quota(guarantees, limits));
            check(&role, &quota, &all, &standing, force).map_err(|error| error.to_string())?;
            all.insert(role, quota);
        }
        Ok(all)
    }

    #[test]
    fn guarantees_are_within_the_cluster() {
        set(&[("a", "cpus:6", ""), ("b", "cpus:4", "")], false).unwrap();
        let over = [("a", "cpus:6", ""), ("b/c", "cpus:4.5", "")];
        let expected = "quota of role b/c: all guarantees would add up to cpus:10.5, but the cluster has \
                        cpus:10; lower a guarantee, add agents, or force it (--force)";
        assert_eq!(set(&over, false).unwrap_err(), expected);
        let all = set(&over, true).unwrap();
        let standing = Standing {
            capacity: "cpus:10".parse().unwrap(),
            ..Standing::default()
        };
        // What is too much already may become less.
        check(&role("a"), &quota("cpus:5.9", ""), &all, &standing, false).unwrap();
    }

    #[test]
    fn guarantees_below_a_role_are_within_its_own() {
        set(
            &[
                ("a", "cpus:5", ""),
                ("a/b", "cpus:3", ""),
                ("a/c/d", "cpus:2", ""),
            ],
            false,
        )
        .unwrap();
        let over = [
            ("a", "cpus:5", ""),
            ("a/b", "cpus:3", ""),
            ("a/c/d", "cpus:2.1", ""),
        ];
        let error = set(&over, true).unwrap_err();
        let expected = "quota of role a/c/d: the guarantees below role a would add up to cpus:5.1, but a has \
                        guarantee cpus:5; raise that or lower the guarantees below";
        assert_eq!(error, expected);
        let upwards = set(&[("a/b", "cpus:3", ""), ("a", "cpus:2", "")], true);
        assert!(
            upwards
                .unwrap_err()
                .contains("below role a would add up to cpus:3")
        );
    }

    #[test]
    fn a_role_without_guarantees_bounds_those_below_by_its_limits() {
        set(
            &[
                ("a", "", "cpus:4"),
                ("a/b", "cpus:3", ""),
                ("a/c", "cpus:1", ""),
            ],
            false,
        )
        .unwrap();
        let over = [
            ("a", "", "cpus:4"),
            ("a/b", "cpus:3", ""),
            ("a/c", "cpus:2", ""),
        ];
        assert!(
            set(&over, true)
                .unwrap_err()
                .contains("add up to cpus:5, but a has limit cpus:4")
        );
    }

    #[test]
    fn a_limit_is_not_set_below_what_is_consumed() {
        let error = set(&[("a", "", "cpus:2.5")], false).unwrap_err();
        let expected = "quota of role a: it consumes cpus:3 already, above limit cpus:2.5; raise the limit, \
                        free some, or force it (--force)";
        assert_eq!(error, expected);
        set(&[("a", "", "cpus:2.5")], true).unwrap();
        // It may grow, if not enough.
        let quotas = Quotas::from([(role("a"), quota("", "cpus:1"))]);
        let standing = Standing {
            consumed: "cpus:3".parse().unwrap(),
            ..Standing::default()
        };
        check(&role("a"), &quota("", "cpus:2"), &quotas, &standing, false).unwrap();
    }

    #[test]
    fn nonsense_is_refused_even_when_forced() {
        assert!(
            set(&[("a", "cpus:2", "cpus:1")], true)
                .unwrap_err()
                .starts_with("quota of role a: guarantee cpus:2")
        );
        let many = "a:1;b:1;c:1;d:1;e:1;f:1;g:1;h:1;i:1";
        assert!(
            set(&[("a", many, "")], true)
                .unwrap_err()
                .contains("name 9 resources beside cpus")
        );
    }
}
