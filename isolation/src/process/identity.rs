//! Which process is meant: its number together with when it started, since numbers are used again.

use std::{fmt, fs};

use nix::{
    errno::Errno,
    sys::signal::{self, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// One life of one process, on one boot of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Asks it to end (SIGTERM).
    Terminate,
    /// Ends it (SIGKILL).
    Kill,
}

/// Why a signal was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The process is over; its number may belong to another by now.
    #[error("process {pid} has ended")]
    Ended {
        /// Its number.
        pid: u32,
    },
    /// The system refused.
    #[error("cannot signal process {pid}")]
    Refused {
        /// Its number.
        pid: u32,
        /// What the system says.
        #[source]
        source: Errno,
    },
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: char,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) start_time: u64,
}

impl Stat {
    pub(super) fn read(pid: u32) -> Option<Stat> {
        parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it still runs: neither a zombie nor being removed.
    pub(super) fn is_alive(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// The name in parentheses may contain anything, also parentheses: fields count from the last one.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

impl ProcessIdentity {
    /// Whoever has that number now; none if nobody has.
    pub fn of(pid: u32) -> Option<Self> {
        Stat::read(pid).map(|stat| Self {
            pid,
            start_time: stat.start_time,
        })
    }

    /// Whether exactly this process still runs. A zombie does not.
    pub fn is_alive(self) -> bool {
        self.stat().is_some_and(Stat::is_alive)
    }

    /// Signals all processes of the group that this process leads.
    ///
    /// # Errors
    /// [`SignalError::Ended`] when this process is over and collected, so that the group's number
    /// may be another's; [`SignalError::Refused`] when the system refuses.
    pub fn signal_group(self, signal: Signal) -> Result<(), SignalError> {
        let ended = SignalError::Ended { pid: self.pid };
        self.stat()
            .filter(|stat| stat.group == self.pid)
            .ok_or(ended)?;
        let number = match signal {
            Signal::Terminate => signal::Signal::SIGTERM,
            Signal::Kill => signal::Signal::SIGKILL,
        };
        match killpg(Pid::from_raw(self.pid.cast_signed()), number) {
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) => Err(ended),
            Err(source) => Err(SignalError::Refused {
                pid: self.pid,
                source,
            }),
        }
    }

    /// The processes that this one has started and not waited for, oldest first; none if it has ended.
    pub fn children(self) -> Vec<u32> {
        let file = format!("/proc/{0}/task/{0}/children", self.pid);
        let text = fs::read_to_string(file).unwrap_or_default();
        // Read first, then asked who it is: the number may have become another's before.
        match self.is_alive() {
            true => text
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect(),
            false => Vec::new(),
        }
    }

    fn stat(self) -> Option<Stat> {
        Stat::read(self.pid).filter(|stat| stat.start_time == self.start_time)
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let line = "7 (a) Z (b) S 3 5 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let expected = Stat {
            state: 'S',
            parent: 3,
            group: 5,
            start_time: 4711,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(parse("7 (a) S"), None);
    }

    #[test]
    fn this_process_is_alive_and_a_later_one_of_its_number_is_another() {
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let other = ProcessIdentity {
            start_time: me.start_time + 1,
            ..me
        };
        assert!(!other.is_alive());
    }

    #[test]
    fn a_reused_number_is_never_signalled() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        let stranger = ProcessIdentity {
            start_time: identity.start_time + 1,
            ..identity
        };
        let ended = SignalError::Ended { pid: child.id() };
        assert_eq!(stranger.signal_group(Signal::Kill), Err(ended));
        // Nor is a group that the process is in but does not lead.
        assert_eq!(identity.signal_group(Signal::Kill), Err(ended));
        assert!(identity.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        let pid = nix::sys::wait::Id::Pid(Pid::from_raw(child.id().cast_signed()));
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(pid, flags).unwrap();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }
}
