//! The same container made by the launcher and by OCI runtimes (runc, crun): what a command in it sees of
//! its powers, limits, files and name, and how it ends.
//!
//! Needs root, control groups and a runtime; where one is absent, it says so in one line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tepui_isolation::{
    Container, Containerizer, Ended, IsolationConfig, LaunchSpec, LimitationKind, Outcome,
    launch::{Program, Rlimit},
};

const MIB: u64 = 1 << 20;
/// Where Debian has them.
const DIRECTORIES: &[&str] = &["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];

fn runtime(name: &str) -> Option<PathBuf> {
    let found = DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

/// Containers in a directory of their own; none where they do not work here.
struct Room {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
    made: usize,
}

impl Room {
    fn with(runtime: Option<PathBuf>) -> Option<Self> {
        // Where the machine's files are seen, so that it has to be hidden.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = IsolationConfig {
            work_dir: dir.path().to_owned(),
            capabilities: vec!["NET_BIND_SERVICE".to_owned()],
            rlimits: vec![Rlimit {
                name: "RLIMIT_NOFILE".to_owned(),
                soft: 333,
                hard: 444,
            }],
            oci_runtime: runtime,
            ..IsolationConfig::default()
        };
        let launcher = Program {
            path: env!("CARGO_BIN_EXE_tepui-launch").into(),
            arguments: Vec::new(),
        };
        let (containerizer, off) = match Containerizer::new(config, launcher) {
            Ok(made) => made,
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                return None;
            }
        };
        if let Some(off) = off.first() {
            eprintln!("SKIPPED: isolator {}: {}", off.name, off.reason);
            return None;
        }
        Some(Self {
            dir,
            containerizer,
            made: 0,
        })
    }

    /// Runs a line for the shell, and returns how it ended and what it said. Nothing is left then.
    fn run(&mut self, line: &str) -> (Outcome, String) {
        self.made += 1;
        let name = format!("c{}", self.made);
        let sandbox = self.dir.path().join("sandboxes").join(&name);
        fs::create_dir_all(&sandbox).unwrap();
        let container = Container {
            name: name.clone(),
            sandbox: sandbox.clone(),
            milli_cpus: 500,
            memory: Some(64 * MIB),
            ..Container::default()
        };
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let spec = LaunchSpec::shell(line, BTreeMap::from([path]), sandbox.clone());
        let launched = self.containerizer.launch(&container, &spec).unwrap();
        let outcome = launched.wait().unwrap();
        self.containerizer.destroy(&name).unwrap();
        assert_eq!(
            self.containerizer.orphans(&BTreeSet::new()),
            BTreeSet::new()
        );
        let said = fs::read_to_string(sandbox.join("stdout")).unwrap();
        let complained = fs::read_to_string(sandbox.join("stderr")).unwrap();
        (outcome, said + &complained)
    }
}

/// Our containers and those of a runtime.
fn pair(name: &str) -> Option<[Room; 2]> {
    let runtime = runtime(name)?;
    Some([Room::with(None)?, Room::with(Some(runtime))?])
}

/// What a line says in either.
fn said(rooms: &mut [Room; 2], line: &str) -> [String; 2] {
    [0, 1].map(|which| {
        let (outcome, said) = rooms[which].run(line);
        assert_eq!(outcome.ended, Ended::Exited { code: 0 }, "{said}");
        // Each hides its own.
        said.replace(&*rooms[which].dir.path().to_string_lossy(), "/WORK")
    })
}

/// Mounts by place: the kind of file system, and what is not allowed on it.
fn mounts(mountinfo: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let lines = mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mount: Vec<&str> = mount.split(' ').collect();
        let kind = kind.split(' ').next()?.to_owned();
        if mount[4].starts_with("/WORK/") {
            // Below what is hidden.
            return None;
        }
        let telling = ["ro", "rw", "nosuid", "nodev", "noexec"];
        let options = mount[5]
            .split(',')
            .filter(|option| telling.contains(option));
        let options = options.map(str::to_owned).collect();
        Some((mount[4].to_owned(), (kind, options)))
    });
    lines.collect()
}

fn compare(name: &str) {
    let Some(mut rooms) = pair(name) else { return };
    for line in [
        "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status",
        "cat /proc/self/limits",
        "env | grep -v -e HOSTNAME -e HOME= -e ^_ -e PWD -e SHLVL | sort",
        "pwd; cat /proc/self/oom_score_adj; umask; hostname",
        "ls /; ls -l /bin /lib | cut -c 1-10; ls /root /boot /media /run /mnt",
        "ls /dev | grep -v -e core -e console -e mqueue",
        "for f in /proc/kcore /proc/keys /proc/timer_list; do wc -c < $f; done",
        "for f in /etc/x /proc/sys/kernel/domainname /sys/x /usr/x; do (echo > $f); done 2>&1 \
         | sed 's/.*: //'",
        "echo 1 > /mnt/sandbox/a && echo 2 > /tmp/b && cat /mnt/sandbox/a /mnt/sandbox/.tmp/b",
        "unshare -m true 2>&1; mount -t tmpfs x /mnt 2>&1 | sed 's/.*: //'; true",
        "for p in /proc/[0-9]*; do test ${p#/proc/} -lt 100 || echo of the machine: $p; done",
        "cat /proc/self/cgroup | sed 's/.*://' | sort -u",
        "readlink /proc/self/ns/net | tr -d '0-9'; head -c 1 /dev/zero | wc -c; : > /dev/null",
    ] {
        let [ours, theirs] = said(&mut rooms, line);
        assert_eq!(ours, theirs, "{name}: {line}");
    }
    let [ours, theirs] = said(&mut rooms, "cat /proc/self/mountinfo").map(|text| mounts(&text));
    for (place, ours) in &ours {
        let theirs = theirs.get(place);
        // Masked by a file of memory or by /dev/null, what is in them is the same: nothing.
        let is_masked = ours.0 == "tmpfs" && ours.1.contains("ro") || place.starts_with("/proc/");
        match theirs {
            Some(theirs) if is_masked => assert!(
                theirs.1.contains("ro") || theirs.0 == "devtmpfs" || theirs.0 == "tmpfs",
                "{name}: {place}: {theirs:?}"
            ),
            Some(theirs) => assert_eq!(ours, theirs, "{name}: {place}"),
            None => assert!(place.starts_with("/dev/"), "{name}: {place} is not mounted"),
        }
    }
    for place in theirs.keys().filter(|place| !ours.contains_key(*place)) {
        let is_harmless = place.starts_with("/dev/") || place.starts_with("/proc/");
        assert!(is_harmless, "{name}: {place} is mounted by it alone");
    }
    for (line, code) in [("exit 0", 0), ("exit 3", 3), ("no-such-program", 127)] {
        let ended = [0, 1].map(|which| rooms[which].run(line).0.ended);
        assert_eq!(ended, [Ended::Exited { code }; 2], "{name}: {line}");
    }
    // A shell says it as it says of its children.
    let killed = [0, 1].map(|which| rooms[which].run("sh -c 'kill -9 $$'; exit $?").0.ended);
    assert_eq!(killed, [Ended::Exited { code: 137 }; 2]);
    // Limits of the container hold for what the runtime starts, and are told.
    let line = "head -c 200000000 /dev/zero | tail | wc -c; sleep 1000";
    for room in &mut rooms {
        let (outcome, said) = room.run(line);
        let limitation = outcome.limitation.map(|limitation| limitation.kind);
        assert_eq!(limitation, Some(LimitationKind::Memory), "{name}: {said}");
    }
}

#[test]
fn runc_makes_the_same_containers() {
    compare("runc");
}

#[test]
fn crun_makes_the_same_containers() {
    compare("crun");
}

#[test]
fn what_is_no_runtime_is_refused_with_the_reason() {
    for (path, problem) in [
        ("runc", "write its path from /"),
        ("/does/not/exist", "No such file"),
    ] {
        let config = IsolationConfig {
            oci_runtime: Some(path.into()),
            ..IsolationConfig::none()
        };
        let launcher = Program::this();
        let error = Containerizer::new(config, launcher)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("OCI runtime {path}: ")),
            "{error}"
        );
        assert!(error.contains(problem), "{error}");
    }
    let config = IsolationConfig {
        oci_runtime: Some("/bin/true".into()),
        ..IsolationConfig::none()
    };
    let error = Containerizer::new(config, Program::this()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it needs root and the isolator cgroups")
    );
}
