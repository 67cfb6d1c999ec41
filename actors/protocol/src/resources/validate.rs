//! Rules that resources from configuration, agents and frameworks must keep.

use super::{DISK, GPUS, ReservationKind, Resource, Resources, Scalar, Value};
use crate::role::Role;

/// Which rule a resource breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource {name:?}: {problem}")]
pub struct InvalidResource {
    /// The resource's name.
    pub name: String,
    /// The broken rule.
    pub problem: String,
}

impl Resources {
    /// Checks every entry with [`Resource::validate`].
    ///
    /// # Errors
    /// The first [`InvalidResource`] found.
    pub fn validate(&self) -> Result<(), InvalidResource> {
        self.iter().try_for_each(Resource::validate)
    }
}

impl Resource {
    /// Checks the rules that hold for every resource, wherever it occurs.
    ///
    /// # Errors
    /// [`InvalidResource`] when it has no name or no amount, is a GPU and a part of another, mixes kinds of
    /// value for a well-known name, has disk information without being a disk, a volume that is
    /// unreserved, revocable or without a container path, a shared flag without being a volume, or a stack
    /// of reservations in which a claim does not refine the one below it.
    pub fn validate(&self) -> Result<(), InvalidResource> {
        check_value(self)
            .and_then(|()| check_disk(self))
            .and_then(|()| check_reservations(self))
            .map_err(|problem| InvalidResource {
                name: self.name.to_string(),
                problem,
            })
    }
}

fn require(rule: bool, problem: &str) -> Result<(), String> {
    if rule {
        Ok(())
    } else {
        Err(problem.to_owned())
    }
}

fn check_value(resource: &Resource) -> Result<(), String> {
    require(!resource.name.is_empty(), "must have a name")?;
    require(!resource.value.is_empty(), "must not be empty")?;
    let scalar = matches!(resource.value, Value::Scalar(_));
    match resource.name.as_str() {
        super::CPUS | super::MEM | DISK | GPUS => require(scalar, "must be a number")?,
        super::PORTS => {
            let ranges = matches!(resource.value, Value::Ranges(_));
            require(ranges, "must be ranges such as [31000-32000]")?;
        }
        _ => {}
    }
    //= mesos, differs: tasks can share a GPU, so that a part of one is an amount
    let one = Scalar::from_whole(1);
    let torn = resource.amount().is_some_and(|n| n > one && !n.is_whole());
    require(
        resource.name != GPUS || !torn,
        "must be whole, or a part of one GPU, below 1",
    )
}

fn check_disk(resource: &Resource) -> Result<(), String> {
    let volume = resource.is_persistent_volume();
    require(
        !resource.shared || volume,
        "only a persistent volume can be shared",
    )?;
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    require(
        resource.name == DISK,
        "only the resource \"disk\" can have disk information",
    )?;
    let Some(id) = &disk.persistence_id else {
        return require(
            disk.container_path.is_none(),
            "a container path is for persistent volumes only",
        );
    };
    let id_is_file_name = !id.is_empty()
        && id != "."
        && id != ".."
        && !id.contains(|c: char| c == '/' || c.is_control() || c.is_whitespace());
    require(
        id_is_file_name,
        "a volume's id must be usable as a file name, without blanks",
    )?;
    require(
        disk.container_path.is_some(),
        "a persistent volume must have a container path",
    )?;
    require(
        !resource.revocable,
        "a persistent volume must not be revocable",
    )?;
    require(
        !resource.reservations.is_empty(),
        "a persistent volume must be reserved",
    )
}

fn check_reservations(resource: &Resource) -> Result<(), String> {
    let mut below: Option<&Role> = None;
    for claim in &resource.reservations {
        require(!claim.role.is_star(), "cannot be reserved to the role *")?;
        let dynamic = claim.kind == ReservationKind::Dynamic;
        require(
            !(dynamic && resource.revocable),
            "a revocable resource cannot be reserved",
        )?;
        if let Some(below) = below {
            require(
                dynamic,
                "only the first reservation of a stack can be static",
            )?;
            if !below.is_ancestor_of(&claim.role) {
                let role = &claim.role;
                return Err(format!(
                    "reservation to {role} must be to a role below {below}"
                ));
            }
        }
        below = Some(&claim.role);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mesos_takes_is_valid() {
        for text in [
            "",
            "cpus:0.5;mem:128;ports:[31000-32000];gpus:2;zones:{a};bogomips:12.5;cpus{REV}:2",
            "cpus(a):1;cpus(reservations:[(STATIC,a),(DYNAMIC,a/b),(DYNAMIC,a/b/c,me)]):1",
            "cpus(reservations:[(DYNAMIC,a/b)]):1",
            "disk(a)[v:data]:10;disk(a)[w:data]<SHARED>:10;disk[PATH:/p]:1;disk[MOUNT:/m]:1",
            "disk(a)[MOUNT:/m,v:data]:1",
        ] {
            Resources::parse(text).unwrap().validate().unwrap();
        }
    }

    #[test]
    fn a_part_of_a_gpu_is_valid() {
        Resources::parse("gpus:0.5").unwrap().validate().unwrap();
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_the_rule() {
        for (text, rule) in [
            ("gpus:1.5", "must be whole, or a part of one GPU"),
            ("cpus:{a}", "must be a number"),
            ("ports:5", "must be ranges"),
            ("\"\":5", "must have a name"),
            ("mem<SHARED>:5", "only a persistent volume can be shared"),
            (
                "disk[PATH:/p]<SHARED>:5",
                "only a persistent volume can be shared",
            ),
            ("mem(a)[v:data]:5", "only the resource \"disk\""),
            ("disk(a)[v]:5", "must have a container path"),
            ("disk[:data]:5", "persistent volumes only"),
            ("disk(a)[a/b:data]:5", "usable as a file name"),
            ("disk(a)[..:data]:5", "usable as a file name"),
            ("disk(a){REV}[v:data]:5", "must not be revocable"),
            ("disk[v:data]:5", "must be reserved"),
            ("cpus(reservations:[(STATIC,*)]):1", "the role *"),
            (
                "cpus(reservations:[(STATIC,a),(STATIC,a/b)]):1",
                "only the first",
            ),
            (
                "cpus(reservations:[(STATIC,a),(DYNAMIC,a)]):1",
                "a role below a",
            ),
            (
                "cpus(reservations:[(STATIC,a/b),(DYNAMIC,a)]):1",
                "a role below a/b",
            ),
            (
                "cpus(reservations:[(DYNAMIC,a),(DYNAMIC,b/c)]):1",
                "to b/c must be to a role below a",
            ),
            ("cpus(reservations:[(DYNAMIC,a)]){REV}:1", "revocable"),
        ] {
            let resources = Resources::parse(text).unwrap();
            let error = (Resources::parse("cpus:1").unwrap() + &resources)
                .validate()
                .unwrap_err();
            assert!(error.to_string().contains(rule), "{text}: {error}");
        }
        assert!(Resource::scalar("cpus", Scalar::ZERO).validate().is_err());
    }
}
