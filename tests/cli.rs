//! The commands as a user types them: what goes right on a small cluster, and one clear line for
//! each thing that goes wrong.
//!
//! The binary under test runs real nodes on loopback, on ports that the system chooses.

#[path = "cluster/node.rs"]
mod node;

#[path = "cli/gangs.rs"]
mod gangs;
#[path = "cli/input.rs"]
mod input;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/maintenance.rs"]
mod maintenance;
#[path = "cli/nodes.rs"]
mod nodes;
#[path = "cli/revocation.rs"]
mod revocation;
#[path = "cli/roles.rs"]
mod roles;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use node::{Guard, Node, assert_failed, tepui, text};
use serde_json::Value;
use tempfile::TempDir;

fn output(arguments: &[&str]) -> Output {
    tepui(arguments).output().expect("the binary runs")
}

/// The command fails with this code and one line on stderr that has all `parts`.
fn assert_refused(arguments: &[&str], code: i32, parts: &[&str]) {
    assert_failed(&output(arguments), code, parts);
}

fn master(dir: &Path) -> Node {
    Node::start(tepui(&[
        "master",
        "--port",
        "0",
        "--work-dir",
        dir.to_str().expect("a plain path"),
    ]))
}

/// A master with two agents in one process.
fn local() -> (Node, String) {
    let running = Node::start(tepui(&[
        "local",
        "--port",
        "0",
        "--agents",
        "2",
        "--resources",
        "cpus:2;mem:512",
    ]));
    let address = running.address.clone();
    (running, address)
}

fn json(arguments: &[&str]) -> Value {
    let output = output(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("--json prints JSON")
}

/// Starts a job of one task that says when it runs and then waits to be ended.
fn endless(master: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = tepui(&["run", "--master", master, "--name", "endless", "--"]);
    command
        .arg("exec sleep 1000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut line = String::new();
    while !line.contains("TASK_RUNNING") {
        line.clear();
        assert_ne!(
            stdout.read_line(&mut line).expect("readable"),
            0,
            "it ended early"
        );
    }
    (child, stdout)
}
