//! What roles are promised and kept to: quotas, reservations, service levels.

use super::*;

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
        "set", "a/b", "--each", "cpus:1", "--length", "5m", "--period", "1h", "--tasks", "1",
    ];
    assert_eq!(told(&below), "role a/b is hard: as asked\n");
    let crooked = [&["slo", "set", "a//b"], &below[2..], &["--master", &master]].concat();
    assert_refused(&crooked, 2, &["a//b", "must not begin or end with"]);
    assert!(slo(&["remove", "queries"]).status.success());
    assert!(!told(&[]).contains("queries"));
}
