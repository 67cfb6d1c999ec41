//! What is known of one framework, and what it may be offered for it.

use std::{borrow::Cow, collections::BTreeSet};

use tepui_protocol::{Capability, Resources, Role};

use crate::{allocator::FrameworkTerms, minimum::Minimum};

#[derive(Clone, Debug)]
pub(super) struct Framework {
    pub(super) terms: FrameworkTerms,
    pub(super) suppressed: BTreeSet<Role>,
    pub(super) active: bool,
}

impl Framework {
    pub(super) fn new(terms: FrameworkTerms, suppressed: &BTreeSet<Role>) -> Self {
        let suppressed = suppressed.intersection(&terms.roles).cloned().collect();
        Self {
            terms,
            suppressed,
            active: true,
        }
    }

    /// Whether it takes offers in `role` now.
    pub(super) fn takes_offers_in(&self, role: &Role) -> bool {
        self.active && self.terms.roles.contains(role) && !self.suppressed.contains(role)
    }

    /// The roles meant by a call that names `roles`: all of its own if none is named, and never
    /// others than its own.
    pub(super) fn meant(&self, roles: &BTreeSet<Role>) -> BTreeSet<Role> {
        if roles.is_empty() {
            self.terms.roles.clone()
        } else {
            roles.intersection(&self.terms.roles).cloned().collect()
        }
    }

    /// The least worth offering in `role`.
    pub(super) fn minimum<'a>(&'a self, role: &Role, default: &'a Minimum) -> &'a Minimum {
        self.terms.min_allocatable.get(role).unwrap_or(default)
    }

    fn can(&self, capability: Capability) -> bool {
        self.terms.capabilities.contains(&capability)
    }

    pub(super) fn takes_gpu_agents(&self) -> bool {
        self.can(Capability::GpuResources)
    }

    /// The part of `resources` whose kind the framework understands.
    pub(super) fn understood<'a>(&self, resources: &'a Resources) -> Cow<'a, Resources> {
        let revocable = self.can(Capability::RevocableResources);
        let shared = self.can(Capability::SharedResources);
        let refined = self.can(Capability::ReservationRefinement);
        let understands = |entry: &tepui_protocol::Resource| {
            (revocable || !entry.revocable)
                && (shared || !entry.shared)
                && (refined || entry.reservations.len() <= 1)
        };
        if resources.iter().all(understands) {
            Cow::Borrowed(resources)
        } else {
            Cow::Owned(resources.filter(understands))
        }
    }
}
