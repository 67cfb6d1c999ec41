//! Which quotas go together: what is checked before one is set.

use std::collections::BTreeMap;

use tepui_protocol::{Quantities, Quota, Role, Scalar, quota::InvalidQuota};

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
        "all quotas together would name {0} different resources; at most {NAMES} can be counted"
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
    let mut after = quotas.clone();
    let before = after
        .insert(role.clone(), quota.clone())
        .unwrap_or_default();
    if quota.is_default() {
        after.remove(role);
    }
    few_names(&after).map_err(refused)?;
    let sum = within_parents(&after).map_err(refused)?;
    if force {
        return Ok(());
    }
    let grows = |name: &str| quota.guarantees.get(name) > before.guarantees.get(name);
    within_capacity(&sum, &standing.capacity, grows).map_err(refused)?;
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

fn few_names(quotas: &Quotas) -> Result<(), Problem> {
    let mut names = std::collections::BTreeSet::new();
    for quota in quotas.values() {
        names.extend(quota.guarantees.iter().map(|(name, _)| name));
        names.extend(quota.limits.iter().map(|(name, _)| name));
    }
    if names.len() <= NAMES {
        Ok(())
    } else {
        Err(Problem::TooManyNames(names.len()))
    }
}

/// Checks that what is guaranteed below each role is within what it is guaranteed; a role that is guaranteed
/// nothing itself counts as guaranteed what is below it. Answers with all guarantees of the cluster.
fn within_parents(quotas: &Quotas) -> Result<Quantities, Problem> {
    let mut below = BTreeMap::<Option<Role>, Quantities>::new();
    // Those below come before those above.
    for (role, quota) in quotas.iter().rev() {
        let children = below.remove(&Some(role.clone())).unwrap_or_default();
        let own = if quota.guarantees.is_empty() {
            &children
        } else {
            &quota.guarantees
        };
        let passed = |name: &str, kind, bound| Problem::AboveParent {
            above: role.clone(),
            kind,
            name: name.to_owned(),
            sum: children.get(name),
            bound,
        };
        if let Some((name, _)) = children.iter().find(|(name, sum)| *sum > own.get(name)) {
            return Err(passed(name, "guarantee", own.get(name)));
        }
        if let Some((name, limit)) = quota.limits.exceeded_by(own) {
            return Err(passed(name, "limit", limit));
        }
        let above = role.ancestors().find(|above| quotas.contains_key(above));
        *below.entry(above).or_default() += own;
    }
    Ok(below.remove(&None).unwrap_or_default())
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
                .contains("name 9 different resources")
        );
    }
}
