//! Launchers that are started before there is anything to launch, so that a launch does not wait for
//! the system to load a large program.
//!
//! ```text
//!  get_ready() --posix_spawn--> launcher, which waits for a plan --start(plan)--> it launches
//!  Ahead::fork() --------fork-->
//! ```
//! An executor forks its first one, before it has threads and anything in its memory: a tenth of what
//! loading the program once more takes.
//!
//! One waits at most. It ends when its socket closes, which is when whoever started it ends, in
//! whatever way. One that was killed meanwhile is noticed when it is to be told its plan, and
//! another takes its place.

use std::{
    fs::File,
    io,
    os::unix::net::UnixStream,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::unistd::ForkResult;

use super::{
    client::{Program, Waiting},
    plan::Plan,
    raw, supervisor,
};
use crate::process::{LaunchError, Launched};

/// A launcher that a process has forked at its start. It ends with this value, or with the process.
#[derive(Debug)]
pub struct Ahead(Waiting);

impl Ahead {
    /// Forks it. For the start of `main`, before any thread is made.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// When this process has more than one thread.
    pub fn fork() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        match raw::fork()? {
            ForkResult::Child => supervisor::take_over(theirs),
            ForkResult::Parent { child } => {
                // Whoever comes first; when the child has, it is as it should be.
                let _ = nix::unistd::setpgid(child, child);
                Waiting::of(child.into(), ours).map(Self)
            }
        }
    }
}

/// The program that launches, and perhaps a launcher that waits.
#[derive(Debug)]
pub(crate) struct Launchers {
    program: Program,
    waiting: Mutex<Option<Waiting>>,
}

impl Launchers {
    pub(crate) fn new(program: Program) -> Self {
        Self {
            program,
            waiting: Mutex::new(None),
        }
    }

    /// Whether a launcher waits.
    pub(crate) fn are_ready(&self) -> bool {
        self.waiting().is_some()
    }

    /// Has `ahead` be the one that waits.
    pub(crate) fn take_in(&self, ahead: Ahead) {
        *self.waiting() = Some(ahead.0);
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Starts a launcher unless one waits. Blocks until the system has loaded it, a millisecond.
    pub(crate) fn get_ready(&self) -> io::Result<()> {
        let mut waiting = self.waiting();
        if waiting.is_none() {
            *waiting = Some(Waiting::spawn(&self.program)?);
        }
        Ok(())
    }

    /// Starts what `plan` says, as [`super::start`], by the launcher that waits if there is one.
    pub(crate) fn start(&self, plan: &Plan, outputs: [File; 2]) -> Result<Launched, LaunchError> {
        let ready = self.waiting().take();
        let told = ready.map(|ready| ready.tell(plan, &outputs));
        match told.and_then(Result::ok).map(|told| told.launched(plan)) {
            Some(launched) if !is_unread(&launched) => launched,
            _ => super::start(&self.program, plan, outputs),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the launcher had gone without having read its plan, so that nothing has begun. Its end of the
/// socket may have been held open a little longer, by a child of this process that was just being spawned.
fn is_unread(launched: &Result<Launched, LaunchError>) -> bool {
    matches!(launched, Err(LaunchError::Launcher { source })
        if source.kind() == io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_where_the_program_is_not_there() {
        let launchers = Launchers::new(Program {
            path: "/does/not/exist".into(),
            arguments: Vec::new(),
        });
        assert!(launchers.get_ready().is_err());
        assert!(launchers.waiting().is_none());
    }
}
