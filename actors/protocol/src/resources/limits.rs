//! Bounds of amounts by name. Unlike in [`super::Quantities`], zero is a value: none of it is allowed.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{ParseError, Quantities, Scalar};

/// The most of each name; a name without an entry has no bound. Prints and parses as `cpus:4;gpus:0`.
//= mesos, ResourceLimits
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(BTreeMap<String, Scalar>);

impl Limits {
    /// No bound.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Reads `name:amount` pairs joined by `;`; amounts of equal names add up.
    ///
    /// # Errors
    /// [`ParseError`] for what is not such a list, or has anything but plain scalars.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        super::text::parse_amounts(text)
    }

    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The most of `name`; none when it has no bound.
    pub fn get(&self, name: &str) -> Option<Scalar> {
        self.0.get(name).copied()
    }

    /// Replaces the bound of `name`.
    pub fn set(&mut self, name: &str, most: Scalar) {
        self.0.insert(name.to_owned(), most);
    }

    /// The first name of which `amounts` has more than it may, with the bound.
    pub fn exceeded_by(&self, amounts: &Quantities) -> Option<(&str, Scalar)> {
        self.iter().find(|(name, most)| amounts.get(name) > *most)
    }

    /// The names and their bounds, ascending by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }
}

/// The entries of [`Limits`], ascending by name.
#[derive(Clone, Debug)]
pub struct Iter<'a>(btree_map::Iter<'a, String, Scalar>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, Scalar);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, most)| (name.as_str(), *most))
    }
}

impl<'a> IntoIterator for &'a Limits {
    type Item = (&'a str, Scalar);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<(String, Scalar)> for Limits {
    /// Amounts of equal names add up.
    fn from_iter<I: IntoIterator<Item = (String, Scalar)>>(amounts: I) -> Self {
        let mut all = Self::new();
        for (name, amount) in amounts {
            let most = all.get(&name).unwrap_or_default() + amount;
            all.0.insert(name, most);
        }
        all
    }
}

impl From<&Quantities> for Limits {
    fn from(amounts: &Quantities) -> Self {
        let owned = |(name, amount): (&str, Scalar)| (name.to_owned(), amount);
        amounts.iter().map(owned).collect()
    }
}

impl FromStr for Limits {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::text::write_list(f, self.iter(), |f, (name, most)| {
            super::text::write_word(f, name)?;
            write!(f, ":{most}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_a_bound_and_no_entry_is_none() {
        let limits = Limits::parse("gpus:0;cpus:1;cpus:0.5").unwrap();
        assert_eq!(limits.to_string(), "cpus:1.5;gpus:0");
        assert_eq!(limits.get("gpus"), Some(Scalar::ZERO));
        assert_eq!(limits.get("mem"), None);
        let held = |text| Quantities::parse(text).unwrap();
        assert_eq!(limits.exceeded_by(&held("cpus:1.5;mem:9")), None);
        let exceeded = limits.exceeded_by(&held("cpus:1;gpus:1"));
        assert_eq!(exceeded, Some(("gpus", Scalar::ZERO)));
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
    }

    #[test]
    fn only_plain_scalars_are_bounds() {
        for text in ["ports:[1-2]", "cpus(role):1", "cpus", "cpus:-1"] {
            assert!(Limits::parse(text).is_err(), "{text}");
        }
    }
}
