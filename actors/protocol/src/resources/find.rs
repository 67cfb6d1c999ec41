//! Choosing, from what is offered, the resources that cover a wish.

use super::{Resource, Resources};

impl Resources {
    /// Picks resources of `self` that cover the amounts in `wanted`: first from reserved ones, then
    /// from unreserved ones. None when they do not suffice.
    ///
    /// Reservations and allocations in `wanted` mean nothing; those in the result are those of `self`,
    /// so that the result can be used in a task. Revocable resources, shared ones and special disks
    /// are picked only if wanted as such, and whole ones only with exactly the wanted amount.
    //= mesos, differs: Resources::find looks at the wanted role first; an offer's role is already settled
    pub fn find(&self, wanted: &Resources) -> Option<Resources> {
        let mut found = Resources::new();
        let mut pool = self.clone();
        for wish in wanted.flatten() {
            pick(&mut pool, wish, &mut found)?;
        }
        Some(found)
    }
}

/// Moves resources that cover `wish` from the pool to `found`.
fn pick(pool: &mut Resources, mut wish: Resource, found: &mut Resources) -> Option<()> {
    for reserved in [true, false] {
        let suits = |entry: &Resource| {
            entry.reservations.is_empty() != reserved && is_same_stuff(entry, &wish)
        };
        for entry in pool.filter(suits) {
            let Some(part) = part_of(&entry, &wish) else {
                continue;
            };
            pool.subtract_resource(&part);
            wish.value.subtract(&part.value);
            found.add_resource(part);
            if wish.value.is_empty() {
                return Some(());
            }
        }
    }
    None
}

/// Whether both are amounts of the same thing but for claims and accounts.
fn is_same_stuff(entry: &Resource, wish: &Resource) -> bool {
    entry.name == wish.name
        && entry.revocable == wish.revocable
        && entry.shared == wish.shared
        && entry.disk == wish.disk
}

/// What of `entry` serves `wish`; none when nothing does.
fn part_of(entry: &Resource, wish: &Resource) -> Option<Resource> {
    let value = entry.value.common(&wish.value)?;
    let usable = if entry.is_whole() {
        entry.value == wish.value
    } else {
        !value.is_empty()
    };
    usable.then(|| Resource {
        value,
        ..entry.clone()
    })
}
