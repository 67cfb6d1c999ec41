//! GPUs as a user of the cluster meets them, with a stand-in for the driver's library and, in place of
//! the devices, one that everybody may open. What containers may open is tested in `isolation/tests`.

#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use node::{Guard, Node, tepui, text};
use tempfile::TempDir;
use tepui_isolation::process::family::await_patiently;

/// A master, and where agents with two GPUs are made.
struct Cluster {
    agent: Option<Node>,
    master: Node,
    dir: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/isolation/tests/stub_nvml.c");
        let compiled = Command::new("cc")
            .args(["-w", "-shared", "-fPIC", "-o"])
            .arg(dir.path().join("libnvidia-ml.so.1"))
            .arg(source)
            .status();
        assert!(compiled.expect("a C compiler").success());
        let gpu = |n| {
            format!(
                r#"{{"name":"{n}","containerEdits":{{"deviceNodes":
                [{{"path":"/dev/gpu{n}","hostPath":"/dev/full"}}]}}}}"#
            )
        };
        let specification = format!(
            r#"{{"kind":"nvidia.com/gpu","devices":[{},{}]}}"#,
            gpu(0),
            gpu(1)
        );
        fs::write(dir.path().join("cdi.json"), specification).expect("a writable directory");
        let settings = format!(
            "[agent.isolation]\nisolators = [\"gpu/nvidia\"]\ncdi_dirs = [{:?}]\n[agent.options]\n\
             registration_backoff = 0.05\n",
            dir.path()
        );
        fs::write(dir.path().join("config.toml"), settings).expect("a writable directory");
        let work_dir = dir.path().join("master").display().to_string();
        let master = tepui(&["master", "--port", "0", "--work-dir", &work_dir]);
        let master = Node::start(master);
        Self {
            agent: None,
            master,
            dir,
        }
    }

    fn agent(&mut self, flags: &[&str], driver: &str) -> &Node {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let mut command = tepui(&["agent", "--port", "0", "--master", &self.master.address]);
        command.args(["--work-dir", &at("agent"), "--config", &at("config.toml")]);
        command
            .args(flags)
            .env("LD_LIBRARY_PATH", self.dir.path())
            .env("NVML_STUB", driver);
        let log = fs::File::create(self.dir.path().join("agent.log"));
        command.stderr(log.expect("a writable directory"));
        let agent = Node::start(command);
        let waited = await_patiently(|| self.text(&["agents"]).contains(" active "));
        assert!(waited, "{}", self.text(&["agents"]));
        self.agent.insert(agent)
    }

    fn agent_said(&self) -> String {
        fs::read_to_string(self.dir.path().join("agent.log")).expect("a log")
    }

    fn text(&self, arguments: &[&str]) -> String {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.master.address]);
        let output = command.args(rest).output().expect("it runs");
        text(&output.stdout) + &text(&output.stderr)
    }

    /// Starts a job whose tasks tell their GPUs and wait.
    fn job(&self, name: &str, gpus: &str, instances: &str) -> Guard {
        let mut command = tepui(&["run", "--master", &self.master.address, "--name", name]);
        command.args(["--instances", instances, "--cpus", "0.1", "--mem", "32"]);
        if !gpus.is_empty() {
            command.args(["--gpus", gpus]);
        }
        command.args([
            "--",
            "echo gpu $NVIDIA_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES; exec sleep 1000",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Guard::new(command.spawn().expect("it starts"), Signal::SIGTERM)
    }

    /// What a task has said, once it has.
    fn told(&self, task: &str) -> String {
        let mut told = String::new();
        let has_told = await_patiently(|| {
            told = self.text(&["logs", task, "stdout"]);
            told.starts_with("gpu ")
        });
        assert!(has_told, "{task}: {told}");
        told.trim().to_owned()
    }
}

#[test]
fn tasks_get_gpus_of_their_own_and_keep_them_over_a_restart_of_the_agent() {
    let mut cluster = Cluster::start();
    cluster.agent(&["--resources", "cpus:4;mem:1024"], "whole");
    let agents = cluster.text(&["agents", "--json"]);
    assert!(
        agents.contains("\"gpu_model\": \"Stub 0, Stub 1\""),
        "{agents}"
    );
    assert!(agents.contains("\"gpu_memory\": \"81559\""), "{agents}");
    let first = cluster.job("first", "1", "1");
    assert_eq!(cluster.told("first.run.0.0"), "gpu GPU-0 GPU-0");
    let used = cluster.text(&["stats", "--json", "first.run.0.0"]);
    let used: serde_json::Value = serde_json::from_str(&used).expect("JSON");
    assert_eq!(used[0]["usage"]["gpu_milli"], 420, "{used}");
    assert_eq!(used[0]["gpus"][0]["uuid"], "GPU-0", "{used}");
    let parts = cluster.job("parts", "0.5", "2");
    for task in ["parts.run.0.0", "parts.run.1.0"] {
        assert_eq!(cluster.told(task), "gpu GPU-1 GPU-1");
    }
    drop(parts);
    cluster
        .agent
        .as_mut()
        .expect("an agent")
        .process
        .kill(Signal::SIGKILL);
    cluster.agent(&["--resources", "cpus:4;mem:1024"], "whole");
    let second = cluster.job("second", "1", "1");
    assert_eq!(cluster.told("second.run.0.0"), "gpu GPU-1 GPU-1");
    let none = cluster.job("none", "", "1");
    assert_eq!(cluster.told("none.run.0.0"), "gpu void");
    drop([first, second, none]);
}

#[test]
fn an_agent_says_why_it_offers_no_gpus_only_where_they_are_asked_for() {
    let mut cluster = Cluster::start();
    cluster.agent(&["--resources", "cpus:1;mem:64;gpus:2"], "no-driver");
    let expected =
        "gpus:2 are not offered: the NVIDIA driver does not answer; load its kernel module";
    assert!(
        cluster.agent_said().contains(expected),
        "{}",
        cluster.agent_said()
    );
    let agents = cluster.text(&["agents", "--json"]);
    assert!(!agents.contains("gpu"), "{agents}");
    let mut cluster = Cluster::start();
    cluster.agent(&["--resources", "cpus:1;mem:64"], "no-driver");
    assert!(
        !cluster.agent_said().to_lowercase().contains("gpu"),
        "{}",
        cluster.agent_said()
    );
}

#[test]
fn an_agent_whose_gpus_are_gone_does_not_start_and_says_what_the_driver_says() {
    let mut cluster = Cluster::start();
    cluster.agent(&["--resources", "cpus:1;mem:64"], "whole");
    cluster
        .agent
        .as_mut()
        .expect("an agent")
        .process
        .kill(Signal::SIGTERM);
    let at = |name: &str| cluster.dir.path().join(name).display().to_string();
    let output = tepui(&["agent", "--port", "0", "--master", &cluster.master.address])
        .args(["--work-dir", &at("agent"), "--config", &at("config.toml")])
        .args(["--resources", "cpus:1;mem:64"])
        .env("LD_LIBRARY_PATH", cluster.dir.path())
        .env("NVML_STUB", "no-driver")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("gpu"), "{told}");
    assert!(told.contains("the NVIDIA driver does not answer"), "{told}");
}

#[test]
fn a_divided_gpu_without_known_nodes_is_left_out_and_told() {
    let mut cluster = Cluster::start();
    cluster.agent(&["--resources", "cpus:1;mem:64"], "");
    let expected = "GPU 1:0 (MIG-1-0): its device nodes are not known";
    assert!(
        cluster.agent_said().contains(expected),
        "{}",
        cluster.agent_said()
    );
    let agents = cluster.text(&["agents", "--json"]);
    assert!(agents.contains("\"gpu_model\": \"Stub 0\""), "{agents}");
    let named = tepui(&["agent", "--gpu-devices", "7"])
        .env("LD_LIBRARY_PATH", cluster.dir.path())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&named.stderr);
    assert!(
        told.contains("--gpu-devices 7: no such GPU here; there are 0 (GPU-0)"),
        "{told}"
    );
}
