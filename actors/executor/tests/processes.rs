//! The executor's processes for real: commands, exit statuses, signals, environment.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use tepui_executor::{Processes, StartProcess, Started, SystemProcesses};
use tepui_isolation::{Ended, Signal};
use tepui_protocol::{CommandInfo, Resources, TaskId};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn start(command: CommandInfo, sandbox: &Path) -> StartProcess {
    let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    StartProcess {
        task_id: TaskId::new("t").unwrap(),
        command,
        environment: BTreeMap::from([path]),
        sandbox: sandbox.to_owned(),
        resources: Resources::new(),
        limits: Default::default(),
        network: None,
        member: None,
    }
}

fn run(command: CommandInfo) -> (Ended, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let starting = SystemProcesses::new().start(&start(command, dir.path()));
    let ended = runtime().block_on(async { starting.await.unwrap().ended.await.ended });
    let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
    (ended, read("stdout"), read("stderr"))
}

#[test]
fn statuses_of_commands_come_back() {
    assert_eq!(run(CommandInfo::shell("true")).0, Ended::Exited { code: 0 });
    assert_eq!(
        run(CommandInfo::shell("exit 3")).0,
        Ended::Exited { code: 3 }
    );
    assert_eq!(
        run(CommandInfo::shell("kill -9 $$")).0,
        Ended::Signalled { signal: 9 }
    );
}

#[test]
fn output_goes_to_the_sandbox() {
    let (_, stdout, stderr) = run(CommandInfo::shell("echo one; echo two >&2"));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("one\n", "two\n"));
}

#[test]
fn an_argument_vector_does_not_go_through_a_shell() {
    let arguments = ["printf", "%s", "$HOME; *"].map(str::to_owned).to_vec();
    let value = "/usr/bin/printf".to_owned();
    let command = CommandInfo {
        value,
        shell: false,
        arguments,
        ..CommandInfo::default()
    };
    assert_eq!(run(command).1, "$HOME; *");
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let value = "no-such-program".to_owned();
    let command = CommandInfo {
        value,
        shell: false,
        ..CommandInfo::default()
    };
    let starting = SystemProcesses::new().start(&start(command, dir.path()));
    let refused = runtime().block_on(starting).err().unwrap();
    assert!(
        refused.starts_with("cannot start \"no-such-program\": No such file"),
        "{refused}"
    );
    let through_the_shell = run(CommandInfo::shell("no-such-program"));
    assert_eq!(through_the_shell.0, Ended::Exited { code: 127 });
    assert!(through_the_shell.2.contains("no-such-program"));
}

/// A command that has said, through a pipe, that it runs.
fn running(line: &str, dir: &Path) -> (SystemProcesses, Started) {
    let pipe = dir.join("up");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let mut processes = SystemProcesses::new();
    let starting = processes.start(&start(CommandInfo::shell(line), dir));
    let started = runtime().block_on(starting).ok().unwrap();
    assert_eq!(fs::read_to_string(pipe).unwrap(), "up\n");
    (processes, started)
}

#[test]
fn term_ends_a_command_and_kill_ends_one_that_ignores_it() {
    let dir = tempfile::tempdir().unwrap();
    let task = TaskId::new("t").unwrap();
    let (mut processes, started) = running("echo up > up; sleep 1000", dir.path());
    processes.signal(&task, Signal::Terminate);
    assert_eq!(
        runtime().block_on(started.ended).ended,
        Ended::Signalled { signal: 15 }
    );

    let dir = tempfile::tempdir().unwrap();
    // `ignored` says that SIGTERM came and did not end the command.
    let line = "trap 'echo up > ignored' TERM; echo up > up; while :; do sleep 0.05; done";
    assert!(
        std::process::Command::new("mkfifo")
            .arg(dir.path().join("ignored"))
            .status()
            .is_ok()
    );
    let (mut processes, started) = running(line, dir.path());
    processes.signal(&task, Signal::Terminate);
    assert_eq!(
        fs::read_to_string(dir.path().join("ignored")).unwrap(),
        "up\n"
    );
    processes.signal(&task, Signal::Kill);
    assert_eq!(
        runtime().block_on(started.ended).ended,
        Ended::Signalled { signal: 9 }
    );
}
