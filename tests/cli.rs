//! The commands as a user types them: what goes right on a small cluster, and one clear line for
//! each thing that goes wrong.
//!
//! The binary under test runs real nodes on loopback, on ports that the system chooses.

#[path = "cluster/node.rs"]
mod node;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use node::{Guard, Node, assert_failed, tepui, text};
use serde_json::Value;
use tempfile::TempDir;

fn output(arguments: &[&str]) -> Output {
    tepui(arguments).output().expect("the binary runs")
}

/// The command fails with this code and one line on stderr that has all `parts`.
fn assert_refused(arguments: &[&str], code: i32, parts: &[&str]) {
    assert_failed(&output(arguments), code, parts);
}

fn master(dir: &Path) -> Node {
    Node::start(tepui(&[
        "master",
        "--port",
        "0",
        "--work-dir",
        dir.to_str().expect("a plain path"),
    ]))
}

/// A master with two agents in one process.
fn local() -> (Node, String) {
    let running = Node::start(tepui(&[
        "local",
        "--port",
        "0",
        "--agents",
        "2",
        "--resources",
        "cpus:2;mem:512",
    ]));
    let address = running.address.clone();
    (running, address)
}

fn json(arguments: &[&str]) -> Value {
    let output = output(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("--json prints JSON")
}

#[test]
fn bad_input_is_refused_in_one_line_with_code_2() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["agent", "--resources", "cpus:x"],
            &["\"cpus:x\"", "write e.g. cpus:4"],
        ),
        (
            &["agent", "--resources", "cpus"],
            &["cpus", "write e.g. cpus:4"],
        ),
        (
            &["run", "--constraint", "=r1", "--", "true"],
            &["--constraint \"=r1\"", "write rack=r1"],
        ),
        (
            &["agent", "--attributes", "rack", "--work-dir", "/tmp"],
            &["\"rack\"", "key:value"],
        ),
        (
            &["master", "--role-weight", "a=-1"],
            &["a=-1", "a number > 0"],
        ),
        (
            &["master", "--config", "/not/there.toml"],
            &["/not/there.toml: cannot be read"],
        ),
        (
            &["tasks", "--master", "nowhere"],
            &["nowhere", "write host:port"],
        ),
        (
            &["tasks", "--log", "tepui=loud"],
            &["--log tepui=loud", "write error, warn"],
        ),
        (&["kill"], &["required", "TASK"]),
        (&["run"], &["required", "COMMAND"]),
        (&["run", "--cpus", "-1", "--", "true"], &["-1"]),
        (
            &["run", "--job", "/not/there.toml"],
            &["/not/there.toml: cannot be read"],
        ),
        (&["logs", "m-0001/c d"], &["\"c d\"", "blanks"]),
        (&["tassks"], &["tassks", "'tasks'"]),
        (
            &["demo", "--stop", "/not/there"],
            &["/not/there/demo.json", "work directory"],
        ),
        (&["executor"], &["executors are started by an agent"]),
    ];
    for (arguments, parts) in cases {
        assert_refused(arguments, 2, parts);
    }
}

#[test]
fn mistakes_in_files_are_told_with_file_and_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).expect("a file");
        file.to_str().expect("a plain path").to_owned()
    };
    let agent = write("agent.toml", "[agent]\nport = 1\ncpus = -1\n");
    let told = format!("{agent}:3: cpus = -1: must be a number > 0");
    assert_refused(&["agent", "--config", &agent], 2, &[&told]);
    let master = write("master.toml", "[master]\nprot = 1\n");
    assert_refused(
        &["master", "--config", &master],
        2,
        &["master.toml:2: prot = 1", "`port`"],
    );
    let job = write("job.toml", "[[group]]\nname = \"a\"\ncomand = \"true\"\n");
    assert_refused(
        &["run", "--job", &job],
        2,
        &["job.toml:3", "comand", "command"],
    );
}

#[test]
fn an_unknown_master_is_named_with_the_way_out() {
    // A port that nobody has: bound and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = port.expect("a free port").to_string();
    let refused =
        format!("no master at {address}: connection refused; start one with `tepui master`");
    for command in ["agents", "frameworks", "tasks", "offers", "roles"] {
        assert_refused(&[command, "--master", &address], 1, &[&refused]);
    }
    for more in [
        &["kill", "t"][..],
        &["logs", "t"],
        &["weights", "a=1"],
        &["why", "f"],
        &["run", "true"],
    ] {
        let (command, rest) = more.split_first().expect("a command");
        let separator: &[&str] = if *command == "run" { &["--"] } else { &[] };
        let arguments = [&[*command, "--master", &address], separator, rest].concat();
        assert_refused(&arguments, 1, &[&refused]);
    }
}

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
        &["\"a b\"", "write the HOST or HOST:PORT"],
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

#[test]
fn quotas_are_checked_shown_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let running = master(dir.path());
    let address = running.address.clone();
    let quota = |more: &[&str]| output(&[&["quota"], more, &["--master", &address]].concat());
    let told = |more: &[&str]| text(&quota(more).stdout);
    assert_eq!(told(&[]), "no quota; set one with `tepui quota set`\n");
    let guarantee = [
        "quota",
        "set",
        "eng",
        "--guarantee",
        "cpus:4;mem:1024",
        "--master",
        &address,
    ];
    let parts = ["role eng", "the cluster has cpus:0", "--force"];
    assert_refused(&guarantee, 1, &parts);
    let forced = [
        "set",
        "eng",
        "--guarantee",
        "cpus:4;mem:1024",
        "--limit",
        "cpus:6;gpus:0",
        "--force",
    ];
    let set = quota(&forced);
    assert!(set.status.success(), "{}", text(&set.stderr));
    let above = [
        "quota",
        "set",
        "eng",
        "--guarantee",
        "cpus:4",
        "--limit",
        "cpus:3",
    ];
    assert_refused(
        &above,
        2,
        &["role eng", "guarantee cpus:4 is above limit cpus:3"],
    );
    let nothing = ["quota", "set", "eng", "--guarantee", "cpus:0"];
    assert_refused(&nothing, 2, &["role eng", "tepui quota remove eng"]);

    running.ends_well(Signal::SIGTERM);
    let again = master(dir.path());
    assert_eq!(again.address, address);
    let shown =
        "ROLE  GUARANTEE        LIMIT          CONSUMED\neng   cpus:4;mem:1024  cpus:6;gpus:0  -\n";
    assert_eq!(told(&["eng"]), shown);
    let rows = json(&["quota", "--json", "--master", &address]);
    let expected = serde_json::json!([{
        "role": "eng", "consumed": {},
        "guarantees": {"cpus": 4.0, "mem": 1024.0}, "limits": {"cpus": 6.0, "gpus": 0.0},
    }]);
    assert_eq!(rows, expected);
    let roles = text(&output(&["roles", "--master", &address]).stdout);
    assert!(roles.contains("cpus:6;gpus:0"), "{roles}");
    assert!(quota(&["remove", "eng"]).status.success());
    assert_eq!(told(&["eng"]), "no quota; set one with `tepui quota set`\n");
    assert_refused(
        &["quota", "remove", "eng", "--master", &address],
        1,
        &["role eng has no quota"],
    );
}

#[test]
fn a_command_runs_and_leaves_its_output() {
    let (_running, master) = local();
    let line = "echo out $TEPUI_INDEX; echo err >&2";
    let run = output(&[
        "run",
        "--master",
        &master,
        "--cpus",
        "0.5",
        "--mem",
        "32",
        "--instances",
        "2",
        "--name",
        "hello",
        "--",
        line,
    ]);
    let told = text(&run.stdout);
    assert!(run.status.success(), "{told}{}", text(&run.stderr));
    assert!(told.contains("hello.run.0.0"), "{told}");
    assert_eq!(told.matches("TASK_FINISHED").count(), 2, "{told}");
    assert!(told.ends_with("2 of 2 tasks finished\n"), "{told}");

    let logs = |more: &[&str]| {
        let logs = output(&[&["logs", "--master", &master], more].concat());
        assert!(logs.status.success(), "{}", text(&logs.stderr));
        text(&logs.stdout)
    };
    assert_eq!(logs(&["hello.run.1.0"]), "out 1\n");
    assert_eq!(logs(&["-f", "hello.run.0.0", "stderr"]), "err\n");
    let leaving = ["logs", "--master", &master, "hello.run.0.0", "../../x"];
    assert_refused(&leaving, 1, &["../../x"]);

    let tasks = json(&["tasks", "--json", "--master", &master]);
    let states: Vec<&Value> = tasks
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| &t["task"]["state"])
        .collect();
    assert_eq!(states, ["TASK_FINISHED", "TASK_FINISHED"]);
    let table = text(&output(&["tasks", "--master", &master]).stdout);
    assert!(table.starts_with("TASK "), "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
    let agents = json(&["agents", "--json", "--master", &master]);
    assert_eq!(agents.as_array().map(Vec::len), Some(2));
    let frameworks = json(&["frameworks", "--json", "--master", &master]);
    assert_eq!(frameworks[0]["standing"], "COMPLETED");
    assert_eq!(
        json(&["offers", "--json", "--master", &master]),
        Value::Array(vec![])
    );
}

#[test]
fn a_failing_command_is_told_with_its_status_and_the_cluster_goes_on() {
    let (_running, master) = local();
    let run = |line| ["run", "--master", &master, "--name", "bad", "--", line].map(str::to_owned);
    let refused = |line, parts: &[&str]| {
        let arguments = run(line);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_refused(&arguments, 1, parts);
    };
    refused(
        "exit 3",
        &["bad.run.0.0", "status 3", "tepui logs bad.run.0.0 stderr"],
    );
    refused(
        "no-such-command-here",
        &["bad.run.0.0", "status 127", "no such command"],
    );
    let several = ["logs", "--master", &master, "bad.run.0.0"];
    assert_refused(
        &several,
        1,
        &["several frameworks have a task bad.run.0.0", "name one of"],
    );
    assert_refused(
        &["logs", "--master", &master, "nobody"],
        1,
        &["no task nobody"],
    );
    assert_refused(&["kill", "--master", &master, "nobody"], 1, &["nobody"]);
    assert!(
        output(&["run", "--master", &master, "--", "true"])
            .status
            .success()
    );
}

/// Starts a job of one task that says when it runs and then waits to be ended.
fn endless(master: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = tepui(&["run", "--master", master, "--name", "endless", "--"]);
    command
        .arg("exec sleep 1000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut line = String::new();
    while !line.contains("TASK_RUNNING") {
        line.clear();
        assert_ne!(
            stdout.read_line(&mut line).expect("readable"),
            0,
            "it ended early"
        );
    }
    (child, stdout)
}

#[test]
fn a_killed_task_fails_its_job() {
    let (_running, master) = local();
    let (child, _stdout) = endless(&master);
    let live = json(&["tasks", "--live", "--json", "--master", &master]);
    assert_eq!(live[0]["task"]["state"], "TASK_RUNNING");
    let killed = output(&["kill", "endless.run.0.0", "--master", &master]);
    assert!(killed.status.success(), "{}", text(&killed.stderr));
    let ended = child.wait_with_output().expect("our child");
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        text(&ended.stderr).contains("endless.run.0.0"),
        "{}",
        text(&ended.stderr)
    );
}

#[test]
fn a_framework_is_told_why_it_has_what_it_has() {
    let (_running, master) = local();
    let (mut child, _stdout) = endless(&master);
    let frameworks = json(&["frameworks", "--json", "--master", &master]);
    let id = frameworks[0]["info"]["id"].as_str().expect("an id");
    let why = output(&["why", id, "--master", &master]);
    let told = text(&why.stdout);
    assert!(why.status.success(), "{}", text(&why.stderr));
    assert!(told.starts_with("role *: holds cpus:"), "{told}");
    assert!(told.contains(" was given something in run "), "{told}");
    let data = json(&["why", id, "--json", "--master", &master]);
    assert_eq!(data["turns"][0]["role"], "*");
    let stranger = ["why", "nobody", "--master", &master];
    assert_refused(
        &stranger,
        1,
        &["framework nobody is unknown", "tepui frameworks"],
    );
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    child.wait().expect("our child");
}

#[test]
fn a_job_runs_only_on_agents_that_meet_its_constraints() {
    let dir: TempDir = tempfile::tempdir().expect("a directory");
    let running = master(&dir.path().join("master"));
    let agent = |rack: &str| {
        let (work_dir, attributes) = (dir.path().join(rack), format!("rack:{rack}"));
        let work_dir = work_dir.to_str().expect("a plain path").to_owned();
        Node::start(tepui(&[
            "agent",
            "--port",
            "0",
            "--master",
            &running.address,
            "--resources",
            "cpus:2;mem:512",
            "--attributes",
            &attributes,
            "--work-dir",
            &work_dir,
        ]))
    };
    let _agents = ["r1", "r2", "r3"].map(agent);
    let ran = output(&[
        "run",
        "--master",
        &running.address,
        "--instances",
        "4",
        "--cpus",
        "1",
        "--constraint",
        "rack=r2,!ssd",
        "--constraint",
        "rack=r1,ssd",
        "--",
        "true",
    ]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let agents = json(&["agents", "--json", "--master", &running.address]);
    let mut agents = agents.as_array().expect("a list").iter();
    let there = agents.find(|agent| agent["info"]["attributes"]["rack"] == "r2");
    let there = &there.expect("it registered")["info"]["id"];
    let tasks = json(&["tasks", "--json", "--master", &running.address]);
    let tasks = tasks.as_array().expect("a list");
    assert_eq!(tasks.len(), 4);
    for task in tasks {
        assert_eq!(&task["task"]["info"]["agent_id"], there, "{task}");
    }
}

#[test]
fn an_interrupted_job_ends_with_its_tasks() {
    let (_running, master) = local();
    let (mut child, _stdout) = endless(&master);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    assert_eq!(child.wait().expect("our child").code(), Some(130));
    let live = json(&["tasks", "--live", "--json", "--master", &master]);
    assert_eq!(live, Value::Array(vec![]));
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
fn completions_and_help_need_no_cluster() {
    for shell in ["bash", "zsh", "fish"] {
        let script = output(&["completions", shell]);
        assert!(script.status.success());
        assert!(text(&script.stdout).contains("tepui"), "{shell}");
    }
    let help = text(&output(&["run", "--help"]).stdout);
    assert!(
        help.contains("Examples:") && help.contains("[[group]]"),
        "{help}"
    );
}

/// The document of docs/allocator.md.
#[test]
fn textbook_cases_are_answered() {
    let page = include_str!("../docs/allocator.md");
    let document = page.split("$ cat cases.json\n").nth(1);
    let document = document.and_then(|rest| rest.split("$ tepui").next());
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("cases.json");
    fs::write(&file, document.expect("the page has an example")).expect("written");
    let file = file.to_str().expect("a plain path");
    let answers = output(&["drf", "solve", file]);
    let answers: Value = serde_json::from_slice(&answers.stdout).expect("an object");
    let expected = serde_json::json!({
        "paper": [3, 2], "weighted": ["54/13", "18/13"],
        "half": { "n1": 240, "n21": 240, "n22": 240 }, "servers": ["5/7", "5/7"],
        "arrivals": [["1/3"], ["4/9", "4/9"], ["4/9", "4/9", "1/3"]],
    });
    assert_eq!(answers, expected);
    let explained = output(&["drf", "solve", "--explain", "--policy", "mesos", file]);
    assert!(text(&explained.stderr).contains("user 0 gets a task"));

    fs::write(file, "{\"cases\": [\n{]").expect("written");
    assert_refused(&["drf", "solve", file], 2, &["cases.json:2:2: "]);
    let case = r#"{"cases":[{"id":"x","kind":"flat-tasks","capacity":[1],"users":[{}]}]}"#;
    fs::write(file, case).expect("written");
    let place = "cases.json: cases[0].users[0]: \"demand\" is missing";
    assert_refused(&["drf", "solve", file], 2, &[place]);
    assert_refused(
        &["drf", "solve", "absent.json"],
        2,
        &["absent.json: cannot be read"],
    );
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

#[test]
fn resources_are_reserved_refined_and_released() {
    let (_running, master) = local();
    let agents = json(&["agents", "--json", "--master", &master]);
    let agent = agents[0]["info"]["id"].as_str().expect("an id").to_owned();
    let run = |more: &[&str]| output(&[&["reservations"], more, &["--master", &master]].concat());
    let done = |more: &[&str]| {
        let ended = run(more);
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        text(&run(&[]).stdout)
    };
    assert_eq!(text(&run(&[]).stdout), "nothing is reserved\n");
    let shown = done(&["add", &agent, "cpus:0.5;mem:32", "--role", "eng"]);
    assert!(shown.contains("eng     cpus:0.5;mem:32"), "{shown}");
    let shown = done(&[
        "add", &agent, "cpus:0.2", "--role", "eng/web", "--from", "eng",
    ]);
    assert!(shown.contains("eng > eng/web  cpus:0.2\n"), "{shown}");
    assert!(
        shown.contains("eng            cpus:0.3;mem:32\n"),
        "{shown}"
    );
    let shown = done(&["remove", &agent, "cpus:0.2", "--role", "eng/web"]);
    assert!(!shown.contains("eng/web"), "{shown}");
    let to_ops = done(&["move", &agent, "cpus:0.1", "--from", "eng", "--role", "ops"]);
    assert!(to_ops.contains("ops     cpus:0.1\n"), "{to_ops}");
    done(&["move", &agent, "cpus:0.1", "--from", "ops", "--role", "eng"]);
    let refused = |more: &[&str], code: i32, parts: &[&str]| {
        let arguments = [&["reservations"], more, &["--master", &master]].concat();
        assert_refused(&arguments, code, parts);
    };
    let too_much = ["remove", &agent, "cpus:4000", "--role", "eng"];
    refused(&too_much, 1, &["cpus:4000", "cpus(reservations:"]);
    let sideways = ["add", &agent, "cpus:0.1", "--role", "web", "--from", "eng"];
    refused(&sideways, 2, &["--from eng", "web is not below it"]);
    let stranger = ["add", "nobody", "cpus:0.1", "--role", "web"];
    refused(&stranger, 1, &["agent nobody is unknown"]);
    assert_eq!(
        done(&["remove", &agent, "cpus:0.5;mem:32", "--role", "eng"]),
        "nothing is reserved\n"
    );
}

#[test]
fn machines_are_planned_taken_down_and_up_and_agents_drained() {
    let (_running, master) = local();
    let run = |more: &[&str]| output(&[&["maintenance"], more, &["--master", &master]].concat());
    let done = |more: &[&str]| {
        let ended = run(more);
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        text(&run(&[]).stdout)
    };
    let nothing = "no maintenance is planned, and no agent is drained\n";
    assert_eq!(text(&run(&[]).stdout), nothing);
    let shown = done(&["schedule", "Agent-1", "other", "--in", "2h", "--for", "30m"]);
    assert!(shown.contains("agent-1  planned  in 1h59m"), "{shown}");
    assert!(shown.contains("30m00s"), "{shown}");
    let refused = |more: &[&str], code: i32, parts: &[&str]| {
        let arguments = [&["maintenance"], more, &["--master", &master]].concat();
        assert_refused(&arguments, code, parts);
    };
    refused(
        &["down", "stranger"],
        1,
        &["machine stranger is not in the schedule"],
    );
    refused(
        &["cancel", "stranger"],
        1,
        &["machine stranger is not in the schedule"],
    );
    // Mesos's own API says the same, and changes it.
    let api = format!("http://{master}/api/v1");
    let (status, body) = post(&api, r#"{"type":"GET_MAINTENANCE_SCHEDULE"}"#);
    let windows = &body["get_maintenance_schedule"]["schedule"]["windows"];
    assert_eq!(
        (status, &windows[0]["machine_ids"][0]["hostname"]),
        (200, &"agent-1".into())
    );
    let start =
        r#"{"type":"START_MAINTENANCE","start_maintenance":{"machines":[{"hostname":"other"}]}}"#;
    assert_eq!(post(&api, start).0, 200);
    assert_eq!(post(&api, start).0, 400);
    let (_, body) = post(&api, r#"{"type":"GET_MAINTENANCE_STATUS"}"#);
    let status = &body["get_maintenance_status"]["status"];
    assert_eq!(status["down_machines"][0]["hostname"], "other");
    assert_eq!(status["draining_machines"][0]["id"]["hostname"], "agent-1");
    assert!(!done(&["up", "other"]).contains("other"));
    assert_eq!(done(&["cancel", "agent-1"]), nothing);
    let agents = json(&["agents", "--json", "--master", &master]);
    let agent = agents[0]["info"]["id"].as_str().expect("an id").to_owned();
    let shown = done(&["drain", &agent]);
    assert!(
        shown.contains("drained") && shown.contains(&agent),
        "{shown}"
    );
    let offers = text(&output(&["offers", "--master", &master]).stdout);
    assert!(!offers.contains(&agent), "{offers}");
    assert_eq!(done(&["reactivate", &agent]), nothing);
}

/// Posts JSON with a plain socket; the status, and the body if it is JSON.
fn post(url: &str, body: &str) -> (u16, serde_json::Value) {
    use std::io::{Read as _, Write as _};
    let (host, path) = url
        .trim_start_matches("http://")
        .split_once('/')
        .expect("a path");
    let mut stream = std::net::TcpStream::connect(host).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn a_role_below_its_guarantee_gets_it_from_what_others_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (of_master, of_agent) = (path("master"), path("agent"));
    let master = Node::start(tepui(&[
        "master",
        "--port",
        "0",
        "--work-dir",
        &of_master,
        "--revoke-after",
        "300ms",
        "--revoke-grace",
        "300ms",
    ]));
    let address = &master.address;
    let _agent = Node::start(tepui(&[
        "agent",
        "--port",
        "0",
        "--work-dir",
        &of_agent,
        "--master",
        address,
        "--resources",
        "cpus:1;mem:256",
    ]));
    let job = ["run", "--master", address, "--cpus", "1", "--mem", "64"];
    let mut long = tepui(
        &[
            &job[..],
            &["--role", "batch", "--name", "long", "--", "sleep 1000"],
        ]
        .concat(),
    );
    let mut long = Guard::new(
        long.stdout(Stdio::piped()).spawn().expect("it runs"),
        Signal::SIGTERM,
    );
    let told = BufReader::new(long.child.stdout.take().expect("it is piped"));
    let mut told = told.lines().map(|line| line.expect("text"));
    assert!(told.any(|line| line.contains("TASK_RUNNING")));
    let guarantee = [
        "quota",
        "set",
        "eng",
        "--guarantee",
        "cpus:1;mem:64",
        "--master",
        address,
    ];
    assert!(output(&guarantee).status.success());
    // There is room for one task alone.
    let urgent = output(&[&job[..], &["--role", "eng", "--", "true"]].concat());
    assert!(
        urgent.status.success(),
        "{}{}",
        text(&urgent.stdout),
        text(&urgent.stderr)
    );
    let tasks = json(&["tasks", "--json", "--master", address]).to_string();
    assert!(tasks.contains("REASON_CONTAINER_PREEMPTED"), "{tasks}");
    // What was ended runs again when nothing is held free any more, without counting as a failure.
    assert!(
        output(&["quota", "remove", "eng", "--master", address])
            .status
            .success()
    );
    assert!(told.any(|line| line.contains("TASK_RUNNING")));
}

/// Runs `true` so many times on 1.5 cpus each, all at once or not at all.
fn gang(master: &str, instances: &str) -> Command {
    let size = "--gang --cpus 1.5 --mem 32 --instances";
    let words: Vec<&str> = size.split(' ').collect();
    let more = [instances, "--master", master, "--", "true"];
    tepui(&[&["run"][..], &words, &more].concat())
}

#[test]
fn a_gang_begins_when_there_is_room_for_all_of_it() {
    let (_running, master) = local();
    let run = gang(&master, "2").output().expect("the binary runs");
    let told = text(&run.stdout);
    assert!(run.status.success(), "{told}{}", text(&run.stderr));
    assert!(told.ends_with("2 of 2 tasks finished\n"), "{told}");
    let metrics = json(&["frameworks", "--json", "--master", &master]);
    assert_eq!(metrics[0]["info"]["gangs"]["*"]["tasks"], 2, "{metrics}");
}

#[test]
fn a_framework_is_told_what_its_gang_lacks() {
    let (_running, master) = local();
    let mut child = gang(&master, "3").spawn().expect("the binary runs");
    // It subscribes sooner or later, and is granted what both agents have.
    let told = (0..600).find_map(|_| {
        let frameworks = json(&["frameworks", "--json", "--master", &master]);
        let id = frameworks[0]["info"]["id"].as_str()?.to_owned();
        let told = text(&output(&["why", &id, "--master", &master]).stdout);
        told.contains("on 2 agents").then_some(told)
    });
    child.kill().expect("our child");
    child.wait().expect("our child");
    let told = told.expect("it gathers");
    for part in [
        "begins with all of a gang or not at all: 3 tasks of cpus:1.5;mem:32",
        "room for 2 tasks on 2 agents; lacks room for 1 task; gives up in",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn service_levels_are_admitted_shown_and_kept() {
    let (_running, master) = local();
    let slo = |more: &[&str]| output(&[&["slo"], more, &["--master", &master]].concat());
    let told = |more: &[&str]| text(&slo(more).stdout);
    assert_eq!(
        told(&[]),
        "no service level; ask for one with `tepui slo set`\n"
    );
    let burst = [
        "--each",
        "cpus:1;mem:64",
        "--length",
        "5m",
        "--period",
        "1h",
        "--tasks",
    ];
    let set = |role: &str, tasks: &str| told(&[&["set", role][..], &burst, &[tasks]].concat());
    assert_eq!(set("queries", "2"), "role queries is hard: as asked\n");
    let second = set("reports", "3");
    assert!(
        second.starts_with("role reports is soft: the burst takes 3 of cpus, 2 are left"),
        "{second}"
    );
    let run = output(&[
        "run", "--master", &master, "--role", "queries", "--cpus", "0.5", "--mem", "32", "--",
        "true",
    ]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let shown = told(&[]);
    assert!(
        shown.contains("queries  hard   hard   cpus:2;mem:128"),
        "{shown}"
    );
    let rows = json(&["slo", "--json", "--master", &master]);
    assert_eq!(
        (&rows[0]["waits"], &rows[0]["periods"]),
        (&1.into(), &1.into())
    );
    let below = [
        "slo", "set", "a/b", "--each", "cpus:1", "--length", "5m", "--period", "1h", "--tasks",
        "1", "--master", &master,
    ];
    assert_refused(&below, 1, &["role a/b", "only top-level roles"]);
    assert!(slo(&["remove", "queries"]).status.success());
    assert!(!told(&[]).contains("queries"));
}
