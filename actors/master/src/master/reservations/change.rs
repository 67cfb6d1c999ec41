//! What an operation does to reservations, if it makes sense; nothing is known of agents here.

use tepui_protocol::{
    Resources,
    resources::{Reservation, ReservationKind},
};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Reserve,
    Unreserve,
}

impl Kind {
    pub(in super::super) fn counter(self, worked: bool) -> &'static str {
        match (self, worked) {
            (Kind::Reserve, true) => "master/operations/reserve/finished",
            (Kind::Reserve, false) => "master/operations/reserve/dropped",
            (Kind::Unreserve, true) => "master/operations/unreserve/finished",
            (Kind::Unreserve, false) => "master/operations/unreserve/dropped",
        }
    }
}

/// What becomes of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: Resources,
    pub(super) to: Resources,
}

impl Change {
    /// What an operation on `named` resources does, if it makes sense.
    //= mesos, validation of RESERVE and UNRESERVE
    pub(super) fn of(kind: Kind, named: &Resources) -> Result<Self, String> {
        if named.is_empty() {
            return Err("no resources are named".to_owned());
        }
        named.validate().map_err(|error| error.to_string())?;
        for entry in named {
            if !entry.is_dynamically_reserved() {
                return Err(format!(
                    "{}: its last reservation must be a DYNAMIC one; those of the agent's configuration stay",
                    Resources::from(entry.clone())
                ));
            }
            if entry.is_persistent_volume() {
                return Err(format!(
                    "{}: reservations of volumes do not change; destroy it first",
                    Resources::from(entry.clone())
                ));
            }
        }
        let popped = named.pop_reservation();
        Ok(match kind {
            Kind::Reserve => Self {
                from: popped,
                to: named.clone(),
            },
            Kind::Unreserve => Self {
                from: named.clone(),
                to: popped,
            },
        })
    }

    /// Reserves anew what is reserved otherwise, or not at all.
    //= mesos, RESERVE with a source
    pub(super) fn anew(from: &Resources, to: &Resources) -> Result<Self, String> {
        from.validate().map_err(|error| error.to_string())?;
        to.validate().map_err(|error| error.to_string())?;
        let (old, new) = (claims(from)?, claims(to)?);
        if from.to_unreserved() != to.to_unreserved() {
            return Err(format!("{from} and {to} are not the same amounts"));
        }
        let common = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let mut changed = old[common..].iter().chain(&new[common..]);
        if changed.any(|claim| claim.kind == ReservationKind::Static) {
            return Err(format!(
                "{from} to {to}: claims of the agent's configuration stay, and there are no new ones"
            ));
        }
        if new.len() == common {
            return Err(format!(
                "{to}: nothing is reserved by that; undo claims with UNRESERVE"
            ));
        }
        if let Some(volume) = from.iter().find(|entry| entry.is_persistent_volume()) {
            return Err(format!(
                "{}: reservations of volumes do not change; destroy it first",
                Resources::from(volume.clone())
            ));
        }
        Ok(Self {
            from: from.clone(),
            to: to.clone(),
        })
    }
}

/// The claims on all of these resources.
fn claims(resources: &Resources) -> Result<&[Reservation], String> {
    let mut stacks = resources.iter().map(|entry| &entry.reservations[..]);
    let first = stacks.next().ok_or("no resources are named")?;
    match stacks.all(|other| other == first) {
        true => Ok(first),
        false => Err(format!("{resources}: all must have the same claims")),
    }
}
