//! `tepui demo` as a user sees it: the right answer, and nobody left, however it ends.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
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
    /// Progress, a line a second.
    stderr: BufReader<ChildStderr>,
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
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        Self {
            child,
            stdout,
            stderr,
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

    /// Reads the progress until it tells of map tasks that have finished.
    fn until_some_maps_finished(&mut self) {
        let mut line = String::new();
        while !line.contains(" map ") || line.contains(" map 0/") {
            line.clear();
            let read = self
                .stderr
                .read_line(&mut line)
                .expect("stderr can be read");
            assert_ne!(read, 0, "it ended before any map task: {}", self.said);
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

/// Kills what `victim` picks once some map tasks have finished; the job must not notice.
fn killed_in_the_middle(victim: impl Fn(&Demo) -> u32) -> String {
    let mut demo = Demo::start(&[]);
    demo.until("started background");
    demo.until_some_maps_finished();
    loop {
        // A task may end between being picked and being killed; then it is another one's turn.
        let pid = Pid::from_raw(victim(&demo).cast_signed());
        if kill(pid, Signal::SIGKILL).is_ok() {
            break;
        }
    }
    let work_dir = demo.work_dir();
    let (code, said, _dir) = demo.finish();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("checked    equal to a direct computation"),
        "{said}"
    );
    assert_nobody_left(&work_dir);
    said
}

/// The process that the demo calls `name`.
fn process(demo: &Demo, name: &str) -> u32 {
    let state = state(&demo.work_dir());
    let processes = state["processes"].as_array().expect("a list");
    let process = processes
        .iter()
        .find(|process| process["name"] == name)
        .expect("that process");
    u32::try_from(process["pid"].as_u64().expect("a number")).expect("a pid")
}

/// A live process of the demo that was told `variable` in its environment, and whose command line
/// begins with a program called `program`.
fn below(demo: &Demo, program: &str, variable: &str) -> u32 {
    let mark = state(&demo.work_dir())["mark"]
        .as_str()
        .expect("a mark")
        .to_owned();
    let read = |pid: u32, file: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default())
            .into_owned()
    };
    let is_meant = |pid: &u32| {
        let (line, environment) = (read(*pid, "cmdline"), read(*pid, "environ"));
        let name = line.split('\0').next().unwrap_or_default();
        name.ends_with(program) && environment.split('\0').any(|v| v.starts_with(variable))
    };
    loop {
        let pids = marked("IN_TEPUI_DEMO", &mark)
            .into_iter()
            .map(|identity| identity.pid);
        if let Some(pid) = pids.into_iter().find(is_meant) {
            return pid;
        }
    }
}

#[test]
fn a_killed_agent_is_started_again_and_the_result_is_right() {
    let said = killed_in_the_middle(|demo| process(demo, "agent-1"));
    assert!(said.contains("restarted agent-1 (pid "), "{said}");
}

#[test]
fn a_killed_master_is_started_again_and_the_result_is_right() {
    let said = killed_in_the_middle(|demo| process(demo, "master"));
    assert!(said.contains("restarted master (pid "), "{said}");
}

#[test]
fn a_killed_framework_is_started_again_and_the_result_is_right() {
    let said = killed_in_the_middle(|demo| process(demo, "analytics"));
    assert!(said.contains("restarted analytics (pid "), "{said}");
}

#[test]
fn the_task_of_a_killed_executor_is_run_again_and_the_result_is_right() {
    // An executor is told its id; what it starts is told that of its task.
    let said = killed_in_the_middle(|demo| below(demo, "tepui", "TEPUI_EXECUTOR_ID="));
    assert!(!said.contains("restarted"), "{said}");
}

#[test]
fn a_killed_task_is_run_again_and_the_result_is_right() {
    let said = killed_in_the_middle(|demo| below(demo, "sh", "TEPUI_TASK_ID="));
    assert!(!said.contains("restarted"), "{said}");
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
