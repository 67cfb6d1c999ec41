//! Amounts by name, without identity: what quota, shares and limits are counted in.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    ops::{AddAssign, SubAssign},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{ParseError, Resources, Scalar};

/// Scalar amounts by resource name. A name without an entry has the amount zero, and no entry is
/// zero, so that equal amounts are equal values. Prints and parses as `cpus:4;mem:4096`.
//= mesos, ResourceQuantities: subtraction floors at zero and drops empty names
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Scalar>")]
pub struct Quantities(BTreeMap<String, Scalar>);

impl Quantities {
    /// Nothing.
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

    /// Whether every amount is zero.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many names have an amount.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The amount of `name`, zero when there is none.
    pub fn get(&self, name: &str) -> Scalar {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Replaces the amount of `name`.
    pub fn set(&mut self, name: &str, amount: Scalar) {
        if amount.is_zero() {
            self.0.remove(name);
        } else if let Some(entry) = self.0.get_mut(name) {
            *entry = amount;
        } else {
            self.0.insert(name.to_owned(), amount);
        }
    }

    /// Adds to the amount of `name`.
    pub fn add_amount(&mut self, name: &str, amount: Scalar) {
        self.set(name, self.get(name) + amount);
    }

    /// Takes from the amount of `name`, at most what is there.
    pub fn subtract_amount(&mut self, name: &str, amount: Scalar) {
        self.set(name, self.get(name).saturating_sub(amount));
    }

    /// Whether there is at least as much of every name as in `other`.
    pub fn contains(&self, other: &Quantities) -> bool {
        other.iter().all(|(name, amount)| self.get(name) >= amount)
    }

    /// The names and their amounts, ascending by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }
}

/// The entries of a [`Quantities`], ascending by name.
#[derive(Clone, Debug)]
pub struct Iter<'a>(btree_map::Iter<'a, String, Scalar>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, Scalar);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, amount)| (name.as_str(), *amount))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Quantities {
    type Item = (&'a str, Scalar);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl AddAssign<&Quantities> for Quantities {
    fn add_assign(&mut self, other: &Quantities) {
        other
            .iter()
            .for_each(|(name, amount)| self.add_amount(name, amount));
    }
}

impl SubAssign<&Quantities> for Quantities {
    /// Floors at zero.
    fn sub_assign(&mut self, other: &Quantities) {
        other
            .iter()
            .for_each(|(name, amount)| self.subtract_amount(name, amount));
    }
}

impl std::ops::Add<&Quantities> for Quantities {
    type Output = Quantities;
    fn add(mut self, other: &Quantities) -> Quantities {
        self += other;
        self
    }
}

impl std::ops::Sub<&Quantities> for Quantities {
    type Output = Quantities;
    /// Floors at zero.
    fn sub(mut self, other: &Quantities) -> Quantities {
        self -= other;
        self
    }
}

impl<N: Into<String>> FromIterator<(N, Scalar)> for Quantities {
    /// Amounts of equal names add up.
    fn from_iter<I: IntoIterator<Item = (N, Scalar)>>(amounts: I) -> Self {
        let mut all = Self::new();
        for (name, amount) in amounts {
            all.add_amount(&name.into(), amount);
        }
        all
    }
}

impl From<BTreeMap<String, Scalar>> for Quantities {
    fn from(mut amounts: BTreeMap<String, Scalar>) -> Self {
        amounts.retain(|_, amount| !amount.is_zero());
        Self(amounts)
    }
}

impl From<&Resources> for Quantities {
    fn from(resources: &Resources) -> Self {
        resources.quantities()
    }
}

impl FromStr for Quantities {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::text::write_list(f, self.iter(), |f, (name, amount)| {
            super::text::write_word(f, name)?;
            write!(f, ":{amount}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(text: &str) -> Quantities {
        Quantities::parse(text).unwrap()
    }

    #[test]
    fn subtraction_floors_at_zero_and_drops_empty_names() {
        let left = quantities("cpus:4;mem:10") - &quantities("cpus:5;mem:4;disk:1");
        assert_eq!(left, quantities("mem:6"));
        assert_eq!(left.get("cpus"), Scalar::ZERO);
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_missing_name_is_zero() {
        assert!(quantities("cpus:1").contains(&quantities("")));
        assert!(!quantities("cpus:1").contains(&quantities("mem:0.001")));
        assert_eq!(quantities("cpus:0"), Quantities::new());
        assert!(quantities("cpus:1;mem:2").contains(&quantities("mem:2")));
    }

    #[test]
    fn text_and_serde_round_trip() {
        let amounts = quantities("mem:512.5;cpus:1;cpus:0.5");
        assert_eq!(amounts.to_string(), "cpus:1.5;mem:512.5");
        let json = serde_json::to_string(&amounts).unwrap();
        assert_eq!(json, r#"{"cpus":1.5,"mem":512.5}"#);
        assert_eq!(serde_json::from_str::<Quantities>(&json).unwrap(), amounts);
        let zero: Quantities = serde_json::from_str(r#"{"cpus":0}"#).unwrap();
        assert!(zero.is_empty());
    }

    #[test]
    fn only_plain_scalars_are_quantities() {
        for text in [
            "ports:[1-2]",
            "zones:{a}",
            "cpus(role):1",
            "cpus{REV}:1",
            "cpus",
        ] {
            assert!(Quantities::parse(text).is_err(), "{text}");
        }
    }
}
