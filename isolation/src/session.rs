//! A further command whose streams whoever starts it holds: pipes, or a terminal.
//!
//! ```text
//!  pipes:     stdin <-- [ours | theirs] <-- nothing, if no input is wanted
//!             stdout, stderr --> [theirs | ours]
//!  terminal:  one pseudo-terminal: theirs is all three streams and controls the command's session
//! ```
//! Our ends do not block. Nothing but the command keeps theirs, so that they close with it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{OpenOptionsExt as _, fchown},
    },
};

use nix::libc::O_NOCTTY;
use rustix::{
    io::ioctl_fionbio,
    pty::{self, OpenptFlags},
    termios::{Winsize, tcsetwinsize},
};
use tepui_protocol::WindowSize;

use crate::{
    launch::{self, Plan, Program},
    process::{LaunchError, Launched},
};

/// What streams a command is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether there is input for it.
    pub input: bool,
    /// A terminal of this size, in place of pipes.
    pub terminal: Option<WindowSize>,
}

/// Our ends of the streams of a command.
#[derive(Debug)]
pub enum Streams {
    /// One pipe each.
    Pipes {
        /// Takes its input, where it has any.
        stdin: Option<File>,
        /// Gives its standard output and its standard error.
        outputs: [File; 2],
    },
    /// Takes its input and gives its output.
    Terminal(File),
}

/// A command that runs.
#[derive(Debug)]
pub struct Session {
    /// The process to wait for.
    pub launched: Launched,
    /// Its streams.
    pub streams: Streams,
}

/// Their ends of the streams.
struct Theirs {
    input: Option<File>,
    outputs: [File; 2],
}

/// Starts what `plan` says, with streams. Blocks as [`launch::start`].
///
/// # Errors
/// As [`launch::start`]; also when no streams can be made.
pub(crate) fn start(launcher: &Program, plan: &Plan, wish: Wish) -> Result<Session, LaunchError> {
    let failed = |source| LaunchError::Launcher { source };
    let (streams, theirs) = match wish.terminal {
        Some(size) => terminal(size),
        None => pipes(wish.input),
    }
    .map_err(failed)?;
    if let Some(user) = &plan.user {
        // It may open them again, as /dev/stdout.
        for file in theirs.outputs.iter().chain(&theirs.input) {
            fchown(file, Some(user.uid), Some(user.gid)).map_err(failed)?;
        }
    }
    let input = theirs.input.as_ref().map(AsRawFd::as_raw_fd);
    let plan = Plan {
        terminal: wish.terminal.is_some(),
        // The launcher opens it anew, so that no descriptor has to be inherited by number.
        input: input.map(|fd| format!("/proc/{}/fd/{fd}", std::process::id()).into()),
        ..plan.clone()
    };
    let launched = launch::start(launcher, &plan, theirs.outputs)?;
    Ok(Session { launched, streams })
}

fn pipes(has_input: bool) -> io::Result<(Streams, Theirs)> {
    let (stdout, stdout_in) = io::pipe()?;
    let (stderr, stderr_in) = io::pipe()?;
    let (input, stdin) = match has_input {
        true => {
            let (input, stdin) = io::pipe()?;
            (Some(file(input)), Some(ours(stdin)?))
        }
        false => (None, None),
    };
    let streams = Streams::Pipes {
        stdin,
        outputs: [ours(stdout)?, ours(stderr)?],
    };
    let outputs = [file(stdout_in), file(stderr_in)];
    Ok((streams, Theirs { input, outputs }))
}

fn terminal(size: WindowSize) -> io::Result<(Streams, Theirs)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = pty::openpt(flags)?;
    pty::grantpt(&master)?;
    pty::unlockpt(&master)?;
    let name = pty::ptsname(&master, Vec::new())?;
    let name = name.to_string_lossy().into_owned();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(O_NOCTTY);
    let end = options.open(name)?;
    let outputs = [end.try_clone()?, end];
    let master = ours(master)?;
    resize(&master, size)?;
    let theirs = Theirs {
        input: None,
        outputs,
    };
    Ok((Streams::Terminal(master), theirs))
}

fn file(end: impl Into<OwnedFd>) -> File {
    File::from(end.into())
}

fn ours(end: impl Into<OwnedFd>) -> io::Result<File> {
    let file = file(end);
    ioctl_fionbio(&file, true)?;
    Ok(file)
}

/// Tells the processes on a terminal that its window has another size.
///
/// # Errors
/// What the system says.
pub fn resize(terminal: &File, size: WindowSize) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}
