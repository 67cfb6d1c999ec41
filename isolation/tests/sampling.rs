//! Looks at a hundred containers, and what a look costs:
//! `cargo test --release -p tepui-isolation --test sampling -- --nocapture`.
//!
//! Needs root and control groups; says so and passes where they are absent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs};

use nix::time::{ClockId, clock_gettime};
use tepui_isolation::{
    Container, Containerizer, IsolationConfig, LaunchSpec, Usage, launch::Program, process::chain,
};

const COUNT: usize = 100;
const LOOKS: u64 = 200;

/// Processor time of this thread, in microseconds.
fn used_us() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 / 1e3
}

#[test]
fn a_hundred_containers_are_looked_at_for_little() {
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
    let started: Vec<_> = (0..COUNT)
        .map(|n| {
            let sandbox = dir.path().join(format!("sandboxes/{n}"));
            fs::create_dir_all(&sandbox).unwrap();
            let container = Container {
                name: format!("c{n}"),
                sandbox: sandbox.clone(),
                milli_cpus: 100,
                ..Container::default()
            };
            let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
            let spec = LaunchSpec::shell("exec sleep 1000", environment, sandbox);
            let launched = containers.launch(&container, &spec);
            let launched = launched.unwrap_or_else(|error| panic!("{}", chain(&error)));
            (container.name, launched)
        })
        .collect();
    let names = started.iter().map(|(name, _)| name.clone()).collect();
    let mut sampler = containers.sampler().unwrap();
    // Opens the files.
    sampler.look(0, &names);
    let before = used_us();
    for second in 1..=LOOKS {
        sampler.look(second * 1_000_000, &names);
    }
    let look = (used_us() - before) / LOOKS as f64;
    println!(
        "a look at {COUNT} containers: {look:.0} us, {:.3} % of a core at 1 Hz",
        look / 1e4
    );
    for (name, launched) in started {
        let mut usage = Usage::default();
        sampler.tell(&name, &mut usage);
        // The init, and the command.
        assert_eq!(usage.pids_peak, Some(2), "{name}");
        assert!(
            usage.cpu_milli.is_some() && usage.cpu_milli_peak.is_some(),
            "{name}"
        );
        containers.destroy(&name).unwrap();
        launched.wait().unwrap();
    }
    // What is gone is forgotten.
    sampler.look(LOOKS * 2_000_000, &[].into());
    let mut usage = Usage::default();
    sampler.tell("c0", &mut usage);
    assert_eq!(usage, Usage::default());
}
