//! What is refused before anything is asked of a cluster, and commands that need none.

use super::*;

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
    let page = include_str!("../../docs/allocator.md");
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
