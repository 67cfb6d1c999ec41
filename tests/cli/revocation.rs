//! Tasks that end so that others get what they are promised.

use super::*;

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
