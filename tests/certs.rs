//! `tepui certs` as an operator types it: files, their modes, what they say, and what is refused.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

fn certs(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    let output = command.arg("certs").args(arguments).output();
    output.expect("the binary runs")
}

fn told(arguments: &[&str]) -> String {
    let output = certs(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("output is text")
}

fn assert_refused(arguments: &[&str], parts: &[&str]) {
    let output = certs(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o777
}

#[test]
fn an_authority_issues_certificates_and_nothing_is_overwritten_unasked() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("certs");
    let text = dir.to_str().expect("a plain path");
    assert_refused(
        &["issue", "--dir", text, "agent-1"],
        &["ca.pem cannot be read", "tepui certs init --dir"],
    );
    assert!(told(&["init", "--dir", text]).contains("ca.key"));
    assert_eq!(mode(&dir.join("ca.key")), 0o600);
    assert_eq!(mode(&dir.join("ca.pem")), 0o644);
    let key = fs::read(dir.join("ca.key")).expect("a key");
    assert_refused(
        &["init", "--dir", text],
        &["ca.key is there already", "another --dir"],
    );
    assert_eq!(fs::read(dir.join("ca.key")).expect("a key"), key);

    let issue = ["issue", "--dir", text, "agent-1", "--host", "10.0.0.2"];
    let issued = told(&issue);
    for part in [
        "agent-1.pem",
        "subject  agent-1",
        "hosts    agent-1, 10.0.0.2",
        "365 more days",
    ] {
        assert!(issued.contains(part), "{issued}");
    }
    assert_eq!(mode(&dir.join("agent-1.key")), 0o600);
    assert_refused(&issue, &["agent-1.key is there already", "--replace"]);
    let before = fs::read(dir.join("agent-1.key")).expect("a key");
    told(&[&issue[..], &["--replace", "--days", "30"]].concat());
    assert_ne!(fs::read(dir.join("agent-1.key")).expect("a key"), before);
    assert_eq!(mode(&dir.join("agent-1.key")), 0o600);

    let agent = dir.join("agent-1.pem");
    let shown = told(&["show", agent.to_str().expect("a plain path")]);
    assert!(shown.contains("for 30 more days"), "{shown}");
    let ca = dir.join("ca.pem");
    let shown = told(&["show", ca.to_str().expect("a plain path")]);
    assert!(shown.contains("(a certificate authority)") && shown.contains("hosts    none"));
}

#[test]
fn bad_input_is_told_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().to_str().expect("a plain path");
    told(&["init", "--dir", text]);
    let issue = |more: &[&'static str]| [&["issue", "--dir", text][..], more].concat();
    assert_refused(&issue(&["ca"]), &["the authority's", "another name"]);
    assert_refused(
        &issue(&["../x"]),
        &["../x", "other characters", "node-1.example"],
    );
    assert_refused(&issue(&["a", "--host", "*.x"]), &["*.x", "wildcard"]);
    assert_refused(&issue(&["a", "--days", "0"]), &["--days"]);
    let long = ["a", "--days", "4000"];
    assert_refused(
        &issue(&long),
        &["--days 4000", "the authority only until", "choose fewer"],
    );
    let key = dir.path().join("ca.key");
    let key = key.to_str().expect("a plain path");
    assert_refused(&["show", key], &["ca.key", "no certificate"]);
    assert_refused(
        &["show", "/not/there.pem"],
        &["/not/there.pem cannot be read"],
    );
    fs::write(dir.path().join("ca.key"), "nonsense").expect("writable");
    assert_refused(&issue(&["a"]), &["ca.key", "key cannot be read"]);
}
