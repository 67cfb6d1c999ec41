//! The sorter against a second one that keeps nothing but what each client holds, and works the order
//! out from the definition every time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::*;
use tepui_allocator::{DrfSorter, Sorter, Weight};
use tepui_protocol::{Quantities, Scalar};

const PATHS: [&str; 9] = ["a", "a/a", "a/a/a", "a/a/b", "a/b", "b", "b/a", "b-", "c/d"];
const EXCLUDED: &str = "gpus";

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Activate(usize),
    Deactivate(usize),
    Weigh(usize, u64),
    Give(usize, [i64; 3]),
    Free(usize, [i64; 3]),
    Total([i64; 3]),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..PATHS.len();
    // Few different amounts, so that shares often tie.
    let amounts = || prop::array::uniform3(0..4_i64);
    let step = prop_oneof![
        3 => client.clone().prop_map(Step::Add),
        1 => client.clone().prop_map(Step::Remove),
        3 => client.clone().prop_map(Step::Activate),
        1 => client.clone().prop_map(Step::Deactivate),
        1 => (client.clone(), 1..4_u64).prop_map(|(c, w)| Step::Weigh(c, w * 500)),
        6 => (client.clone(), amounts()).prop_map(|(c, a)| Step::Give(c, a)),
        2 => (client, amounts()).prop_map(|(c, a)| Step::Free(c, a)),
        1 => amounts().prop_map(|a| Step::Total(a.map(|n| 10 * n))),
    ];
    prop::collection::vec(step, 1..60)
}

fn quantities([cpus, mem, gpus]: [i64; 3]) -> Quantities {
    let named = [("cpus", cpus), ("mem", mem), (EXCLUDED, gpus)];
    named
        .into_iter()
        .map(|(name, n)| (name, Scalar::from_milli(n * 1000)))
        .collect()
}

#[derive(Clone, Debug, Default)]
struct Held {
    active: bool,
    amounts: Quantities,
    /// Allocations ever made to it.
    given: u64,
}

/// The definition, without any cleverness.
#[derive(Debug, Default)]
struct Naive {
    clients: BTreeMap<String, Held>,
    weights: BTreeMap<String, u64>,
    total: Quantities,
    /// Allocations per node; a client with others below it has a node `path/.` of its own.
    counts: BTreeMap<String, u64>,
}

impl Naive {
    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Held)> {
        let prefix = format!("{path}/");
        self.clients
            .iter()
            .filter(move |(client, _)| client.starts_with(&prefix))
    }

    fn has_below(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    fn leaf(&self, client: &str) -> String {
        if self.has_below(client) {
            format!("{client}/.")
        } else {
            client.to_owned()
        }
    }

    /// Keeps the counts of nodes that there still are; a new `path/.` begins with what its client was
    /// given, other new nodes with none.
    fn recount(&mut self) {
        let mut nodes = BTreeSet::new();
        for client in self.clients.keys() {
            nodes.extend(
                client
                    .match_indices('/')
                    .map(|(end, _)| client[..end].to_owned()),
            );
            nodes.extend([client.clone(), self.leaf(client)]);
        }
        self.counts.retain(|node, _| nodes.contains(node));
        for node in nodes {
            let client = node.strip_suffix("/.").map(|path| &self.clients[path]);
            let count = client.map_or(0, |client| client.given);
            self.counts.entry(node).or_insert(count);
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Add(c) => _ = self.clients.entry(PATHS[*c].to_owned()).or_default(),
            Step::Remove(c) => _ = self.clients.remove(PATHS[*c]),
            Step::Activate(c) => self.set_active(*c, true),
            Step::Deactivate(c) => self.set_active(*c, false),
            Step::Weigh(c, milli) => _ = self.weights.insert(PATHS[*c].to_owned(), *milli),
            Step::Give(c, amounts) => self.give(PATHS[*c], &quantities(*amounts)),
            Step::Free(c, amounts) => {
                if let Some(held) = self.clients.get_mut(PATHS[*c]) {
                    held.amounts -= &quantities(*amounts);
                }
            }
            Step::Total(amounts) => self.total = quantities(*amounts),
        }
        self.recount();
    }

    fn set_active(&mut self, client: usize, active: bool) {
        if let Some(held) = self.clients.get_mut(PATHS[client]) {
            held.active = active;
        }
    }

    fn give(&mut self, client: &str, amounts: &Quantities) {
        let Some(held) = self.clients.get_mut(client) else {
            return;
        };
        held.amounts += amounts;
        held.given += 1;
        let leaf = self.leaf(client);
        for (node, count) in &mut self.counts {
            *count += u64::from(*node == leaf || leaf.starts_with(&format!("{node}/")));
        }
    }

    /// The share of a node as numerator and denominator.
    fn share(&self, node: &str) -> (u128, u128) {
        let mut sum = Quantities::new();
        if let Some(client) = node.strip_suffix("/.") {
            sum += &self.clients[client].amounts;
        } else {
            let own = self.clients.get_key_value(node);
            own.into_iter()
                .chain(self.below(node))
                .for_each(|(_, held)| sum += &held.amounts);
        }
        let weight = u128::from(self.weights.get(node).copied().unwrap_or(1000));
        let mut largest = (0, 1);
        for (name, total) in self.total.iter().filter(|(name, _)| *name != EXCLUDED) {
            let share = (
                1000 * sum.get(name).milli().unsigned_abs() as u128,
                total.milli().unsigned_abs() as u128 * weight,
            );
            if share.0 * largest.1 > largest.0 * share.1 {
                largest = share;
            }
        }
        largest
    }

    /// The children of `path`, as node names; the root's for the empty path.
    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let inside = self
            .clients
            .keys()
            .filter_map(|client| client.strip_prefix(&prefix));
        let mut names: BTreeSet<String> = inside
            .map(|rest| rest.split('/').next().unwrap().to_owned())
            .collect();
        if self.clients.contains_key(path) {
            names.insert(".".to_owned());
        }
        names
            .into_iter()
            .map(|name| format!("{prefix}{name}"))
            .collect()
    }

    fn compare(&self, a: &str, b: &str) -> Ordering {
        let ((p, q), (r, s)) = (self.share(a), self.share(b));
        let count = |node: &str| self.counts[node];
        (p * s)
            .cmp(&(r * q))
            .then(count(a).cmp(&count(b)))
            .then(a.cmp(b))
    }

    fn order(&self, path: &str) -> Vec<String> {
        let mut children = self.children(path);
        children.sort_by(|a, b| self.compare(a, b));
        let mut order = Vec::new();
        for node in children {
            let client = node.strip_suffix("/.").unwrap_or(&node);
            if node.ends_with("/.") || !self.has_below(&node) {
                order.extend(self.clients[client].active.then(|| client.to_owned()));
            } else {
                order.extend(self.order(&node));
            }
        }
        order
    }
}

fn apply(sorter: &mut DrfSorter<String>, step: &Step) {
    let client = |c: &usize| PATHS[*c].to_owned();
    match step {
        Step::Add(c) => sorter.add(&client(c)),
        Step::Remove(c) => sorter.remove(&client(c)),
        Step::Activate(c) => sorter.activate(&client(c)),
        Step::Deactivate(c) => sorter.deactivate(&client(c)),
        Step::Weigh(c, milli) => {
            sorter.set_weight(PATHS[*c], Weight::from_milli(*milli).unwrap());
        }
        Step::Give(c, amounts) => sorter.allocated(&client(c), &quantities(*amounts)),
        Step::Free(c, amounts) => sorter.unallocated(&client(c), &quantities(*amounts)),
        Step::Total(amounts) => sorter.set_total(&quantities(*amounts)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// `often` decides whether the order is asked for after each step, so that the incremental path
    /// (an allocation moves a node) is taken, or only at the end.
    #[test]
    fn the_sorter_agrees_with_the_definition(steps in steps(), often: bool) {
        let mut sorter = DrfSorter::new(&BTreeSet::from([EXCLUDED.to_owned()]));
        let mut naive = Naive::default();
        for (i, step) in steps.iter().enumerate() {
            apply(&mut sorter, step);
            naive.apply(step);
            if often || i + 1 == steps.len() {
                prop_assert_eq!(&sorter.sort()[..], &naive.order("")[..], "after step {}", i);
            }
        }
        prop_assert_eq!(sorter.len(), naive.clients.len());
        for path in PATHS {
            let mut held = Quantities::new();
            naive.below(path).for_each(|(_, below)| held += &below.amounts);
            held += &naive.clients.get(path).cloned().unwrap_or_default().amounts;
            prop_assert_eq!(sorter.held(path), held, "held by {}", path);
        }
    }
}
