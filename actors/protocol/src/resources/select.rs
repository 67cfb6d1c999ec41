//! Parts of resources, and what roles, reservations and allocations do to them.

use std::collections::BTreeMap;

use super::{Reservation, ReservationKind, Resource, Resources, Value};
use crate::role::Role;

impl Resources {
    /// The entries that `wanted` chooses.
    pub fn filter(&self, mut wanted: impl FnMut(&Resource) -> bool) -> Resources {
        Resources(self.iter().filter(|entry| wanted(entry)).cloned().collect())
    }

    /// Keeps only the entries that `wanted` chooses.
    pub fn retain(&mut self, wanted: impl FnMut(&Resource) -> bool) {
        self.0.retain(wanted);
    }

    /// The scalars.
    pub fn scalars(&self) -> Resources {
        self.filter(|entry| matches!(entry.value, Value::Scalar(_)))
    }

    /// The ranges and sets.
    pub fn non_scalars(&self) -> Resources {
        self.filter(|entry| !matches!(entry.value, Value::Scalar(_)))
    }

    /// What no role has a claim on.
    pub fn unreserved(&self) -> Resources {
        self.filter(|entry| entry.reservations.is_empty())
    }

    /// What some role has a claim on.
    pub fn reserved(&self) -> Resources {
        self.filter(|entry| !entry.reservations.is_empty())
    }

    /// What is reserved to exactly this role, not to roles above or below it.
    pub fn reserved_to(&self, role: &Role) -> Resources {
        self.filter(|entry| entry.reserved_to() == Some(role))
    }

    /// What a framework in `role` may be offered: unreserved, or reserved to the role or to one of its
    /// ancestors.
    pub fn allocatable_to(&self, role: &Role) -> Resources {
        self.filter(|entry| entry.is_allocatable_to(role))
    }

    /// What may be taken back at any time.
    pub fn revocable(&self) -> Resources {
        self.filter(|entry| entry.revocable)
    }

    /// What stays with its user.
    pub fn non_revocable(&self) -> Resources {
        self.filter(|entry| !entry.revocable)
    }

    /// What several tasks may use at once.
    pub fn shared(&self) -> Resources {
        self.filter(|entry| entry.shared)
    }

    /// What only one task may use at once.
    pub fn non_shared(&self) -> Resources {
        self.filter(|entry| !entry.shared)
    }

    /// The persistent volumes.
    pub fn persistent_volumes(&self) -> Resources {
        self.filter(Resource::is_persistent_volume)
    }

    /// What carries a claim that was made by RESERVE, and can be undone.
    pub fn dynamically_reserved(&self) -> Resources {
        self.filter(Resource::is_dynamically_reserved)
    }

    /// The same, without claims that were made by RESERVE.
    pub fn without_dynamic_reservations(&self) -> Resources {
        self.map(|entry| {
            entry
                .reservations
                .retain(|claim| claim.kind == ReservationKind::Static);
        })
    }

    /// The reserved entries by the role that they are reserved to.
    pub fn reservations(&self) -> BTreeMap<Role, Resources> {
        self.group_by(Resource::reserved_to)
    }

    /// The allocated entries by the role that they are allocated to; they keep the allocation.
    pub fn allocations(&self) -> BTreeMap<Role, Resources> {
        self.group_by(|entry| entry.allocation.as_ref())
    }

    fn group_by(&self, role_of: impl Fn(&Resource) -> Option<&Role>) -> BTreeMap<Role, Resources> {
        let mut groups = BTreeMap::<Role, Resources>::new();
        for entry in self {
            if let Some(role) = role_of(entry) {
                // A part of the entries in their order is in order.
                groups
                    .entry(role.clone())
                    .or_default()
                    .0
                    .push(entry.clone());
            }
        }
        groups
    }

    /// The same, all on the account of `role`.
    pub fn allocate(&self, role: &Role) -> Resources {
        self.map(|entry| entry.allocation = Some(role.clone()))
    }

    /// The same, on nobody's account.
    pub fn unallocate(&self) -> Resources {
        self.map(|entry| entry.allocation = None)
    }

    /// The same, with one more claim on top of each entry's. See [`Resources::validate`] for what makes
    /// sense.
    pub fn push_reservation(&self, claim: &Reservation) -> Resources {
        self.map(|entry| entry.reservations.push(claim.clone()))
    }

    /// The same, without the topmost claim of each entry; unreserved entries stay as they are.
    pub fn pop_reservation(&self) -> Resources {
        self.map(|entry| {
            entry.reservations.pop();
        })
    }

    /// The same, without any claim. Allocations stay.
    pub fn to_unreserved(&self) -> Resources {
        self.map(|entry| entry.reservations.clear())
    }

    /// The same, without claims and allocations. What else sets entries apart (volumes, revocable,
    /// shared) stays.
    pub fn flatten(&self) -> Resources {
        self.map(|entry| {
            entry.reservations.clear();
            entry.allocation = None;
        })
    }

    fn map(&self, change: impl Fn(&mut Resource)) -> Resources {
        let changed = self.iter().cloned().map(|mut entry| {
            change(&mut entry);
            entry
        });
        let mut all = Resources(Vec::with_capacity(self.len()));
        all.extend(changed);
        all
    }
}
