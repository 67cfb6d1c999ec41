//! How a process ended.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended. Prints as `exited with status 3` or `killed by signal SIGKILL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit status, 0 to 255.
        code: i32,
    },
    /// By a signal.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Nobody saw how: it was not a child, or ended while its watcher was away.
    Unseen,
}

impl Ended {
    /// Whether it ended by itself with status 0.
    pub fn is_success(self) -> bool {
        self == Ended::Exited { code: 0 }
    }

    /// The exit status, for a process that ended by itself.
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Ended::Exited { code } => Some(code),
            _ => None,
        }
    }

    /// The status as `wait` gives it; -1 where nobody saw it.
    pub fn wait_status(self) -> i32 {
        match self {
            Ended::Exited { code } => (code & 0xff) << 8,
            Ended::Signalled { signal } => signal & 0x7f,
            Ended::Unseen => -1,
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exited { code },
            (None, Some(signal)) => Ended::Signalled { signal },
            (None, None) => Ended::Unseen,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited { code } => write!(f, "exited with status {code}"),
            Ended::Signalled { signal } => match Signal::try_from(*signal) {
                Ok(known) => write!(f, "killed by signal {known}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Ended::Unseen => write!(f, "ended unseen"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_print_for_people_and_round_trip_as_wait_statuses() {
        for (ended, text) in [
            (Ended::Exited { code: 3 }, "exited with status 3"),
            (Ended::Signalled { signal: 9 }, "killed by signal SIGKILL"),
            (Ended::Signalled { signal: 40 }, "killed by signal 40"),
        ] {
            assert_eq!(ended.to_string(), text);
            assert_eq!(
                Ended::from(ExitStatus::from_raw(ended.wait_status())),
                ended
            );
        }
        assert_eq!(Ended::Unseen.wait_status(), -1);
    }

    #[test]
    fn only_status_zero_is_success() {
        assert!(Ended::Exited { code: 0 }.is_success());
        assert!(!Ended::Exited { code: 1 }.is_success());
        assert!(!Ended::Signalled { signal: 0 }.is_success() && !Ended::Unseen.is_success());
        assert_eq!(Ended::Exited { code: 7 }.exit_code(), Some(7));
    }
}
