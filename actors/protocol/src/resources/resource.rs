//! One resource: a named amount, and everything that tells it apart from others of that name.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{Name, Ranges, Scalar};
use crate::role::Role;

/// How much there is of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// An amount, as of cpus.
    Scalar(Scalar),
    /// Numbers, as of ports.
    Ranges(Ranges),
    /// Names, as of zones.
    Set(BTreeSet<String>),
}

impl Value {
    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Scalar(amount) => amount.is_zero(),
            Value::Ranges(ranges) => ranges.is_empty(),
            Value::Set(items) => items.is_empty(),
        }
    }

    /// Whether all of `other` is in this value; values of different kinds contain nothing of each other.
    pub fn contains(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Scalar(have), Value::Scalar(want)) => have >= want,
            (Value::Ranges(have), Value::Ranges(want)) => have.contains(want),
            (Value::Set(have), Value::Set(want)) => have.is_superset(want),
            _ => false,
        }
    }

    /// What is in both values; none when they are of different kinds.
    pub(super) fn common(&self, other: &Value) -> Option<Value> {
        match (self, other) {
            (Value::Scalar(a), Value::Scalar(b)) => Some(Value::Scalar(*a.min(b))),
            (Value::Ranges(a), Value::Ranges(b)) => Some(Value::Ranges(a.intersection(b))),
            (Value::Set(a), Value::Set(b)) => Some(Value::Set(a & b)),
            _ => None,
        }
    }

    /// Adds `other`, which is of the same kind.
    pub(super) fn add(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(have), Value::Scalar(more)) => *have += *more,
            (Value::Ranges(have), Value::Ranges(more)) => *have += more,
            (Value::Set(have), Value::Set(more)) => have.extend(more.iter().cloned()),
            _ => unreachable!("only values of one kind are added"),
        }
    }

    /// Takes away what is there of `other`, which is of the same kind.
    pub(super) fn subtract(&mut self, other: &Value) {
        match (self, other) {
            (Value::Scalar(have), Value::Scalar(less)) => *have = have.saturating_sub(*less),
            (Value::Ranges(have), Value::Ranges(less)) => *have -= less,
            (Value::Set(have), Value::Set(less)) => have.retain(|item| !less.contains(item)),
            _ => unreachable!("only values of one kind are subtracted"),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Value::Scalar(_) => 0,
            Value::Ranges(_) => 1,
            Value::Set(_) => 2,
        }
    }
}

/// Who made a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReservationKind {
    /// The agent's operator, in its configuration; it cannot be undone through the API.
    Static,
    /// A framework or an operator, by a RESERVE operation.
    Dynamic,
}

/// A claim of a role on a resource, whether used or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reservation {
    /// Who made it.
    pub kind: ReservationKind,
    /// For whom.
    pub role: Role,
    /// The authenticated name of who reserved, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The reserver's own notes; part of the identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Reservation {
    /// A reservation by the agent's operator.
    pub fn fixed(role: Role) -> Self {
        let (principal, labels) = (None, BTreeMap::new());
        Self {
            kind: ReservationKind::Static,
            role,
            principal,
            labels,
        }
    }

    /// A reservation through the API by `principal`.
    pub fn dynamic(role: Role, principal: Option<String>) -> Self {
        Self {
            kind: ReservationKind::Dynamic,
            role,
            principal,
            labels: BTreeMap::new(),
        }
    }
}

/// Where a disk's space comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskSource {
    /// A directory that may be divided.
    Path {
        /// The directory.
        root: String,
    },
    /// A whole file system; it is given away undivided.
    Mount {
        /// Its mount point.
        root: String,
    },
}

/// What is special of some disk space.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DiskInfo {
    /// Names a persistent volume, uniquely for its role and agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_id: Option<String>,
    /// Where the volume appears in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_path: Option<String>,
    /// Absent for the agent's work directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<DiskSource>,
}

/// A named amount. All fields but the value are its *identity*: amounts of equal identity and kind
/// of value add up, others stay apart.
///
/// Some resources are *whole*: shared ones, persistent volumes and [`DiskSource::Mount`] disks. They never
/// merge and are taken as they are or not at all.
//= mesos, Resources: addable and subtractable
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is: `cpus`, `mem` and `disk` (MiB), `gpus`, `ports`, or a name of the operator's.
    pub name: Name,
    /// How much.
    pub value: Value,
    /// The stack of claims on it, the first made by the widest role; empty when unreserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<Reservation>,
    /// Whether it may be taken back from its user at any time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revocable: bool,
    /// Whether several tasks may use it at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// For disks that are more than space in the work directory. Boxed as it is rare, and large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Box<DiskInfo>>,
    /// The role on whose account it is offered or used; absent when free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Role>,
}

impl Resource {
    /// A plain resource: unreserved, unallocated, neither revocable nor shared.
    pub fn new(name: impl Into<Name>, value: Value) -> Self {
        Self {
            name: name.into(),
            value,
            reservations: Vec::new(),
            revocable: false,
            shared: false,
            disk: None,
            allocation: None,
        }
    }

    /// A plain scalar.
    pub fn scalar(name: impl Into<Name>, amount: Scalar) -> Self {
        Self::new(name, Value::Scalar(amount))
    }

    /// A plain set of numbers.
    pub fn ranges(name: impl Into<Name>, ranges: Ranges) -> Self {
        Self::new(name, Value::Ranges(ranges))
    }

    /// A plain set of names.
    pub fn set(name: impl Into<Name>, items: BTreeSet<String>) -> Self {
        Self::new(name, Value::Set(items))
    }

    /// The amount of a scalar; none for ranges and sets.
    pub fn amount(&self) -> Option<Scalar> {
        match self.value {
            Value::Scalar(amount) => Some(amount),
            Value::Ranges(_) | Value::Set(_) => None,
        }
    }

    /// The role that may use it by reservation: that of the topmost claim.
    pub fn reserved_to(&self) -> Option<&Role> {
        self.reservations.last().map(|claim| &claim.role)
    }

    /// Whether its topmost claim was made by RESERVE.
    pub fn is_dynamically_reserved(&self) -> bool {
        let top = self.reservations.last();
        top.is_some_and(|claim| claim.kind == ReservationKind::Dynamic)
    }

    /// Whether a framework in `role` may be offered it: it is unreserved, or reserved to the role or
    /// to one of its ancestors.
    pub fn is_allocatable_to(&self, role: &Role) -> bool {
        self.reserved_to()
            .is_none_or(|owner| owner == role || owner.is_ancestor_of(role))
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.disk
            .as_ref()
            .is_some_and(|disk| disk.persistence_id.is_some())
    }

    /// Whether it is taken entirely or not at all, and never merges with others.
    pub fn is_whole(&self) -> bool {
        let whole_disk = |disk: &DiskInfo| {
            disk.persistence_id.is_some() || matches!(disk.source, Some(DiskSource::Mount { .. }))
        };
        self.shared || self.disk.as_deref().is_some_and(whole_disk)
    }

    /// Whether both are amounts of the same thing, so that they add up unless they are whole.
    pub fn is_same_thing(&self, other: &Resource) -> bool {
        self.cmp_identity(other).is_eq()
    }

    fn cmp_identity(&self, other: &Resource) -> Ordering {
        self.name
            .cmp(&other.name)
            .then_with(|| self.value.kind().cmp(&other.value.kind()))
            .then_with(|| self.reservations.cmp(&other.reservations))
            .then_with(|| self.disk.cmp(&other.disk))
            .then_with(|| self.revocable.cmp(&other.revocable))
            .then_with(|| self.shared.cmp(&other.shared))
            .then_with(|| self.allocation.cmp(&other.allocation))
    }

    /// The order in which [`super::Resources`] keeps its entries: by identity; whole ones of equal identity
    /// by value. Entries that are equal in it are merged, or are copies when they are whole.
    pub(super) fn cmp_entry(&self, other: &Resource) -> Ordering {
        self.cmp_identity(other).then_with(|| {
            if self.is_whole() {
                self.value.cmp(&other.value)
            } else {
                Ordering::Equal
            }
        })
    }
}
