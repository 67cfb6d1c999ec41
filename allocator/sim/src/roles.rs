//! Roles and frameworks of a simulation: what users and groups of a trace are mapped to.
//!
//! Each role that has jobs has one framework, so that one index names both.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use tepui_allocator::Weight;
use tepui_protocol::Role;

/// What a job's role is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// All jobs in one role, `all`.
    One,
    /// A role per user.
    #[default]
    User,
    /// A role per group.
    Group,
    /// A role per user, below that of the group.
    GroupUser,
    /// A role per queue; the openb trace has its QoS class here.
    Queue,
}

impl By {
    /// All choices and their names.
    pub const ALL: [(&'static str, By); 5] = [
        ("one", By::One),
        ("user", By::User),
        ("group", By::Group),
        ("group/user", By::GroupUser),
        ("queue", By::Queue),
    ];
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, by)| by == self);
        f.pad(known.map_or("", |(name, _)| name))
    }
}

/// How jobs come to their roles, and what those weigh.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// What a role is made of, for jobs that do not name theirs.
    pub by: By,
    /// Weights other than 1, also of roles above those that have jobs.
    pub weights: BTreeMap<Role, Weight>,
}

/// Where a job comes from, as its trace says it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'a> {
    pub(crate) user: Option<&'a [u8]>,
    pub(crate) group: Option<&'a [u8]>,
    pub(crate) queue: Option<&'a [u8]>,
    pub(crate) role: Option<&'a str>,
}

/// The roles that have jobs, in the order in which they appear.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    names: Vec<Role>,
    set: BTreeMap<Role, Weight>,
    index: HashMap<Box<[u8]>, u32>,
    last: Option<(Box<[u8]>, u32)>,
}

impl Roles {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a role.
    pub fn name(&self, role: u32) -> &Role {
        &self.names[role as usize]
    }

    /// All names, by index.
    pub fn names(&self) -> &[Role] {
        &self.names
    }

    /// The weight of a role against all others: its own times those of the roles above it.
    pub fn weight(&self, role: u32) -> f64 {
        let name = self.name(role);
        let above = name.ancestors().map(|above| self.own_weight(&above));
        above
            .chain([self.own_weight(name)])
            .map(|weight| weight.milli() as f64 / 1000.0)
            .product()
    }

    /// The same, as the allocator has weights.
    pub fn flat_weight(&self, role: u32) -> Weight {
        Weight::try_from(self.weight(role)).unwrap_or_default()
    }

    /// The weight of a role, or of one above it, against its siblings.
    pub fn own_weight(&self, name: &Role) -> Weight {
        self.set.get(name).copied().unwrap_or_default()
    }

    /// The weights that are not 1.
    pub fn weights(&self) -> &BTreeMap<Role, Weight> {
        &self.set
    }

    pub(crate) fn weigh(&mut self, mapping: &Mapping) {
        self.set.clone_from(&mapping.weights);
    }

    fn of_key(
        &mut self,
        key: &[u8],
        name: impl FnOnce() -> Result<Role, String>,
    ) -> Result<u32, String> {
        if let Some((last, role)) = &self.last
            && **last == *key
        {
            return Ok(*role);
        }
        let role = match self.index.get(key) {
            Some(role) => *role,
            None => {
                let name = name()?;
                let known = self.names.iter().position(|known| *known == name);
                let at = known.unwrap_or(self.names.len());
                if known.is_none() {
                    self.names.push(name);
                }
                let role = u32::try_from(at).map_err(|_| "more than 2^32 roles")?;
                self.index.insert(key.into(), role);
                role
            }
        };
        self.last = Some((key.into(), role));
        Ok(role)
    }
}

impl Mapping {
    /// The role of a job.
    pub(crate) fn role_of(&self, origin: &Origin<'_>, roles: &mut Roles) -> Result<u32, String> {
        if let Some(name) = origin.role {
            return roles.of_key(&[b"=", name.as_bytes()].concat(), || parse(name));
        }
        let part = |kind: &str, value: Option<&[u8]>| match value {
            None => format!("{kind}-unknown"),
            Some(value) => {
                let text = String::from_utf8_lossy(value);
                let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if is_number {
                    format!("{kind}-{text}")
                } else {
                    text.into_owned()
                }
            }
        };
        let (user, group, queue) = (origin.user, origin.group, origin.queue);
        let bytes = |value: Option<&'_ [u8]>| value.unwrap_or(b"?").to_vec();
        match self.by {
            By::One => roles.of_key(b"", || parse("all")),
            By::User => roles.of_key(user.unwrap_or(b"?"), || parse(&part("user", user))),
            By::Group => roles.of_key(group.unwrap_or(b"?"), || parse(&part("group", group))),
            By::Queue => roles.of_key(queue.unwrap_or(b"?"), || parse(&part("queue", queue))),
            By::GroupUser => {
                let key = [bytes(group), b"/".to_vec(), bytes(user)].concat();
                roles.of_key(&key, || {
                    parse(&format!("{}/{}", part("group", group), part("user", user)))
                })
            }
        }
    }

    /// Whether each weight is that of a role with jobs, or of one above such.
    pub(crate) fn check(&self, roles: &Roles) -> Result<(), String> {
        for name in self.weights.keys() {
            let is_known = roles
                .names
                .iter()
                .any(|role| role == name || name.is_ancestor_of(role));
            if !is_known {
                let some: Vec<&str> = roles.names.iter().take(5).map(Role::as_str).collect();
                return Err(format!(
                    "weight of role {name}: no job is in it; roles are {} ...",
                    some.join(", ")
                ));
            }
        }
        Ok(())
    }
}

fn parse(name: &str) -> Result<Role, String> {
    Role::new(name).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_become_roles() {
        let origin = Origin {
            user: Some(b"12"),
            group: Some(b"atlas"),
            queue: None,
            role: None,
        };
        for (by, name) in [
            (By::One, "all"),
            (By::User, "user-12"),
            (By::Group, "atlas"),
            (By::GroupUser, "atlas/user-12"),
            (By::Queue, "queue-unknown"),
        ] {
            let (mapping, mut roles) = (
                Mapping {
                    by,
                    ..Mapping::default()
                },
                Roles::default(),
            );
            assert_eq!(mapping.role_of(&origin, &mut roles), Ok(0));
            assert_eq!(roles.name(0).as_str(), name);
        }
    }

    #[test]
    fn weights_multiply_down_the_tree_and_name_real_roles() {
        let weight = |milli| Weight::from_milli(milli).unwrap();
        let role = |name| Role::new(name).unwrap();
        let weights =
            BTreeMap::from([(role("eng"), weight(2000)), (role("eng/web"), weight(3000))]);
        let mapping = Mapping {
            by: By::User,
            weights,
        };
        let mut roles = Roles::default();
        let named = Origin {
            role: Some("eng/web"),
            ..Origin::default()
        };
        assert_eq!(mapping.role_of(&named, &mut roles), Ok(0));
        assert_eq!(mapping.check(&roles), Ok(()));
        roles.weigh(&mapping);
        assert_eq!(roles.weight(0), 6.0);
        assert!(
            mapping
                .check(&Roles::default())
                .unwrap_err()
                .contains("no job is in it")
        );
    }
}
