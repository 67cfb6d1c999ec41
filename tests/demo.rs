//! `tepui demo` as a user sees it: the right answer, and nobody left, however it ends.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tepui_isolation::process::family::marked;

/// A demo under way.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    dir: TempDir,
    /// What it has said so far.
    said: String,
}

impl Demo {
    fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
        command
            .arg("demo")
            .arg("--work-dir")
            .arg(dir.path().join("demo"))
            .args(more);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self {
            child,
            stdout,
            dir,
            said: String::new(),
        }
    }

    fn work_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("demo")
    }

    /// Reads on until a line begins with `start`.
    fn until(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self
                .stdout
                .read_line(&mut line)
                .expect("stdout can be read");
            assert_ne!(read, 0, "no line {start:?} in:\n{}", self.said);
            self.said.push_str(&line);
            if line.starts_with(start) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the demo runs");
    }

    /// Reads on to the end, and gives the exit code and all that was said.
    fn finish(mut self) -> (Option<i32>, String, TempDir) {
        let mut line = String::new();
        while self
            .stdout
            .read_line(&mut line)
            .expect("stdout can be read")
            > 0
        {
            self.said.push_str(&line);
            line.clear();
        }
        (
            self.child.wait().expect("our child").code(),
            self.said,
            self.dir,
        )
    }
}

fn state(work_dir: &Path) -> Value {
    let bytes = fs::read(work_dir.join("demo.json")).expect("demo.json");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// No process of that demo is left.
fn assert_nobody_left(work_dir: &Path) {
    let mark = state(work_dir)["mark"].as_str().expect("a mark").to_owned();
    assert_eq!(marked("IN_TEPUI_DEMO", &mark), []);
}

#[test]
fn the_demo_finds_the_top_users_and_leaves_nobody_behind() {
    let demo = Demo::start(&[]);
    let work_dir = demo.work_dir();
    let (code, said, _dir) = demo.finish();
    assert_eq!(code, Some(0), "{said}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = said.lines().map(words).collect();
    let has = |line: &str| lines.iter().any(|said| said == line);
    assert!(has("4 2,625 171,530,396 36.2%"), "{said}");
    assert!(has("2 162 74,716,779 15.8%"), "{said}");
    assert!(
        said.contains("checked    equal to a direct computation"),
        "{said}"
    );
    assert!(said.contains("agent-3"), "{said}");
    assert_nobody_left(&work_dir);
}

#[test]
fn an_interrupted_demo_leaves_nobody_behind() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut demo = Demo::start(&[]);
        demo.until("started background");
        let work_dir = demo.work_dir();
        demo.signal(signal);
        let (ended, said, _dir) = demo.finish();
        assert_eq!(ended, Some(code), "{said}");
        assert_nobody_left(&work_dir);
    }
}

#[test]
fn an_agent_that_is_killed_is_started_again_and_the_result_is_right() {
    let mut demo = Demo::start(&[]);
    let line = demo.until("started agent-1");
    demo.until("started background");
    let pid = line
        .split_whitespace()
        .nth(3)
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the agent runs");
    demo.until(&format!(
        "restarted agent-1 (pid {pid}, killed by signal SIGKILL)"
    ));
    let work_dir = demo.work_dir();
    let (code, said, _dir) = demo.finish();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("checked    equal to a direct computation"),
        "{said}"
    );
    assert_nobody_left(&work_dir);
}

#[test]
fn a_cluster_that_is_kept_can_be_used_and_ended() {
    let demo = Demo::start(&["--keep"]);
    let work_dir = demo.work_dir();
    let (code, said, _dir) = demo.finish();
    assert_eq!(code, Some(0), "{said}");
    let state = state(&work_dir);
    let master = state["master"].as_str().expect("an address");
    assert!(
        said.contains(&format!("export TEPUI_MASTER={master}")),
        "{said}"
    );
    let tepui = |arguments: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_tepui"))
            .args(arguments)
            .output();
        command.expect("the binary runs")
    };
    let run = tepui(&["run", "--master", master, "--cpus", "0.5", "--", "true"]);
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let stop = tepui(&["demo", "--stop", work_dir.to_str().expect("a plain path")]);
    assert!(
        stop.status.success(),
        "{}",
        String::from_utf8_lossy(&stop.stderr)
    );
    assert_nobody_left(&work_dir);
}
