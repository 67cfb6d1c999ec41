//! Nodes as processes of their own, for benches.
#![allow(dead_code)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::{Signal, kill};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tepui");

/// A node in a process of its own, ended with this value.
pub(crate) struct Process(Child);

impl Process {
    /// Kills it, as a machine's failure would: its tasks run on.
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("our child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        // SIGINT: an agent ends its tasks, too. A process that has ended needs no signal.
        let _ = kill(pid, Signal::SIGINT);
        let _ = self.0.wait();
    }
}

/// Starts `tepui <arguments>`, and waits for the address that it prints.
pub(crate) fn start(arguments: &[&str]) -> (Process, String) {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .args(["--port", "0"])
        .env("TEPUI_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let addr = line
        .trim()
        .rsplit(' ')
        .next()
        .expect("an address")
        .to_owned();
    (Process(child), addr)
}

pub(crate) fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}
