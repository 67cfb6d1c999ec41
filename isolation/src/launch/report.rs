//! What the launcher tells of a launch, and how frames of it cross the socket.
//!
//! A frame is a length (4 bytes, big-endian) and JSON. The plan is the one frame to the launcher.

use std::{
    fmt,
    io::{self, Read, Write},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::Ended;

/// Longer than any plan: environment and arguments cannot exceed what `execve` takes.
const FRAME_MAX: usize = 16 << 20;

/// The steps of a launch, in the order they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Reading the plan.
    Plan,
    /// Making the init or the process.
    Fork,
    /// Joining cgroups.
    Cgroup,
    /// Leaving the machine's namespaces.
    Namespace,
    /// Putting the file system together.
    Root,
    /// Setting the machine's name.
    Hostname,
    /// Setting limits of the process.
    Rlimit,
    /// Becoming another user.
    User,
    /// Giving up capabilities.
    Capabilities,
    /// Entering the working directory.
    Directory,
    /// Giving up the gain of privileges.
    NoNewPrivileges,
    /// Giving up system calls.
    Seccomp,
    /// Executing the program.
    Exec,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Plan => "read the launch plan",
            Stage::Fork => "make the process",
            Stage::Cgroup => "join the cgroup",
            Stage::Namespace => "make namespaces",
            Stage::Root => "put the file system together",
            Stage::Hostname => "set the machine's name",
            Stage::Rlimit => "set limits",
            Stage::User => "change the user",
            Stage::Capabilities => "drop capabilities",
            Stage::Directory => "enter the working directory",
            Stage::NoNewPrivileges => "set no_new_privs",
            Stage::Seccomp => "filter system calls",
            Stage::Exec => "start",
        })
    }
}

/// A step that failed. Prints as `cannot start "x": No such file or directory (os error 2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {stage} {what}: {}", io::Error::from_raw_os_error(*errno))]
pub struct Failure {
    /// Which step.
    pub stage: Stage,
    /// Of what: a file, a limit, a program.
    pub what: String,
    /// What the system says, as its number.
    pub errno: i32,
}

impl Failure {
    /// A step that failed with what a system call says.
    pub(super) fn of(stage: Stage, what: impl fmt::Debug, errno: nix::errno::Errno) -> Self {
        Self {
            stage,
            what: format!("{what:?}"),
            errno: errno as i32,
        }
    }
}

/// A limit that the container hit, so that it was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limitation {
    /// Which.
    pub kind: LimitationKind,
    /// For people, with the limit and what was used.
    pub message: String,
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitationKind {
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

/// How a process ended, and the limit it was ended for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// The limit that it hit, if that was why.
    pub limitation: Option<Limitation>,
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        Self {
            ended,
            limitation: None,
        }
    }
}

/// News of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// The program runs.
    Started,
    /// It does not, and nothing is left of it.
    Failed(Failure),
    /// It is being ended.
    Limited(Limitation),
    /// It has ended.
    Ended(Ended),
}

/// Writes one frame.
pub(super) fn write_frame(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value).map_err(io::Error::other)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(text);
    to.write_all(&frame)
}

/// Reads one frame; none at the end.
pub(super) fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_order_and_the_end_is_told() {
        let ended = Report::Ended(Ended::Exited { code: 3 });
        let mut wire = Vec::new();
        write_frame(&mut wire, &Report::Started).unwrap();
        write_frame(&mut wire, &ended).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(read_frame(&mut wire).unwrap(), Some(Report::Started));
        assert_eq!(read_frame(&mut wire).unwrap(), Some(ended));
        assert_eq!(read_frame::<Report>(&mut wire).unwrap(), None);
        let mut huge = [0xff; 8].as_slice();
        assert!(read_frame::<Report>(&mut huge).is_err());
    }

    #[test]
    fn a_failure_names_step_object_and_cause() {
        let failure = Failure::of(Stage::Exec, "no-such", nix::errno::Errno::ENOENT);
        assert_eq!(
            failure.to_string(),
            "cannot start \"no-such\": No such file or directory (os error 2)"
        );
    }
}
