//! A master and an agent as processes.

use std::{fs, path::PathBuf, process::Output};

use tempfile::TempDir;
use tepui_isolation::{Containerizer, IsolationConfig, launch::Program};

use crate::node::{Node, tepui};

/// However full the disk of the test's machine is, no image goes.
pub(crate) const KEEP: &str = "image_disk_max = 1.0";

pub(crate) struct Cluster {
    _agent: Node,
    master: Node,
    pub(crate) dir: TempDir,
}

impl Cluster {
    /// None where tasks cannot have images. `fetch` is what the agent's file says of fetching.
    pub(crate) fn start(fetch: &str) -> Option<Self> {
        let (containers, _) = Containerizer::new(IsolationConfig::default(), Program::this())
            .expect("the defaults are never refused");
        if !containers.takes_images() || !super::layout::has_busybox() {
            eprintln!("SKIPPED: needs root and a static /bin/busybox");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let text =
            format!("[agent.options]\nregistration_backoff = 0.05\n[agent.fetch]\n{fetch}\n");
        fs::write(path("config.toml"), text).expect("a writable directory");
        let master = Node::start(tepui(&[
            "master",
            "--port",
            "0",
            "--work-dir",
            &path("master"),
        ]));
        let agent = Node::start(tepui(&[
            "agent",
            "--port",
            "0",
            "--master",
            &master.address,
            "--work-dir",
            &path("agent"),
            "--config",
            &path("config.toml"),
            "--resources",
            "cpus:4;mem:1024;disk:1000",
            "--log",
            "warn",
        ]));
        Some(Self {
            _agent: agent,
            master,
            dir,
        })
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.master.address]);
        command.args(rest).output().expect("it runs")
    }

    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let Output { stdout, stderr, .. } = self.output(arguments);
        String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
    }

    /// What a task in an image writes. `name` is one of its own, so that its output is found.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> String {
        let all = [&["run", "--mem", "64", "--name", name], arguments].concat();
        let told = self.text(&all);
        let task = format!("{name}.run.0.0");
        assert!(
            told.contains("TASK_FINISHED"),
            "{told}{}",
            self.text(&["logs", &task, "stderr"])
        );
        self.text(&["logs", &task])
    }

    /// What is told of a task that does not come to run.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let all = [&["run", "--json", "--mem", "64"], arguments].concat();
        let told = self.text(&all);
        assert!(told.contains("REASON_CONTAINER_LAUNCH_FAILED"), "{told}");
        assert!(!told.contains("TASK_RUNNING"), "{told}");
        told
    }

    /// The directories of a part of the agent's store of images.
    pub(crate) fn stored(&self, part: &str) -> Vec<PathBuf> {
        let dir = self.dir.path().join("agent/images").join(part);
        let entries = fs::read_dir(dir).expect("the store is there").flatten();
        entries.map(|entry| entry.path()).collect()
    }
}
