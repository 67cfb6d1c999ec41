//! GPUs in containers: which device nodes a task can open, and what a CDI specification adds. Device
//! nodes of other drivers (tun, fuse) stand in for GPUs, as any will do that tasks may not open.
//!
//! Tests that need root, control groups of version 1 or these drivers say so and pass where they are
//! absent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use tepui_isolation::{
    Container, Containerizer, IsolationConfig, LaunchSpec, Launched,
    gpu::Device,
    launch::Program,
    process::{chain, family::await_patiently},
};
use tepui_protocol::GpuShare;

/// Names and numbers of the stand-ins, both of the driver "misc".
const NODES: [(&str, &str); 2] = [("a", "200"), ("b", "229")];

/// A machine with two GPUs.
struct Room {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
}

impl Room {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let specified = NODES.map(|(name, minor)| {
            let node = dir.path().join(name);
            make_node(&node, minor).then(|| specified(name, &node))
        });
        let [Some(a), Some(b)] = specified else {
            eprintln!("SKIPPED: the devices tun and fuse cannot be made or opened here");
            return None;
        };
        fs::write(
            dir.path().join("gpus.json"),
            specification(&[a, b], dir.path()),
        )
        .unwrap();
        fs::write(dir.path().join("extra"), "of the driver").unwrap();
        let config = IsolationConfig {
            work_dir: dir.path().join("work"),
            gpus: NODES.map(|(name, _)| device(name)).to_vec(),
            cdi_dirs: vec![dir.path().to_owned()],
            ..IsolationConfig::default()
        };
        let launcher = Program {
            path: env!("CARGO_BIN_EXE_tepui-launch").into(),
            arguments: Vec::new(),
        };
        let (containerizer, off) = Containerizer::new(config, launcher).unwrap();
        if let Some(off) = off.first() {
            eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
            return None;
        }
        Some(Self { dir, containerizer })
    }

    fn container(&self, gpus: &[&str]) -> Container {
        let share = |name: &&str| GpuShare {
            uuid: format!("GPU-{name}"),
            milli: 1000,
        };
        let sandbox = self.dir.path().join("work/sandboxes/c");
        fs::create_dir_all(&sandbox).unwrap();
        Container {
            name: "c".to_owned(),
            sandbox,
            milli_cpus: 500,
            gpus: gpus.iter().map(share).collect(),
            ..Container::default()
        }
    }

    fn launch(&self, container: &Container, line: &str) -> Launched {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let spec = LaunchSpec::shell(line, environment, container.sandbox.clone());
        let launched = self.containerizer.launch(container, &spec);
        launched.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    fn stdout(container: &Container) -> String {
        fs::read_to_string(container.sandbox.join("stdout")).unwrap()
    }

    /// What a line writes that runs with these GPUs.
    fn output(&self, gpus: &[&str], line: &str) -> String {
        let container = self.container(gpus);
        // Output is appended.
        let _ = fs::remove_file(container.sandbox.join("stdout"));
        self.launch(&container, line).wait().unwrap();
        self.containerizer.destroy("c").unwrap();
        Self::stdout(&container)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Whatever a failed test left.
        let _ = self.containerizer.destroy("c");
    }
}

/// Makes a node that everybody may open, and tells whether it can be opened.
fn make_node(path: &Path, minor: &str) -> bool {
    let made = Command::new("mknod")
        .arg("-m666")
        .arg(path)
        .args(["c", "10", minor])
        .status();
    made.is_ok_and(|status| status.success())
        && fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .is_ok()
}

fn device(name: &str) -> Device {
    Device {
        uuid: format!("GPU-{name}"),
        index: name.to_owned(),
        model: "stand-in".to_owned(),
        memory_mib: 1,
        node: None,
    }
}

fn specified(name: &str, node: &Path) -> String {
    let node = node.display();
    format!(
        r#"{{"name": "GPU-{name}", "containerEdits":
            {{"deviceNodes": [{{"path": "/dev/gpu-{name}", "hostPath": "{node}"}}]}}}}"#
    )
}

fn specification(devices: &[String], dir: &Path) -> String {
    format!(
        r#"{{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{}],
            "containerEdits": {{"env": ["FROM_CDI=yes"], "mounts":
            [{{"hostPath": "{}/extra", "containerPath": "/run/gpu/extra", "options": ["ro"]}}]}}}}"#,
        devices.join(", "),
        dir.display()
    )
}

/// Tries to open both.
const TRY: &str = "for gpu in a b; do (: <>/dev/gpu-$gpu) 2>>stderr && echo opened $gpu; done; ";

#[test]
fn a_task_opens_its_gpus_and_no_others() {
    let Some(room) = Room::new() else { return };
    let line = format!("{TRY} ls /dev | grep gpu");
    assert_eq!(room.output(&["a"], &line), "opened a\ngpu-a\n");
    assert_eq!(room.output(&["b"], &line), "opened b\ngpu-b\n");
    assert_eq!(
        room.output(&["a", "b"], &line),
        "opened a\nopened b\ngpu-a\ngpu-b\n"
    );
    assert_eq!(room.output(&[], &line), "");
}

#[test]
fn a_specification_adds_variables_and_files() {
    let Some(room) = Room::new() else { return };
    let line = "echo $FROM_CDI; cat /run/gpu/extra; echo x >/run/gpu/extra || echo sealed";
    assert_eq!(room.output(&["a"], line), "yes\nof the driversealed\n");
    assert_eq!(room.output(&[], "echo $FROM_CDI; ls /run"), "\n");
}

#[test]
fn an_executor_that_gets_another_gpu_can_open_it_from_then_on() {
    let Some(room) = Room::new() else { return };
    let container = Container {
        grows: true,
        ..room.container(&["a"])
    };
    let line = format!("{TRY} echo tried; until (: <>/dev/gpu-b) 2>>stderr; do :; done; {TRY}");
    let launched = room.launch(&container, &line);
    let has_tried = || Room::stdout(&container) == "opened a\ntried\n";
    assert!(await_patiently(has_tried), "{}", Room::stdout(&container));
    let mut grown = room.container(&["b"]);
    grown.grows = true;
    room.containerizer.update(&grown).unwrap();
    launched.wait().unwrap();
    room.containerizer.destroy("c").unwrap();
    // What it has no more, it cannot open any more.
    assert_eq!(Room::stdout(&container), "opened a\ntried\nopened b\n");
}

#[test]
fn a_gpu_whose_node_is_gone_fails_the_launch_with_its_name() {
    let Some(room) = Room::new() else { return };
    fs::remove_file(room.dir.path().join("a")).unwrap();
    let container = room.container(&["a"]);
    let spec = LaunchSpec::shell("true", BTreeMap::new(), container.sandbox.clone());
    let error = room.containerizer.launch(&container, &spec).unwrap_err();
    let text = chain(&error);
    assert!(text.contains("/a of GPU-a is no device node"), "{text}");
}
