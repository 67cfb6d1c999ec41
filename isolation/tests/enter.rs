//! A further command beside the first of a container: it is in the same place, under the same limits.
//!
//! Needs root and control groups; says so and passes where they are absent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs};

use tepui_isolation::{
    Container, Containerizer, Ended, IsolationConfig, LaunchSpec, Signal,
    launch::Program,
    process::{chain, family::await_patiently},
};

/// What identifies a place: user, privileges, file system, processes, groups.
const LOOK: &str = "id; grep -e Cap -e NoNew -e Seccomp: /proc/self/status; ls /; hostname; pwd; \
                    for ns in pid ipc uts mnt cgroup; do readlink /proc/self/ns/$ns; done; \
                    cat /proc/self/cgroup; echo $MARK; cat /proc/1/comm";

/// Whatever a failed test leaves ends with it.
struct Ends(Containerizer);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.destroy("c");
    }
}

#[test]
fn a_command_that_comes_later_is_where_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = IsolationConfig {
        work_dir: dir.path().to_owned(),
        ..IsolationConfig::default()
    };
    let launcher = Program {
        path: env!("CARGO_BIN_EXE_tepui-launch").into(),
        arguments: Vec::new(),
    };
    let (containers, off) = Containerizer::new(config, launcher).unwrap();
    if let Some(off) = off.first() {
        return eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
    }
    let sandbox = dir.path().join("sandboxes/c");
    fs::create_dir_all(&sandbox).unwrap();
    let container = Container {
        name: "c".to_owned(),
        sandbox: sandbox.clone(),
        milli_cpus: 500,
        memory: Some(64 << 20),
        ..Container::default()
    };
    let environment = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("MARK".to_owned(), "marked".to_owned()),
    ]);
    let line = format!("{LOOK}; echo end; exec sleep 1000");
    let spec = LaunchSpec::shell(&line, environment, sandbox.clone());
    let first = containers
        .launch(&container, &spec)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let seen = || fs::read_to_string(sandbox.join("stdout")).unwrap();
    assert!(await_patiently(|| seen().ends_with("end\n")), "{}", seen());
    let containers = Ends(containers);
    let (plan, process) = (first.plan().unwrap().clone(), first.identity());
    let beside = |line: &str, output: &str| {
        let mut spec = LaunchSpec::shell(line, BTreeMap::new(), sandbox.clone());
        spec.outputs = [output.to_owned(), output.to_owned()];
        let launched = containers.0.enter(&plan, process, &spec);
        launched.unwrap_or_else(|error| panic!("{}", chain(&error)))
    };
    let outcome = beside(LOOK, "later").wait().unwrap();
    assert_eq!(outcome.ended, Ended::Exited { code: 0 });
    let later = fs::read_to_string(sandbox.join("later")).unwrap();
    assert_eq!(later + "end\n", seen());
    assert!(seen().contains("marked\ntepui-launch\n"), "{}", seen());
    // It can be ended by itself, and ends with the container.
    let hanging = beside("sleep 1000", "later");
    hanging.identity().signal_group(Signal::Kill).unwrap();
    assert!(!hanging.wait().unwrap().ended.is_success());
    let hanging = beside("exec sleep 1000", "later");
    containers.0.destroy("c").unwrap();
    assert!(!hanging.wait().unwrap().ended.is_success());
    first.wait().unwrap();
    let error = containers.0.enter(&plan, process, &spec).unwrap_err();
    assert!(chain(&error).contains("has ended"), "{}", chain(&error));
}
