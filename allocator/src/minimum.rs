//! The least that is worth offering.

use std::{fmt, str::FromStr};

use tepui_protocol::{Quantities, Resources, resources::ParseError};

/// Alternatives, one of which an offer must reach; without any, everything is worth offering.
///
/// Text form: `cpus:0.01|mem:32`; the empty text for no alternatives.
//= mesos, --min_allocatable_resources and offer_filters.min_allocatable_resources
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    alternatives: Vec<Quantities>,
}

impl Minimum {
    /// Everything is worth offering.
    pub const fn anything() -> Self {
        Self {
            alternatives: Vec::new(),
        }
    }

    /// One of `alternatives` must be reached.
    pub fn any_of(alternatives: impl IntoIterator<Item = Quantities>) -> Self {
        Self {
            alternatives: alternatives.into_iter().collect(),
        }
    }

    /// Whether `resources`, reserved and unreserved together, are worth offering.
    pub fn is_met_by(&self, resources: &Resources) -> bool {
        if self.alternatives.is_empty() {
            return true;
        }
        let reaches = |minimum: &Quantities| {
            minimum
                .iter()
                .all(|(name, amount)| resources.scalar(name) >= amount)
        };
        self.alternatives.iter().any(reaches)
    }
}

impl Default for Minimum {
    /// 0.01 cpus or 32 MiB of memory.
    fn default() -> Self {
        use tepui_protocol::{
            Scalar,
            resources::{CPUS, MEM},
        };
        let of = |name: &str, amount| Quantities::from_iter([(name, amount)]);
        Self::any_of([
            of(CPUS, Scalar::from_milli(10)),
            of(MEM, Scalar::from_whole(32)),
        ])
    }
}

impl FromStr for Minimum {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.trim().is_empty() {
            return Ok(Self::anything());
        }
        let alternatives = text
            .split('|')
            .map(Quantities::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, minimum) in self.alternatives.iter().enumerate() {
            let bar = if i == 0 { "" } else { "|" };
            write!(f, "{bar}{minimum}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alternative_is_enough() {
        let minimum = Minimum::default();
        let met = |text: &str| minimum.is_met_by(&Resources::parse(text).unwrap());
        assert!(met("cpus:0.01"));
        assert!(met("mem:32;disk:1"));
        assert!(met("cpus:0.005;cpus(r):0.005"));
        assert!(!met("cpus:0.009;mem:31.9;disk:1000"));
    }

    #[test]
    fn text_round_trips() {
        let minimum: Minimum = "cpus:0.01|mem:32".parse().unwrap();
        assert_eq!(minimum, Minimum::default());
        assert_eq!(minimum.to_string(), "cpus:0.01|mem:32");
        assert_eq!("".parse::<Minimum>().unwrap(), Minimum::anything());
        assert!("cpus".parse::<Minimum>().is_err());
    }
}
