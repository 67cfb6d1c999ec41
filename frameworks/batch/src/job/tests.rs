//! Job files, good and bad.

use tepui_framework::protocol::{
    CommandInfo, Scalar,
    lifecycle::{HealthCheck, Probe, RestartOnFailure},
};

use super::*;

const GOOD: &str = r#"
name = "word-count"

[[group]]
name = "map"
command = "wc -w shard-{index}"
count = 24
cpus = 0.5
mem = 64
retries = 2

[[group]]
name = "reduce"
command = "sort"
after = ["map"]
resources = "cpus:1;mem:256;ports:[31000-31001]"
env = { LC_ALL = "C" }
kill_grace = "500ms"
"#;

#[test]
fn a_job_file_says_it_all() {
    let job = Job::parse("dir/job.toml", GOOD).unwrap();
    assert_eq!(job.name, "word-count");
    let [map, reduce] = &job.groups[..] else {
        panic!("two groups")
    };
    assert_eq!(
        (map.count, map.retries, map.resources.to_string().as_str()),
        (24, 2, "cpus:0.5;mem:64")
    );
    assert_eq!(
        reduce.resources.to_string(),
        "cpus:1;mem:256;ports:[31000-31001]"
    );
    assert_eq!(reduce.after, ["map"]);
    assert_eq!(reduce.env["LC_ALL"], "C");
    assert_eq!(reduce.kill_grace, Duration::from_millis(500));
    assert_eq!(job.instances(), 25);
    job.check().unwrap();
}

#[test]
fn defaults_are_small_and_the_file_names_the_job() {
    let text = "[[group]]\nname = 'a'\ncommand = 'true'\n";
    let job = Job::parse("dir/job.toml", text).unwrap();
    assert_eq!(job.name, "job");
    assert_eq!(job.groups[0].resources.to_string(), "cpus:1;mem:128");
    assert_eq!((job.groups[0].count, job.groups[0].retries), (1, 0));
    assert_eq!(job.groups[0].kill_grace, Duration::from_secs(3));
}

/// A group with these lines more.
fn group_with(lines: &str) -> Result<Group, String> {
    let text = format!("[[group]]\nname = 'a'\ncommand = 'true'\n{lines}\n");
    let job = Job::parse("job.toml", &text).map_err(|error| error.to_string())?;
    Ok(job.groups[0].clone())
}

#[test]
fn checks_restarts_and_limits_are_read_with_their_defaults() {
    let lifecycle = |lines| group_with(lines).unwrap().lifecycle;
    let seconds = Duration::from_secs;
    assert_eq!(lifecycle(""), Lifecycle::default());
    let health =
        lifecycle("health = { http = '8080/up', delay = '1s', failures = 1 }").health_check;
    let path = "/up".to_owned();
    let mut expected = HealthCheck::new(Probe::Http { port: 8080, path });
    (expected.check.delay, expected.failures) = (seconds(1), 1);
    assert_eq!(health, Some(expected));
    let health = lifecycle("health = { tcp = 80, grace = '2m', timeout = '3s' }").health_check;
    let mut expected = HealthCheck::new(Probe::Tcp { port: 80 });
    (expected.grace_period, expected.check.timeout) = (seconds(120), seconds(3));
    assert_eq!(health, Some(expected));
    let check = lifecycle("check = { command = 'test -f x', interval = '2s' }")
        .check
        .unwrap();
    assert_eq!(check.interval, seconds(2));
    assert_eq!(check.probe, Probe::Command(CommandInfo::shell("test -f x")));
    let restart = lifecycle("restarts = 3").restart;
    assert_eq!(restart, Some(RestartOnFailure::new(3)));
    let restart = lifecycle("restarts = { retries = 1, backoff = '0s' }")
        .restart
        .unwrap();
    assert_eq!(
        (restart.retries, restart.backoff, restart.backoff_max),
        (1, seconds(0), seconds(60))
    );
    let rest = lifecycle("max_time = '1h'\nlimits = { mem = 512 }");
    assert_eq!(rest.max_completion_time, Some(seconds(3600)));
    assert_eq!(
        (rest.limits.cpus, rest.limits.mem),
        (None, Some(Scalar::from_whole(512)))
    );
}

#[test]
fn mistakes_in_checks_are_told_with_line_and_rule() {
    for (line, told) in [
        (
            "health = 1",
            "4: health must be a table, as health = { ... }, not a whole number",
        ),
        (
            "health = {}",
            "4: health must have one of command, http and tcp",
        ),
        (
            "check = { tcp = 1, http = 2 }",
            "4: check must have one of command, http and tcp",
        ),
        (
            "health = { tcp = 0 }",
            "4: tcp = 0: must be a port, from 1 to 65535",
        ),
        (
            "health = { http = 'x' }",
            "4: http = \"x\": must be a port and a path, as 8080/health",
        ),
        (
            "health = { tcp = 1, failures = 0 }",
            "4: failures = 0: must be at least 1",
        ),
        ("restarts = {}", "4: restarts has no key \"retries\""),
        (
            "max_time = 5",
            "4: max_time must be a text in quotes, not a whole number",
        ),
    ] {
        assert_eq!(group_with(line).unwrap_err(), format!("job.toml:{told}"));
    }
    let told = group_with("check = { tcp = 1, failures = 3 }").unwrap_err();
    assert!(
        told.starts_with("job.toml:4: unknown key \"failures\" in check"),
        "{told}"
    );
}

/// Replaces `from` in the good file; the error must begin with `job.toml:` and the line of `from`.
#[test]
fn errors_name_line_value_and_what_to_write() {
    for (from, to, error) in [
        (
            "cpus = 0.5",
            "cpu = 0.5",
            r#"8: unknown key "cpu" in [[group]] "map"; did you mean "cpus"?"#,
        ),
        (
            "count = 24",
            "instances = 2",
            r#"7: unknown key "instances" in [[group]] "map"; did you mean "count"?"#,
        ),
        (
            "retries = 2",
            "banana = 2",
            r#"10: unknown key "banana" in [[group]] "map"; known: name, command, count, cpus, mem, disk, gpus, resources, retries, after, env, kill_grace, health, check, max_time, restarts, limits, uris, image, network, publish, egress_mbit"#,
        ),
        (
            "name = \"word-count\"",
            "nmae = 'x'",
            r#"2: unknown key "nmae" in the job file; did you mean "name"?"#,
        ),
        (
            "cpus = 0.5",
            "cpus = -1",
            "8: cpus = -1: must not be negative",
        ),
        (
            "cpus = 0.5",
            "cpus = 0",
            "8: cpus = 0: must be a number > 0",
        ),
        (
            "cpus = 0.5",
            "cpus = nan",
            "8: cpus = nan: is not a decimal number such as 4 or 0.5",
        ),
        (
            "cpus = 0.5",
            "cpus = '2'",
            "8: cpus = \"2\": must be a number, not a text",
        ),
        (
            "mem = 64",
            "mem = 1e99",
            "9: mem = 1e99: is not a decimal number such as 4 or 0.5",
        ),
        (
            "count = 24",
            "count = 0",
            "7: count = 0: must be at least 1",
        ),
        (
            "count = 24",
            "count = -3",
            "7: count = -3: must not be negative",
        ),
        (
            "count = 24",
            "count = 100001",
            "7: count = 100001: must be at most 100000",
        ),
        (
            "count = 24",
            "count = 99999999999",
            "7: count = 99999999999: is too large",
        ),
        (
            "count = 24",
            "count = 2.5",
            "7: count = 2.5: must be a whole number, not a decimal number",
        ),
        (
            "retries = 2",
            "retries = true",
            "10: retries = true: must be a whole number, not true or false",
        ),
        (
            "name = \"map\"",
            "name = \"m p\"",
            "5: name = \"m p\": must have only letters, digits, `-` and `_`",
        ),
        (
            "name = \"map\"",
            "name = \"\"",
            "5: name = \"\": must not be empty",
        ),
        (
            "name = \"map\"",
            "name = 3",
            "5: name must be a text in quotes, not a whole number",
        ),
        (
            "name = \"map\"\n",
            "\n",
            r#"4: [[group]] has no key "name""#,
        ),
        (
            "command = \"sort\"\n",
            "\n",
            r#"12: [[group]] "reduce" has no key "command""#,
        ),
        (
            "command = \"sort\"",
            "command = \" \"",
            "14: command: must not be empty",
        ),
        (
            "after = [\"map\"]",
            "after = [\"mpa\"]",
            r#"15: group "reduce" comes after "mpa", which does not exist; did you mean "map"?"#,
        ),
        (
            "after = [\"map\"]",
            "after = \"map\"",
            "15: after = \"map\": must be a list of names, as [\"map\"]",
        ),
        (
            "after = [\"map\"]",
            "after = [1]",
            "15: after = a list: must be a list of names, as [\"map\"]",
        ),
        (
            "after = [\"map\"]",
            "after = [\"reduce\"]",
            "15: groups wait for each other: reduce -> reduce",
        ),
        (
            "retries = 2",
            "after = [\"reduce\"]",
            "10: groups wait for each other: map -> reduce -> map",
        ),
        (
            "name = \"reduce\"",
            "name = \"map\"",
            r#"15: there are two groups "map"; give each its own name"#,
        ),
        (
            "resources = \"cpus:1;",
            "cpus = 1\nresources = \"cpus:1;",
            "17: resources cannot be given together with cpus, mem, disk or gpus",
        ),
        (
            "resources = \"cpus:1;",
            "resources = \"",
            "16: resources = \"mem:256;ports:[31000-31001]\": must have some cpus",
        ),
        (
            "env = { LC_ALL = \"C\" }",
            "env = { TEPUI_X = \"C\" }",
            r#"17: env: "TEPUI_X" is set by tepui; variables that begin with TEPUI_ are its own"#,
        ),
        (
            "env = { LC_ALL = \"C\" }",
            "env = { LC_ALL = 1 }",
            "17: LC_ALL must be a text in quotes, not a whole number",
        ),
        (
            "env = { LC_ALL = \"C\" }",
            "env = 'x'",
            "17: env must be a table, as env = { KEY = \"value\" }",
        ),
        (
            "kill_grace = \"500ms\"",
            "kill_grace = \"5 weeks\"",
            "18: kill_grace = \"5 weeks\": must be a duration, as \"500ms\", \"5s\", \"2m\" or \"1h\"",
        ),
    ] {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        let text = GOOD.replace(from, to);
        let found = Job::parse("job.toml", &text).unwrap_err().to_string();
        assert_eq!(found, format!("job.toml:{error}"), "for {to}");
    }
}

#[test]
fn json_is_told_that_toml_is_wanted() {
    let error = Job::parse("job.json", "{\"group\": []}").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("job.json:1: "), "{text}");
    assert!(text.ends_with("a job file is TOML, not JSON"), "{text}");
}

#[test]
fn errors_of_toml_and_of_resources_keep_their_own_words() {
    for (from, to, line) in [
        ("count = 24", "count = = 24", "job.toml:7: "),
        ("count = 24", "cpus = 1", "job.toml:8: "),
        (
            "cpus:1;mem:256",
            "cpus:x;mem:256",
            "job.toml:16: resources: ",
        ),
        (
            "cpus:1;mem:256",
            "cpus:1;gpus:1.5",
            "job.toml:16: resources: ",
        ),
    ] {
        let found = Job::parse("job.toml", &GOOD.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(line), "{found}");
        assert!(!found.contains('\n'), "{found}");
    }
}

#[test]
fn a_job_needs_groups_and_a_name() {
    for (path, text, error) in [
        ("job.toml", "", "job.toml:1: the job has no [[group]]"),
        (
            "job.toml",
            "group = []",
            "job.toml:1: the job has no [[group]]",
        ),
        (
            "job.toml",
            "\n[group]\nname = 'a'",
            "job.toml:2: write [[group]], with two brackets",
        ),
        (
            "a b.toml",
            "[[group]]",
            "a b.toml:1: the file name \"a b\" cannot name the job; add name = \"...\"",
        ),
    ] {
        assert_eq!(Job::parse(path, text).unwrap_err().to_string(), error);
    }
}

#[test]
fn groups_may_not_share_a_variable() {
    let text = "[[group]]\nname='a-b'\ncommand='x'\n[[group]]\nname='a_b'\ncommand='x'\n";
    let error = Job::parse("job.toml", text).unwrap_err().to_string();
    assert!(
        error.starts_with("job.toml:5: groups \"a-b\" and \"a_b\" would share"),
        "{error}"
    );
}

#[test]
fn a_single_command_is_a_job_too() {
    let resources: Resources = "cpus:0.1;mem:32".parse().unwrap();
    let job = Job::single("run-1", "echo {index}", resources.clone(), 3).unwrap();
    assert_eq!((job.groups.len(), job.groups[0].count), (1, 3));
    let error = |command, count| {
        Job::single("run", command, resources.clone(), count)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error("", 1), "group \"run\": command: must not be empty");
    assert_eq!(error("true", 0), "group \"run\": count: must be at least 1");
}

#[test]
fn files_and_an_image_are_read() {
    let group = |keys: &str| {
        let text = format!("[[group]]\nname = 'a'\n{keys}\n");
        Job::parse("job.toml", &text).map(|job| job.groups[0].clone())
    };
    let text = "command = 'x'\nuris = ['http://h/a.tgz,extract', { value = '/b', cache = true }]";
    let uris = group(text).unwrap().uris;
    assert_eq!(
        (uris.len(), uris[0].extract, uris[1].cache),
        (2, true, true)
    );
    let own = group("image = 'oci:/i'").unwrap();
    assert_eq!((own.command.as_str(), own.words.len()), ("", 0));
    assert_eq!(own.image.unwrap().name, "oci:/i");
    let words = group("image = 'h:1/i'\ncommand = ['a', 'b c']").unwrap();
    assert_eq!(
        (words.command.as_str(), words.words),
        ("", vec!["a".to_owned(), "b c".to_owned()])
    );
    assert_eq!(
        group("image = 'oci:/i'\ncommand = 'a | b'")
            .unwrap()
            .command,
        "a | b"
    );
    for (keys, told) in [
        (
            "command = 'x'\nuris = 'x'",
            "job.toml:4: uris must be a list",
        ),
        (
            "command = 'x'\nuris = ['x']",
            "job.toml:4: uris = \"x\": must begin with http://",
        ),
        (
            "command = 'x'\nuris = [{ value = '/a', cache = 1 }]",
            "job.toml:4: cache = 1: must be true or false",
        ),
        (
            "command = 'x'\nuris = [{ value = '/a', sha = '' }]",
            "job.toml:4: unknown key \"sha\"",
        ),
        (
            "command = 'x'\nuri = ['/a']",
            "job.toml:4: unknown key \"uri\"",
        ),
        (
            "image = 'busybox'",
            "job.toml:3: image = \"busybox\": must be oci:/PATH",
        ),
        ("command = ['a']", "job.toml:3: command must be a text"),
    ] {
        let error = group(keys).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}
