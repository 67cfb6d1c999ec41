//! Why a job cannot be run, for people.

use std::fmt;

/// What is wrong with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// The job file and the line in it, from 1 on; none for a job that is not from a file.
    pub place: Option<(String, usize)>,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl JobError {
    pub(crate) fn new(problem: String) -> Self {
        Self {
            place: None,
            problem,
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((path, line)) => write!(f, "{path}:{line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for JobError {}
