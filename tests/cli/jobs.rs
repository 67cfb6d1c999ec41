//! Jobs of `tepui run`: what they show, and how they end.

use super::*;

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
