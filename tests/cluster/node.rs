//! Commands of the binary under test, and the nodes that it starts: real processes on ports that the
//! system chooses.

#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A command that nothing of the caller's environment configures.
pub(crate) fn tepui(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command failed with this code and one line on stderr that has all `parts`.
pub(crate) fn assert_failed(output: &Output, code: i32, parts: &[&str]) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    let lines: Vec<&str> = told.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(!told.contains("panicked"), "{told}");
    for part in parts {
        assert!(lines[0].contains(part), "without {part:?}: {told}");
    }
}

/// A child that is told to end when the guard is dropped, also by a test that fails.
pub(crate) struct Guard {
    pub(crate) child: Child,
    end: Signal,
}

impl Guard {
    /// Ends with `end`: agents end their tasks on SIGINT, jobs on SIGTERM.
    pub(crate) fn new(child: Child, end: Signal) -> Self {
        Self { child, end }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the process is there");
    }

    /// Ends it, if it has not ended, and waits until it has.
    pub(crate) fn kill(&mut self, signal: Signal) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(signal);
            self.child.wait().expect("our child");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill(self.end);
    }
}

/// A node that has said where it listens.
pub(crate) struct Node {
    pub(crate) process: Guard,
    pub(crate) address: String,
    /// Kept, so that the process can go on writing.
    _stdout: BufReader<ChildStdout>,
}

impl Node {
    /// What is done with its stderr is the command's.
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        if !line.contains("listening on") {
            let output = child.wait_with_output().expect("our child");
            panic!("{command:?} said {line:?}: {}", text(&output.stderr));
        }
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        Self {
            process: Guard::new(child, Signal::SIGINT),
            address: address.to_owned(),
            _stdout: stdout,
        }
    }

    pub(crate) fn ends_well(mut self, signal: Signal) {
        self.process.signal(signal);
        let status = self.process.child.wait().expect("our child");
        assert!(status.success(), "{status}");
    }
}
