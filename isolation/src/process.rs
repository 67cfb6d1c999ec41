//! Processes: started in a process group of their own, output in files, watched until they end.
//!
//! ```text
//!  LaunchSpec --launch()--> Launched { identity } --wait()--> Ended
//!                             |                      (what is left of its group is killed first)
//!                             +-- identity.signal_group(TERM | KILL)
//! ```
//! The group outlives whoever started it: an agent that ends leaves its executors running. A new
//! group, not a new session, is enough for that (they have no terminal), and needs no unsafe code.
//! See [`identity`] for signalling, [`family`] for what a process leaves behind.

mod ended;
pub mod family;
pub mod identity;
mod offspring;

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File},
    io,
    os::unix::{fs::OpenOptionsExt as _, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    fcntl::OFlag,
    sys::{
        signal::{Signal as OsSignal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use tepui_protocol::CommandInfo;

use crate::{
    isolators::IsolatorError,
    launch::{self, Failure, Outcome, Plan, Program},
    session::{self, Session, Wish},
};

pub use ended::Ended;
pub use identity::{ProcessIdentity, Signal};
pub(crate) use offspring::{Offspring, told};

/// The file in a sandbox that takes a process's standard output.
pub const STDOUT: &str = "stdout";
/// The file in a sandbox that takes a process's standard error.
pub const STDERR: &str = "stderr";

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The program, looked up in PATH of `environment` if it has no slash.
    pub program: String,
    /// Its arguments, `argv[0]` not among them.
    pub arguments: Vec<String>,
    /// `argv[0]` where it differs from the program.
    pub name: Option<String>,
    /// All of its environment; nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// Its working directory, which must exist.
    pub sandbox: PathBuf,
    /// The files in it that standard output and standard error are appended to.
    pub outputs: [String; 2],
}

impl LaunchSpec {
    /// A program with arguments; output goes to `stdout` and `stderr`.
    pub fn new(
        program: String,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
        sandbox: PathBuf,
    ) -> Self {
        let outputs = [STDOUT.to_owned(), STDERR.to_owned()];
        Self {
            program,
            arguments,
            name: None,
            environment,
            sandbox,
            outputs,
        }
    }

    /// A line for `/bin/sh -c`.
    pub fn shell(line: &str, environment: BTreeMap<String, String>, sandbox: PathBuf) -> Self {
        let arguments = vec!["-c".to_owned(), line.to_owned()];
        Self::new("/bin/sh".to_owned(), arguments, environment, sandbox)
    }

    /// A command as a framework describes it. All of its environment is `environment`; the
    /// command's own variables are not added.
    pub fn command(
        command: &CommandInfo,
        environment: BTreeMap<String, String>,
        sandbox: PathBuf,
    ) -> Self {
        if command.shell {
            return Self::shell(&command.value, environment, sandbox);
        }
        let mut arguments = command.arguments.iter().cloned();
        let name = arguments.next();
        let named = if command.value.is_empty() {
            name.as_ref()
        } else {
            Some(&command.value)
        };
        let program = named.cloned().unwrap_or_default();
        Self {
            name,
            ..Self::new(program, arguments.collect(), environment, sandbox)
        }
    }

    /// Starts the process, in a process group of its own.
    ///
    /// # Errors
    /// [`LaunchError`] when the output files cannot be made or the program cannot be executed.
    pub fn launch(&self) -> Result<Launched, LaunchError> {
        let [stdout, stderr] = self.open_outputs()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment);
        command
            .current_dir(&self.sandbox)
            .process_group(0)
            .stdin(Stdio::null());
        command.stdout(stdout).stderr(stderr);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        let failed = |source| LaunchError::Program {
            program: self.program.clone(),
            source,
        };
        let child = Offspring::from(command.spawn().map_err(failed)?);
        match ProcessIdentity::of(child.pid()) {
            Some(identity) => Ok(Launched {
                child,
                identity,
                reports: None,
                plan: None,
            }),
            None => {
                child.end();
                Err(failed(io::Error::other(
                    "its entry in /proc cannot be read",
                )))
            }
        }
    }

    /// Starts it with streams that the caller holds, by a launcher, without any isolation. Blocks until
    /// it runs, some milliseconds.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn open_session(&self, launcher: &Program, wish: Wish) -> Result<Session, LaunchError> {
        session::start(launcher, &Plan::of(self), wish)
    }

    /// Opens the files for its output.
    ///
    /// # Errors
    /// [`LaunchError::Output`].
    pub fn open_outputs(&self) -> Result<[File; 2], LaunchError> {
        Ok([
            self.output(&self.outputs[0])?,
            self.output(&self.outputs[1])?,
        ])
    }

    fn output(&self, name: &str) -> Result<File, LaunchError> {
        let file = self.sandbox.join(name);
        // An earlier command of the sandbox may have put something else in its place: a link that leads to
        // a file of root's, or a pipe that nobody reads.
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let mut options = fs::OpenOptions::new();
        let options = options.create(true).append(true).custom_flags(flags);
        let opened = options.open(&file).and_then(|opened| {
            let is_ours = Path::new(name).is_absolute() || opened.metadata()?.is_file();
            is_ours
                .then_some(opened)
                .ok_or_else(|| io::Error::other("it is not a file"))
        });
        opened.map_err(|source| LaunchError::Output { file, source })
    }
}

/// An error and its causes in one line, for people.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The file for its output.
    #[error("cannot open {} for output", file.display())]
    Output {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The program.
    #[error("cannot start {program:?}")]
    Program {
        /// Which program.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The launcher.
    #[error("cannot use the launcher")]
    Launcher {
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// An isolator.
    #[error("isolator {name} failed")]
    Isolator {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<IsolatorError>,
    },
    /// A step of the launcher.
    #[error(transparent)]
    Step(#[from] Failure),
}

/// A process that this one started and has to wait for: the program, or the launcher that watches
/// it and ends with it.
#[derive(Debug)]
pub struct Launched {
    child: Offspring,
    identity: ProcessIdentity,
    /// What the launcher tells.
    reports: Option<UnixStream>,
    /// What the launcher was told.
    plan: Option<Plan>,
}

impl Launched {
    /// A launcher, with its plan and the socket that it reports on.
    pub(crate) fn watched(
        child: Offspring,
        identity: ProcessIdentity,
        reports: UnixStream,
        plan: Plan,
    ) -> Self {
        Self {
            child,
            identity,
            reports: Some(reports),
            plan: Some(plan),
        }
    }

    /// What its launcher was told; absent without one.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Which process, and process group.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Blocks until the process ends, then kills what is left of its group.
    ///
    /// The group is killed while the dead leader still holds its number, so that no other group is
    /// hit. Processes that left the group are not found; see [`family`].
    ///
    /// # Errors
    /// What waiting says; the process is then not ours to wait for.
    pub fn wait(mut self) -> io::Result<Outcome> {
        let told = self.reports.take().map(launch::follow);
        let pid = Pid::from_raw(self.identity.pid.cast_signed());
        loop {
            match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        // Fails only when nothing is left, or what is left changed its user: not ours any more.
        let _ = killpg(pid, OsSignal::SIGKILL);
        let ended = self.child.wait()?;
        Ok(match told {
            None => ended.into(),
            // A launcher that was killed tells nothing: its end is the end.
            Some((told, limitation)) => Outcome {
                ended: told.unwrap_or(ended),
                limitation,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> (tempfile::TempDir, LaunchSpec) {
        let dir = tempfile::tempdir().unwrap();
        let spec = LaunchSpec::shell(line, BTreeMap::new(), dir.path().to_owned());
        (dir, spec)
    }

    #[test]
    fn output_goes_to_files_and_the_status_comes_back() {
        let (dir, spec) = shell("echo out; echo err >&2; pwd; exit 3");
        assert_eq!(
            spec.launch().unwrap().wait().unwrap().ended,
            Ended::Exited { code: 3 }
        );
        let here = dir.path().canonicalize().unwrap();
        let out = fs::read_to_string(dir.path().join(STDOUT)).unwrap();
        assert_eq!(out, format!("out\n{}\n", here.display()));
        assert_eq!(
            fs::read_to_string(dir.path().join(STDERR)).unwrap(),
            "err\n"
        );
    }

    #[test]
    fn nothing_of_the_environment_is_inherited() {
        let (dir, mut spec) = shell("echo ${HOME-none} $COLOUR");
        spec.environment = [("COLOUR".to_owned(), "red".to_owned())].into();
        spec.launch().unwrap().wait().unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join(STDOUT)).unwrap(),
            "none red\n"
        );
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let (_dir, mut spec) = shell("");
        spec.program = "/does/not/exist".to_owned();
        let error = spec.launch().unwrap_err();
        assert_eq!(error.to_string(), "cannot start \"/does/not/exist\"");
    }

    #[test]
    fn background_processes_of_the_group_end_with_the_leader() {
        let (dir, spec) = shell("sleep 1000 & echo $!");
        assert_eq!(
            spec.launch().unwrap().wait().unwrap().ended,
            Ended::Exited { code: 0 }
        );
        let pid = fs::read_to_string(dir.path().join(STDOUT))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        family::await_end(|| ProcessIdentity::of(pid).is_none_or(|left| !left.is_alive()))
            .expect("the background process is gone");
    }

    #[test]
    fn the_process_leads_a_group_of_its_own_and_is_ended_by_a_signal_to_it() {
        let (_dir, spec) = shell("sleep 1000");
        let launched = spec.launch().unwrap();
        launched.identity().signal_group(Signal::Terminate).unwrap();
        let ended = launched.wait().unwrap().ended;
        assert_eq!(ended.to_string(), "killed by signal SIGTERM");
    }
}
