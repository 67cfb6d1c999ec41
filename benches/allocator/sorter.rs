//! Mesos's benchmarks of its sorter, `FullSort` and `HierarchyFullSort`, with its names and sizes.
//!
//! `cargo bench --bench allocator -- only=grid/FullSort`, or `only=grid/HierarchyFullSort`. They measure [`DrfSorter`], the order of the
//! allocator that sorts as Mesos does (`allocator/src/hierarchical.rs`). The master's allocator sorts nothing: it keeps an order up, which the
//! other cases of the grid measure. One round: clients join, agents join, each agent is allocated to the client whose turn it is by
//! number, the clients are sorted, and sorted again without a change; then all is given back. Ports are no amounts here, so that their ranges,
//! most of what removing costs Mesos, cost nothing.
//!
//! Mesos's own figures are of its benchmark with its clients activated: as shipped, it sorts nothing.

use std::{collections::BTreeSet, hint::black_box};

use tepui_allocator::{DrfSorter, Sorter};
use tepui_protocol::{Quantities, Resources};

use super::{
    figures::record,
    mesos::{cpu_ms, median},
};

const AGENTS: [u64; 6] = [1_000, 5_000, 10_000, 20_000, 30_000, 50_000];
const CLIENTS: [u64; 6] = [1, 50, 100, 200, 500, 1_000];

/// Height and branches of the trees.
const TREES: [(u32, u64); 3] = [(3, 32), (7, 3), (10, 2)];

const ROUNDS: usize = 5;

/// What a round consists of, in order.
const STEPS: [&str; 6] = [
    "add-clients",
    "add-agents",
    "allocate",
    "sort",
    "no-op-sort",
    "unallocate",
];

/// Mesos's own, in ms: agents, clients, and `allocate`, `sort`, `no-op-sort`, `unallocate`.
const FULL_SORT: [(u64, u64, [f64; 4]); 10] = [
    (1_000, 1, [2.0, 0.0034, 0.0007, 80.0]),
    (1_000, 200, [2.0, 0.047, 0.0043, 80.0]),
    (1_000, 1_000, [2.0, 0.276, 0.017, 80.0]),
    (10_000, 1, [28.0, 0.0049, 0.0007, 830.0]),
    (10_000, 50, [28.0, 0.025, 0.0016, 830.0]),
    (10_000, 200, [28.0, 0.053, 0.004, 830.0]),
    (10_000, 1_000, [28.0, 0.353, 0.016, 830.0]),
    (50_000, 50, [156.0, 0.016, 0.0017, 4350.0]),
    (50_000, 200, [156.0, 0.061, 0.0041, 4350.0]),
    (50_000, 1_000, [156.0, 0.315, 0.017, 4350.0]),
];

/// The same of trees, `sort` alone: agents, clients.
const HIERARCHY: [(u64, u64, f64); 9] = [
    (1_000, 1_056, 0.217),
    (1_000, 1_092, 0.343),
    (1_000, 1_022, 0.424),
    (10_000, 1_056, 0.235),
    (10_000, 1_092, 0.384),
    (10_000, 1_022, 0.480),
    (50_000, 1_056, 0.246),
    (50_000, 1_092, 0.379),
    (50_000, 1_022, 0.532),
];

fn quantities(text: &str) -> Quantities {
    let resources: Resources = text.parse().expect("text");
    resources.quantities()
}

/// What each step took, in ms.
fn round(agents: u64, clients: &[String]) -> [f64; STEPS.len()] {
    let all = quantities("cpus:24;mem:4096;disk:4096");
    let part = quantities("cpus:16;mem:2014;disk:1024");
    let mut sorter = DrfSorter::<String>::new(&BTreeSet::new());
    let turns = || (0..agents).map(|n| &clients[n as usize % clients.len()]);
    let add_clients = cpu_ms(|| {
        for client in clients {
            sorter.add(client);
            sorter.activate(client);
        }
    });
    let add_agents = cpu_ms(|| {
        let mut total = Quantities::new();
        for _ in 0..agents {
            total += &all;
            sorter.set_total(&total);
        }
    });
    let allocate = cpu_ms(|| turns().for_each(|client| sorter.allocated(client, &part)));
    let sort = cpu_ms(|| assert_eq!(black_box(sorter.sort()).len(), clients.len()));
    let again = cpu_ms(|| drop(black_box(sorter.sort())));
    let unallocate = cpu_ms(|| turns().for_each(|client| sorter.unallocated(client, &part)));
    [add_clients, add_agents, allocate, sort, again, unallocate]
}

/// The medians of each step, beside Mesos's where it was measured.
fn measure(case: &str, agents: u64, clients: &[String], mesos: impl Fn(&str) -> Option<f64>) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round(agents, clients)).collect();
    for (at, step) in STEPS.iter().enumerate() {
        let took = median(rounds.iter().map(|round| round[at]).collect());
        let size = format!("{agents}x{}", clients.len());
        match mesos(step) {
            Some(theirs) => record(
                &format!("allocator/grid/{case}/{size}/{step}"),
                took,
                "ms",
                &format!("Mesos {theirs} ms"),
            ),
            None => println!("grid: {case} {size} {step}: {took:.4} ms"),
        }
    }
}

/// `FullSort`: clients side by side.
pub(crate) fn full_sort() {
    for agents in AGENTS {
        for count in CLIENTS {
            let clients: Vec<String> = (0..count).map(|n| format!("client-{n}")).collect();
            let known = FULL_SORT
                .iter()
                .find(|row| (row.0, row.1) == (agents, count));
            measure("FullSort", agents, &clients, |step| {
                let at = STEPS[2..].iter().position(|name| *name == step)?;
                known.map(|(.., theirs)| theirs[at])
            });
        }
    }
}

/// `HierarchyFullSort`: every role of a tree is a client.
pub(crate) fn hierarchy() {
    for (height, branches) in TREES {
        let mut clients: Vec<String> = Vec::new();
        let mut level = vec![String::new()];
        for _ in 1..height {
            level = level
                .iter()
                .flat_map(|above| (0..branches).map(move |n| format!("{above}{n}/")))
                .collect();
            clients.extend(
                level
                    .iter()
                    .map(|path| path.trim_end_matches('/').to_owned()),
            );
        }
        for agents in AGENTS {
            let size = (agents, clients.len() as u64);
            let known = HIERARCHY.iter().find(|row| (row.0, row.1) == size);
            measure("HierarchyFullSort", agents, &clients, |step| {
                known.filter(|_| step == "sort").map(|(.., theirs)| *theirs)
            });
        }
    }
}
