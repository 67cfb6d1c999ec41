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

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pool: &str, wanted: &str) -> Option<String> {
        let found = Resources::parse(pool)
            .unwrap()
            .find(&Resources::parse(wanted).unwrap());
        found.map(|found| found.to_string())
    }

    #[test]
    fn reserved_resources_are_picked_before_unreserved_ones() {
        let pool = "cpus(role1):2;cpus:2;mem(role1):5;mem:10";
        assert_eq!(find(pool, "cpus:1").unwrap(), "cpus(role1):1");
        assert_eq!(find(pool, "cpus:3").unwrap(), "cpus:1;cpus(role1):2");
        assert_eq!(
            find(pool, "cpus:4;mem:15").unwrap(),
            "cpus:2;cpus(role1):2;mem:10;mem(role1):5"
        );
        assert_eq!(find(pool, "cpus:4.001"), None);
        assert_eq!(find(pool, "gpus:1"), None);
        assert_eq!(find(pool, "").unwrap(), "");
    }

    #[test]
    fn claims_in_the_wish_mean_nothing_and_those_found_stay() {
        let pool = "cpus(allocated:a/b)(a):2;cpus(allocated:a/b):1";
        assert_eq!(
            find(pool, "cpus(other):3").unwrap(),
            "cpus(allocated:a/b):1;cpus(allocated:a/b)(a):2"
        );
    }

    #[test]
    fn exactly_the_wanted_ports_and_names_are_picked() {
        let pool = "ports(a):[1-5];ports:[6-20];zones:{x,y}";
        assert_eq!(
            find(pool, "ports:[4-7];zones:{y}").unwrap(),
            "ports:[6-7];ports(a):[4-5];zones:{y}"
        );
        assert_eq!(find(pool, "ports:[20-21]"), None);
        assert_eq!(find(pool, "zones:{x,z}"), None);
        assert_eq!(find(pool, "ports:1"), None);
    }

    #[test]
    fn special_resources_are_picked_only_when_asked_for() {
        assert_eq!(find("cpus{REV}:4", "cpus:1"), None);
        assert_eq!(find("cpus:4", "cpus{REV}:1"), None);
        assert_eq!(
            find("cpus{REV}:4;cpus:4", "cpus{REV}:1").unwrap(),
            "cpus{REV}:1"
        );
        assert_eq!(find("disk(a)[v:data]:10", "disk:10"), None);
        assert_eq!(
            find("disk(a)[v:data]:10", "disk[v:data]:10").unwrap(),
            "disk(a)[v:data]:10"
        );
        assert_eq!(
            find("disk[PATH:/p]:10", "disk[PATH:/p]:4").unwrap(),
            "disk[PATH:/p]:4"
        );
    }

    #[test]
    fn whole_disks_are_picked_whole_or_not_at_all() {
        let pool = "disk[MOUNT:/m]:10;disk[MOUNT:/m]:20";
        assert_eq!(find(pool, "disk[MOUNT:/m]:5"), None);
        assert_eq!(find(pool, "disk[MOUNT:/m]:30"), None);
        assert_eq!(
            find(pool, "disk[MOUNT:/m]:20").unwrap(),
            "disk[MOUNT:/m]:20"
        );
    }
}
