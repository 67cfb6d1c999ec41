//! Pods as a user of `tepui run --pod` meets them: with real processes, in containers as far as this
//! machine and user allow that, and without any.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// As tasks run on agents: isolated as far as that works here, and not at all.
const KINDS: [&str; 2] = ["auto", "none"];

fn tepui(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A cluster in one process.
struct Cluster {
    local: Child,
    address: String,
    dir: TempDir,
}

impl Cluster {
    fn start(isolation: &str) -> Self {
        let resources = ["--port", "0", "--resources", "cpus:2;mem:1024"];
        let mut command = tepui(&[&["local", "--isolation", isolation], &resources[..]].concat());
        let local = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut local = local.expect("it starts");
        let mut line = String::new();
        let stdout = local.stdout.take().expect("stdout is a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it says where it listens");
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let dir = tempfile::tempdir().expect("a directory");
        Self {
            local,
            address,
            dir,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.address]);
        command.args(rest);
        command
    }

    /// The output of a command that goes well.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes the file that tasks wait for. A task may end, and the command beside it, before it is told
    /// how that ended.
    fn go(&self, task: &str) {
        let mut command = self.command(&["exec", task, "sh", "-c", "touch $TEPUI_SHARED/go"]);
        command.output().expect("it runs");
    }

    /// Starts a pod of these tasks: name, amounts, line.
    fn pod(&self, tasks: &[(&str, &str, &str)], flags: &[&str]) -> Pod {
        let mut text = "name = \"pod\"\n".to_owned();
        for (name, amounts, line) in tasks {
            text += &format!("[[group]]\nname = {name:?}\n{amounts}\ncommand = '''{line}'''\n");
        }
        let file = self.dir.path().join("pod.toml");
        fs::write(&file, text).expect("a writable directory");
        let file = file.to_str().expect("a plain path");
        let mut command = self.command(&["run", "--json", "--pod", file]);
        command.args(flags);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let news = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Pod {
            child,
            news,
            seen: Vec::new(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.local.id().cast_signed()), Signal::SIGINT);
        let _ = self.local.wait();
    }
}

/// A pod that runs, or has.
struct Pod {
    child: Child,
    news: BufReader<ChildStdout>,
    /// Task, state and message of what was told.
    seen: Vec<(String, String, String)>,
}

impl Pod {
    /// Reads on until a task is in a state, in whichever attempt. Returns its id.
    fn until(&mut self, task: &str, state: &str) -> String {
        let is_there = |seen: &&(String, String, String)| is_of(&seen.0, task) && seen.1 == state;
        loop {
            if let Some((id, _, _)) = self.seen.iter().rfind(is_there) {
                return id.clone();
            }
            assert!(self.read(), "{task} was never {state}: {:?}", self.seen);
        }
    }

    fn read(&mut self) -> bool {
        let mut line = String::new();
        if self.news.read_line(&mut line).expect("it can be read") == 0 {
            return false;
        }
        let news: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| {
            let value = &news["status"][name];
            value.as_str().unwrap_or_default().to_owned()
        };
        if news.get("status").is_some() {
            self.seen
                .push((text("task_id"), text("state"), text("message")));
        }
        true
    }

    /// Waits for the end: its exit code, and what it said at last.
    fn end(&mut self) -> (Option<i32>, String) {
        while self.read() {}
        let mut error = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is a pipe");
        stderr.read_to_string(&mut error).expect("it can be read");
        (self.child.wait().expect("our child").code(), error)
    }

    /// The last state of a task, and what was said of it.
    fn last(&self, task: &str) -> (&str, &str) {
        let of_task = self.seen.iter().rfind(|(id, _, _)| is_of(id, task));
        let (_, state, message) = of_task.expect("it was told of");
        (state, message)
    }
}

/// Whether an id is that of the task of that name, in whichever attempt: a pod that could not be
/// launched is launched again.
fn is_of(id: &str, task: &str) -> bool {
    id.strip_prefix("pod.")
        .and_then(|rest| rest.strip_prefix(task))
        .is_some_and(|rest| rest.starts_with(".0."))
}

const SMALL: &str = "cpus = 0.5\nmem = 64";

#[test]
fn tasks_of_a_pod_share_a_directory_and_have_one_of_their_own() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let server = "echo $TEPUI_TASK_ID > own; echo hello > $TEPUI_SHARED/page; \
                      until test -e $TEPUI_SHARED/seen; do sleep 0.05; done; ls";
        let client = "until test -s $TEPUI_SHARED/page; do sleep 0.05; done; \
                      cat $TEPUI_SHARED/page; test ! -e own && touch $TEPUI_SHARED/seen";
        let tasks = [("server", SMALL, server), ("client", SMALL, client)];
        let mut pod = cluster.pod(&tasks, &[]);
        let (code, error) = pod.end();
        assert_eq!(code, Some(0), "{kind}: {error} {:?}", pod.seen);
        let [server, client] = ["server", "client"].map(|task| pod.until(task, "TASK_FINISHED"));
        assert_eq!(cluster.text(&["logs", &client]), "hello\n", "{kind}");
        let own = cluster.text(&["logs", &server, "own"]);
        assert_eq!(own, format!("{server}\n"), "{kind}");
        let listed = cluster.text(&["logs", &server]);
        assert_eq!(listed, "own\nstderr\nstdout\n", "{kind}");
    }
}

#[test]
fn tasks_of_a_pod_start_in_the_order_that_they_ask_for() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let server = "cat $TEPUI_SHARED/made > started; touch $TEPUI_SHARED/up; cat started; \
                      until test -e $TEPUI_SHARED/seen; do sleep 0.05; done";
        let health = "after = [\"init\"]\nhealth = { command = \"test -e $TEPUI_SHARED/up\", delay = \"0s\", interval = \"100ms\" }";
        let client = "test -e $TEPUI_SHARED/up && touch $TEPUI_SHARED/seen";
        let tasks = [
            (
                "client",
                "cpus = 0.1\nmem = 32\nafter = [\"server:healthy\"]",
                client,
            ),
            ("server", &format!("cpus = 0.1\nmem = 32\n{health}"), server),
            (
                "init",
                "cpus = 0.1\nmem = 32",
                "sleep 0.1; echo made > $TEPUI_SHARED/made",
            ),
        ];
        let mut pod = cluster.pod(&tasks, &[]);
        let (code, error) = pod.end();
        assert_eq!(code, Some(0), "{kind}: {error} {:?}", pod.seen);
        let server = pod.until("server", "TASK_FINISHED");
        assert_eq!(cluster.text(&["logs", &server]), "made\n", "{kind}");
    }
}

#[test]
fn one_that_fails_or_is_killed_ends_all() {
    for kind in KINDS {
        let cluster = Cluster::start(kind);
        let sleeper = "exec sleep 100000";
        let fails = "until test -e $TEPUI_SHARED/go; do sleep 0.05; done; exit 3";
        let tasks = [
            ("a", SMALL, sleeper),
            ("b", SMALL, fails),
            ("c", SMALL, sleeper),
        ];
        let mut pod = cluster.pod(&tasks, &[]);
        let [a, b, _] = ["a", "b", "c"].map(|task| pod.until(task, "TASK_RUNNING"));
        cluster.go(&a);
        let (code, error) = pod.end();
        assert_eq!(code, Some(1), "{kind}");
        let failed = format!("{b} ended as TASK_FAILED");
        assert!(error.contains(&failed), "{kind}: {error}");
        for task in ["a", "c"] {
            let why = format!("task {b} of its group ended as TASK_FAILED");
            assert_eq!(pod.last(task), ("TASK_KILLED", why.as_str()), "{kind}");
        }
        // One that is killed does the same.
        let mut pod = cluster.pod(&tasks[..2], &[]);
        let [a, _] = ["a", "b"].map(|task| pod.until(task, "TASK_RUNNING"));
        cluster.text(&["kill", &a]);
        assert_eq!(pod.end().0, Some(1), "{kind}");
        let why = format!("task {a} of its group ended as TASK_KILLED");
        assert_eq!(pod.last("b"), ("TASK_KILLED", why.as_str()), "{kind}");
    }
}

#[test]
fn others_go_on_where_that_is_asked_for() {
    let cluster = Cluster::start("auto");
    let waits = "until test -e $TEPUI_SHARED/go; do sleep 0.05; done; exit 0";
    let tasks = [("a", SMALL, waits), ("b", SMALL, "exit 3")];
    let mut pod = cluster.pod(&tasks, &["--keep-others"]);
    pod.until("b", "TASK_FAILED");
    cluster.go(&pod.until("a", "TASK_RUNNING"));
    assert_eq!(pod.end().0, Some(1));
    assert_eq!(pod.last("a").0, "TASK_FINISHED");
}

#[test]
fn each_task_has_its_own_limits() {
    let cluster = Cluster::start("auto");
    let hungry = "head -c 300m /dev/zero | tail";
    let tasks = [
        ("small", "cpus = 0.5\nmem = 40", hungry),
        ("large", "cpus = 0.5\nmem = 500", "exec sleep 100000"),
    ];
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: limits of memory need root");
    }
    let mut pod = cluster.pod(&tasks, &[]);
    let (code, error) = pod.end();
    assert_eq!(code, Some(1), "{error}");
    let (state, message) = pod.last("small");
    assert_eq!(state, "TASK_FAILED", "{:?}", pod.seen);
    assert!(
        message.contains("memory limit of 40 MiB exceeded"),
        "{message}"
    );
    let (state, _) = pod.last("large");
    assert_eq!(state, "TASK_KILLED");
}

#[test]
fn what_a_pod_uses_is_added_up_and_what_is_no_pod_is_refused() {
    let cluster = Cluster::start("auto");
    let mut pod = cluster.pod(
        &[
            ("a", SMALL, "exec sleep 100000"),
            ("b", SMALL, "exec sleep 100000"),
        ],
        &[],
    );
    pod.until("a", "TASK_RUNNING");
    pod.until("b", "TASK_RUNNING");
    let used: Value = serde_json::from_str(&cluster.text(&["stats", "--json"])).expect("JSON");
    let [used] = &used.as_array().expect("a list")[..] else {
        panic!("one executor: {used}");
    };
    assert_eq!(used["tasks"].as_array().map(Vec::len), Some(2), "{used}");
    if let Some(limit) = used["usage"]["memory_limit"].as_u64() {
        assert_eq!(limit, 128 << 20, "{used}");
    }
    let interrupted = Pid::from_raw(pod.child.id().cast_signed());
    kill(interrupted, Signal::SIGINT).expect("it runs");
    assert_eq!(pod.end().0, Some(130));
    let mut pod = cluster.pod(&[("a", "count = 2", "true")], &[]);
    let (code, error) = pod.end();
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("in a pod each group has one instance"),
        "{error}"
    );
}
