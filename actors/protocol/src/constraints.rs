//! Which agents a framework takes: conditions on their attributes and hostnames.
//!
//! Written as `rack=r1`, `rack!=r1`, `rack` (it has one) or `!rack` (it has none), with commas between conditions that are all to
//! hold. `hostname` is the agent's. Several such groups are alternatives.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The attribute that every agent has: its host.
const HOSTNAME: &str = "hostname";

/// What is asked of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Predicate {
    /// The agent has it.
    Exists,
    /// The agent has none of this name.
    NotExists,
    /// It is this.
    Equals(String),
    /// It is not this; also if there is none.
    //= mesos, offer constraints: negations hold where the attribute is missing
    NotEquals(String),
}

/// A condition on one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name; `hostname` is the agent's host.
    pub attribute: String,
    /// What is asked of it.
    pub is: Predicate,
}

/// Groups of conditions, one of which is to hold as a whole. Without any group, every agent will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Constraints(Vec<Vec<Constraint>>);

/// Why a text is no group of conditions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "constraint {text:?}: write rack=r1, rack!=r1, rack or !rack, with commas between what is all to hold"
)]
pub struct InvalidConstraint {
    /// The text.
    pub text: String,
}

impl Constraint {
    /// Whether an agent meets it.
    pub fn is_met_by(&self, hostname: &str, attributes: &BTreeMap<String, String>) -> bool {
        let value = match self.attribute.as_str() {
            HOSTNAME => Some(hostname),
            name => attributes.get(name).map(String::as_str),
        };
        match &self.is {
            Predicate::Exists => value.is_some(),
            Predicate::NotExists => value.is_none(),
            Predicate::Equals(wanted) => value == Some(wanted),
            Predicate::NotEquals(unwanted) => value != Some(unwanted),
        }
    }
}

impl FromStr for Constraint {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let text = text.trim();
        let (attribute, is) = if let Some((name, value)) = text.split_once("!=") {
            (name, Predicate::NotEquals(value.trim().to_owned()))
        } else if let Some((name, value)) = text.split_once('=') {
            (name, Predicate::Equals(value.trim().to_owned()))
        } else if let Some(name) = text.strip_prefix('!') {
            (name, Predicate::NotExists)
        } else {
            (text, Predicate::Exists)
        };
        let attribute = attribute.trim().to_owned();
        let is_wrong = attribute.is_empty() || attribute.contains(['!', '=', ',']);
        if is_wrong {
            let text = text.to_owned();
            return Err(InvalidConstraint { text });
        }
        Ok(Self { attribute, is })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.attribute;
        match &self.is {
            Predicate::Exists => f.write_str(name),
            Predicate::NotExists => write!(f, "!{name}"),
            Predicate::Equals(value) => write!(f, "{name}={value}"),
            Predicate::NotEquals(value) => write!(f, "{name}!={value}"),
        }
    }
}

impl Constraints {
    /// These groups.
    pub fn any_of(groups: Vec<Vec<Constraint>>) -> Self {
        Self(groups)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads groups, each of conditions with commas between them.
    ///
    /// # Errors
    /// [`InvalidConstraint`] for the first condition that is none.
    pub fn parse<'a>(groups: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidConstraint> {
        let group = |text: &str| text.split(',').map(str::parse).collect();
        let groups = groups.into_iter().map(group);
        Ok(Self(groups.collect::<Result<_, _>>()?))
    }

    /// Whether an agent will do.
    pub fn are_met_by(&self, hostname: &str, attributes: &BTreeMap<String, String>) -> bool {
        let holds = |group: &Vec<Constraint>| {
            let mut all = group.iter();
            all.all(|constraint| constraint.is_met_by(hostname, attributes))
        };
        self.0.is_empty() || self.0.iter().any(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= mesos, offer constraints
    #[test]
    fn one_group_has_to_hold_as_a_whole() {
        let agent = BTreeMap::from([("rack".to_owned(), "r1".to_owned())]);
        for (groups, met) in [
            (vec![], true),
            (vec!["rack"], true),
            (vec!["ssd"], false),
            (vec!["!ssd"], true),
            (vec!["rack=r1"], true),
            (vec!["rack=r2"], false),
            (vec!["rack!=r2"], true),
            (vec!["rack!=r1"], false),
            (vec!["ssd!=no"], true),
            (vec!["rack=r1,ssd"], false),
            (vec!["rack=r1,ssd", "hostname=a"], true),
            (vec!["hostname!=a"], false),
        ] {
            let constraints = Constraints::parse(groups.iter().copied()).unwrap();
            assert_eq!(constraints.are_met_by("a", &agent), met, "{groups:?}");
        }
    }

    #[test]
    fn text_round_trips_and_what_is_wrong_is_told() {
        for text in ["rack", "!rack", "rack=r1", "rack!=r1", "rack=a=b"] {
            let constraint: Constraint = text.parse().unwrap();
            assert_eq!(constraint.to_string(), text);
        }
        for bad in ["", "=r1", "!", "!=x", "a!b", "rack=r1,"] {
            let error = Constraints::parse([bad]).unwrap_err();
            assert!(error.to_string().contains("write rack=r1"), "{error}");
        }
    }
}
