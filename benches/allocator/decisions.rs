//! Figures of whole decisions: the engine beside the floor program, in turns in the same run.

use tepui_allocator::{Weight, engine::Engine, order::Rule};

use super::{
    engine::{Loaded, Shape},
    figures::{cpu_time, quantile, record, wall},
    floor::Floor,
    workload::{LOAD, Workload},
};

const AGENTS: usize = 100_000;
const FRAMEWORKS: usize = 10_000;
/// Decisions in a round; the median of the rounds counts.
const DECISIONS: usize = 500_000;
const ROUNDS: usize = 7;

/// CPU nanoseconds a call.
fn ns_each(calls: usize, mut call: impl FnMut()) -> f64 {
    let start = cpu_time();
    (0..calls).for_each(|_| call());
    (cpu_time() - start).as_nanos() as f64 / calls as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

fn loaded(workload: &Workload, rule: Rule, shape: Shape) -> Loaded {
    let mut ours = Loaded::new(workload, rule, shape, LOAD);
    (0..workload.fill()).for_each(|_| assert!(ours.decide(), "there is room"));
    // Once around, so that what is free is where tasks have ended.
    (0..DECISIONS).for_each(|_| assert!(ours.decide(), "there is room"));
    ours
}

/// The engine's and the floor's cost of a decision, in ns.
fn beside_floor(workload: &Workload, rule: Rule, shape: Shape) -> (f64, f64) {
    let mut ours = loaded(workload, rule, shape);
    let mut floor = Floor::new(workload);
    (0..workload.fill() + DECISIONS).for_each(|_| assert!(floor.decide(LOAD), "there is room"));
    let (mut engine_ns, mut floor_ns) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        engine_ns.push(ns_each(DECISIONS, || assert!(ours.decide())));
        floor_ns.push(ns_each(DECISIONS, || assert!(floor.decide(LOAD))));
    }
    (median(engine_ns), median(floor_ns))
}

fn rates(name: &str, rule: Rule, shape: Shape) {
    let workload = Workload::new(AGENTS, FRAMEWORKS);
    let (ours, floor) = beside_floor(&workload, rule, shape);
    let baseline = format!("floor {floor:.0} ns");
    let name = format!("allocator/decisions/{name}");
    record(
        &format!("{name}/rate"),
        1e9 / ours,
        "decisions/s",
        &baseline,
    );
    record(
        &format!("{name}/vs-floor"),
        ours / floor,
        "ratio",
        &baseline,
    );
}

/// What a decision costs in a large cluster over what it costs in a small one.
fn growth() {
    let cost = |agents, frameworks| {
        let workload = Workload::new(agents, frameworks);
        beside_floor(&workload, Rule::Sum, Shape::Flat).0
    };
    let (small, large) = (cost(1_000, FRAMEWORKS), cost(AGENTS, FRAMEWORKS));
    let baseline = format!("1,000 agents {small:.0} ns");
    record(
        "allocator/decisions/growth/agents-100x",
        large / small,
        "ratio",
        &baseline,
    );
    let (small, large) = (cost(AGENTS, 100), cost(AGENTS, FRAMEWORKS));
    let baseline = format!("100 frameworks {small:.0} ns");
    record(
        "allocator/decisions/growth/frameworks-100x",
        large / small,
        "ratio",
        &baseline,
    );
}

/// How long single events take: a task that ends, a decision.
fn events() {
    let workload = Workload::new(AGENTS, FRAMEWORKS);
    for (name, rule, shape) in [
        ("plain", Rule::Sum, Shape::Flat),
        ("hdrf-4-levels", Rule::Hierarchical, Shape::Deep),
    ] {
        let mut ours = loaded(&workload, rule, shape);
        let mut took = Vec::new();
        for _ in 0..DECISIONS {
            took.push(wall(|| ours.end()).as_nanos() as f64 / 1e3);
            took.push(wall(|| assert!(ours.decide())).as_nanos() as f64 / 1e3);
        }
        took.sort_by(f64::total_cmp);
        let baseline = format!("median {:.2} us", quantile(&took, 0.5));
        let name = format!("allocator/event/{name}/p99");
        record(&name, quantile(&took, 0.99), "us", &baseline);
    }
}

/// Bytes an agent, a framework and a running task.
pub(crate) fn memory() {
    let workload = Workload::new(AGENTS, FRAMEWORKS);
    for (name, rule) in [("plain", Rule::Sum), ("hdrf", Rule::Hierarchical)] {
        let ours = loaded(&workload, rule, Shape::Flat);
        let (agents, frameworks, tasks) = ours.engine.bytes();
        let running = ours.engine.running();
        let baseline = format!("{AGENTS} agents, {FRAMEWORKS} frameworks, {running} tasks");
        for (what, bytes, count) in [
            ("agent", agents, AGENTS),
            ("framework", frameworks, FRAMEWORKS),
            ("task", tasks, running),
        ] {
            let name = format!("allocator/memory/{name}/{what}");
            record(&name, bytes as f64 / count as f64, "B", &baseline);
        }
    }
}

/// Every agent, all of them free, goes whole to the framework whose turn it is.
fn refill() {
    let (agents, frameworks) = (50_000, 6_000);
    let workload = Workload::new(agents, frameworks);
    let mut engine = Engine::<4>::new(Rule::Sum);
    let roles = super::engine::roles(&mut engine, Shape::Flat);
    for n in 0..frameworks {
        let role = roles[n % roles.len()];
        let seat = engine
            .add_framework(role, Weight::ONE, workload.capacity)
            .expect("its role is there");
        engine.want(seat, u64::MAX);
    }
    for _ in 0..agents {
        let added = engine.add_agent(workload.capacity);
        added.expect("it can be counted");
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut tasks = Vec::new();
        let ns = ns_each(1, || {
            tasks.extend(std::iter::from_fn(|| engine.decide()).map(|made| made.task));
        });
        assert_eq!(tasks.len(), agents, "every agent is given");
        tasks.into_iter().for_each(|task| assert!(engine.end(task)));
        rounds.push(ns / 1e6);
    }
    let baseline = "through the trait: allocator/mesos/50000x6000/FullRefill";
    record(
        "allocator/refill/50000x6000",
        median(rounds),
        "ms",
        baseline,
    );
}

pub(crate) fn all() {
    rates("plain", Rule::Sum, Shape::Flat);
    rates("hdrf-4-levels", Rule::Hierarchical, Shape::Deep);
    refill();
    growth();
    events();
}
