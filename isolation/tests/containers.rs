//! Containers for real: what a command in one can do, and what it cannot.
//!
//! Tests that need root or control groups say so and pass where they are absent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use tepui_isolation::{
    Container, Containerizer, Ended, IsolationConfig, LaunchSpec, LimitationKind, Outcome, Signal,
    launch::Program,
    process::{ProcessIdentity, chain, family::await_patiently},
};

/// A machine's worth of isolation, and a sandbox in it.
struct Room {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
    container: Container,
}

const MIB: u64 = 1 << 20;

fn launcher() -> Program {
    Program {
        path: env!("CARGO_BIN_EXE_tepui-launch").into(),
        arguments: Vec::new(),
    }
}

impl Room {
    /// With these isolators, or none where they do not work here.
    fn with(isolators: &[&str], change: impl FnOnce(&mut IsolationConfig)) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = IsolationConfig {
            work_dir: dir.path().to_owned(),
            isolators: isolators.iter().map(|&name| name.to_owned()).collect(),
            ..IsolationConfig::default()
        };
        change(&mut config);
        let (containerizer, off) = match Containerizer::new(config, launcher()) {
            Ok(made) => made,
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                return None;
            }
        };
        // Private networks have tests of their own.
        if let Some(off) = off.iter().find(|off| off.name != "network/private") {
            eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
            return None;
        }
        let container = Container {
            name: "c".to_owned(),
            sandbox: dir.path().join("sandboxes/c"),
            milli_cpus: 500,
            memory: Some(64 * MIB),
            ..Container::default()
        };
        fs::create_dir_all(&container.sandbox).unwrap();
        Some(Self {
            dir,
            containerizer,
            container,
        })
    }

    /// With all that is used where nothing is said.
    fn full() -> Option<Self> {
        Self::with(&["auto"], |_| {})
    }

    fn spec(&self, line: &str) -> LaunchSpec {
        let sandbox = self.container.sandbox.clone();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin".to_owned()),
            ("SANDBOX".to_owned(), sandbox.display().to_string()),
        ]);
        LaunchSpec::shell(line, environment, sandbox)
    }

    /// Runs a line to its end; nothing may be left of it.
    fn run(&self, line: &str) -> Outcome {
        let launched = self
            .containerizer
            .launch(&self.container, &self.spec(line))
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        let outcome = launched.wait().unwrap();
        self.containerizer.destroy(&self.container.name).unwrap();
        assert_eq!(self.containerizer.orphans(&BTreeSet::new()), [].into());
        outcome
    }

    fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.container.sandbox.join(name)).unwrap();
        read("stdout") + &read("stderr")
    }

    /// Runs a line that must end with 0, and returns what it wrote.
    fn succeeds(&self, line: &str) -> String {
        let outcome = self.run(line);
        let success = Outcome::from(Ended::Exited { code: 0 });
        assert_eq!(outcome, success, "{line}: {}", self.output());
        self.output()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Whatever a failed test left.
        let _ = self.containerizer.destroy(&self.container.name);
    }
}

#[test]
fn a_command_runs_without_privileges_of_any_kind() {
    let Some(room) = Room::full() else { return };
    let status = room.succeeds("id -un; cat /proc/self/status; ulimit -c");
    assert!(status.starts_with("nobody\n"), "{status}");
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "SigBlk:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} not in {status}");
    }
}

#[test]
fn a_task_sees_the_machine_read_only_and_its_own_places() {
    let Some(room) = Room::full() else { return };
    let seen = room.succeeds(
        "pwd; echo $SANDBOX $HOME; echo own > /tmp/own; echo file > file; cat .tmp/own; hostname; \
         touch /usr/x /etc/x /x /dev/x /sys/x /proc/x /run/x /mnt/x 2>&1 | grep -c 'touch: cannot'; \
         ls /root /boot /run /media; ls /proc | grep -c '^[0-9]'; test -x /usr/bin/env && echo there",
    );
    let lines: Vec<&str> = seen.lines().filter(|line| !line.ends_with(':')).collect();
    let expected = ["/mnt/sandbox", "/mnt/sandbox /mnt/sandbox", "own", "c", "8"];
    assert_eq!(lines[..5], expected, "{seen}");
    assert!(seen.ends_with("there\n"), "{seen}");
    let file = room.container.sandbox.join("file");
    assert_eq!(fs::read_to_string(file).unwrap(), "file\n");
}

#[test]
fn volumes_show_what_the_operator_names_and_lead_nowhere_else() {
    let data = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(data.path(), open).unwrap();
    fs::write(data.path().join("in"), "input\n").unwrap();
    std::os::unix::fs::symlink("/root", data.path().join("out")).unwrap();
    let volume = |target: &str, read_only| tepui_isolation::launch::Bind {
        source: data.path().to_owned(),
        target: target.into(),
        read_only,
    };
    let Some(room) = Room::with(&["auto"], |config| {
        config.volumes = vec![volume("/input", true), volume("/output", false)];
    }) else {
        return;
    };
    let seen = room.succeeds(
        "cat /input/in; ls -A /input/out/; touch /input/x 2>&1 | grep -c Read-only; \
         echo made > /output/made; cd /output/..; pwd",
    );
    assert_eq!(seen, "input\n1\n/\n");
    let made = fs::read_to_string(data.path().join("made")).unwrap();
    assert_eq!(made, "made\n");
}

#[test]
fn another_sandbox_cannot_be_read_by_any_way() {
    let Some(room) = Room::full() else { return };
    let other = room.dir.path().join("sandboxes/other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("secret"), "secret").unwrap();
    // The agent's directory itself is readable for all, so that only isolation keeps them out.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(room.dir.path(), open).unwrap();
    let path = other.display();
    let tried = room.run(&format!(
        "cat {path}/secret; cat /mnt/sandbox/../other/secret; ln -s {path}/secret link; cat link; \
         cat /proc/1/root{path}/secret /proc/1/cwd{path}/secret; ls -a /mnt; exit 0"
    ));
    assert_eq!(tried.ended, Ended::Exited { code: 0 });
    let seen = room.output();
    assert!(
        !seen.contains("secret\n") && seen.matches("cat:").count() == 5,
        "{seen}"
    );
    assert!(seen.contains(".\n..\nsandbox\n"), "{seen}");
}

#[test]
fn processes_of_others_cannot_be_seen_or_signalled() {
    let Some(room) = Room::full() else { return };
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let pid = other.id();
    let line = format!("kill -9 {pid}; ls /proc/{pid}; kill -9 1; echo still here; kill -9 -1");
    let outcome = room.run(&line);
    // `kill -1` reaches all that can be reached: but not the one who calls it.
    assert!(room.output().contains("still here"), "{}", room.output());
    assert!(
        room.output().contains("No such process"),
        "{}",
        room.output()
    );
    assert_eq!(outcome.limitation, None);
    assert_eq!(other.try_wait().unwrap(), None, "the other one lives");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_fork_bomb_is_held_by_the_bound_on_processes() {
    let Some(room) = Room::with(&["auto"], |config| config.pids_max = 20) else {
        return;
    };
    let outcome = room.run("i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; echo won");
    assert!(!outcome.ended.is_success(), "{outcome:?}");
    assert!(!room.output().contains("won"), "{}", room.output());
    assert!(
        room.output().to_lowercase().contains("fork"),
        "{}",
        room.output()
    );
}

#[test]
fn memory_beyond_the_limit_ends_the_task_with_the_reason() {
    let Some(room) = Room::full() else { return };
    // A process in the background goes over the limit; the task itself would go on.
    let outcome = room.run("(head -c 200m /dev/zero | tail > /dev/null) & wait; sleep 1000");
    let limitation = outcome.limitation.expect("a reason");
    assert_eq!(limitation.kind, LimitationKind::Memory);
    let expected = "memory limit of 64 MiB exceeded; it used 64 MiB at most";
    assert_eq!(limitation.message, expected);
}

#[test]
fn a_sandbox_beyond_its_limit_ends_the_task_with_the_reason() {
    let room = Room::with(&["disk/du"], |config| config.disk_interval_ms = 20);
    let mut room = room.unwrap();
    room.container.disk = Some(4 * MIB);
    let outcome = room.run("head -c 9m /dev/zero > big; sleep 1000");
    let limitation = outcome.limitation.expect("a reason");
    assert_eq!(limitation.kind, LimitationKind::Disk);
    assert!(
        limitation
            .message
            .starts_with("disk limit of 4 MiB exceeded"),
        "{limitation:?}"
    );
}

/// What an attacker tries, and what the system says to that.
const ATTACKS: &[(&str, &[&str])] = &[
    (
        "mount -t tmpfs none /tmp",
        &["permission denied", "not permitted", "must be superuser"],
    ),
    ("unshare -Ur true", &["not permitted"]),
    ("unshare -m true", &["not permitted"]),
    ("mknod node b 8 0", &["not permitted"]),
    (
        "echo 1 > /proc/sys/kernel/panic",
        &["read-only", "permission denied"],
    ),
    (
        "echo b > /proc/sysrq-trigger",
        &["read-only", "permission denied", "nonexistent"],
    ),
    ("cat /proc/1/environ", &["permission denied"]),
    ("ls /proc/1/cwd", &["permission denied"]),
    (
        "cat /proc/kcore | head -c 1 | grep -q . || echo empty",
        &["empty"],
    ),
    ("dmesg", &["not permitted", "permission denied"]),
    ("hostname other", &["not permitted", "you must be root"]),
    (
        "echo x > /bin/sh",
        &["read-only", "permission denied", "text file busy"],
    ),
    ("chroot / true", &["not permitted"]),
    ("ulimit -n 200", &["not permitted", "limit"]),
    ("date -s 2000-01-01", &["not permitted", "cannot set"]),
];

fn attack(room: &Room) {
    for (line, refusals) in ATTACKS {
        let outcome = room.run(&format!("{line}; :"));
        let said = room.output().to_lowercase();
        assert_eq!(outcome.limitation, None);
        assert!(
            refusals.iter().any(|refusal| said.contains(refusal)),
            "{line}: {said}"
        );
        fs::remove_dir_all(&room.container.sandbox).unwrap();
        fs::create_dir(&room.container.sandbox).unwrap();
    }
}

fn few_files(config: &mut IsolationConfig) {
    let name = "RLIMIT_NOFILE".to_owned();
    config.rlimits = vec![tepui_isolation::launch::Rlimit {
        name,
        soft: 100,
        hard: 100,
    }];
}

#[test]
fn attacks_on_the_machine_are_refused() {
    let Some(room) = Room::with(&["auto"], few_files) else {
        return;
    };
    attack(&room);
}

#[test]
fn attacks_by_a_task_that_runs_as_root_are_refused_as_well() {
    let allowed = |config: &mut IsolationConfig| {
        few_files(config);
        config.root_tasks = true;
    };
    let Some(mut room) = Room::with(&["auto"], allowed) else {
        return;
    };
    room.container.user = Some("root".to_owned());
    assert_eq!(room.succeeds("id -u"), "0\n");
    fs::remove_dir_all(&room.container.sandbox).unwrap();
    fs::create_dir(&room.container.sandbox).unwrap();
    attack(&room);
}

#[test]
fn users_that_may_not_run_tasks_are_refused() {
    let Some(mut room) = Room::full() else { return };
    for (user, problem) in [
        ("root", "user root: tasks may not run as root on this agent"),
        ("nosuchuser", "user nosuchuser: there is none on this agent"),
    ] {
        room.container.user = Some(user.to_owned());
        let refused = room
            .containerizer
            .launch(&room.container, &room.spec("true"))
            .unwrap_err();
        let text = chain(&refused);
        assert!(
            text.starts_with("isolator posix/user failed: ") && text.contains(problem),
            "{text}"
        );
        assert_eq!(room.containerizer.orphans(&BTreeSet::new()), [].into());
    }
}

#[test]
fn a_step_that_fails_is_told_and_nothing_is_left() {
    let Some(room) = Room::full() else { return };
    let mut spec = room.spec("");
    spec.program = "no-such-program".to_owned();
    let refused = room
        .containerizer
        .launch(&room.container, &spec)
        .unwrap_err();
    let text = chain(&refused);
    assert!(
        text.starts_with("cannot start \"no-such-program\": No such file"),
        "{text}"
    );
    assert_eq!(room.containerizer.orphans(&BTreeSet::new()), [].into());
    let Some(room) = Room::with(&["posix/rlimits"], |config| {
        few_files(config);
        config.rlimits[0].hard = u64::MAX;
        config.rlimits[0].name = "RLIMIT_NICE".to_owned();
    }) else {
        return;
    };
    // Without CAP_SYS_RESOURCE; with it, there is nothing to see.
    match room
        .containerizer
        .launch(&room.container, &room.spec("true"))
    {
        Ok(launched) => drop(launched.wait().unwrap()),
        Err(refused) => {
            let text = chain(&refused);
            assert!(
                text.starts_with("cannot set limits \"RLIMIT_NICE\": "),
                "{text}"
            );
        }
    }
}

/// Starts a line that writes to the file `up` when it is ready, and waits for that.
fn running(room: &Room, line: &str) -> tepui_isolation::Launched {
    let launched = room.containerizer.launch(&room.container, &room.spec(line));
    let launched = launched.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let up = room.container.sandbox.join("up");
    assert!(await_patiently(|| up.exists()), "it comes up");
    launched
}

#[test]
fn signals_reach_the_task_through_the_init() {
    let Some(room) = Room::full() else { return };
    let line = "trap 'exit 7' TERM; touch up; while :; do sleep 0.02; done";
    let launched = running(&room, line);
    launched.identity().signal_group(Signal::Terminate).unwrap();
    assert_eq!(launched.wait().unwrap().ended, Ended::Exited { code: 7 });
    fs::remove_file(room.container.sandbox.join("up")).unwrap();
    // Without a handler, as it would have as the first process of its namespace.
    let launched = running(&room, "touch up; exec sleep 1000");
    launched.identity().signal_group(Signal::Terminate).unwrap();
    assert_eq!(
        launched.wait().unwrap().ended,
        Ended::Signalled { signal: 15 }
    );
}

/// The processes of the machine whose command line contains a text.
fn processes_with(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    pids.filter(has).collect()
}

/// A number of seconds that no other test sleeps for.
fn unlike(dir: &Path) -> String {
    let name = dir.file_name().unwrap().to_string_lossy().into_owned();
    let sum: u64 = name.bytes().map(u64::from).sum();
    format!("{}{sum}", 20_000 + std::process::id() % 10_000)
}

#[test]
fn a_launcher_that_is_killed_takes_all_along() {
    for isolators in [&["auto"][..], &["linux/nnp"]] {
        let Some(room) = Room::with(isolators, |_| {}) else {
            return;
        };
        let span = unlike(room.dir.path());
        let launched = running(
            &room,
            // It says that it is up when it has left the group.
            &format!("setsid sh -c 'touch up; exec sleep {span}' & exec sleep {span}"),
        );
        // One that is just executing has no command line.
        assert!(
            await_patiently(|| processes_with(&span).len() == 2),
            "both run"
        );
        launched.identity().signal_group(Signal::Kill).unwrap();
        assert_eq!(
            launched.wait().unwrap().ended,
            Ended::Signalled { signal: 9 }
        );
        if isolators == ["auto"] {
            assert!(
                await_patiently(|| processes_with(&span).is_empty()),
                "nothing is left"
            );
        } else {
            // Without namespaces and groups, what left its group is the executor's to find.
            assert!(
                await_patiently(|| processes_with(&span).len() == 1),
                "the group is gone"
            );
            let left = ProcessIdentity::of(processes_with(&span)[0]).unwrap();
            left.signal_group(Signal::Kill).unwrap();
        }
    }
}

#[test]
fn what_a_task_leaves_in_the_background_ends_with_it() {
    let Some(room) = Room::full() else { return };
    let span = unlike(room.dir.path());
    room.succeeds(&format!("setsid sleep {span} & sleep {span} & true"));
    assert!(
        await_patiently(|| processes_with(&span).is_empty()),
        "nothing is left"
    );
}

#[test]
fn destroying_a_container_kills_it_and_orphans_are_found() {
    let Some(room) = Room::full() else { return };
    let span = unlike(room.dir.path());
    let launched = running(&room, &format!("sleep {span} & touch up; wait"));
    let name = room.container.name.clone();
    assert_eq!(
        room.containerizer.orphans(&BTreeSet::new()),
        [name.clone()].into()
    );
    assert_eq!(
        room.containerizer.orphans(&[name.clone()].into()),
        [].into()
    );
    room.containerizer.destroy(&name).unwrap();
    assert!(!launched.wait().unwrap().ended.is_success());
    assert_eq!(processes_with(&span), Vec::<u32>::new());
    assert_eq!(room.containerizer.orphans(&BTreeSet::new()), [].into());
}

#[test]
fn what_a_container_uses_is_counted_and_its_limits_can_change() {
    let Some(mut room) = Room::full() else { return };
    room.container.disk = Some(64 * MIB);
    let line = "head -c 8m /dev/zero > file; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; \
                sleep 1000 & : > up; wait";
    let launched = running(&room, line);
    let usage = room.containerizer.usage(&room.container);
    assert!(usage.cpu_us.unwrap() > 1000, "{usage:?}");
    assert!(
        usage.memory.unwrap() > MIB && usage.memory_peak >= usage.memory,
        "{usage:?}"
    );
    assert_eq!(
        (usage.memory_limit, usage.memory_kills),
        (Some(64 * MIB), Some(0))
    );
    // The init, the shell, the sleeper.
    assert_eq!(usage.pids, Some(3));
    assert!(usage.disk.unwrap() >= 8 * MIB, "{usage:?}");
    for mebibytes in [96, 48] {
        room.container.memory = Some(mebibytes * MIB);
        room.containerizer.update(&room.container).unwrap();
        let usage = room.containerizer.usage(&room.container);
        assert_eq!(usage.memory_limit, Some(mebibytes * MIB));
    }
    room.containerizer.destroy(&room.container.name).unwrap();
    launched.wait().unwrap();
}

#[test]
fn without_privileges_what_needs_none_is_there() {
    let room = Room::with(&["linux/nnp", "linux/seccomp", "posix/rlimits"], few_files).unwrap();
    let seen = room.succeeds("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; ulimit -n; pwd");
    let here = room.container.sandbox.canonicalize().unwrap();
    let expected = format!("NoNewPrivs:\t1\nSeccomp:\t2\n100\n{}\n", here.display());
    assert_eq!(seen, expected);
}

/// Calls the kernel by number, and writes what it says.
fn syscalls(calls: &[(i64, String)]) -> String {
    let lines = calls.iter().map(|(number, arguments)| {
        format!("$! = 0; print syscall({number}, {arguments}) == -1 ? \"$!\\n\" : \"done\\n\";")
    });
    format!("perl -e '{}' 2>&1", lines.collect::<String>())
}

#[test]
fn another_task_cannot_be_traced_or_read() {
    use nix::libc;
    use std::os::unix::process::CommandExt as _;
    const ATTACH: i64 = 16;
    const SEIZE: i64 = 0x4206;
    let Some(room) = Room::full() else { return };
    // Of the same user, as all tasks may be.
    let mut command = std::process::Command::new("sleep");
    let mut other = command.arg("1000").uid(65534).gid(65534).spawn().unwrap();
    let pid = other.id();
    let ptrace = libc::SYS_ptrace;
    let calls = [
        (ptrace, format!("{ATTACH}, {pid}, 0, 0")),
        (ptrace, format!("{SEIZE}, {pid}, 0, 0")),
        (libc::SYS_pidfd_open, format!("{pid}, 0")),
        // The init of the container, which has the memory of the launcher.
        (ptrace, format!("{ATTACH}, 1, 0, 0")),
        (libc::SYS_process_vm_readv, "1, 0, 0, 0, 0, 0".to_owned()),
        (libc::SYS_kcmp, "1, 2, 0, 0, 0".to_owned()),
    ];
    let said = room.succeeds(&syscalls(&calls));
    let expected = [&["No such process"; 3][..], &["Operation not permitted"; 3]].concat();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let said = room.succeeds("cat /proc/1/mem /proc/1/maps 2>&1 | head -c 100; :");
    assert!(said.contains("ermission denied"), "{said}");
    assert_eq!(other.try_wait().unwrap(), None, "the other one lives");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn limits_and_priorities_cannot_be_raised() {
    let Some(room) = Room::with(&["auto"], few_files) else {
        return;
    };
    for (line, refusal) in [
        ("ulimit -n 200", "not permitted"),
        ("prlimit --pid $$ --nofile=5000:5000", "not permitted"),
        ("prlimit --pid 1 --nofile=5:5", "not permitted"),
        ("nice -n -5 true", "ermission denied"),
        ("chrt -f 1 true", "not permitted"),
        // The shell says no more than that there was an error.
        ("echo -1000 > /proc/self/oom_score_adj", "I/O error"),
        ("echo -1000 > /proc/1/oom_score_adj", "ermission denied"),
        ("tail /proc/self/oom_score_adj", "300"),
        ("echo 9999 > /sys/fs/cgroup/pids.max", "nonexistent"),
        ("mkdir /sys/fs/cgroup/mine", "No such file"),
    ] {
        let outcome = room.run(&format!("{line}; :"));
        let said = room.output();
        assert_eq!(outcome.limitation, None);
        assert!(
            said.contains(refusal) || said.contains("Read-only"),
            "{line}: {said}"
        );
        fs::remove_dir_all(&room.container.sandbox).unwrap();
        fs::create_dir(&room.container.sandbox).unwrap();
    }
}

#[test]
fn settings_of_the_machine_cannot_be_written() {
    let Some(mut room) = Room::with(&["auto"], |config| config.root_tasks = true) else {
        return;
    };
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for user in ["nobody", "root"] {
        room.container.user = Some(user.to_owned());
        for file in [
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/hostname",
            "/proc/sys/vm/drop_caches",
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sys/fs/file-max",
            "/proc/irq/default_smp_affinity",
            "/sys/kernel/uevent_helper",
            "/sys/power/state",
        ] {
            if !Path::new(file).exists() {
                continue;
            }
            room.run(&format!("echo 1 > {file}; :"));
            let said = room.output();
            assert!(
                ["Read-only", "ermission denied", "nonexistent"]
                    .iter()
                    .any(|no| said.contains(no)),
                "{file}: {said}"
            );
            fs::remove_dir_all(&room.container.sandbox).unwrap();
            fs::create_dir(&room.container.sandbox).unwrap();
        }
    }
    let after = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert_eq!(before, after);
}

/// What the agent does as root in a sandbox that a task has filled with links, when it is started again.
#[test]
fn links_that_a_task_leaves_behind_lead_nobody_out_of_its_sandbox() {
    let Some(room) = Room::full() else { return };
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "of root\n").unwrap();
    let before = fs::metadata(outside.path()).unwrap().permissions();
    let path = secret.display();
    for (attack, problem) in [
        (
            format!("rm stdout; ln -s {path} stdout"),
            "stdout for output: ",
        ),
        (
            format!("rm stderr; ln -s {path}.new stderr"),
            "stderr for output: ",
        ),
        ("rm stdout; mkfifo stdout".to_owned(), "stdout for output: "),
        (
            format!("mv .tmp x; ln -s {} .tmp", outside.path().display()),
            "/.tmp: File exists",
        ),
    ] {
        assert_eq!(room.run(&attack).ended, Ended::Exited { code: 0 });
        let again = room
            .containerizer
            .launch(&room.container, &room.spec("echo owned"));
        let refused = chain(&again.unwrap_err());
        assert!(refused.contains(problem), "{attack}: {refused}");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "of root\n");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{attack}");
        let mode = fs::metadata(outside.path()).unwrap().permissions();
        assert_eq!(mode, before, "{attack}");
        fs::remove_dir_all(&room.container.sandbox).unwrap();
        fs::create_dir(&room.container.sandbox).unwrap();
    }
}

#[test]
fn a_link_in_a_volume_does_not_move_another_volume() {
    let shared = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(shared.path(), open).unwrap();
    let inner = tempfile::tempdir().unwrap();
    let volume = |source: &Path, target: &str| tepui_isolation::launch::Bind {
        source: source.to_owned(),
        target: target.into(),
        read_only: false,
    };
    let Some(room) = Room::with(&["auto"], |config| {
        config.volumes = vec![
            volume(shared.path(), "/data"),
            volume(inner.path(), "/data/inner"),
        ];
    }) else {
        return;
    };
    // The place of the inner volume is made in the outer one, which the task may write to.
    room.succeeds("test -d /data/inner");
    fs::remove_dir(shared.path().join("inner")).unwrap();
    std::os::unix::fs::symlink("/etc", shared.path().join("inner")).unwrap();
    let again = room
        .containerizer
        .launch(&room.container, &room.spec("true"));
    let refused = chain(&again.unwrap_err());
    assert!(
        refused.contains("Too many levels of symbolic links"),
        "{refused}"
    );
}

#[test]
fn a_disk_is_filled_by_no_way_around_the_sandbox() {
    let Some(mut room) = Room::with(&["auto"], |config| config.disk_interval_ms = 20) else {
        return;
    };
    room.container.memory = Some(256 * MIB);
    // Places that are no part of the sandbox are small, or cannot be written to.
    let line = "head -c 200m /dev/zero > /dev/shm/x; echo x > /dev/x; echo x > /x; echo x > /mnt/x; \
                echo x > /run/x; echo x > /proc/x; :";
    let said = {
        room.run(line);
        room.output()
    };
    assert_eq!(said.matches("No space left on device").count(), 1, "{said}");
    assert_eq!(said.matches("cannot create").count(), 5, "{said}");
    room.container.disk = Some(4 * MIB);
    for line in [
        "head -c 9m /dev/zero > /tmp/big; sleep 1000",
        "head -c 9m /dev/zero > /var/tmp/big; sleep 1000",
        "head -c 9m /dev/zero; sleep 1000",
    ] {
        let limitation = room.run(line).limitation.expect("a reason");
        assert_eq!(limitation.kind, LimitationKind::Disk, "{line}");
        fs::remove_dir_all(&room.container.sandbox).unwrap();
        fs::create_dir(&room.container.sandbox).unwrap();
    }
}
