//! The side of the agent and the executor: spawns a launcher, hands it the plan, hears of the start.
//!
//! The launcher is spawned and never forked: `std::process::Command` uses `posix_spawn`, as nothing
//! here asks it to run code in the child. Plan, output files and reports go over one socket, the
//! launcher's standard input, so that no descriptor has to be inherited by number.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{
    outputs::send_outputs,
    plan::Plan,
    report::{Failure, Limitation, Report, Stage, read_frame, write_frame},
};
use crate::process::{Ended, LaunchError, Launched, Offspring, ProcessIdentity};

/// How the launcher is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Program {
    /// This very program, with the argument `launch`; also when its file has been replaced since.
    pub fn this() -> Self {
        Self {
            path: "/proc/self/exe".into(),
            arguments: vec!["launch".to_owned()],
        }
    }
}

/// Starts what `plan` says, with its output in the two files. Blocks until the program runs, which
/// takes some milliseconds.
///
/// # Errors
/// [`LaunchError::Launcher`] when the launcher cannot be spawned or ends without a word, and
/// [`LaunchError::Step`] when a step of the plan fails; nothing is left running then.
pub fn start(launcher: &Program, plan: &Plan, outputs: [File; 2]) -> Result<Launched, LaunchError> {
    let waiting = Waiting::spawn(launcher);
    let told = waiting.and_then(|waiting| waiting.tell(plan, &outputs));
    drop(outputs);
    told.map_err(|source| LaunchError::Launcher { source })?
        .launched(plan)
}

/// A launcher, which is ended with this value.
#[derive(Debug)]
struct Running(Option<Offspring>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            child.end();
        }
    }
}

/// A launcher that waits for a plan.
#[derive(Debug)]
pub(super) struct Waiting {
    running: Running,
    identity: ProcessIdentity,
    control: UnixStream,
}

/// A launcher that has its plan.
pub(super) struct Told(Waiting);

impl Waiting {
    /// Spawns one, in a process group of its own.
    pub(super) fn spawn(launcher: &Program) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&launcher.path);
        command
            .args(&launcher.arguments)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn()?;
        // The command held the launcher's end of the socket, whose closing tells of its end.
        drop(command);
        Self::of(child.into(), ours)
    }

    /// A child that is one, with our end of its socket.
    pub(super) fn of(child: Offspring, control: UnixStream) -> io::Result<Self> {
        let identity = ProcessIdentity::of(child.pid());
        let running = Running(Some(child));
        Ok(Self {
            identity: identity
                .ok_or_else(|| io::Error::other("its entry in /proc cannot be read"))?,
            running,
            control,
        })
    }

    /// Hands it what it is to do. On an error, it has not begun.
    pub(super) fn tell(mut self, plan: &Plan, outputs: &[File; 2]) -> io::Result<Told> {
        let outputs = [outputs[0].as_fd(), outputs[1].as_fd()];
        send_outputs(&self.control, outputs)?;
        write_frame(&mut self.control, plan)?;
        Ok(Told(self))
    }
}

impl Told {
    /// Waits until the program runs.
    pub(super) fn launched(self, plan: &Plan) -> Result<Launched, LaunchError> {
        let failed = |source| LaunchError::Launcher { source };
        let Waiting {
            mut running,
            identity,
            mut control,
        } = self.0;
        let problem = match read_frame(&mut control) {
            Ok(Some(Report::Started)) => match running.0.take() {
                Some(child) => {
                    return Ok(Launched::watched(child, identity, control, plan.clone()));
                }
                None => failed(io::ErrorKind::NotFound.into()),
            },
            Ok(Some(Report::Failed(failure))) => step(&plan.program, failure),
            Ok(other) => failed(io::Error::other(format!(
                "it ended without a report: {other:?}"
            ))),
            Err(error) => failed(error),
        };
        Err(problem)
    }
}

/// A program that cannot be executed is told as if there had been no launcher.
fn step(program: &str, failure: Failure) -> LaunchError {
    if failure.stage == Stage::Exec {
        let source = io::Error::from_raw_os_error(failure.errno);
        let program = program.to_owned();
        return LaunchError::Program { program, source };
    }
    LaunchError::Step(failure)
}

/// Follows the reports of a launcher to their end: how the process ended, if that was told, and
/// the limit that it hit.
pub(crate) fn follow(mut reports: UnixStream) -> (Option<Ended>, Option<Limitation>) {
    let (mut ended, mut limitation) = (None, None);
    // An error is an end as well: the launcher is gone.
    while let Ok(Some(report)) = read_frame(&mut reports) {
        match report {
            Report::Ended(how) => ended = Some(how),
            Report::Limited(limit) => limitation = Some(limit),
            Report::Started | Report::Failed(_) => {}
        }
    }
    (ended, limitation)
}
