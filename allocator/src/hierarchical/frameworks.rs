//! What is known of one framework, and what it may be offered for it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use tepui_protocol::{Capability, Resource, Resources, Role};

use crate::{allocator::FrameworkTerms, minimum::Minimum};

#[derive(Clone, Debug)]
pub(crate) struct Framework {
    pub(crate) terms: FrameworkTerms,
    pub(crate) suppressed: BTreeSet<Role>,
    pub(crate) active: bool,
}

impl Framework {
    pub(crate) fn new(terms: FrameworkTerms, suppressed: &BTreeSet<Role>) -> Self {
        let suppressed = suppressed.intersection(&terms.roles).cloned().collect();
        Self {
            terms,
            suppressed,
            active: true,
        }
    }

    /// Whether it takes offers in `role` now.
    pub(crate) fn takes_offers_in(&self, role: &Role) -> bool {
        self.active && self.terms.roles.contains(role) && !self.suppressed.contains(role)
    }

    /// The roles meant by a call that names `roles`: all of its own if none is named, and never
    /// others than its own.
    pub(crate) fn meant(&self, roles: &BTreeSet<Role>) -> BTreeSet<Role> {
        if roles.is_empty() {
            self.terms.roles.clone()
        } else {
            roles.intersection(&self.terms.roles).cloned().collect()
        }
    }

    /// The least worth offering in `role`.
    pub(crate) fn minimum<'a>(&'a self, role: &Role, default: &'a Minimum) -> &'a Minimum {
        self.terms.min_allocatable.get(role).unwrap_or(default)
    }

    /// Whether it takes agents like this one in `role`.
    pub(crate) fn takes_agent(
        &self,
        role: &Role,
        hostname: &str,
        attributes: &BTreeMap<String, String>,
    ) -> bool {
        let constraints = self.terms.constraints.get(role);
        constraints.is_none_or(|constraints| constraints.are_met_by(hostname, attributes))
    }

    fn can(&self, capability: Capability) -> bool {
        self.terms.capabilities.contains(&capability)
    }

    pub(crate) fn takes_gpu_agents(&self) -> bool {
        self.can(Capability::GpuResources)
    }

    pub(crate) fn takes_remote_agents(&self) -> bool {
        self.can(Capability::RegionAware)
    }

    /// Whether the framework understands resources of this kind.
    pub(crate) fn understands(&self, entry: &Resource) -> bool {
        (!entry.revocable || self.can(Capability::RevocableResources))
            && (!entry.shared || self.can(Capability::SharedResources))
            && (entry.reservations.len() <= 1 || self.can(Capability::ReservationRefinement))
    }

    /// The part of `resources` whose kind the framework understands.
    pub(crate) fn understood<'a>(&self, resources: &'a Resources) -> Cow<'a, Resources> {
        if resources.iter().all(|entry| self.understands(entry)) {
            Cow::Borrowed(resources)
        } else {
            Cow::Owned(resources.filter(|entry| self.understands(entry)))
        }
    }
}
