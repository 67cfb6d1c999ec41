//! Launching: how long until a command runs, and until a container that ran `true` is gone.
//!
//! | case | from, to |
//! |---|---|
//! | `posix` | the call, until the program is executed; the launcher, and what needs no privileges |
//! | `linux` | the call, until the program has ended and nothing of its container is left; all defaults |
//! | `rss-512` | the same, with 512 MiB in use by this process |
//!
//! The floor, in the same run and in turns with the others: the same program spawned by this
//! process (`posix_spawn`), until it is executed, and until it is waited for.
//! `cargo bench --bench launch`; as root, or the `linux` rows are left out.

mod figures;

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use figures::{quantile, record, wall};
use tepui_isolation::{Container, Containerizer, IsolationConfig, LaunchSpec, launch::Program};

const BINARY: &str = env!("CARGO_BIN_EXE_tepui");
const LAUNCHES: usize = 200;
const BALLAST: usize = 512 << 20;

/// What is launched, and in what.
struct Bench {
    dir: tempfile::TempDir,
    containerizer: Containerizer,
    launches: usize,
}

impl Bench {
    /// None when some of the isolators do not work here.
    fn with(isolators: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let config = IsolationConfig {
            work_dir: dir.path().to_owned(),
            isolators: isolators.iter().map(|&name| name.to_owned()).collect(),
            ..IsolationConfig::default()
        };
        let launcher = Program {
            path: BINARY.into(),
            arguments: vec!["launch".to_owned()],
        };
        let (containerizer, off) = Containerizer::new(config, launcher).expect("known isolators");
        if let Some(off) = off.first() {
            println!("left out: isolator {}: {}", off.name, off.reason);
            return None;
        }
        let launches = 0;
        Some(Self {
            dir,
            containerizer,
            launches,
        })
    }

    /// Launches `true` once, in a fresh sandbox: milliseconds until it is executed, and until all
    /// of it is gone.
    fn launch(&mut self) -> [f64; 2] {
        self.launches += 1;
        let name = format!("c{}", self.launches);
        let sandbox = self.dir.path().join("sandboxes").join(&name);
        fs::create_dir_all(&sandbox).expect("a sandbox");
        let container = Container {
            name,
            sandbox: sandbox.clone(),
            milli_cpus: 1000,
            memory: Some(128 << 20),
            ..Container::default()
        };
        let spec = LaunchSpec::new("/bin/true".to_owned(), vec![], BTreeMap::new(), sandbox);
        let mut launched = None;
        let executed = wall(|| {
            let running = self.containerizer.launch(&container, &spec);
            launched = Some(running.expect("it is launched"));
        });
        let ended = wall(|| {
            let outcome = launched.take().map(|launched| launched.wait());
            let outcome = outcome.and_then(Result::ok).expect("it ends");
            assert!(outcome.ended.is_success(), "{outcome:?}");
            self.containerizer
                .destroy(&container.name)
                .expect("nothing is left");
        });
        [executed, executed + ended].map(|span| span.as_secs_f64() * 1e3)
    }
}

/// The same without any container.
fn bare() -> [f64; 2] {
    let mut child = None;
    let executed = wall(|| {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        child = Some(command.spawn().expect("it is there"));
    });
    let ended = wall(|| {
        let status = child.take().expect("it was spawned").wait();
        assert!(status.expect("our child").success());
    });
    [executed, executed + ended].map(|span| span.as_secs_f64() * 1e3)
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// All cases in turns, so that a busy moment of the machine is one of each.
fn measure(suffix: &str, posix: &mut Bench, linux: &mut Option<Bench>) {
    let [mut floor_executed, mut floor_ended, mut executed, mut ended] = [const { Vec::new() }; 4];
    for _ in 0..LAUNCHES {
        let [bare_executed, bare_ended] = bare();
        floor_executed.push(bare_executed);
        floor_ended.push(bare_ended);
        executed.push(posix.launch()[0]);
        ended.extend(linux.as_mut().map(|linux| linux.launch()[1]));
    }
    let rows = [
        ("launch/posix/to-exec", executed, floor_executed),
        ("launch/linux/to-gone", ended, floor_ended),
    ];
    for (name, times, floor) in rows {
        if times.is_empty() {
            continue;
        }
        let (times, floor) = (sorted(times), sorted(floor));
        for (quantile_name, q) in [("p50", 0.5), ("p99", 0.99)] {
            let floor = quantile(&floor, q);
            let baseline = format!("posix_spawn {floor:.3} ms");
            let name = format!("{name}{suffix}/{quantile_name}");
            record(&name, quantile(&times, q), "ms", &baseline);
            if suffix.is_empty() {
                let ratio = quantile(&times, q) / floor;
                record(&format!("{name}/vs-posix-spawn"), ratio, "ratio", &baseline);
            }
        }
    }
}

fn main() {
    let unprivileged = ["posix/rlimits", "linux/nnp", "linux/seccomp", "disk/du"];
    let mut posix = Bench::with(&unprivileged).expect("it needs no privileges");
    let mut linux = Bench::with(&["auto"]);
    measure("", &mut posix, &mut linux);
    let ballast = std::hint::black_box(vec![1u8; BALLAST]);
    measure("/rss-512", &mut posix, &mut linux);
    drop(ballast);
}
