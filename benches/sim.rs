//! The simulator: events a second of CPU time, and whole traces from file to files.
//!
//! | case | what |
//! |---|---|
//! | `sim/events/10000-agents/POLICY` | 200,000 jobs of 100 users on 10,000 nodes of 16 cpus, 90 % load; engine and policy only |
//! | `sim/nasa/POLICY` | the NASA trace on 128 nodes: read, simulate, write tables and summary |
//! | `sim/lcg/POLICY` | the same for the LCG trace (188,041 jobs) on 170 nodes of 144 cpus, if `TEPUI_LCG_TRACE` names it |
//!
//! Beside the events stands a bare binary heap, through which as many events of the same times go. The median of five runs.

#[path = "figures.rs"]
mod figures;

use std::{
    collections::BinaryHeap, fmt::Write, fs::File, hint::black_box, path::Path, sync::Arc,
    time::Duration,
};

use figures::{cpu_time, record};
use tepui_sim::{
    BuiltIn, Format, Nodes, Options, Outcome, Reading, Workload, engine, output, random::Random,
    roles::Mapping, summary, trace,
};

const RUNS: usize = 5;

fn reading() -> Reading {
    Reading {
        format: Format::Swf,
        mapping: Mapping::default(),
        skip_bad: false,
        forever: false,
        seed: 0,
    }
}

fn simulate(mut workload: Workload, nodes: &str, policy: BuiltIn) -> Outcome {
    let nodes = Nodes::parse(nodes, &mut workload).expect("good nodes");
    let world = engine::world(Arc::new(workload), nodes);
    let mut policy = policy.make(&world, 0);
    engine::run(world, policy.as_mut(), Options::default(), &mut |_| {})
        .expect("a policy that goes on")
}

fn median(mut measure: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<f64> = (0..RUNS).map(|_| measure().as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// Jobs of one cpu whose mean run time fills `cpus` to 90 %.
fn synthetic(jobs: u64, cpus: f64) -> Workload {
    let (mut random, mut text, mut submit) = (Random::new(1, 9), String::new(), 0.0);
    for id in 0..jobs {
        let run = random.exponential(1000.0).max(1.0);
        submit += random.exponential(1000.0 / (0.9 * cpus));
        let user = random.below(100);
        writeln!(
            text,
            "{id} {submit:.3} -1 {run:.3} 1 -1 -1 1 -1 -1 1 {user} 1 -1 -1 -1 -1 -1"
        )
        .expect("a string");
    }
    trace::read("synthetic", text.as_bytes(), &reading()).expect("good lines")
}

/// The CPU time of a heap through which `count` times go, a fixed number of them at once.
fn bare_heap(count: u64) -> Duration {
    let (mut random, mut heap) = (Random::new(2, 9), BinaryHeap::new());
    let start = cpu_time();
    for nth in 0..count {
        heap.push(u64::MAX - nth - random.below(100_000));
        if heap.len() > 144_000 {
            black_box(heap.pop());
        }
    }
    cpu_time() - start
}

fn events(policy: BuiltIn) {
    let workload = synthetic(200_000, 160_000.0);
    let mut count = 0;
    let ours = median(|| {
        let workload = workload.clone();
        let start = cpu_time();
        count = simulate(workload, "10000xcpus:16", policy).events;
        cpu_time() - start
    });
    let heap = median(|| bare_heap(count));
    let baseline = format!("bare heap {:.0} ns an event", heap * 1e9 / count as f64);
    record(
        &format!("sim/events/10000-agents/{policy}/rate"),
        count as f64 / ours,
        "events/s",
        &baseline,
    );
    record(
        &format!("sim/events/10000-agents/{policy}/vs-heap"),
        ours / heap,
        "ratio",
        &baseline,
    );
}

fn end_to_end(name: &str, path: &Path, nodes: &str, policy: BuiltIn) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut jobs = 0;
    let time = median(|| {
        let start = cpu_time();
        let file = File::open(path).expect("the trace");
        let workload = trace::read(name, file, &reading()).expect("a good trace");
        let outcome = simulate(workload, nodes, policy);
        let summary = summary::summarise(&outcome, name, &policy.to_string(), "first-fit", 0);
        output::write(dir.path(), &outcome, &summary, output::Extras::default()).expect("files");
        jobs = summary.jobs.completed;
        cpu_time() - start
    });
    let baseline = format!("{jobs} jobs, read, simulated and written with plots");
    record(&format!("sim/{name}/{policy}/cpu"), time, "s", &baseline);
}

fn main() {
    for policy in [BuiltIn::Fifo, BuiltIn::Drf, BuiltIn::Hdrf, BuiltIn::Engine] {
        events(policy);
    }
    let nasa = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/nasa-ipsc-1993-3.1-cln.swf.gz");
    for policy in [BuiltIn::Fifo, BuiltIn::Easy, BuiltIn::Hdrf] {
        end_to_end("nasa", &nasa, "128xcpus:1", policy);
    }
    match std::env::var_os("TEPUI_LCG_TRACE") {
        Some(path) => {
            for policy in [BuiltIn::Fifo, BuiltIn::Hdrf, BuiltIn::Engine] {
                end_to_end("lcg", Path::new(&path), "170xcpus:144", policy);
            }
        }
        None => println!(
            "sim/lcg: left out, TEPUI_LCG_TRACE does not name the trace (LCG-2005-1 of the Parallel Workloads Archive)"
        ),
    }
}
