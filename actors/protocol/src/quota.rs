//! Quota: what a role is guaranteed, and what it may not go beyond.
//!
//! Owns the data and the rules that one role's quota must keep by itself. How quotas of several roles
//! go together, and what they do to offers, belongs to the allocator.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resources::{Limits, Quantities, Scalar};

/// What a role, with all roles below it, is guaranteed, and what it may not go beyond; scalars only.
///
/// The default is no quota: nothing guaranteed, nothing limited.
//= mesos, quota.md
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Held free for the role when others want it.
    #[serde(default)]
    pub guarantees: Quantities,
    /// The most that the role may consume; names without an entry are not limited.
    #[serde(default)]
    pub limits: Limits,
}

/// More is guaranteed than allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "guarantee {name}:{guarantee} is above limit {name}:{limit}; raise the limit or lower the guarantee"
)]
pub struct InvalidQuota {
    /// The resource.
    pub name: String,
    /// What is guaranteed.
    pub guarantee: Scalar,
    /// What is allowed.
    pub limit: Scalar,
}

impl Quota {
    /// Whether nothing is guaranteed or limited.
    pub fn is_default(&self) -> bool {
        self.guarantees.is_empty() && self.limits.is_empty()
    }

    /// Checks what holds for a quota by itself.
    ///
    /// # Errors
    /// [`InvalidQuota`] when a guarantee is above its limit.
    pub fn validate(&self) -> Result<(), InvalidQuota> {
        let mut limits = self.limits.iter();
        match limits.find(|(name, limit)| self.guarantees.get(name) > *limit) {
            Some((name, limit)) => Err(InvalidQuota {
                name: name.to_owned(),
                guarantee: self.guarantees.get(name),
                limit,
            }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: String| if text.is_empty() { "-".into() } else { text };
        let guarantees = text(self.guarantees.to_string());
        let limits = text(self.limits.to_string());
        write!(f, "guarantees {guarantees}, limits {limits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(guarantees: &str, limits: &str) -> Quota {
        Quota {
            guarantees: guarantees.parse().unwrap(),
            limits: limits.parse().unwrap(),
        }
    }

    #[test]
    fn a_guarantee_stays_within_its_limit() {
        assert_eq!(quota("cpus:2;mem:10", "cpus:2;disk:0").validate(), Ok(()));
        let error = quota("cpus:3", "cpus:2").validate().unwrap_err();
        let expected =
            "guarantee cpus:3 is above limit cpus:2; raise the limit or lower the guarantee";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_limit_of_zero_is_a_quota() {
        assert!(Quota::default().is_default());
        assert!(!quota("", "cpus:0").is_default());
        let shown = quota("cpus:1", "").to_string();
        assert_eq!(shown, "guarantees cpus:1, limits -");
    }
}
