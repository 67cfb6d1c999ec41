//! Roles: the pools that resources are shared between, a tree written with slashes (`a/b`).
//!
//! Owns the rules for a role's name and the relation of roles in the tree. It does not own weights,
//! quota or shares; they belong to the allocator.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("role {text:?}: {problem}")]
pub struct InvalidRole {
    /// The refused text.
    pub text: String,
    /// The rule it breaks.
    pub problem: &'static str,
}

/// A pool of resources: `*` (the default), or a path such as `eng/web`.
///
/// Every value is valid, also one that came over the wire. Cloning costs one counter.
///
//= mesos, roles.md: names of roles
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(Arc<str>);

const STAR: &str = "*";

fn check(text: &str) -> Result<(), &'static str> {
    if text == STAR {
        return Ok(());
    }
    if text.is_empty() {
        return Err("must not be empty; the default role is `*`");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("must not contain blanks or control characters");
    }
    text.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), &'static str> {
    match component {
        "" => Err("must not begin or end with `/` or contain `//`"),
        "." | ".." => Err("must not have a component `.` or `..`"),
        STAR => Err("must not have a component `*`; only the whole name may be `*`"),
        _ if component.starts_with('-') => Err("must not have a component that begins with `-`"),
        _ => Ok(()),
    }
}

impl Role {
    /// Checks `text` and makes it a role.
    ///
    /// # Errors
    /// [`InvalidRole`] when the text breaks a rule: it is `*`, or components without blanks and
    /// control characters, joined by single slashes, none of them empty, `.`, `..`, `*` or
    /// beginning with `-`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidRole> {
        let text = text.as_ref();
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(problem) => Err(InvalidRole {
                text: text.to_owned(),
                problem,
            }),
        }
    }

    /// The default role, `*`.
    pub fn star() -> Self {
        Self(STAR.into())
    }

    /// The role's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the default role, `*`.
    pub fn is_star(&self) -> bool {
        &*self.0 == STAR
    }

    /// The role one level up: `a` for `a/b`, none for `a` and `*`.
    pub fn parent(&self) -> Option<Role> {
        let end = self.0.rfind('/')?;
        Some(Self(self.0[..end].into()))
    }

    /// The roles above this one, nearest first: `a/b`, `a` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = Role> + use<> {
        std::iter::successors(self.parent(), Role::parent)
    }

    /// The parts between the slashes, top first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The top-level role of this one's tree: `a` for `a/b/c`, itself for `a`.
    pub fn top(&self) -> Role {
        match self.0.find('/') {
            Some(end) => Self(self.0[..end].into()),
            None => self.clone(),
        }
    }

    /// Whether `other` lies strictly below this role. `*` is above nothing.
    pub fn is_ancestor_of(&self, other: &Role) -> bool {
        let below = other.0.strip_prefix(&*self.0);
        below.is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Default for Role {
    fn default() -> Self {
        Self::star()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Role {
    type Err = InvalidRole;
    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::new(text)
    }
}

impl TryFrom<String> for Role {
    type Error = InvalidRole;
    fn try_from(text: String) -> Result<Self, InvalidRole> {
        Self::new(text)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.as_str().to_owned()
    }
}

impl AsRef<str> for Role {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(text: &str) -> Role {
        Role::new(text).unwrap()
    }

    #[test]
    fn names_that_mesos_takes_are_taken() {
        for text in [
            "*", "foo", "foo/bar", "a-b", "a/b-", "..a", "a.", "**", "a/*b", "ü/ñ",
        ] {
            assert_eq!(role(text).to_string(), text);
        }
    }

    #[test]
    fn names_that_mesos_refuses_are_refused_with_the_rule() {
        for (text, rule) in [
            ("", "empty"),
            (".", "`..`"),
            ("..", "`..`"),
            ("a/.", "`..`"),
            ("a/../b", "`..`"),
            ("-a", "`-`"),
            ("a/-b", "`-`"),
            ("/", "`/`"),
            ("/a", "`/`"),
            ("a/", "`/`"),
            ("a//b", "`//`"),
            ("*/a", "component `*`"),
            ("a/*", "component `*`"),
            ("a/*/b", "component `*`"),
            ("a b", "blanks"),
            ("a\tb", "blanks"),
            ("a\u{7f}", "control"),
            ("a\u{b}", "control"),
        ] {
            let error = Role::new(text).unwrap_err().to_string();
            assert!(
                error.starts_with("role ") && error.contains(rule),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn roles_form_a_tree() {
        let deep = role("a/b/c");
        assert_eq!(deep.parent(), Some(role("a/b")));
        assert_eq!(
            deep.ancestors().collect::<Vec<_>>(),
            [role("a/b"), role("a")]
        );
        assert_eq!(deep.components().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(deep.top(), role("a"));
        assert_eq!(role("a").parent(), None);
        assert_eq!(role("a").top(), role("a"));
        assert_eq!(Role::star().parent(), None);
        assert_eq!(Role::default().as_str(), "*");
    }

    #[test]
    fn an_ancestor_is_strictly_above_and_star_is_above_nothing() {
        assert!(role("a").is_ancestor_of(&role("a/b")));
        assert!(role("a").is_ancestor_of(&role("a/b/c")));
        assert!(!role("a").is_ancestor_of(&role("a")));
        assert!(!role("a/b").is_ancestor_of(&role("a")));
        assert!(!role("a").is_ancestor_of(&role("ab/c")));
        assert!(!Role::star().is_ancestor_of(&role("a")));
    }

    #[test]
    fn a_role_from_the_wire_is_checked_too() {
        assert!(serde_json::from_str::<Role>("\"a//b\"").is_err());
        let read: Role = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"a/b\"");
    }
}
