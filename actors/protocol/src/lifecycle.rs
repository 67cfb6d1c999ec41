//! What is watched of a running task, and what is done about it: checks, restarts, limits.
//!
//! A health check that fails too often in a row ends its task; a plain check is reported and never
//! acted on. Both are done by the executor that runs the task. Read next: `task.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{resources::Scalar, task::CommandInfo};

/// How a task is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A command beside the task; success is exit status 0.
    Command(CommandInfo),
    /// A GET on the task's machine, over plain HTTP; success is a status from 200 to 399.
    Http {
        /// Where it listens.
        port: u16,
        /// As `/health`; empty for `/`.
        #[serde(default)]
        path: String,
    },
    /// A connection on the task's machine; success is that it is accepted.
    Tcp {
        /// Where it listens.
        port: u16,
    },
}

/// A check, at intervals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInfo {
    /// What is done.
    pub probe: Probe,
    /// From the start of the task to the first look.
    pub delay: Duration,
    /// From the end of one look to the start of the next.
    pub interval: Duration,
    /// A look that takes longer has failed; zero: it may take any time.
    pub timeout: Duration,
}

impl CheckInfo {
    /// A check with the default times.
    //= mesos, CheckInfo and HealthCheck: 15 s, 10 s, 20 s
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            delay: Duration::from_secs(15),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
        }
    }
}

/// A check that ends its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is looked at, and when.
    pub check: CheckInfo,
    /// So many failures in a row end the task; at least 1.
    pub failures: u32,
    /// Failures so soon after the start do not count, unless a look has succeeded.
    pub grace_period: Duration,
}

impl HealthCheck {
    /// A health check with the default times.
    //= mesos, HealthCheck: 3 failures, 10 s
    pub fn new(probe: Probe) -> Self {
        Self {
            check: CheckInfo::new(probe),
            failures: 3,
            grace_period: Duration::from_secs(10),
        }
    }
}

/// What the latest look of a plain check gave; nothing before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// The exit status of the command; absent if there was none.
    Command {
        /// As `0`.
        exit_code: Option<i32>,
    },
    /// The status of the response; absent if there was none.
    Http {
        /// As `200`.
        status_code: Option<u16>,
    },
    /// Whether the connection was accepted; absent if it took too long.
    Tcp {
        /// As `true`.
        succeeded: Option<bool>,
    },
}

/// A task that fails is started again where it is, without its scheduler; what it has stays its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartOnFailure {
    /// How often; after that it has failed.
    pub retries: u32,
    /// Before the first restart; doubles each time.
    pub backoff: Duration,
    /// The longest such time.
    pub backoff_max: Duration,
}

impl RestartOnFailure {
    /// So many restarts, after 1 s to 60 s.
    pub fn new(retries: u32) -> Self {
        Self {
            retries,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }

    /// How long before restart number `n`, from 0 on.
    pub fn delay(&self, n: u32) -> Duration {
        let grown = self
            .backoff
            .saturating_mul(1_u32.checked_shl(n.min(31)).unwrap_or(u32::MAX));
        grown.min(self.backoff_max)
    }
}

/// What a task may use beyond the resources that it asked for, while others do not need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processors: at least as many as asked for, and never more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Scalar>,
    /// Memory, in MiB: beyond this the task is ended, and not beyond what it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Scalar>,
}

impl Limits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cpus.is_none() && self.mem.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_restarts_doubles_up_to_its_maximum() {
        let policy = RestartOnFailure::new(9);
        let seconds = |n| policy.delay(n).as_secs();
        assert_eq!([0, 1, 2, 5, 6, 40].map(seconds), [1, 2, 4, 32, 60, 60]);
    }
}
