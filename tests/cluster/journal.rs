//! What a run leaves behind: a line for every message and every fault, and what was violated.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Something that must not happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As `SIM-2`, or the id of a component's invariant.
    pub id: String,
    /// What should hold, and where it does not.
    pub what: String,
}

/// The record of one run; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<String>,
    violations: Vec<Violation>,
}

impl Journal {
    /// Adds a line, at the time of the simulated host that runs.
    pub fn note(&self, what: &str) {
        self.note_at(turmoil::sim_elapsed().unwrap_or_default(), what);
    }

    /// Adds a line at `time`.
    pub fn note_at(&self, time: Duration, what: &str) {
        self.lock()
            .lines
            .push(format!("{:>10} {what}", time.as_micros()));
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

    /// All lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
