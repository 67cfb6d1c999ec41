//! Policies in processes of their own.

use std::{path::Path, time::Duration};

use tepui_sim::{Options, policy::External};

use super::*;

const JOBS: &str = r#"
{"id":"a","submit_s":0,"run_s":10,"cpus":1,"tasks":2}
{"id":"b","submit_s":1,"run_s":10,"cpus":1,"tasks":1}
{"id":"c","submit_s":1,"run_s":10,"cpus":1,"tasks":3}
"#;

fn decided_by(command: &str, timeout: Duration) -> Result<Outcome, String> {
    let mut workload = jobs(JOBS);
    let nodes = Nodes::parse("2xcpus:2", &mut workload).expect("good nodes");
    let world = engine::world(Arc::new(workload), nodes);
    let mut policy = External::new(command, &world, timeout).map_err(|error| error.to_string())?;
    engine::run(world, &mut policy, Options::default(), &mut |_| {})
        .map_err(|error| error.to_string())
}

const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn the_example_in_python_decides() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policy.py");
    let outcome = decided_by(&format!("python3 {}", example.display()), PATIENT).unwrap();
    // The widest that fits: at 1 only the second fits; at 10 the third has its 3.
    assert_eq!(
        times(&outcome),
        [(0.0, 10.0), (1.0, 11.0), (10.0, 20.0)].map(Some)
    );
}

#[test]
fn a_process_places_by_name_and_is_told_what_had_no_room() {
    let script = r#"python3 -uc '
import sys, json
asked = 0
for line in sys.stdin:
    message = json.loads(line)
    if "hello" in message:
        print(json.dumps({"hello": 1})); continue
    asked += 1
    if asked == 1: answer = {"start": [{"job": 0, "on": [["n0-1", 2]]}, {"job": 0, "on": [["n0-0", 2]]}], "wake_s": 0.5}
    elif asked == 2:
        assert {"no_room": 0} in message["events"], message
        answer = {"start": [1, 2]}
    else: answer = {"start": [2]}
    print(json.dumps(answer))
'"#;
    let outcome = decided_by(script, PATIENT).unwrap();
    assert_eq!(outcome.world.last_pieces(JobId(0))[0].node.0, 1);
    assert_eq!(
        times(&outcome),
        [(0.0, 10.0), (1.0, 11.0), (10.0, 20.0)].map(Some)
    );
}

#[test]
fn a_process_that_misbehaves_ends_the_run_with_a_reason() {
    let greeted = |rest: &str| format!("read line; echo '{{\"hello\":1}}'; read line; {rest}");
    for (command, timeout, what) in [
        ("exit 3".to_owned(), PATIENT, "it has ended"),
        (
            "echo nonsense; cat >/dev/null".to_owned(),
            PATIENT,
            "must be {\"hello\":1}",
        ),
        (
            greeted("echo '{\"begin\":[]}'; cat >/dev/null"),
            PATIENT,
            "unknown field `begin`",
        ),
        (
            greeted("echo '{\"start\":[99]}'; cat >/dev/null"),
            PATIENT,
            "there is no job 99",
        ),
        (
            greeted("echo '{\"start\":[{\"job\":0,\"on\":[[\"x\",2]]}]}'; cat >/dev/null"),
            PATIENT,
            "there is no node \"x\"",
        ),
        (
            greeted("echo '{\"wake_s\":-1}'; cat >/dev/null"),
            PATIENT,
            "wake_s -1",
        ),
        (
            greeted("cat >/dev/null"),
            Duration::from_millis(200),
            "no answer within 0.2 s",
        ),
        (greeted("exit"), PATIENT, "it has ended"),
    ] {
        let error = decided_by(&command, timeout).unwrap_err();
        assert!(
            error.contains(what) || error.contains("cannot be asked") && what == "it has ended",
            "{command}: {error}"
        );
    }
}
