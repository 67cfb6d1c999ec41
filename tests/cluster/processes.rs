//! A cluster of real processes of `tepui`, which can be killed and started again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;
use tepui_framework::parse_master;
use tepui_isolation::process::family;
use tepui_runtime::{Node, NodeAddr};

use super::poll::Client;

/// The variable by which everything that a cluster has started is found.
const MARK: &str = "CLUSTER_OF_TEST";
/// Shorter times than an operator would choose.
const CONFIG: &str = "\
[master.options]
allocation_interval = 0.2

[agent.options]
registration_backoff = 0.1
registration_backoff_max = 1.0
update_retry_min = 1.0
";

/// A running cluster; what is left of it is killed when it is dropped.
pub struct Processes {
    /// Where all of it is kept.
    pub dir: TempDir,
    mark: String,
    arguments: BTreeMap<String, Vec<String>>,
    running: BTreeMap<String, Child>,
    /// Asks the master.
    pub client: Client,
}

impl Processes {
    /// A master and one agent for each of `machines`.
    pub async fn start(machines: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("tepui.toml"), CONFIG).expect("a writable directory");
        let loopback = NodeAddr::new("127.0.0.1", 0);
        let node = Node::builder(loopback)
            .workers(1)
            .start()
            .await
            .expect("a free port");
        let mark = node.uuid().to_string();
        let nowhere = parse_master("127.0.0.1:1").expect("an address");
        let client = Client {
            node,
            master: nowhere,
        };
        let (arguments, running) = (BTreeMap::new(), BTreeMap::new());
        let mut this = Self {
            dir,
            mark,
            arguments,
            running,
            client,
        };
        let address = this.start_node("master", &[]);
        this.client.master = parse_master(&address).expect("an address");
        for (at, resources) in machines.iter().enumerate() {
            let hostname = format!("agent-{}", at + 1);
            let more = [
                "--master",
                &address,
                "--resources",
                resources,
                "--hostname",
                &hostname,
            ];
            this.start_node(&hostname, &more);
        }
        this
    }

    /// Starts `tepui master` or `tepui agent`, and returns where it listens.
    fn start_node(&mut self, name: &str, more: &[&str]) -> String {
        let command = name.split('-').next().expect("a name");
        let work_dir = self.path(name).display().to_string();
        let config = self.path("tepui.toml").display().to_string();
        let own = [
            command,
            "--port",
            "0",
            "--work-dir",
            &work_dir,
            "--config",
            &config,
        ];
        let arguments = own
            .iter()
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect();
        self.arguments.insert(name.to_owned(), arguments);
        self.launch_node(name)
    }

    /// Starts a node again that was killed, with the same arguments; it has the same address.
    pub fn restart_node(&mut self, name: &str) {
        self.launch_node(name);
    }

    fn launch_node(&mut self, name: &str) -> String {
        let mut child = self.launch(name, Stdio::piped());
        let output = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        self.running.insert(name.to_owned(), child);
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(
            line.contains("listening on"),
            "{name} said {line:?}: {}",
            self.log(name)
        );
        address
    }

    /// Runs a job to its end; [`Processes::restart_job`] takes it up again.
    pub fn start_job(&mut self, name: &str, job: &str) {
        let file = self.path("job.toml");
        fs::write(&file, job).expect("a writable directory");
        let (file, state) = (
            file.display().to_string(),
            self.path(name).display().to_string(),
        );
        let master = self.client.master.node().to_string();
        let arguments = [
            "run",
            "--job",
            &file,
            "--state-dir",
            &state,
            "--master",
            &master,
        ];
        self.arguments
            .insert(name.to_owned(), arguments.map(str::to_owned).to_vec());
        self.restart_job(name);
    }

    /// Starts a job's process again.
    pub fn restart_job(&mut self, name: &str) {
        let output = File::create(self.path(&format!("{name}.out"))).expect("a writable directory");
        let child = self.launch(name, output.into());
        self.running.insert(name.to_owned(), child);
    }

    fn launch(&self, name: &str, output: Stdio) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
        command
            .args(&self.arguments[name])
            .env(MARK, &self.mark)
            // Tasks of these tests write beside their sandboxes, to tell what they do.
            .env("TEPUI_ISOLATION", "none")
            .stdin(Stdio::null());
        command
            .stdout(output)
            .stderr(log.expect("a writable directory"));
        command.spawn().expect("tepui starts")
    }

    /// Kills a process as `kill -9` does.
    pub fn kill(&mut self, name: &str) {
        let mut child = self.running.remove(name).expect("a running process");
        child.kill().expect("it runs");
        child.wait().expect("it is ours");
    }

    /// How a process has ended, if it has.
    pub fn ended(&mut self, name: &str) -> Option<ExitStatus> {
        self.running
            .get_mut(name)
            .expect("a started process")
            .try_wait()
            .expect("it is ours")
    }

    /// The numbers of all processes of the cluster, down to the tasks.
    pub fn everything(&self) -> Vec<i32> {
        with_variables(&[(MARK, &self.mark)])
    }

    /// The numbers of the processes of a task; other clusters may have a task of that name, too.
    pub fn of_task(&self, task: &str) -> Vec<i32> {
        with_variables(&[(MARK, &self.mark), ("TEPUI_TASK_ID", task)])
    }

    /// A file of the cluster.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a process wrote to its standard error.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // One that has ended is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Err(error) = family::kill_marked(MARK, &self.mark) {
            eprintln!("processes of a test are left: {error}");
        }
    }
}

/// The processes of this machine that have all of these variables in their environment.
fn with_variables(wanted: &[(&str, &str)]) -> Vec<i32> {
    let wanted: Vec<String> = wanted
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let entries = fs::read_dir("/proc")
        .expect("a Linux machine")
        .filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let file = fs::read(Path::new("/proc").join(pid.to_string()).join("environ"));
        let file = file.unwrap_or_default();
        let all: Vec<&[u8]> = file.split(|byte| *byte == 0).collect();
        wanted
            .iter()
            .all(|variable| all.contains(&variable.as_bytes()))
    };
    numbers.filter(has).collect()
}
