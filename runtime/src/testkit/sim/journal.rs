//! What a run leaves behind: a line for every message and every fault, and what was violated.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::rng;
use crate::filter::Traced;

/// Something that must not happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, as `SIM-1`.
    pub id: String,
    /// What should hold, and where it does not.
    pub what: String,
}

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was violated.
    pub violation: Violation,
    /// When it was noticed.
    pub at: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { id, what } = &self.violation;
        write!(f, "{id} after {:?}: {what}", self.at)
    }
}

/// The record of one run; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    events: Vec<(Duration, String)>,
    violations: Vec<Violation>,
}

impl Journal {
    /// Adds a line, at the time of the simulated host that runs.
    pub fn note(&self, what: &str) {
        self.note_at(turmoil::sim_elapsed().unwrap_or_default(), what);
    }

    /// Adds a line at `time`.
    pub fn note_at(&self, time: Duration, what: &str) {
        self.lock().events.push((time, what.to_owned()));
    }

    /// Adds a line about a message.
    pub fn note_event(&self, event: &Traced<'_>) {
        match event {
            Traced::Sent {
                from,
                to,
                name,
                body,
            } => {
                let from = from.map_or("-", |node| node.host());
                let digest = body.map(rng::digest).unwrap_or_default();
                self.note(&format!("{from} -> {to} {name} {digest:016x}"));
            }
            Traced::Handled { by, name, .. } => self.note(&format!("{by} {name}")),
        }
    }

    /// Records that the invariant `id` does not hold.
    pub fn violated(&self, id: &str, what: impl Into<String>) {
        let violation = Violation {
            id: id.to_owned(),
            what: what.into(),
        };
        self.lock().violations.push(violation);
    }

    /// The first violation.
    pub fn violation(&self) -> Option<Violation> {
        self.lock().violations.first().cloned()
    }

    /// Whether a line has `text` in it.
    pub fn has(&self, text: &str) -> bool {
        self.lock()
            .events
            .iter()
            .any(|(_, what)| what.contains(text))
    }

    /// All events with their times, oldest first.
    pub fn events(&self) -> Vec<(Duration, String)> {
        self.lock().events.clone()
    }

    /// All lines, oldest first: the time in microseconds, and what happened.
    pub fn lines(&self) -> Vec<String> {
        let line = |(time, what): &(Duration, String)| format!("{:>10} {what}", time.as_micros());
        self.lock().events.iter().map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
