//! Names of resources. Those that every cluster has are not copied with each resource.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Serialize};

use super::{CPUS, DISK, GPUS, MEM, PORTS};

/// What a resource is called; a text in all respects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Name(Cow<'static, str>);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        let known = [CPUS, MEM, DISK, GPUS, PORTS];
        let known = known.into_iter().find(|known| *known == name);
        Self(known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        match Self::from(name.as_str()) {
            Self(Cow::Owned(_)) => Self(Cow::Owned(name)),
            known => known,
        }
    }
}

impl From<&String> for Name {
    fn from(name: &String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into_owned()
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_text_wherever_it_is_kept() {
        for text in ["cpus", "ports", "licenses", ""] {
            let names = [Name::from(text), Name::from(text.to_owned())];
            for name in names {
                assert_eq!(name, text);
                assert_eq!(name.to_string(), text);
                assert_eq!(format!("{name:?}"), format!("{text:?}"));
                let json = serde_json::to_string(&name).unwrap();
                assert_eq!(json, serde_json::to_string(text).unwrap());
                let back: Name = serde_json::from_str(&json).unwrap();
                assert_eq!(back, name);
                assert_eq!(String::from(back), text);
            }
        }
        assert!(matches!(
            Name::from("gpus".to_owned()),
            Name(Cow::Borrowed(_))
        ));
    }
}
