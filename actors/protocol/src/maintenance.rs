//! Maintenance of machines: when which of them are to be taken down, and what frameworks say to that.
//!
//! ```text
//!        UpdateMaintenanceSchedule          StartMaintenance        StopMaintenance
//!   Up ------------------------> Draining ------------------> Down -------------> Up
//!      <------------------------
//! ```
//! A machine is named by its host name; case does not matter.
//
//= mesos, maintenance: schedule, machine modes

pub mod json;

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{AgentId, FrameworkId, OfferId, Resources, Timestamp};

/// For how long something will not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailability {
    /// From when.
    pub start: Timestamp,
    /// For how long; until further notice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

impl Unavailability {
    /// Whether it has begun and is not over.
    pub fn is_at(&self, now: Timestamp) -> bool {
        let over = self.duration.map(|span| self.start + span);
        self.start <= now && over.is_none_or(|over| now < over)
    }
}

/// Machines that are taken down together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Their host names, in lower case.
    pub machines: BTreeSet<String>,
    /// When.
    pub unavailability: Unavailability,
}

/// What is planned. Each machine is in one window at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// In the order in which they were given.
    pub windows: Vec<Window>,
}

impl Schedule {
    /// The window that a machine is in.
    pub fn of(&self, hostname: &str) -> Option<&Unavailability> {
        if self.windows.is_empty() {
            return None;
        }
        let name = hostname.to_ascii_lowercase();
        let mut windows = self.windows.iter();
        let window = windows.find(|window| window.machines.contains(&name));
        window.map(|window| &window.unavailability)
    }

    /// The machines that are in a window.
    pub fn machines(&self) -> impl Iterator<Item = &String> {
        self.windows.iter().flat_map(|window| &window.machines)
    }

    /// The same without these machines, and without windows that are empty then.
    pub fn without(&self, machines: &BTreeSet<String>) -> Schedule {
        let left = self.windows.iter().map(|window| Window {
            machines: &window.machines - machines,
            ..window.clone()
        });
        Schedule {
            windows: left.filter(|window| !window.machines.is_empty()).collect(),
        }
    }

    /// Checks the rules; names are put into lower case.
    ///
    /// # Errors
    /// A window without machines, a machine without a name, or one that is in two windows: for people.
    pub fn validate(&mut self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for window in &mut self.windows {
            if window.machines.is_empty() {
                return Err("maintenance: a window has no machines; name at least one".to_owned());
            }
            let lower = window
                .machines
                .iter()
                .map(|name| name.trim().to_ascii_lowercase());
            window.machines = lower.collect();
            for name in &window.machines {
                if name.is_empty() {
                    return Err("maintenance: a machine has no host name".to_owned());
                }
                if !seen.insert(name.clone()) {
                    return Err(format!(
                        "maintenance: machine {name} is in two windows; it can be in one only"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Where a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// In use.
    Up,
    /// In the schedule: in use, and frameworks are asked to leave.
    Draining,
    /// Taken down: its agents are refused.
    Down,
}

/// A framework is asked to leave an agent before its machine is taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseOffer {
    /// Names it in the answer.
    pub id: OfferId,
    /// Who is asked.
    pub framework_id: FrameworkId,
    /// Which agent.
    pub agent_id: AgentId,
    /// When it will not be there.
    pub unavailability: Unavailability,
    /// What the framework uses there.
    pub resources: Resources,
}

/// What a framework said to its last inverse offer of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Answer {
    /// Nothing yet.
    Unknown,
    /// It will have left.
    Accept,
    /// It cannot leave.
    Decline,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(windows: &[&[&str]]) -> Schedule {
        let unavailability = Unavailability {
            start: Timestamp::from_secs(5),
            duration: None,
        };
        let window = |names: &&[&str]| Window {
            machines: names.iter().map(|name| (*name).to_owned()).collect(),
            unavailability,
        };
        Schedule {
            windows: windows.iter().map(window).collect(),
        }
    }

    #[test]
    fn a_machine_is_in_one_window_by_whatever_case() {
        let mut good = schedule(&[&["A", "b"], &["c"]]);
        good.validate().unwrap();
        assert!(good.of("a").is_some() && good.of("B").is_some() && good.of("d").is_none());
        let left = good.without(&BTreeSet::from(["c".to_owned()]));
        assert_eq!(left.windows.len(), 1);
        for (bad, part) in [
            (schedule(&[&[]]), "no machines"),
            (schedule(&[&[" "]]), "no host name"),
            (schedule(&[&["a"], &["A"]]), "machine a is in two windows"),
        ] {
            let error = bad.clone().validate().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
