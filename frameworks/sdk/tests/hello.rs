//! The example `hello`, as a process over TCP against the fake master, and its errors.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use tepui_framework::testkit::FakeMaster;
use tepui_runtime::{Node, NodeAddr};

fn hello() -> Command {
    let tests = std::env::current_exe().unwrap();
    let hello: PathBuf = tests
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join("hello");
    assert!(
        hello.exists(),
        "cargo builds examples with tests: {}",
        hello.display()
    );
    let mut command = Command::new(hello);
    command.env_remove("TEPUI_MASTER");
    command
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn three_tasks_say_hello_and_the_framework_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let listen = NodeAddr::new("127.0.0.1", 0);
    let node = runtime
        .block_on(Node::builder(listen).workers(1).start())
        .unwrap();
    let master = FakeMaster::start(&node, "m1");
    master.agent("a1", "cpus:1;mem:256", Some(Duration::from_millis(1)));

    let output = hello().arg(node.addr().to_string()).output().unwrap();

    let (code, stdout, stderr) = text(&output);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    for task in ["hello-1", "hello-2", "hello-3"] {
        assert!(
            stdout.contains(&format!("{task} is TASK_FINISHED")),
            "{stdout}"
        );
    }
    assert_eq!(master.launched().len(), 3);
    assert!(
        master.is_torn_down(),
        "the teardown left before the process did"
    );
    runtime.block_on(node.shutdown());
}

#[test]
fn a_missing_or_wrong_master_is_one_clear_line() {
    for (argument, line) in [
        (
            None,
            "error: no master given: pass HOST:PORT or set TEPUI_MASTER\n",
        ),
        (
            Some("localhost"),
            "error: master address \"localhost\": has no port; write host:port, as 127.0.0.1:5050\n",
        ),
    ] {
        let output = hello().args(argument).output().unwrap();
        assert_eq!(text(&output), (Some(1), String::new(), line.to_owned()));
    }
    let output = hello().arg("no-such-host.invalid:5050").output().unwrap();
    let (code, _, stderr) = text(&output);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: cannot find a way to no-such-host.invalid:5050"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
}
