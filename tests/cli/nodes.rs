//! Masters and agents: where they listen, and what lasts over their restarts.

use super::*;

#[test]
fn an_address_or_work_directory_in_use_is_refused_and_its_owner_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let running = master(&one);
    let port = running.address.rsplit(':').next().expect("host:port");
    let two = two.to_str().expect("a plain path");
    let in_use = format!("{}: address already in use", running.address);
    assert_refused(
        &["master", "--port", port, "--work-dir", two],
        1,
        &[&in_use, "--port 0"],
    );
    let one = one.to_str().expect("a plain path");
    let locked = [
        "state.redb: in use by another process",
        "another work directory",
    ];
    assert_refused(&["master", "--port", "0", "--work-dir", one], 1, &locked);
    let agents = output(&["agents", "--master", &running.address]);
    assert_eq!(text(&agents.stdout), "no agents\n");
    let actors = json(&["actors", "--json", "--node", &running.address]);
    assert_eq!(actors["node"], running.address.as_str());
    let names: Vec<_> = actors["actors"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert!(
        names.iter().any(|actor| actor["name"] == "master"),
        "{actors}"
    );
    let table = output(&["actors", "--node", &running.address]);
    assert!(
        text(&table.stdout).contains("MasterActor"),
        "{}",
        text(&table.stdout)
    );
    running.ends_well(Signal::SIGTERM);
}

#[test]
fn a_master_with_port_0_comes_back_where_it_was_with_its_weights() {
    let dir = tempfile::tempdir().expect("a directory");
    let running = master(dir.path());
    let address = running.address.clone();
    let set = output(&["weights", "analytics=2", "--master", &address]);
    assert!(set.status.success(), "{}", text(&set.stderr));
    running.ends_well(Signal::SIGTERM);
    let again = master(dir.path());
    assert_eq!(again.address, address);
    let roles = json(&["roles", "--json", "--master", &address]);
    assert_eq!(roles[0]["role"], "analytics");
    assert_eq!(roles[0]["weight"], 2.0);
}

#[test]
fn a_node_that_listens_everywhere_says_what_to_dial() {
    let dir = TempDir::new().expect("a temporary directory");
    let work_dir = dir.path().to_str().expect("a plain path");
    let everywhere = ["master", "--work-dir", work_dir, "--host", "0.0.0.0"];
    let with = |more: &[&'static str]| [&everywhere[..], more].concat();
    assert_refused(
        &with(&["--port", "0", "--insecure"]),
        2,
        &["0.0.0.0", "--advertise"],
    );
    assert_refused(
        &with(&["--port", "0", "--insecure", "--advertise", "127.0.0.1:7"]),
        2,
        &["--advertise 127.0.0.1:7", "--port"],
    );
    assert_refused(
        &with(&["--advertise", "a b"]),
        2,
        &["'a b'", "write the HOST or HOST:PORT"],
    );
    let start = with(&["--port", "0", "--insecure", "--advertise", "127.0.0.1"]);
    let first = Node::start(tepui(&start));
    assert!(first.address.starts_with("127.0.0.1:"), "{}", first.address);
    assert_eq!(
        json(&["agents", "--json", "--master", &first.address]),
        Value::Array(Vec::new())
    );
    let address = first.address.clone();
    drop(first);
    assert_eq!(Node::start(tepui(&start)).address, address);
}

/// An agent whose tasks outlive it: the way of an upgrade.
#[test]
fn tasks_survive_an_agent_that_is_terminated_and_started_again() {
    let dir: TempDir = tempfile::tempdir().expect("a directory");
    let running = master(&dir.path().join("master"));
    let work_dir = dir.path().join("agent");
    let arguments = [
        "agent",
        "--port",
        "0",
        "--master",
        &running.address,
        "--resources",
        "cpus:1;mem:512",
        "--work-dir",
        work_dir.to_str().expect("a plain path"),
    ];
    let agent = Node::start(tepui(&arguments));
    let (mut job, mut stdout) = endless(&running.address);
    agent.ends_well(Signal::SIGTERM);
    let again = Node::start(tepui(&arguments));
    let kill_it = || output(&["kill", "endless.run.0.0", "--master", &running.address]);
    assert!(kill_it().status.success());
    // The job hears of the end through the new agent.
    let mut line = String::new();
    while !line.contains("TASK_KILLED") {
        line.clear();
        assert_ne!(
            stdout.read_line(&mut line).expect("readable"),
            0,
            "no TASK_KILLED"
        );
    }
    assert_eq!(job.wait().expect("our child").code(), Some(1));
    again.ends_well(Signal::SIGINT);
}

#[test]
fn gpus_are_listed_or_their_absence_is_explained() {
    let output = output(&["gpus", "--json"]);
    if output.status.success() {
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(found["gpus"].is_array(), "{found}");
    } else {
        let error = text(&output.stderr);
        assert!(
            error.contains("no NVIDIA driver on this machine"),
            "{error}"
        );
    }
}
