//! Checks, longest times, restarts and limits as a user of `tepui run` meets them, with real processes
//! and a real server. Each task runs in a container as far as this machine and user allow that.

#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
};

use node::{Node, tepui, text};
use serde_json::Value;

/// A cluster in one process.
struct Cluster(Node);

impl Cluster {
    fn start() -> Self {
        let mut command = tepui(&["local", "--port", "0", "--resources", "cpus:4;mem:2048"]);
        command.stderr(Stdio::null());
        Self(Node::start(command))
    }

    /// Runs a line, and returns the statuses of its task and what was said at the end.
    fn run(&self, flags: &[&str], line: &str) -> (Vec<Value>, String) {
        let mut command = tepui(&["run", "--json", "--master", &self.0.address, "--mem", "64"]);
        let output = command
            .args(flags)
            .args(["--", line])
            .output()
            .expect("it runs");
        let Output { stdout, stderr, .. } = output;
        let news = stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let news = news.map(|line| serde_json::from_slice::<Value>(line).expect("JSON"));
        let statuses = news.filter_map(|news| news.get("status").cloned());
        (statuses.collect(), text(&stderr))
    }
}

/// State and health of each status.
fn seen(statuses: &[Value]) -> Vec<String> {
    let text = |status: &Value| {
        let health = match status["healthy"].as_bool() {
            None => "",
            Some(true) => " well",
            Some(false) => " ill",
        };
        format!("{}{health}", status["state"].as_str().unwrap_or_default())
    };
    statuses.iter().map(text).collect()
}

const QUICK: [&str; 4] = ["--health-delay", "50ms", "--health-interval", "50ms"];

#[test]
fn a_command_that_fails_beside_the_task_ends_it() {
    let cluster = Cluster::start();
    // The check sees what the task sees: its sandbox, and its processes where it has its own.
    let line = "sh -c 'until test -f seen; do sleep 0.05; done; touch ill; exec sleep 1000'";
    let check = "touch seen && test ! -f ill";
    let flags = [&["--health-cmd", check, "--health-grace", "0s"], &QUICK[..]].concat();
    let (statuses, _) = cluster.run(&flags, line);
    let expected = [
        "TASK_RUNNING",
        "TASK_RUNNING well",
        "TASK_RUNNING ill",
        "TASK_KILLED ill",
    ];
    assert_eq!(seen(&statuses), expected);
    let last = statuses.last().expect("statuses");
    assert_eq!(last["reason"], "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED");
    let message = "health check failed 3 times in a row: the command exited with status 1";
    assert_eq!(last["message"], message);
}

#[test]
fn a_command_check_that_hangs_is_ended_and_has_failed() {
    let cluster = Cluster::start();
    let check = [
        "--health-cmd",
        "sleep 1000",
        "--health-timeout",
        "100ms",
        "--health-grace",
        "0s",
    ];
    let flags = [&check[..], &["--health-failures", "1"], &QUICK].concat();
    let (statuses, _) = cluster.run(&flags, "sleep 1000");
    assert_eq!(seen(&statuses), ["TASK_RUNNING", "TASK_KILLED ill"]);
    let last = statuses.last().expect("statuses");
    assert_eq!(
        last["message"],
        "health check failed once: it took longer than 100ms"
    );
}

/// Answers requests with these statuses, the last one from then on.
fn server(statuses: &'static [u16]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    static ASKED: AtomicU16 = AtomicU16::new(0);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap_or_default();
            let n = usize::from(ASKED.fetch_add(1, Ordering::Relaxed));
            let is_right = request[..read].starts_with(b"GET /up HTTP/1.1\r\n");
            let status = if is_right {
                statuses[n.min(statuses.len() - 1)]
            } else {
                400
            };
            let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        }
    });
    port
}

#[test]
fn http_and_tcp_checks_look_at_ports_of_the_machine() {
    let cluster = Cluster::start();
    let port = server(&[503, 200, 302, 500, 500]);
    let address = format!("{port}/up");
    let flags = [
        &["--health-http", &address, "--health-failures", "2"],
        &QUICK[..],
    ]
    .concat();
    let (statuses, _) = cluster.run(&flags, "sleep 1000");
    let expected = [
        "TASK_RUNNING",
        "TASK_RUNNING well",
        "TASK_RUNNING ill",
        "TASK_KILLED ill",
    ];
    assert_eq!(
        seen(&statuses),
        expected,
        "the first failure is within the grace period"
    );
    let message = "health check failed 2 times in a row: the answer had status 500";
    assert_eq!(statuses.last().expect("statuses")["message"], message);
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = closed.local_addr().expect("bound").port().to_string();
    drop(closed);
    let flags = [
        "--health-tcp",
        &port,
        "--health-grace",
        "0s",
        "--health-failures",
        "1",
    ];
    let (statuses, _) = cluster.run(&[&flags[..], &QUICK].concat(), "sleep 1000");
    assert_eq!(seen(&statuses), ["TASK_RUNNING", "TASK_KILLED ill"]);
    let message = "health check failed once: the connection was refused";
    assert_eq!(statuses.last().expect("statuses")["message"], message);
}

#[test]
fn a_task_that_runs_too_long_fails_with_its_reason() {
    let cluster = Cluster::start();
    let (statuses, told) = cluster.run(&["--max-time", "300ms"], "sleep 1000");
    assert_eq!(seen(&statuses), ["TASK_RUNNING", "TASK_FAILED"]);
    let last = statuses.last().expect("statuses");
    assert_eq!(last["reason"], "REASON_MAX_COMPLETION_TIME_REACHED");
    assert!(
        told.contains("it ran for longer than its maximum of 300ms"),
        "{told}"
    );
}

#[test]
fn a_task_is_restarted_in_its_sandbox_until_it_succeeds_or_may_no_more() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a directory");
    let job = dir.path().join("job.toml");
    let run = |retries: u32| {
        let text = format!(
            "[[group]]\nname = \"g\"\nmem = 64\nrestarts = {{ retries = {retries}, backoff = \"10ms\" }}\n\
             command = \"echo x >> runs; test $(wc -l < runs) = 3\"\n"
        );
        fs::write(&job, text).expect("a writable directory");
        let path = job.to_str().expect("a plain path");
        let mut command = tepui(&["run", "--master", &cluster.0.address, "--job", path]);
        let output = command.output().expect("it runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (is_done, told) = run(2);
    assert!(
        is_done && told.contains("restarted, for the 2nd time"),
        "{told}"
    );
    let (is_done, told) = run(1);
    assert!(
        !is_done && told.contains("command exited with status 1"),
        "{told}"
    );
}

#[test]
fn plain_checks_are_reported_and_end_nothing() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().expect("a directory");
    let job = dir.path().join("job.toml");
    // The task goes on when it was looked at, and ends when it was looked at twice since then.
    let text = "[[group]]\nname = \"g\"\nmem = 64\n\
                command = '''touch looks; until test -f asked; do sleep 0.05; done; touch ready
                until test $(wc -l < looks) -ge 2; do sleep 0.05; done'''\n\
                check = { command = 'if test -f ready; then echo x >> looks; else touch asked; false; fi', \
                          delay = '0s', interval = '50ms' }\n";
    fs::write(&job, text).expect("a writable directory");
    let path = job.to_str().expect("a plain path");
    let mut command = tepui(&[
        "run",
        "--json",
        "--master",
        &cluster.0.address,
        "--job",
        path,
    ]);
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let news = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let codes = news.filter_map(|news| {
        let status = news.get("status")?;
        (status["state"] == "TASK_RUNNING")
            .then(|| status["check_status"]["command"]["exit_code"].clone())
    });
    let codes: Vec<Option<i64>> = codes.map(|code| code.as_i64()).collect();
    assert_eq!(codes, [None, Some(1), Some(0)], "{told}");
}

#[test]
fn a_limit_above_the_request_is_what_ends_a_task() {
    let (_, off) = tepui_isolation::Containerizer::new(
        tepui_isolation::IsolationConfig::default(),
        tepui_isolation::launch::Program::this(),
    )
    .expect("the defaults are never refused");
    if let Some(off) = off.iter().find(|off| off.name == "cgroups/mem") {
        return eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
    }
    let cluster = Cluster::start();
    let line = "head -c 100m /dev/zero | tail | wc -c";
    let (statuses, _) = cluster.run(&["--mem-max", "400"], line);
    assert_eq!(
        seen(&statuses).last().map(String::as_str),
        Some("TASK_FINISHED")
    );
    let (statuses, told) = cluster.run(&["--mem-max", "70"], line);
    assert_eq!(
        seen(&statuses).last().map(String::as_str),
        Some("TASK_FAILED")
    );
    assert!(told.contains("memory limit of 70 MiB exceeded"), "{told}");
    let (statuses, told) = cluster.run(&["--mem-max", "10"], line);
    assert_eq!(
        seen(&statuses).last().map(String::as_str),
        Some("TASK_ERROR")
    );
    assert!(
        told.contains("the limit of mem is 10, less than the 64 that it asks for"),
        "{told}"
    );
}
