//! `tepui sim` as a user types it.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const NASA: &str = "assets/nasa-ipsc-1993-3.1-cln.swf.gz";

fn tepui(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TEPUI_")) {
        command.env_remove(name);
    }
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .stdin(Stdio::null());
    command.output().expect("the binary runs")
}

fn json(arguments: &[&str]) -> Value {
    let output = tepui(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

fn refused(arguments: &[&str], part: &str) {
    let output = tepui(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains(part) && error.trim_end().lines().count() == 1,
        "{error}"
    );
}

#[test]
fn the_nasa_trace_runs_to_its_end() {
    let summary = json(&["sim", "run", "--trace", NASA, "--policy", "easy", "--json"]);
    let jobs = |name: &str| summary["jobs"][name].as_u64().expect("a number");
    let counts = ["submitted", "completed", "rejected", "unfinished"].map(jobs);
    assert_eq!(counts, [18_239, 18_239, 0, 0]);
    assert_eq!(summary["nodes"], 128);
    assert!(summary["events_per_cpu_s"].as_f64().expect("a number") > 0.0);
    for part in [
        "makespan_s",
        "events",
        "utilisation",
        "wait_s",
        "slowdown",
        "fairness",
    ] {
        assert!(!summary[part].is_null(), "{part}");
    }
}

fn bytes(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    files
        .iter()
        .map(|file| (name(file), fs::read(file).expect("readable")))
        .collect()
}

#[test]
fn files_of_a_seed_are_the_same_twice() {
    let dirs = [1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    for dir in &dirs {
        let out = dir.path().to_str().expect("text");
        json(&[
            "sim",
            "run",
            "--trace",
            NASA,
            "--nodes",
            "32xcpus:8",
            "--policy",
            "hdrf",
            "--load",
            "3",
            "--jitter",
            "1h",
            "--seed",
            "5",
            "--mtbf",
            "60d",
            "--json",
            "--out",
            out,
        ]);
    }
    let [first, second] = dirs.map(|dir| bytes(dir.path()));
    assert!(
        first
            .iter()
            .any(|(name, bytes)| name == "jobs.csv" && bytes.len() > 1_000_000)
    );
    assert!(first == second);
}

#[test]
fn a_sweep_is_the_same_on_one_thread_and_two() {
    let dirs = [1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    for (dir, threads) in dirs.iter().zip(["1", "2"]) {
        let out = dir.path().to_str().expect("text");
        let sweep = json(&[
            "sim",
            "sweep",
            "--trace",
            NASA,
            "--policy",
            "fifo,easy",
            "--loads",
            "1,1.2",
            "--seeds",
            "3",
            "--jitter",
            "1h",
            "--threads",
            threads,
            "--out",
            out,
            "--json",
        ]);
        let combinations = sweep.as_array().expect("a list");
        assert_eq!(combinations.len(), 4);
        let waits = &combinations[3]["estimates"]["wait_mean_s"];
        assert!(
            waits["mean"].as_f64() > Some(0.0) && waits["ci95"].as_f64() > Some(0.0),
            "{waits}"
        );
    }
    let [first, second] = dirs.map(|dir| bytes(dir.path()));
    assert_eq!(first.len(), 3);
    assert!(first == second);
}

#[test]
fn runs_are_reported_side_by_side_in_one_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    for policy in ["fifo", "easy"] {
        json(&[
            "sim",
            "run",
            "--trace",
            NASA,
            "--policy",
            policy,
            "--png",
            "--json",
            "--out",
            &path(policy),
        ]);
    }
    let report = path("report.html");
    assert!(
        tepui(&[
            "sim",
            "report",
            &path("fifo"),
            &path("easy"),
            "--out",
            &report
        ])
        .status
        .success()
    );
    let html = fs::read_to_string(report).expect("a report");
    assert_eq!(html.matches("<svg ").count(), 12);
    assert!(
        html.contains("easy with first-fit") && !html.contains("src=") && !html.contains("href=")
    );
    let png = fs::read(dir.path().join("easy/gantt.png")).expect("a picture");
    assert!(png.starts_with(b"\x89PNG"));
    refused(
        &["sim", "report", &path("nowhere")],
        "summary.json: cannot be read",
    );
}

/// The run with these arguments on NASA's trace at one and a half times its load, as JSON.
fn loaded(more: &[&str]) -> Value {
    let mut arguments = vec!["sim", "run", "--trace", NASA, "--load", "1.5"];
    arguments.extend(["--weight", "user-3=10", "--json"]);
    arguments.extend(more);
    json(&arguments)
}

#[test]
fn policies_with_a_memory_with_revocation_and_with_service_levels() {
    let shares = |summary: &Value| {
        summary["fairness"]["mean_key_gap"]
            .as_f64()
            .expect("a number")
    };
    let drf = loaded(&["--policy", "drf"]);
    let short = loaded(&["--policy", "history", "--half-life", "1s"]);
    let long = loaded(&["--policy", "history", "--half-life", "7d"]);
    for summary in [&drf, &short, &long] {
        assert_eq!(summary["jobs"]["completed"], 18_239);
        assert_eq!(summary["revoked"], 0);
    }
    assert!(
        (shares(&short) - shares(&drf)).abs() < 0.05,
        "{} {}",
        shares(&short),
        shares(&drf)
    );
    assert_ne!(long["wait_s"], drf["wait_s"]);

    let revoking = loaded(&["--policy", "drf", "--revoke", "--grace", "1m"]);
    assert_eq!(revoking["jobs"]["completed"], 18_239);
    assert!(revoking["revoked"].as_u64() > Some(0));

    let level = "user-3=hard,16xcpus:1,20m/1h";
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("levels");
    fs::write(&file, format!("# one a line\n{level}\n")).expect("writable");
    let file = file.to_str().expect("text");
    let kept = |policy: &str, level: &str| {
        let summary = loaded(&["--policy", policy, "--slo", level]);
        let level = &summary["slo"][0];
        assert_eq!(level["role"], "user-3");
        assert_eq!(level["class"], "hard");
        (level["held"].as_u64(), level["periods"].as_u64())
    };
    let (held, periods) = kept("slo", level);
    assert!(
        held == periods && periods > Some(10),
        "{held:?} of {periods:?}"
    );
    assert_eq!(kept("slo", file), (held, periods));
    let by_chance = kept("easy", level);
    assert!(
        by_chance.1 == periods && by_chance.0 < periods,
        "{by_chance:?}"
    );
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let wrong: [(&[&str], &str); 5] = [
        (&["--policy", "fifo", "--revoke"], "--revoke is for drf"),
        (&["--policy", "slo"], "no role asks for a service level"),
        (&["--slo", "user-3=hard"], "three or four parts"),
        (&["--slo", "nobody=hard,1xcpus:1,1m/1h"], "no job is in it"),
        (&["--half-life", "0s"], "must be more than nothing"),
    ];
    for (arguments, error) in wrong {
        let mut all = vec!["sim", "run", "--trace", NASA];
        all.extend(arguments);
        refused(&all, error);
    }
}

#[test]
fn a_process_decides() {
    let policy = "exec:python3 allocator/sim/examples/policy.py";
    let summary = json(&["sim", "run", "--trace", NASA, "--policy", policy, "--json"]);
    assert_eq!(summary["jobs"]["completed"], 18_239);
    let output = tepui(&[
        "sim",
        "run",
        "--trace",
        NASA,
        "--policy",
        "exec:false",
        "--json",
    ]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && error.contains("policy false: "),
        "{error}"
    );
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bad.swf");
    fs::write(
        &path,
        "; x\n1 0 -1 ten 1 -1 -1 1 -1 -1 1 1 1 -1 -1 -1 -1 -1\n",
    )
    .expect("writable");
    let bad = path.to_str().expect("text");
    refused(
        &["sim", "run", "--trace", bad, "--nodes", "cpus:1"],
        "bad.swf:2: field 4 (run time) \"ten\"",
    );
    refused(
        &["sim", "run", "--trace", "nowhere.swf", "--nodes", "cpus:1"],
        "nowhere.swf: cannot be read",
    );
    refused(&["sim", "run", "--trace", "README.md"], "add --format");
    refused(
        &["sim", "run", "--trace", NASA, "--nodes", "4xcpu:1"],
        "write e.g. 100xcpus:64",
    );
    refused(
        &["sim", "run", "--trace", NASA, "--policy", "best"],
        "must be one of fifo, easy",
    );
    refused(
        &["sim", "run", "--trace", NASA, "--placement", "best"],
        "must be one of first-fit",
    );
    refused(
        &["sim", "run", "--trace", NASA, "--weight", "nobody=2"],
        "no job is in it",
    );
    refused(
        &["sim", "run", "--trace", NASA, "--mtbf", "soon"],
        "write a span",
    );
    let output = tepui(&[
        "sim",
        "run",
        "--trace",
        bad,
        "--nodes",
        "cpus:1",
        "--skip-bad",
        "--json",
    ]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && error.contains("skipped: "),
        "{error}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["skipped_lines"], 1);
}

#[test]
fn policies_are_listed() {
    let listed = json(&["sim", "policies", "--json"]);
    assert!(listed["policies"].as_array().expect("a list").len() >= 8);
    assert!(listed["placements"].as_array().expect("a list").len() >= 7);
}
