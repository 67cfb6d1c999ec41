//! Pods on a whole cluster in a simulated network, with faults drawn from a seed: each is launched all
//! or none, and one task that ends badly ends the others. `simulation.rs` says how seeds are replayed.

#[path = "cluster/support.rs"]
mod cluster;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use cluster::{
    faults::{self, Fault, Schedule, Shape},
    pods::Finished,
    rng,
    simulation::{Plan, Simulation},
};
use tepui_batch::{Group, Job};
use tepui_runtime::testkit::sim::{self, Case, Explore, Ran};

/// When all faults are over.
const CALM_FROM: Duration = Duration::from_secs(30);
/// By when all pods must have finished.
const DEADLINE: Duration = Duration::from_secs(240);
const SEEDS: u64 = 40;
/// Frameworks, and how many pods of each have to finish.
const FRAMEWORKS: usize = 2;
const PODS: usize = 3;

fn faults_of(seed: u64) -> Schedule {
    let shape = Shape {
        machines: 3,
        frameworks: FRAMEWORKS,
        until: CALM_FROM - Duration::from_secs(5),
        most: 12,
    };
    let drawn = faults::draw(&mut rng::generator(seed, "pods"), &shape);
    // A pod ends with its framework, which keeps nothing.
    let ends_pods = |fault: &Fault| match fault {
        Fault::Host(sim::Fault::Crash { host, .. }) => host.starts_with("framework-"),
        _ => false,
    };
    let kept = drawn
        .faults()
        .iter()
        .filter(|timed| !ends_pods(&timed.fault));
    Schedule::new(kept.cloned().collect())
}

/// A long task and two short ones, which may fail.
fn job() -> Job {
    let group = |name: &str, line: &str| {
        let resources = "cpus:0.5;mem:64".parse().expect("valid resources");
        Group::new(name, line, 1, resources)
    };
    Job {
        name: "pod".to_owned(),
        groups: vec![
            group("long", "sleep 8"),
            group("short", "sleep 2"),
            group("work", "work"),
        ],
    }
}

fn run(case: &Case<Fault>) -> Ran {
    let finished: Finished = Rc::new(RefCell::new(BTreeMap::new()));
    let machines = ["cpus:2;mem:512", "cpus:3;mem:512", "cpus:1;mem:256"];
    let mut simulation = Simulation::new(Plan {
        seed: case.seed,
        machines: machines
            .map(|text| text.parse().expect("valid resources"))
            .to_vec(),
        latency: Duration::from_millis(20),
        faults: case.faults.clone(),
        calm_from: CALM_FROM,
    });
    for number in 1..=FRAMEWORKS {
        simulation.pods(number, job(), PODS, &finished);
    }
    let seen = finished.clone();
    let all = move || seen.borrow().values().filter(|n| **n >= PODS).count() == FRAMEWORKS;
    let verdict = simulation.run(DEADLINE, all);
    let journal = simulation.site.journal.clone();
    Ran { verdict, journal }
}

#[test]
fn pods_finish_whatever_fails() {
    let command = "cargo test --test pod_simulation -- --nocapture";
    let seeds = Explore::new("pods", command).seeds(0..SEEDS).threads(2);
    seeds.draw(faults_of).run_all(run);
}
