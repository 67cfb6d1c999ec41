//! The schedule in the JSON of Mesos's v1 operator API: `{"windows": [{"machine_ids": [{"hostname": "a"}],
//! "unavailability": {"start": {"nanoseconds": 1}, "duration": {"nanoseconds": 2}}}]}`.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Schedule, Unavailability, Window};
use crate::Timestamp;

/// A span or a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nanoseconds {
    /// So many; since the epoch, for a point.
    pub nanoseconds: u64,
}

impl From<Timestamp> for Nanoseconds {
    fn from(at: Timestamp) -> Self {
        Self {
            nanoseconds: at.0.saturating_mul(1000),
        }
    }
}

impl From<Duration> for Nanoseconds {
    fn from(span: Duration) -> Self {
        Self {
            nanoseconds: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// A machine; what else Mesos's messages have (an address) is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineId {
    /// Its host name.
    pub hostname: String,
}

impl MachineId {
    /// By their host names.
    pub fn all<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<Self> {
        let names = names.into_iter().cloned();
        names.map(|hostname| Self { hostname }).collect()
    }

    /// The host names of all.
    pub fn names(all: Vec<Self>) -> BTreeSet<String> {
        all.into_iter().map(|machine| machine.hostname).collect()
    }
}

/// When something will not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnavailabilityJson {
    start: Nanoseconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<Nanoseconds>,
}

/// A window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowJson {
    machine_ids: Vec<MachineId>,
    unavailability: UnavailabilityJson,
}

/// A schedule; see the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleJson {
    #[serde(default)]
    windows: Vec<WindowJson>,
}

impl From<&Unavailability> for UnavailabilityJson {
    fn from(unavailability: &Unavailability) -> Self {
        Self {
            start: unavailability.start.into(),
            duration: unavailability.duration.map(Nanoseconds::from),
        }
    }
}

impl From<&Schedule> for ScheduleJson {
    fn from(schedule: &Schedule) -> Self {
        let windows = schedule.windows.iter().map(|window| WindowJson {
            machine_ids: MachineId::all(&window.machines),
            unavailability: (&window.unavailability).into(),
        });
        Self {
            windows: windows.collect(),
        }
    }
}

impl From<ScheduleJson> for Schedule {
    /// Fractions of microseconds are dropped. What is named twice is found by [`Schedule::validate`] between windows.
    fn from(json: ScheduleJson) -> Self {
        let windows = json.windows.into_iter().map(|window| {
            let UnavailabilityJson { start, duration } = window.unavailability;
            let span = |span: Nanoseconds| Duration::from_nanos(span.nanoseconds);
            Window {
                machines: MachineId::names(window.machine_ids),
                unavailability: Unavailability {
                    start: Timestamp(start.nanoseconds / 1000),
                    duration: duration.map(span),
                },
            }
        });
        Self {
            windows: windows.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_mesos_is_read_and_written() {
        let text = r#"{"windows":[{"machine_ids":[{"hostname":"a","ip":"10.0.0.1"},{"hostname":"b"}],
            "unavailability":{"start":{"nanoseconds":5000000000},"duration":{"nanoseconds":3000000000}}},
            {"machine_ids":[{"hostname":"c"}],"unavailability":{"start":{"nanoseconds":1000}}}]}"#;
        let json: ScheduleJson = serde_json::from_str(text).unwrap();
        let schedule = Schedule::from(json.clone());
        assert_eq!(schedule.windows[0].machines.len(), 2);
        let first = schedule.windows[0].unavailability;
        assert_eq!(first.start, Timestamp::from_secs(5));
        assert_eq!(first.duration, Some(Duration::from_secs(3)));
        assert_eq!(schedule.windows[1].unavailability.duration, None);
        assert_eq!(ScheduleJson::from(&schedule), json);
    }
}
