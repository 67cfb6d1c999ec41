//! A master and an agent that isolates its tasks, and what can be seen of them on the machine. Needs
//! root and control groups.

#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tepui_isolation::{
    Containerizer, IsolationConfig, launch::Program, process::family::await_patiently,
};

use crate::node::{Node, tepui, text};

/// A master and an agent.
pub(crate) struct Cluster {
    pub(crate) agent: Option<Node>,
    pub(crate) master: Node,
    pub(crate) dir: TempDir,
    /// Further flags of the agent.
    flags: Vec<String>,
}

impl Cluster {
    /// None where tasks cannot be isolated.
    pub(crate) fn start() -> Option<Self> {
        Self::start_in(|| {})
    }

    /// The same after `enter` where tasks can be isolated, which may have this thread leave the machine.
    pub(crate) fn start_in(enter: impl FnOnce()) -> Option<Self> {
        Self::start_all(&["--resources", "cpus:4;mem:1024;disk:1000"], enter)
    }

    /// The same with these flags of the agent.
    pub(crate) fn start_with(flags: &[&str]) -> Option<Self> {
        Self::start_all(flags, || {})
    }

    fn start_all(flags: &[&str], enter: impl FnOnce()) -> Option<Self> {
        let (_, off) = Containerizer::new(IsolationConfig::default(), Program::this())
            .expect("the defaults are never refused");
        // Private networks have tests of their own.
        if let Some(off) = off.iter().find(|off| off.name != "network/private") {
            eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
            return None;
        }
        enter();
        let dir = tempfile::tempdir().expect("a directory");
        let master_dir = dir.path().join("master");
        let path = master_dir.to_str().expect("a plain path");
        let config = dir.path().join("config.toml");
        let text = "[agent.isolation]\ndisk_interval_ms = 50\n[agent.fetch]\nextracted_mib_max = 8\n[agent.options]\n\
                    registration_backoff = 0.05\n";
        fs::write(&config, text).expect("a writable directory");
        let master = Node::start(tepui(&["master", "--port", "0", "--work-dir", path]));
        let mut cluster = Self {
            agent: None,
            master,
            dir,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        };
        cluster.start_agent();
        Some(cluster)
    }

    pub(crate) fn work_dir(&self) -> String {
        self.dir.path().join("agent").display().to_string()
    }

    pub(crate) fn start_agent(&mut self) {
        let (work_dir, master) = (self.work_dir(), self.master.address.clone());
        let config = self.dir.path().join("config.toml").display().to_string();
        let mut agent = tepui(&[
            "agent",
            "--port",
            "0",
            "--master",
            &master,
            "--work-dir",
            &work_dir,
            "--config",
            &config,
            "--log",
            "warn",
        ]);
        agent.args(&self.flags);
        self.agent = Some(Node::start(agent));
    }

    pub(crate) fn agent(&mut self) -> &mut Node {
        self.agent.as_mut().expect("an agent runs")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.master.address]);
        command.args(rest);
        command
    }

    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let Output { stdout, stderr, .. } = self.command(arguments).output().expect("it runs");
        text(&stdout) + &text(&stderr)
    }

    /// What a command writes as JSON. It may say on stderr that an agent is just coming back.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.command(arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The containers that something is left of.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        let config = IsolationConfig {
            work_dir: fs::canonicalize(self.work_dir()).expect("it is there"),
            ..IsolationConfig::default()
        };
        let (containers, _) = Containerizer::new(config, Program::this()).expect("as above");
        containers.orphans(&BTreeSet::new())
    }

    /// Whether these processes and containers are gone after a while, whatever came after them.
    pub(crate) fn is_gone(
        &self,
        span: &str,
        processes: &[u32],
        containers: &BTreeSet<String>,
    ) -> bool {
        let is_gone = || {
            let are_left = sleepers(span).iter().any(|pid| processes.contains(pid));
            !are_left && self.left().is_disjoint(containers)
        };
        await_patiently(is_gone)
    }

    /// Ends a job with its task, and waits until the agent has none.
    pub(crate) fn end(&self, mut job: Child) {
        let pid = Pid::from_raw(job.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("it runs");
        job.wait().expect("our child");
        let idle = await_patiently(|| self.left().is_empty());
        assert!(idle, "{:?}", self.left());
    }

    /// Starts a job of one task that sleeps for `span`, and waits until two processes of it do.
    pub(crate) fn sleeper(&self, span: &str) -> Child {
        let line = format!("setsid sleep {span} & exec sleep {span}");
        let mut command = self.command(&["run", "--mem", "64", "--name", "sleeper", "--", &line]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let waited = await_patiently(|| sleepers(span).len() == 2);
        assert!(waited, "the task runs");
        child.expect("it starts")
    }
}

/// Processes of the machine whose command line is `sleep span`.
pub(crate) fn sleepers(span: &str) -> Vec<u32> {
    processes(|line| line == format!("sleep\0{span}\0"))
}

pub(crate) fn processes(is_meant: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        is_meant(&String::from_utf8_lossy(&line))
    })
    .collect()
}

/// The executors whose sandbox is in that directory.
pub(crate) fn executors(dir: &Path) -> Vec<u32> {
    let executors = processes(|line| line.ends_with("tepui\0executor\0"));
    let variable = format!("TEPUI_SANDBOX={}", dir.display());
    let is_ours = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&variable)
    };
    executors.into_iter().filter(is_ours).collect()
}

/// Launchers, and the inits of containers, that are run by the binary under test.
pub(crate) fn launchers() -> Vec<u32> {
    let binary = Path::new(env!("CARGO_BIN_EXE_tepui"));
    let is_ours =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|at| at == binary);
    // Those that executors have forked have zeros behind it.
    let launchers = processes(|line| line.trim_end_matches('\0').ends_with("\0launch"));
    launchers.into_iter().filter(is_ours).collect()
}
