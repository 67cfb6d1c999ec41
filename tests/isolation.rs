//! Isolation as a user of the cluster meets it: tasks that go beyond what they have, and processes
//! of the cluster that are killed while tasks run. Needs root and control groups; where they are
//! absent, each test says so in one line. What single isolators do is tested in `isolation/tests`.

#[path = "cluster/isolated.rs"]
mod isolated;
#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
};

use isolated::{Cluster, executors, launchers, sleepers};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn the_executor(cluster: &Cluster) -> u32 {
    let dir = fs::canonicalize(cluster.work_dir()).expect("it is there");
    let [executor] = executors(&dir)[..] else {
        panic!("one executor runs: {:?}", executors(&dir));
    };
    executor
}

fn kill_executor(cluster: &Cluster) {
    let executor = the_executor(cluster);
    kill(Pid::from_raw(executor.cast_signed()), Signal::SIGKILL).expect("it runs");
}

/// Seconds that nobody else sleeps for.
fn span(n: u32) -> String {
    (1_000_000 * n + std::process::id()).to_string()
}

#[test]
fn limits_end_a_task_and_the_scheduler_hears_why() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let line = "head -c 300m /dev/zero | tail";
    let told = cluster.text(&["run", "--mem", "40", "--name", "memory", "--", line]);
    assert!(
        told.contains("memory limit of 40 MiB exceeded; it used 40 MiB at most"),
        "{told}"
    );
    let job = cluster.dir.path().join("disk.toml");
    let text = "name = \"disk\"\n[[group]]\nname = \"disk\"\ndisk = 4\nretries = 0\n\
                command = \"head -c 9m /dev/zero > big; sleep 1000\"\n";
    fs::write(&job, text).expect("a writable directory");
    let told = cluster.text(&["run", "--job", job.to_str().expect("a plain path")]);
    assert!(told.contains("disk limit of 4 MiB exceeded"), "{told}");
    let tasks = cluster.text(&["tasks", "--json"]);
    for reason in [
        "REASON_CONTAINER_LIMITATION_MEMORY",
        "REASON_CONTAINER_LIMITATION_DISK",
    ] {
        assert!(tasks.contains(reason), "{tasks}");
    }
    assert_eq!(cluster.left(), [].into());
}

#[test]
fn an_executor_that_is_killed_leaves_nothing_behind() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let span = span(1);
    let job = cluster.sleeper(&span);
    let (first, container) = (sleepers(&span), cluster.left());
    assert_eq!(container.len(), 1);
    kill_executor(&cluster);
    // The job runs its task again, as it is not the task that failed.
    assert!(cluster.is_gone(&span, &first, &container));
    cluster.end(job);
    assert_eq!((sleepers(&span), cluster.left()), (vec![], [].into()));
}

#[test]
fn an_executor_forks_its_launcher_which_keeps_nothing_of_its_environment() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let job = cluster.sleeper(&span(6));
    let executor = the_executor(&cluster);
    let read = |pid: u32, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let is_given = |pid: u32| !read(pid, "environ").iter().all(|byte| *byte == 0);
    assert!(is_given(executor));
    // Of its first thread, which has no other children.
    let children = read(executor, &format!("task/{executor}/children"));
    let children = String::from_utf8(children).expect("numbers");
    let [launcher] = children.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("it has one launcher: {children}");
    };
    let launcher = launcher.parse().expect("a number");
    assert!(launchers().contains(&launcher));
    assert!(!is_given(launcher));
    assert_eq!(
        launchers().into_iter().filter(|&pid| is_given(pid)).count(),
        0,
        "inits are seen by their tasks"
    );
    cluster.end(job);
}

#[test]
fn a_task_outlives_its_agent_and_ends_cleanly_after_that() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let span = span(2);
    let mut job = cluster.sleeper(&span);
    cluster.agent().process.kill(Signal::SIGKILL);
    assert_eq!(sleepers(&span).len(), 2);
    cluster.start_agent();
    assert_eq!((sleepers(&span).len(), cluster.left().len()), (2, 1));
    // The init and the two sleepers, in a container of 64 MiB.
    let used = cluster.json(&["stats", "--json", "sleeper.run.0.0"]);
    assert_eq!(used[0]["usage"]["pids"], 3, "{used}");
    assert_eq!(used[0]["usage"]["memory_limit"], 64 << 20, "{used}");
    assert!(used[0]["usage"]["cpu_us"].as_u64() > Some(0), "{used}");
    assert!(used[0]["cpus"].as_f64() < Some(0.5), "{used}");
    let killed = cluster.text(&["kill", "sleeper.run.0.0"]);
    assert!(!job.wait().expect("our child").success(), "{killed}");
    assert_eq!((sleepers(&span), cluster.left()), (vec![], [].into()));
}

#[test]
fn an_agent_removes_what_died_while_it_was_away() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let span = span(3);
    let job = cluster.sleeper(&span);
    let (first, container) = (sleepers(&span), cluster.left());
    cluster.agent().process.kill(Signal::SIGKILL);
    kill_executor(&cluster);
    cluster.start_agent();
    assert!(cluster.is_gone(&span, &first, &container));
    cluster.end(job);
    assert_eq!((sleepers(&span), cluster.left()), (vec![], [].into()));
}

/// The JSON at a path of the agent's node.
fn fetch(address: &str, path: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[test]
fn what_containers_use_is_told_over_http_and_peaks_are_kept() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    // Five processes for some seconds, and a processor as long as there is no file `calm`.
    let line =
        "for n in 1 2 3 4; do sleep 7 & done; until [ -e calm ]; do :; done; exec sleep 1000";
    let mut command = cluster.command(&["run", "--mem", "64", "--name", "busy", "--", line]);
    let job = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let address = cluster.agent().address.clone();
    let used = |cluster: &Cluster| cluster.json(&["stats", "--json", "busy.run.0.0"]);
    let has_peaks = |used: &serde_json::Value| {
        let usage = &used[0]["usage"];
        usage["cpu_milli_peak"].as_u64() > Some(100) && usage["pids_peak"].as_u64() >= Some(6)
    };
    assert!(
        (0..20).any(|_| has_peaks(&used(&cluster))),
        "{}",
        used(&cluster)
    );
    let containers = fetch(&address, "/containers");
    let [container] = &containers.as_array().expect("a list")[..] else {
        panic!("{containers}");
    };
    let id = cluster.left().pop_first().expect("a container");
    assert_eq!(container["container_id"], id.as_str(), "{containers}");
    assert_eq!(
        container["status"]["container_id"]["value"],
        id.as_str(),
        "{containers}"
    );
    assert_eq!(container["executor_id"], "busy.run.0.0", "{containers}");
    let statistics = &container["statistics"];
    assert_eq!(statistics["mem_limit_bytes"], 64 << 20, "{statistics}");
    assert_eq!(statistics["cpus_limit"], 1.0, "{statistics}");
    let time = |name: &str| statistics[name].as_f64().expect(name);
    assert!(
        time("cpus_user_time_secs") + time("cpus_system_time_secs") > 0.05,
        "{statistics}"
    );
    let monitor = fetch(&address, "/monitor/statistics");
    assert_eq!(monitor[0]["executor_id"], "busy.run.0.0", "{monitor}");
    assert!(
        monitor[0]["statistics"]["threads"].as_u64() >= Some(2),
        "{monitor}"
    );
    // Peaks stay when all is calm.
    let sandbox = fs::read_dir(cluster.work_dir() + "/sandboxes")
        .expect("sandboxes")
        .next();
    let calm = sandbox
        .expect("a framework")
        .expect("an entry")
        .path()
        .join("busy.run.0.0")
        .join(&id);
    fs::write(calm.join("calm"), "").expect("the sandbox");
    let is_calm = |used: &serde_json::Value| used[0]["usage"]["cpu_milli"].as_u64() < Some(50);
    assert!(
        (0..20).any(|_| is_calm(&used(&cluster))),
        "{}",
        used(&cluster)
    );
    assert!(has_peaks(&used(&cluster)), "{}", used(&cluster));
    cluster.end(job);
}
