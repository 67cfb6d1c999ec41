//! Private networks as a user of `tepui run` meets them. The test's thread leaves the machine's network,
//! with all that it starts: nothing of the machine is changed. Needs root, control groups and `nft`;
//! where they are absent, each test says so in one line. Attacks are tested in `isolation/tests/network.rs`.

#[path = "cluster/isolated.rs"]
mod isolated;
#[path = "cluster/node.rs"]
mod node;
#[path = "cluster/private.rs"]
mod private;

use std::{
    fs,
    io::{self, Read as _},
    net::TcpStream,
    process::Stdio,
};

use isolated::Cluster;
use nix::sys::signal::Signal;
use serde_json::Value;
use tepui_isolation::process::family::await_patiently;

const SERVER: &str = "exec busybox nc -ll -p 8080 -e /bin/echo hello";

fn told(address: (&str, u16)) -> io::Result<String> {
    let mut said = String::new();
    TcpStream::connect(address)?.read_to_string(&mut said)?;
    Ok(said)
}

fn is_served(address: (&str, u16)) -> bool {
    await_patiently(|| told(address).is_ok_and(|said| said == "hello\n"))
}

/// The address in the table of tasks, and in the status of the only live one.
fn address_of(cluster: &Cluster) -> (Value, String) {
    let tasks = cluster.json(&["tasks", "--live", "--json"]);
    let statuses = tasks[0]["task"]["statuses"].as_array().expect("statuses");
    let network = &statuses.last().expect("a status")["container_status"]["network_infos"][0];
    (network.clone(), cluster.text(&["tasks", "--live"]))
}

#[test]
fn a_service_is_reached_by_its_port_and_checked_by_its_address_and_outlives_its_agent() {
    if !private::enter() {
        return;
    }
    let Some(mut cluster) =
        Cluster::start_with(&["--resources", "cpus:4;mem:1024;ports:[31000-31999]"])
    else {
        return;
    };
    let mut command = cluster.command(&[
        "run",
        "--mem",
        "64",
        "--name",
        "web",
        "--publish",
        "31080:8080",
        "--health-tcp",
        "8080",
        "--health-delay",
        "50ms",
        "--health-interval",
        "50ms",
        "--health-grace",
        "20s",
        "--",
        SERVER,
    ]);
    let job = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let job = job.expect("it starts");
    assert!(is_served(("127.0.0.1", 31080)));
    let is_well = || cluster.text(&["tasks", "--live"]).contains("healthy");
    assert!(await_patiently(is_well));
    let (network, table) = address_of(&cluster);
    assert_eq!(
        network["ip_addresses"][0]["ip_address"], "10.88.0.2",
        "{network}"
    );
    assert_eq!(network["port_mappings"][0]["host_port"], 31080, "{network}");
    assert!(
        table.contains("ADDRESS") && table.contains("10.88.0.2"),
        "{table}"
    );
    let inside = cluster.text(&["exec", "web.run.0.0", "ls", "/sys/class/net"]);
    assert_eq!(inside, "eth0\nlo\n");
    cluster.agent().process.kill(Signal::SIGKILL);
    cluster.start_agent();
    assert!(is_served(("127.0.0.1", 31080)));
    assert_eq!(address_of(&cluster).0, network);
    cluster.end(job);
    assert_eq!(private::left(), (vec![], String::new()));
}

#[test]
fn all_tasks_of_an_agent_have_private_networks_where_it_says_so_and_pods_share_one() {
    if !private::enter() {
        return;
    }
    let flags = ["--network", "private", "--network-subnet", "10.7.0.0/24"];
    let Some(cluster) = Cluster::start_with(&flags) else {
        return;
    };
    let pod = cluster.dir.path().join("pod.toml");
    let text = format!(
        "[[group]]\nname = \"server\"\nmem = 64\ncommand = \"{SERVER}\"\n[[group]]\nname = \"client\"\nmem = 64\n\
         command = \"\"\"until busybox nc 127.0.0.1 8080; do sleep 0.05; done; exit 3\"\"\"\n"
    );
    fs::write(&pod, text).expect("a writable directory");
    // The client ends with 3 when it was served, and ends the server with it.
    let told = cluster.text(&["run", "--pod", pod.to_str().expect("a plain path")]);
    assert!(told.contains("exited with status 3"), "{told}");
    let told = cluster.text(&["run", "--mem", "64", "--name", "own", "--", "ip -o -4 addr"]);
    let out = cluster.text(&["logs", "own.run.0.0", "stdout"]);
    assert!(out.contains("inet 10.7.0.2/32"), "{told}{out}");
    let told = cluster.text(&[
        "run",
        "--mem",
        "64",
        "--network",
        "host",
        "--",
        "ls /sys/class/net",
    ]);
    assert!(!told.contains("failed"), "{told}");
    assert_eq!(private::left(), (vec![], String::new()));
}

#[test]
fn an_agent_that_has_no_private_networks_says_so_in_the_status() {
    let Some(cluster) = Cluster::start_with(&["--isolation", "none"]) else {
        return;
    };
    let told = cluster.text(&["run", "--network", "private", "--", "true"]);
    let reason =
        "private networks are off on this agent; run it as root, with the programs ip and nft";
    assert!(told.contains(reason), "{told}");
    let told = cluster.text(&[
        "run",
        "--network",
        "host",
        "--publish",
        "31080:80",
        "--",
        "true",
    ]);
    assert!(
        told.contains("--network: port mappings and a limit of egress need a private"),
        "{told}"
    );
}
