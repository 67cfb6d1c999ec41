//! What the benches share: CPU time as criterion's measurement, and the file of figures.
//!
//! Every figure is appended as one JSON object a line to `figures.jsonl` in the target directory;
//! `make figures` writes `docs/figures.md` from it. Names are paths; ratios end in
//! `/vs-<baseline>` and come from the same run as their baseline.
#![allow(dead_code)]

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use criterion::{
    Criterion, Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

/// CPU time of the whole process: what does not depend on the neighbours of a shared machine.
pub(crate) struct CpuTime;

/// The CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .expect("Linux has this clock")
        .into()
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu_time() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Where build output goes.
pub(crate) fn target_dir() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("CARGO_TARGET_DIR").map_or(manifest.join("target"), PathBuf::from)
}

/// Criterion over CPU time, with its output where [`median_ns`] finds it.
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .output_directory(&target_dir().join("criterion"))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// The median of a benchmark of this run, in nanoseconds an operation; `None` if it was filtered
/// out on the command line.
pub(crate) fn median_ns(group: &str, bench: &str) -> Option<f64> {
    let path = target_dir()
        .join("criterion")
        .join(group.replace('/', "_"))
        .join(bench);
    let text = fs::read_to_string(path.join("new/estimates.json")).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

/// Appends a figure.
pub(crate) fn record(name: &str, value: f64, unit: &str, baseline: &str) {
    println!("figure: {name} = {value:.3} {unit} (beside {baseline})");
    let commit = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let commit = commit.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let figure = json!({
        "name": name, "value": value, "unit": unit, "baseline": baseline,
        "commit": commit.unwrap_or_default(),
    });
    let path = std::env::var_os("TEPUI_FIGURES").map(PathBuf::from);
    let path = path.unwrap_or_else(|| target_dir().join("figures.jsonl"));
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{figure}"));
    written.expect("the target directory is writable");
}

/// Records the medians of `ours` and `theirs`, and their ratio.
pub(crate) fn record_ratio(name: &str, group: &str, ours: &str, theirs: &str) {
    let (Some(a), Some(b)) = (median_ns(group, ours), median_ns(group, theirs)) else {
        return;
    };
    let baseline = format!("{theirs} {b:.0} ns");
    record(&format!("{name}/cpu"), a, "ns/op", &baseline);
    record(&format!("{name}/vs-{theirs}"), a / b, "ratio", &baseline);
}

/// The value below which a part `q` (0 to 1) of `sorted` lies.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let n = sorted.len();
    sorted[((n as f64 * q) as usize).min(n - 1)]
}

/// Wall time of `f`.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn wall(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

/// One operation an iteration.
pub(crate) fn per_op() -> Throughput {
    Throughput::Elements(1)
}
