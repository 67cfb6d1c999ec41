//! Launchers that are started before there is anything to launch.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tepui_isolation::{
    Container, Containerizer, Ended, IsolationConfig, LaunchSpec, launch::Program,
    process::ProcessIdentity,
};

fn containerizer(dir: &Path) -> Containerizer {
    let config = IsolationConfig {
        work_dir: dir.to_owned(),
        isolators: vec!["linux/nnp".to_owned()],
        ..IsolationConfig::default()
    };
    let launcher = Program {
        path: env!("CARGO_BIN_EXE_tepui-launch").into(),
        arguments: Vec::new(),
    };
    Containerizer::new(config, launcher).unwrap().0
}

/// What this thread has started and not waited for.
fn children() -> Vec<ProcessIdentity> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap();
    let pids = text
        .split_ascii_whitespace()
        .map(|pid| pid.parse().unwrap());
    pids.filter_map(ProcessIdentity::of).collect()
}

/// Launches a command that says something, and returns its launcher.
fn launch(containerizer: &Containerizer, dir: &Path) -> ProcessIdentity {
    let container = Container {
        name: "c".to_owned(),
        sandbox: dir.to_owned(),
        ..Container::default()
    };
    let line = "echo out; echo err >&2; exit 3";
    let spec = LaunchSpec::shell(line, BTreeMap::new(), dir.to_owned());
    let launched = containerizer.launch(&container, &spec).unwrap();
    let launcher = launched.identity();
    assert_eq!(launched.wait().unwrap().ended, Ended::Exited { code: 3 });
    let read = |name| fs::read_to_string(dir.join(name)).unwrap();
    assert!(read("stdout").ends_with("out\n"));
    assert!(read("stderr").ends_with("err\n"));
    launcher
}

#[test]
fn a_launch_takes_the_launcher_that_waits_and_the_next_one_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let containerizer = containerizer(dir.path());
    containerizer.get_ready();
    containerizer.get_ready();
    let waiting = children();
    assert_eq!(waiting.len(), 1);
    assert_eq!(launch(&containerizer, dir.path()), waiting[0]);
    assert_eq!(children(), []);
    assert_ne!(launch(&containerizer, dir.path()), waiting[0]);
}

#[test]
fn one_that_was_killed_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let containerizer = containerizer(dir.path());
    containerizer.get_ready();
    let waiting = children()[0];
    let pid = Pid::from_raw(waiting.pid.cast_signed());
    kill(pid, Signal::SIGKILL).unwrap();
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    assert_ne!(launch(&containerizer, dir.path()), waiting);
    assert_eq!(children(), []);
}

#[test]
fn nobody_waits_for_a_containerizer_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let containerizer = containerizer(dir.path());
    containerizer.get_ready();
    let waiting = children()[0];
    assert!(waiting.is_alive());
    drop(containerizer);
    assert!(!waiting.is_alive());
    assert_eq!(children(), []);
}
