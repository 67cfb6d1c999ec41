//! A process that this one started, by whatever call, and has to wait for.

use std::{io, process};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::Ended;

/// A child of this process that nobody has waited for yet.
#[derive(Debug)]
pub(crate) struct Offspring(Pid);

impl From<process::Child> for Offspring {
    fn from(child: process::Child) -> Self {
        Self(Pid::from_raw(child.id().cast_signed()))
    }
}

impl From<Pid> for Offspring {
    fn from(pid: Pid) -> Self {
        Self(pid)
    }
}

impl Offspring {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.as_raw().cast_unsigned()
    }

    /// Blocks until it has ended.
    pub(crate) fn wait(self) -> io::Result<Ended> {
        loop {
            match waitpid(self.0, None) {
                Err(Errno::EINTR) => {}
                status => {
                    if let Some((_, ended)) = told(status?) {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// Kills it, and blocks until it has ended.
    pub(crate) fn end(self) {
        // It may have ended by itself.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = self.wait();
    }
}

/// Who ended, and how, as `waitpid` tells it.
pub(crate) fn told(status: WaitStatus) -> Option<(Pid, Ended)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid, Ended::Exited { code })),
        WaitStatus::Signaled(pid, signal, _) => {
            let signal = signal as i32;
            Some((pid, Ended::Signalled { signal }))
        }
        _ => None,
    }
}
