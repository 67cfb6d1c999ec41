//! Private networks for real: what a container reaches of others and of the machine, who reaches it,
//! and that nothing is left of it.
//!
//! Each test is a machine of its own as far as the network is concerned: its thread leaves the
//! machine's, and what it starts comes along. Tests that need root or `nft` say so and pass without.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns, unshare};
use tepui_isolation::{
    Container, Containerizer, Ended, IsolationConfig, LaunchSpec, Launched, PrivateNetwork,
    launch::{Namespace, Program},
    process::chain,
};
use tepui_protocol::PortMapping;

const SLEEP: &str = "exec sleep 1000";
const NOBODY: u32 = 65534;

/// A machine without any network but loopback, and containers on it.
struct Machine {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
}

fn tool(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

impl Machine {
    fn with(change: impl FnOnce(&mut IsolationConfig)) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = IsolationConfig {
            work_dir: dir.path().to_owned(),
            ..IsolationConfig::default()
        };
        change(&mut config);
        let launcher = Program {
            path: env!("CARGO_BIN_EXE_tepui-launch").into(),
            arguments: Vec::new(),
        };
        let (containerizer, off) = Containerizer::new(config, launcher).unwrap();
        if let Some(off) = off.first() {
            eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(tool("ip link set lo up"), "");
        Some(Self { dir, containerizer })
    }

    fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    fn sandbox(&self, name: &str) -> PathBuf {
        self.dir.path().join("sandboxes").join(name)
    }

    /// Starts a line in a network of its own.
    fn try_start(
        &self,
        name: &str,
        network: PrivateNetwork,
        line: &str,
    ) -> Result<Task<'_>, String> {
        let sandbox = self.sandbox(name);
        let _ = fs::remove_dir_all(&sandbox);
        fs::create_dir_all(&sandbox).unwrap();
        let container = Container {
            name: name.to_owned(),
            sandbox: sandbox.clone(),
            network: Some(network),
            ..Container::default()
        };
        let path = "/usr/bin:/bin:/usr/sbin:/sbin".to_owned();
        let environment = BTreeMap::from([("PATH".to_owned(), path)]);
        let spec = LaunchSpec::new(
            "/bin/bash".to_owned(),
            vec!["-c".to_owned(), line.to_owned()],
            environment,
            sandbox,
        );
        let launched = self.containerizer.launch(&container, &spec);
        launched
            .map(|launched| Task {
                machine: self,
                name: name.to_owned(),
                launched: Some(launched),
            })
            .map_err(|error| chain(&error))
    }

    fn start(&self, name: &str, network: PrivateNetwork, line: &str) -> Task<'_> {
        self.try_start(name, network, line).unwrap()
    }

    /// Runs a line in a network of its own to its end, and returns what it wrote.
    fn run(&self, name: &str, network: PrivateNetwork, line: &str) -> String {
        let mut task = self.start(name, network, line);
        let outcome = task.launched.take().unwrap().wait().unwrap();
        drop(task);
        let read = |file| fs::read_to_string(self.sandbox(name).join(file)).unwrap();
        let said = read("stdout") + &read("stderr");
        assert_eq!(outcome.ended, Ended::Exited { code: 0 }, "{said}");
        said
    }

    /// Devices, rules and addresses that are there because of private networks.
    fn left(&self) -> (String, String, BTreeSet<String>) {
        let devices = tool("ip -o link | grep ' tp'");
        let orphans = self.containerizer.orphans(&BTreeSet::new());
        (devices, tool("nft list tables"), orphans)
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.left(), (String::new(), String::new(), [].into()));
    }
}

struct Task<'a> {
    machine: &'a Machine,
    name: String,
    launched: Option<Launched>,
}

impl Task<'_> {
    fn namespace(&self) -> PathBuf {
        let plan = self.launched.as_ref().unwrap().plan().unwrap();
        assert!(plan.namespaces.contains(&Namespace::Network));
        plan.network.as_ref().unwrap().namespace.clone()
    }

    fn address(&self) -> String {
        let plan = self.launched.as_ref().unwrap().plan().unwrap();
        plan.network.as_ref().unwrap().address.to_string()
    }

    /// Has somebody listen in its network who says `hello` to whoever comes.
    fn listen(&self, port: u16) {
        let namespace = fs::File::open(self.namespace()).unwrap();
        let listener = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            TcpListener::bind(("0.0.0.0", port)).unwrap()
        });
        greet(listener.join().unwrap());
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.machine.containerizer.destroy(&self.name).unwrap();
        if let Some(launched) = self.launched.take() {
            launched.wait().unwrap();
        }
    }
}

/// Says `hello` to whoever comes, until the test is over.
fn greet(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"hello"));
        }
    });
}

/// A line that connects and writes what it is told, or what is wrong.
fn ask(address: &str, port: u16) -> String {
    format!("(exec 3<>/dev/tcp/{address}/{port} && head -c 5 <&3; echo) 2>&1")
}

/// What the machine is told there.
fn told(address: &str, port: u16) -> String {
    let mut said = String::new();
    let read = TcpStream::connect((address, port)).and_then(|mut s| s.read_to_string(&mut said));
    read.map_or_else(|error| error.to_string(), |_| said)
}

fn publishing(mappings: &[&str]) -> PrivateNetwork {
    let ports = mappings
        .iter()
        .map(|text| PortMapping::parse(text).unwrap());
    PrivateNetwork {
        ports: ports.collect(),
        ..PrivateNetwork::default()
    }
}

fn private() -> PrivateNetwork {
    PrivateNetwork::default()
}

#[test]
fn a_task_sees_an_address_of_its_own_and_nothing_of_the_machines() {
    let Some(machine) = Machine::new() else {
        return;
    };
    greet(TcpListener::bind("127.0.0.1:7000").unwrap());
    let line = format!(
        "ip -o -4 addr; {}; ls /sys/class/net",
        ask("127.0.0.1", 7000)
    );
    let seen = machine.run("t", private(), &line);
    assert!(seen.contains("inet 10.88.0.2/32 "), "{seen}");
    assert!(seen.contains("Connection refused"), "{seen}");
    assert!(seen.ends_with("eth0\nlo\n"), "{seen}");
    machine.assert_nothing_left();
}

#[test]
fn a_published_port_is_reached_and_no_other() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let task = machine.start("victim", publishing(&["31080:8080"]), SLEEP);
    assert_eq!(task.address(), "10.88.0.2");
    task.listen(8080);
    task.listen(9090);
    // By the machine, at any of its addresses; itself; and others.
    assert_eq!(told("127.0.0.1", 31080), "hello");
    assert_eq!(told("10.88.0.1", 31080), "hello");
    let lines = [
        ask("10.88.0.1", 31080),
        ask("10.88.0.2", 8080),
        ask("10.88.0.2", 9090),
        ask("10.88.0.1", 9090),
    ];
    let said = machine.run("attacker", private(), &lines.join(";"));
    assert_eq!(said.matches("hello").count(), 1, "{said}");
    assert_eq!(said.matches("No route to host").count(), 4, "{said}");
    assert_eq!(said.matches("Connection refused").count(), 2, "{said}");
    // Whoever is on the machine without being root, as a task in the machine's network is.
    let beside = |address: &str, port| {
        let line = ask(address, port);
        let output = Command::new("bash")
            .args(["-c", &line])
            .uid(NOBODY)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(beside("127.0.0.1", 31080), "hello\n");
    assert!(beside("10.88.0.2", 9090).contains("No route to host"));
    // Health checks are root's.
    assert_eq!(told("10.88.0.2", 9090), "hello");
    drop(task);
    assert!(told("127.0.0.1", 31080).contains("Connection refused"));
    machine.assert_nothing_left();
}

#[test]
fn a_task_reaches_the_machine_and_itself_by_its_published_port() {
    let Some(machine) = Machine::new() else {
        return;
    };
    greet(TcpListener::bind("0.0.0.0:7000").unwrap());
    let task = machine.start("own", publishing(&["31080:8080"]), SLEEP);
    task.listen(8080);
    let namespace = fs::File::open(task.namespace()).unwrap();
    let inside = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        [
            told("10.88.0.1", 7000),
            told("10.88.0.1", 31080),
            told("127.0.0.1", 8080),
        ]
    });
    assert_eq!(inside.join().unwrap(), ["hello", "hello", "hello"]);
}

#[test]
fn a_task_cannot_change_its_network() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let attacks = [
        "ip addr add 10.88.0.3/16 dev eth0",
        "ip link set eth0 address 02:00:00:00:00:01",
        "ip route add 10.0.0.0/8 dev eth0",
        "echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter",
        "perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or print STDERR \"$!\\n\"'",
    ];
    for attack in attacks {
        let said = machine
            .run("t", private(), &format!("{attack}; :"))
            .to_lowercase();
        let refusals = ["not permitted", "read-only", "permission denied"];
        assert!(
            refusals.iter().any(|refusal| said.contains(refusal)),
            "{attack}: {said}"
        );
    }
}

#[test]
fn what_a_task_sends_is_bounded() {
    let Some(machine) = Machine::with(|config| config.egress_mbit = Some(16)) else {
        return;
    };
    let listener = TcpListener::bind("0.0.0.0:7000").unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = std::io::Read::by_ref(&mut stream).take(3_000_000);
        std::io::copy(&mut all, &mut std::io::sink()).unwrap();
        stream.write_all(b"hello").unwrap();
    });
    let network = PrivateNetwork {
        egress_mbit: Some(1000),
        ..private()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine's clock is what is bounded"
    )]
    let begin = Instant::now();
    let line = "exec 3<>/dev/tcp/10.88.0.1/7000; head -c 3000000 /dev/zero >&3; head -c 5 <&3";
    assert_eq!(machine.run("t", network, line), "hello");
    // At 2 MB/s, with 0.2 MB at once: 1.4 s at least, however fast the machine.
    assert!(
        begin.elapsed() >= Duration::from_millis(1300),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn tasks_of_a_group_share_a_network_until_the_last_one_ends() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let member = |mapping: &str| PrivateNetwork {
        shared_as: Some("group".to_owned()),
        ..publishing(&[mapping])
    };
    let first = machine.start("group.0", member("31000:8080"), SLEEP);
    first.listen(8080);
    let said = machine.run("group.1", member("31001:8080"), &ask("127.0.0.1", 8080));
    assert_eq!(said, "hello\n");
    // The second has ended with its own port, the first goes on.
    assert_eq!(told("127.0.0.1", 31000), "hello");
    assert!(told("127.0.0.1", 31001).contains("Connection refused"));
    let other = machine.start("other", private(), SLEEP);
    assert_eq!(
        (first.address(), other.address()),
        ("10.88.0.2".into(), "10.88.0.3".into())
    );
    drop(first);
    // The lowest address that is free.
    let next = machine.start("next", private(), SLEEP);
    assert_eq!(next.address(), "10.88.0.2");
    drop((other, next));
    machine.assert_nothing_left();
}

#[test]
fn what_others_remove_is_there_again_and_what_is_half_made_is_removed() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let task = machine.start("t", publishing(&["31080:8080"]), SLEEP);
    task.listen(8080);
    assert_eq!(tool("nft flush ruleset"), "");
    assert!(told("127.0.0.1", 31080).contains("Connection refused"));
    let other = machine.start("other", private(), SLEEP);
    assert_eq!(told("127.0.0.1", 31080), "hello");
    // As if somebody had been killed in the middle of making or removing it.
    let namespace = other.namespace();
    let device = namespace.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        tool(&format!(
            "ip link delete {device}; ip netns delete {device}"
        )),
        ""
    );
    drop((task, other));
    assert!(!namespace.exists());
    machine.assert_nothing_left();
}

#[test]
fn addresses_that_the_machine_has_otherwise_are_refused() {
    let Some(machine) = Machine::new() else {
        return;
    };
    assert_eq!(
        tool(
            "ip link add other type veth && ip addr add 10.88.7.1/24 dev other && ip link set other up"
        ),
        ""
    );
    let refused = machine.try_start("t", private(), SLEEP).err().unwrap();
    let problem = "isolator network/private failed: network_subnet 10.88.0.0/16: other has \
                   addresses of it already; name another one";
    assert_eq!(refused, problem);
    machine.assert_nothing_left();
}
