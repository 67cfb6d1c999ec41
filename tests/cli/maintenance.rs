//! Machines that are planned away, and agents that are drained.

use super::*;

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
