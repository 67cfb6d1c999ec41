//! GPUs as a user of the cluster meets them, with a stand-in for the driver's library and, in place of
//! the devices, one that everybody may open. What containers may open is tested in `isolation/tests`.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tepui_isolation::process::family::await_end;

fn tepui(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A process of the cluster that has said where it listens.
struct Node {
    child: Child,
    address: String,
    stderr: PathBuf,
}

impl Node {
    fn start(mut command: Command, stderr: PathBuf) -> Self {
        let log = fs::File::create(&stderr).expect("a writable directory");
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.expect("it starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        Self {
            child,
            address,
            stderr,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.stderr).expect("a log")
    }

    fn kill(&mut self, signal: Signal) {
        if let Ok(None) = self.child.try_wait() {
            kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it runs");
            self.child.wait().expect("our child");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Agents end their tasks on SIGINT.
        self.kill(Signal::SIGINT);
    }
}

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
        let master = Node::start(master, dir.path().join("master.log"));
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
        let agent = Node::start(command, self.dir.path().join("agent.log"));
        let waited =
            (0..5).any(|_| await_end(|| self.text(&["agents"]).contains(" active ")).is_ok());
        assert!(waited, "{}", self.text(&["agents"]));
        self.agent.insert(agent)
    }

    fn text(&self, arguments: &[&str]) -> String {
        let (first, rest) = arguments.split_first().expect("a command");
        let mut command = tepui(&[first, "--master", &self.master.address]);
        let output = command.args(rest).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// Starts a job whose tasks tell their GPUs and wait.
    fn job(&self, name: &str, gpus: &str, instances: &str) -> Job {
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
        Job(command.spawn().expect("it starts"))
    }

    /// What a task has said, once it has.
    fn told(&self, task: &str) -> String {
        let mut told = String::new();
        let has_told = (0..10).any(|_| {
            await_end(|| {
                told = self.text(&["logs", task, "stdout"]);
                told.starts_with("gpu ")
            })
            .is_ok()
        });
        assert!(has_told, "{task}: {told}");
        told.trim().to_owned()
    }
}

/// A job that ends with its tasks when it is dropped, also by a test that fails.
struct Job(Child);

impl Drop for Job {
    fn drop(&mut self) {
        // That it has ended is fine.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
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
    let agent = cluster.agent(&["--resources", "cpus:1;mem:64;gpus:2"], "no-driver");
    let expected =
        "gpus:2 are not offered: the NVIDIA driver does not answer; load its kernel module";
    assert!(agent.said().contains(expected), "{}", agent.said());
    let agents = cluster.text(&["agents", "--json"]);
    assert!(!agents.contains("gpu"), "{agents}");
    let mut cluster = Cluster::start();
    let agent = cluster.agent(&["--resources", "cpus:1;mem:64"], "no-driver");
    assert!(
        !agent.said().to_lowercase().contains("gpu"),
        "{}",
        agent.said()
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
    let agent = cluster.agent(&["--resources", "cpus:1;mem:64"], "");
    let expected = "GPU 1:0 (MIG-1-0): its device nodes are not known";
    assert!(agent.said().contains(expected), "{}", agent.said());
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
