//! A cluster over TLS as operators set it up: the real binary on the addresses of two machines, which
//! are network namespaces made by each test. Making them needs root; where that is missing it is
//! said on one line, and in CI it is an error.

#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::signal::Signal;
use node::{Node, assert_failed, text};
use serde_json::Value;
use tempfile::TempDir;

/// The addresses of the two machines.
const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

/// Two machines with a wire between them.
struct Machines([String; 2]);

impl Machines {
    fn make() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("tepui-{}-{n}{side}", std::process::id());
        let machines = Self([name("a"), name("b")]);
        let [a, b] = &machines.0;
        let made = ip(&["netns", "add", a]).and_then(|()| ip(&["netns", "add", b]));
        if let Err(problem) = made {
            assert!(
                std::env::var_os("CI").is_none(),
                "network namespaces: {problem}"
            );
            eprintln!("NOT TESTED: TLS between machines: no network namespaces ({problem})");
            return None;
        }
        let wire = [
            "link", "add", "wire", "netns", a, "type", "veth", "peer", "wire", "netns", b,
        ];
        ip(&wire).expect("a wire");
        for (machine, address) in [(a, HERE), (b, THERE)] {
            let address = format!("{address}/24");
            ip(&["-n", machine, "addr", "add", &address, "dev", "wire"]).expect("an address");
            for device in ["wire", "lo"] {
                ip(&["-n", machine, "link", "set", device, "up"]).expect("a device");
            }
        }
        Some(machines)
    }

    /// `tepui` on the machine with that address.
    fn on(&self, address: &str, arguments: &[&str]) -> Command {
        let machine = usize::from(address == THERE);
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.0[machine],
            env!("CARGO_BIN_EXE_tepui"),
        ]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in &self.0 {
            let _ = ip(&["netns", "del", machine]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(text(&output.stderr).trim().to_owned()),
    }
}

/// Authorities and certificates, as `tepui certs` makes them.
struct Certs(TempDir);

impl Certs {
    fn make() -> Self {
        let certs = Self(tempfile::tempdir().expect("a directory"));
        certs.run(&["init"]);
        certs
    }

    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
        let dir = self.0.path().to_str().expect("a plain path");
        let (what, rest) = arguments.split_first().expect("a command");
        command.args(["certs", what, "--dir", dir]).args(rest);
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// The flags of whoever has the certificate `name`, issued for `hosts`.
    fn issue(&self, name: &str, hosts: &[&str]) -> Vec<String> {
        let mut arguments = vec!["issue", name, "--replace"];
        for host in hosts {
            arguments.extend(["--host", host]);
        }
        self.run(&arguments);
        let file = |file: &str| self.0.path().join(file).display().to_string();
        [
            ("--tls-ca", file("ca.pem")),
            ("--tls-cert", file(&format!("{name}.pem"))),
            ("--tls-key", file(&format!("{name}.key"))),
        ]
        .into_iter()
        .flat_map(|(flag, file)| [flag.to_owned(), file])
        .collect()
    }
}

/// A node that is up, and what it logs.
struct Running {
    node: Node,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let mut node = Node::start(command);
        let stderr = node.process.child.stderr.take().expect("a pipe");
        Self {
            node,
            stderr: BufReader::new(stderr),
        }
    }

    /// Waits for a line of its log that has all `parts`.
    fn logs(&mut self, parts: &[&str]) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stderr.read_line(&mut line).expect("readable");
            assert_ne!(read, 0, "it ended without {parts:?}");
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }
}

/// Everything a test of a cluster needs.
struct Cluster {
    machines: Machines,
    certs: Certs,
    dir: TempDir,
    master: Running,
}

fn with<'a>(arguments: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    let more = more.iter().map(String::as_str);
    let at = arguments
        .iter()
        .position(|a| *a == "--")
        .unwrap_or(arguments.len());
    let (before, after) = arguments.split_at(at);
    before
        .iter()
        .copied()
        .chain(more)
        .chain(after.iter().copied())
        .collect()
}

impl Cluster {
    /// A master on one machine.
    fn start() -> Option<Self> {
        let machines = Machines::make()?;
        let certs = Certs::make();
        let dir = tempfile::tempdir().expect("a directory");
        let identity = certs.issue("master", &[HERE]);
        let work_dir = dir.path().join("master").display().to_string();
        let arguments = ["master", "--host", HERE, "--work-dir", &work_dir];
        let master = Running::start(machines.on(HERE, &with(&arguments, &identity)));
        assert_eq!(master.node.address, "10.77.0.1:5050");
        Some(Self {
            machines,
            certs,
            dir,
            master,
        })
    }

    fn agent_dir(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    /// An agent on the other machine.
    fn agent(&self, identity: &[String]) -> Running {
        let work_dir = self.agent_dir().display().to_string();
        let arguments = [
            "agent",
            "--host",
            THERE,
            "--port",
            "0",
            "--master",
            &self.master.node.address,
            "--resources",
            "cpus:2;mem:512",
            "--work-dir",
            &work_dir,
        ];
        Running::start(self.machines.on(THERE, &with(&arguments, identity)))
    }

    /// A command on the machine with that address.
    fn command(&self, address: &str, arguments: &[&str], identity: &[String]) -> Command {
        let (command, rest) = arguments.split_first().expect("a command");
        let arguments = [&[*command, "--master", &self.master.node.address][..], rest].concat();
        self.machines.on(address, &with(&arguments, identity))
    }

    fn output(&self, address: &str, arguments: &[&str], identity: &[String]) -> Output {
        let output = self.command(address, arguments, identity).output();
        output.expect("the binary runs")
    }

    fn told(&self, address: &str, arguments: &[&str], identity: &[String]) -> String {
        let output = self.output(address, arguments, identity);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn agents(&self, identity: &[String]) -> usize {
        let agents = self.told(HERE, &["agents", "--json"], identity);
        let agents: Value = serde_json::from_str(&agents).expect("JSON");
        agents.as_array().expect("a list").len()
    }
}

#[test]
fn a_task_runs_on_a_cluster_over_tls() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let agent = cluster.agent(&cluster.certs.issue("agent-1", &[THERE]));
    assert!(agent.node.address.starts_with(THERE));
    // Someone with a name and no address, on either machine.
    let alice = cluster.certs.issue("alice", &[]);
    let job = [
        "run",
        "--name",
        "hello",
        "--",
        "echo hello; env; cat /proc/$PPID/cmdline",
    ];
    let told = cluster.told(HERE, &job, &alice);
    assert!(told.ends_with("1 of 1 tasks finished\n"), "{told}");
    for address in [HERE, THERE] {
        let out = cluster.told(address, &["logs", "hello.run.0.0"], &alice);
        assert!(out.starts_with("hello\n"), "{out}");
        assert!(
            out.contains("TEPUI_MASTER=10.77.0.1:5050") || out.contains("TEPUI_MASTER=master@")
        );
        for secret in ["TEPUI_AGENT_SECRET", "TEPUI_TLS", ".key"] {
            assert!(!out.contains(secret), "a task must not see {secret}: {out}");
        }
    }
    assert_eq!(cluster.agents(&alice), 1);
    let actors = |identity: &[String]| {
        let arguments = ["actors", "--node", "10.77.0.1:5050"];
        let command = cluster
            .machines
            .on(THERE, &with(&arguments, identity))
            .output();
        command.expect("the binary runs")
    };
    let shown = actors(&alice);
    assert!(
        text(&shown.stdout).contains("master"),
        "{}",
        text(&shown.stderr)
    );
    assert_failed(&actors(&[]), 1, &["10.77.0.1:5050"]);
    agent.node.ends_well(Signal::SIGINT);
}

/// Executors outlive their agent, and find its next life through the door.
#[test]
fn tasks_survive_a_restart_of_an_agent_with_tls() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let identity = cluster.certs.issue("agent-1", &[THERE]);
    let alice = cluster.certs.issue("alice", &[]);
    let agent = cluster.agent(&identity);
    let endless = ["run", "--name", "endless", "--", "exec sleep 1000"];
    let mut job = cluster.command(HERE, &endless, &alice);
    let mut job = job.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut news = BufReader::new(job.stdout.take().expect("a pipe"));
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(
                news.read_line(&mut line).expect("readable"),
                0,
                "no {wanted}"
            );
        }
    };
    until("TASK_RUNNING");
    agent.node.ends_well(Signal::SIGTERM);
    let door = fs::read_to_string(cluster.agent_dir().join("door")).expect("a door");
    assert!(door.starts_with("door.localhost:"), "{door}");
    // Another certificate, as after a renewal.
    let agent = cluster.agent(&cluster.certs.issue("agent-1", &[THERE]));
    cluster.told(HERE, &["kill", "endless.run.0.0"], &alice);
    until("TASK_KILLED");
    assert_eq!(job.wait().expect("our child").code(), Some(1));
    agent.node.ends_well(Signal::SIGINT);
}

#[test]
fn an_agent_of_another_authority_is_refused() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let alice = cluster.certs.issue("alice", &[]);
    let others = Certs::make();
    let mut agent = cluster.agent(&others.issue("agent-1", &[THERE]));
    let another = "has a certificate of another authority than this node trusts";
    agent.logs(&["peer 10.77.0.1:5050", another]);
    cluster
        .master
        .logs(&["peer 10.77.0.2 ", "does not trust the authority"]);
    assert_eq!(cluster.agents(&alice), 0);
    // One that trusts ours, but is not of it.
    let ours = cluster.certs.issue("agent-1", &[THERE]);
    let mut mixed = others.issue("agent-2", &[THERE]);
    mixed[..2].clone_from_slice(&ours[..2]);
    agent.node.ends_well(Signal::SIGTERM);
    let mut agent = cluster.agent(&mixed);
    agent.logs(&[
        "peer 10.77.0.1:5050",
        "does not trust the authority of this node's",
    ]);
    cluster.master.logs(&["peer 10.77.0.2 ", another]);
    assert_eq!(cluster.agents(&alice), 0);
}

#[test]
fn who_asks_without_or_with_a_wrong_certificate_is_told() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let plain = cluster.output(THERE, &["agents"], &[]);
    let speaks = "the master at 10.77.0.1:5050 speaks TLS, and this node does not; start this node \
                  with --tls-ca";
    assert_failed(&plain, 1, &[speaks]);
    let others = Certs::make().issue("alice", &[]);
    let wrong = cluster.output(THERE, &["run", "--", "true"], &others);
    // The files are gone with their directory.
    assert_failed(&wrong, 2, &["ca.pem cannot be read"]);
    let others = Certs::make();
    let wrong = cluster.output(THERE, &["run", "--", "true"], &others.issue("alice", &[]));
    assert_failed(
        &wrong,
        1,
        &["10.77.0.1:5050 has a certificate of another authority"],
    );
    let bob = cluster.certs.issue("bob", &[]);
    let part = cluster.output(THERE, &["agents"], &bob[..4]);
    assert_failed(&part, 2, &["--tls-key missing"]);
    assert!(cluster.output(THERE, &["agents"], &bob).status.success());
    // By a host that is not in the master's certificate.
    let by_name = ["agents", "--master", "127.0.0.1:5050"];
    let by_name = cluster.machines.on(HERE, &with(&by_name, &bob)).output();
    let told = by_name.expect("the binary runs");
    assert_failed(
        &told,
        1,
        &["no master at 127.0.0.1:5050: connection refused"],
    );
}

#[test]
fn a_listener_for_others_needs_certificates_or_a_word() {
    let dir = tempfile::tempdir().expect("a directory");
    let work_dir = dir.path().display().to_string();
    let plain = |name: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
            command.env_remove(name);
        }
        command.args([
            name,
            "--host",
            "10.77.0.9",
            "--port",
            "0",
            "--work-dir",
            &work_dir,
        ]);
        command.args(more).output().expect("the binary runs")
    };
    for node in ["master", "agent"] {
        let parts = [
            "10.77.0.9:0 without TLS",
            "tepui certs init",
            "--tls-cert",
            "--insecure",
        ];
        assert_failed(&plain(node, &[]), 2, &parts);
    }
    let certs = Certs::make();
    let identity = certs.issue("master", &["10.77.0.1"]);
    let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
    let parts = [
        "certificate is for master, 10.77.0.1, not for 10.77.0.9",
        "--host 10.77.0.9",
    ];
    assert_failed(&plain("master", &identity), 2, &parts);
    // With the word it gets as far as the address, which this machine does not have.
    assert_failed(
        &plain("master", &["--insecure"]),
        1,
        &["choose an address of this machine"],
    );
}

#[test]
fn an_insecure_cluster_is_asked_without_more_ado() {
    let Some(machines) = Machines::make() else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("m.toml");
    fs::write(&file, "[master]\ninsecure = true\nhost = \"10.77.0.1\"\n").expect("a file");
    let path = |path: &Path| path.display().to_string();
    let (file, work_dir) = (path(&file), path(dir.path()));
    let arguments = [
        "master",
        "--config",
        &file,
        "--port",
        "0",
        "--work-dir",
        &work_dir,
    ];
    let master = Running::start(machines.on(HERE, &arguments));
    let agents = machines
        .on(THERE, &["agents", "--master", &master.node.address])
        .output();
    assert_eq!(
        text(&agents.expect("the binary runs").stdout),
        "no agents\n"
    );
}
