//! The side of the agent and the executor: spawns a launcher, hands it the plan, hears of the start.
//!
//! The launcher is spawned and never forked: `std::process::Command` uses `posix_spawn`, as nothing
//! here asks it to run code in the child. Plan and reports share one socket, the launcher's
//! standard input, so that no descriptor has to be inherited by number.

use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{
    plan::Plan,
    report::{Failure, Limitation, Report, Stage, read_frame, write_frame},
};
use crate::process::{Ended, LaunchError, Launched, ProcessIdentity};

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
pub fn start(
    launcher: &Program,
    plan: &Plan,
    [stdout, stderr]: [File; 2],
) -> Result<Launched, LaunchError> {
    let failed = |source| LaunchError::Launcher { source };
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(&launcher.path);
    command
        .args(&launcher.arguments)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr);
    let mut child = command.spawn().map_err(failed)?;
    // It holds the launcher's end of the socket, whose closing tells of its end.
    drop(command);
    let told = write_frame(&mut ours, plan).and_then(|()| read_frame(&mut ours));
    let problem = match told {
        Ok(Some(Report::Started)) => match ProcessIdentity::of(child.id()) {
            Some(identity) => {
                return Ok(Launched::watched(child, identity, ours, plan.clone()));
            }
            None => failed(io::Error::other("its entry in /proc cannot be read")),
        },
        Ok(Some(Report::Failed(failure))) => step(&plan.program, failure),
        Ok(other) => failed(io::Error::other(format!(
            "it ended without a report: {other:?}"
        ))),
        Err(error) => failed(error),
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(problem)
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
