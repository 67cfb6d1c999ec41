//! The processes of the demo: started, watched, started again when they die, and ended.
//!
//! ```text
//!  start --> running --dies by a signal, or is a node--> started again with the same arguments
//!               |                                        (and so the same work directory)
//!               +--a framework that exits by itself--> over
//!               +--stop--> over
//! ```
//! Every process of the demo, down to the tasks, has [`MARK`] in its environment. That is how those
//! are found that outlive whoever started them. The state of all is in `demo.json`, for people,
//! tests and `tepui demo --stop`.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tepui_isolation::process::family;
use tokio::time::{Instant, interval, timeout_at};

/// The variable by which all processes of a demo are known. It does not begin with `TEPUI_`, for
/// these variables are not inherited by executors and tasks.
pub(super) const MARK: &str = "IN_TEPUI_DEMO";
/// The file that tells who runs.
pub(super) const STATE: &str = "demo.json";
/// A process that dies more often than this is not started again.
const STARTS_MAX: u32 = 10;
/// How often processes are looked after while waiting for them.
const LOOK: Duration = Duration::from_millis(20);

/// What a process is for the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Runs until it is stopped.
    Node,
    /// Runs until its job is done.
    Framework,
}

/// `demo.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The value of [`MARK`] in the environment of every process.
    pub(super) mark: String,
    /// The master's address, once known.
    pub(super) master: Option<String>,
    /// The nodes and frameworks; not executors and tasks.
    pub(super) processes: Vec<Entry>,
}

/// One process in `demo.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its number; of the last one if it does not run.
    pub(super) pid: u32,
    pub(super) running: bool,
    /// How often it has been started.
    pub(super) starts: u32,
}

struct Process {
    name: String,
    kind: Kind,
    arguments: Vec<OsString>,
    child: Child,
    /// How it ended, once it has.
    ended: Option<ExitStatus>,
    starts: u32,
}

/// A process ended and was started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restarted {
    /// Which.
    pub(super) name: String,
    /// Its former number.
    pub(super) old_pid: u32,
    /// How it ended.
    pub(super) how: String,
    /// Its new number.
    pub(super) pid: u32,
}

/// All processes of a demo.
pub(super) struct Processes {
    binary: PathBuf,
    dir: PathBuf,
    mark: String,
    master: Option<String>,
    all: Vec<Process>,
}

impl Processes {
    /// No process yet; state and logs go to `dir`, which has a `logs` directory.
    pub(super) fn new(binary: PathBuf, dir: &Path, mark: String) -> Self {
        Self {
            binary,
            dir: dir.to_owned(),
            mark,
            master: None,
            all: Vec::new(),
        }
    }

    /// Starts `tepui ARGUMENTS` under a name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        &mut self,
        name: &str,
        kind: Kind,
        arguments: Vec<OsString>,
    ) -> anyhow::Result<u32> {
        let child = self.spawn(name, &arguments)?;
        let pid = child.id();
        let name = name.to_owned();
        self.all.push(Process {
            name,
            kind,
            arguments,
            child,
            ended: None,
            starts: 1,
        });
        self.record()?;
        Ok(pid)
    }

    /// Tells `demo.json` where the master is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn set_master(&mut self, address: String) -> anyhow::Result<()> {
        self.master = Some(address);
        self.record()
    }

    fn spawn(&self, name: &str, arguments: &[OsString]) -> anyhow::Result<Child> {
        let (stdout, stderr) = (append(&self.output(name))?, append(&self.log(name))?);
        let mut command = Command::new(&self.binary);
        // Settings of the caller's environment are not meant for these.
        let ours = std::env::vars_os().map(|(name, _)| name);
        for variable in ours.filter(|name| name.to_string_lossy().starts_with("TEPUI_")) {
            command.env_remove(variable);
        }
        command
            .args(arguments)
            .env(MARK, &self.mark)
            .current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // A group of its own: Ctrl-C reaches the demo alone, which then ends the others in order.
        command.process_group(0);
        command
            .spawn()
            .with_context(|| format!("cannot start {name}"))
    }

    /// The file with the standard output of a process.
    pub(super) fn output(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.out"))
    }

    /// The file with the standard error of a process: its log.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// Looks after all processes: who died is started again.
    ///
    /// # Errors
    /// When a framework failed by itself, or a process keeps dying.
    pub(super) fn look_after(&mut self) -> anyhow::Result<Vec<Restarted>> {
        let mut restarted = Vec::new();
        for n in 0..self.all.len() {
            let process = &mut self.all[n];
            if process.ended.is_some() {
                continue;
            }
            let Some(status) = process.child.try_wait()? else {
                continue;
            };
            if process.kind == Kind::Framework && status.success() {
                process.ended = Some(status);
            } else {
                restarted.push(self.restart(n, status)?);
            }
            self.record()?;
        }
        Ok(restarted)
    }

    fn restart(&mut self, n: usize, status: ExitStatus) -> anyhow::Result<Restarted> {
        let (name, old_pid) = (self.all[n].name.clone(), self.all[n].child.id());
        let how = ended(status);
        if status.signal().is_none() && self.all[n].kind == Kind::Framework {
            self.all[n].ended = Some(status);
            bail!("{name} {how}: {}", self.last_words(&name));
        }
        if self.all[n].starts >= STARTS_MAX {
            self.all[n].ended = Some(status);
            bail!(
                "{name} {how}, for the {STARTS_MAX}th time: {}",
                self.last_words(&name)
            );
        }
        let child = self.spawn(&name, &self.all[n].arguments)?;
        let pid = child.id();
        self.all[n].child = child;
        self.all[n].starts += 1;
        Ok(Restarted {
            name,
            old_pid,
            how,
            pid,
        })
    }

    /// The last line that a process wrote.
    fn last_words(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it wrote nothing").to_owned()
    }

    /// Whether a process is over.
    pub(super) fn is_over(&self, name: &str) -> bool {
        self.all
            .iter()
            .any(|process| process.name == name && process.ended.is_some())
    }

    /// Asks the named processes to end, kills those that have not after `patience`, and returns the
    /// names of these.
    ///
    /// # Errors
    /// When they cannot be waited for.
    pub(super) async fn stop(
        &mut self,
        names: &[&str],
        signal: Signal,
        patience: Duration,
    ) -> anyhow::Result<Vec<String>> {
        let meant = |p: &&mut Process| names.contains(&p.name.as_str()) && p.ended.is_none();
        for process in self.all.iter_mut().filter(meant) {
            // It may have ended this moment, which is as well.
            let _ = kill(Pid::from_raw(process.child.id().cast_signed()), signal);
        }
        let deadline = Instant::now() + patience;
        let mut look = interval(LOOK);
        let mut killed = Vec::new();
        loop {
            let mut left = 0;
            for process in self.all.iter_mut().filter(meant) {
                process.ended = process.child.try_wait()?;
                left += usize::from(process.ended.is_none());
            }
            if left == 0 {
                break;
            }
            if timeout_at(deadline, look.tick()).await.is_err() {
                for process in self.all.iter_mut().filter(meant) {
                    process.child.kill()?;
                    process.ended = Some(process.child.wait()?);
                    killed.push(process.name.clone());
                }
            }
        }
        self.record()?;
        Ok(killed)
    }

    /// The names of all processes of a kind, in the order of their start.
    pub(super) fn names(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.all.iter().filter(|process| process.kind == kind);
        of_kind.map(|process| process.name.clone()).collect()
    }

    fn record(&self) -> anyhow::Result<()> {
        let processes = self.all.iter().map(|process| Entry {
            name: process.name.clone(),
            kind: process.kind,
            pid: process.child.id(),
            running: process.ended.is_none(),
            starts: process.starts,
        });
        let (mark, master) = (self.mark.clone(), self.master.clone());
        let state = State {
            mark,
            master,
            processes: processes.collect(),
        };
        let (file, new) = (self.dir.join(STATE), self.dir.join("demo.json.new"));
        // Renamed, so that nobody reads half a file.
        fs::write(&new, serde_json::to_vec_pretty(&state)?)
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn append(file: &Path) -> anyhow::Result<File> {
    let opened = File::options().create(true).append(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}

/// How a process ended, for people.
fn ended(status: ExitStatus) -> String {
    tepui_isolation::Ended::from(status).to_string()
}

/// The numbers of all live processes with this mark.
pub(super) fn marked(mark: &str) -> Vec<u32> {
    family::marked(MARK, mark)
        .into_iter()
        .map(|identity| identity.pid)
        .collect()
}

/// Waits until no process with this mark is left, and returns those that are after `patience`.
pub(super) async fn await_none(mark: &str, patience: Duration) -> Vec<u32> {
    let deadline = Instant::now() + patience;
    let mut look = interval(LOOK);
    loop {
        let left = marked(mark);
        if left.is_empty() || timeout_at(deadline, look.tick()).await.is_err() {
            return left;
        }
    }
}

/// Ends every process with this mark, at once.
///
/// # Errors
/// When some survive.
pub(super) fn kill_all(mark: &str) -> anyhow::Result<()> {
    family::kill_marked(MARK, mark).map_err(|survivors| anyhow!("{survivors}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_dies_is_started_again_and_a_framework_that_is_done_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mark = format!("{}-restart", std::process::id());
        let mut processes = Processes::new("/bin/sh".into(), dir.path(), mark.clone());
        let run = |line: &str| vec!["-c".into(), line.into()];
        let first = processes
            .start("node", Kind::Node, run("exec sleep 1000"))
            .unwrap();
        processes
            .start("job", Kind::Framework, run("exit 0"))
            .unwrap();
        kill(Pid::from_raw(first.cast_signed()), Signal::SIGKILL).unwrap();
        let mut restarted = Vec::new();
        let mut look = interval(LOOK);
        while restarted.is_empty() || !processes.is_over("job") {
            look.tick().await;
            restarted.extend(processes.look_after().unwrap());
        }
        assert_eq!((restarted.len(), restarted[0].old_pid), (1, first));
        assert_eq!(restarted[0].how, "killed by signal SIGKILL");
        let state: State =
            serde_json::from_slice(&fs::read(dir.path().join(STATE)).unwrap()).unwrap();
        assert_eq!(
            (state.processes[0].starts, state.processes[0].pid),
            (2, restarted[0].pid)
        );
        assert!(!state.processes[1].running);
        let killed = processes
            .stop(&["node"], Signal::SIGTERM, Duration::from_secs(5))
            .await;
        assert_eq!(killed.unwrap(), Vec::<String>::new());
        assert_eq!(
            await_none(&mark, Duration::from_secs(5)).await,
            Vec::<u32>::new()
        );
    }

    #[tokio::test]
    async fn a_framework_that_fails_is_told_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut processes = Processes::new("/bin/sh".into(), dir.path(), "fail".to_owned());
        let run = vec!["-c".into(), "echo 'error: no luck' >&2; exit 3".into()];
        processes.start("job", Kind::Framework, run).unwrap();
        let mut look = interval(LOOK);
        let error = loop {
            look.tick().await;
            if let Err(error) = processes.look_after() {
                break error.to_string();
            }
        };
        assert_eq!(error, "job exited with status 3: error: no luck");
    }
}
