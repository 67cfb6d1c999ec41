//! A table of steps for a sorter. Each line is `step; step; ... -> order`, the order being that of the
//! active clients after the steps:
//!
//! | step | meaning |
//! |---|---|
//! | `total 100/100` | what the cluster has |
//! | `add a 5/5` | add and activate a client, and allocate to it if amounts follow |
//! | `give a 1/1`, `free a 1/1` | allocate, unallocate |
//! | `remove a`, `off a`, `on a` | remove, deactivate, activate |
//! | `weight a 2` | set the weight of a path |
//! | `clients 5` | assert the number of clients |

use std::collections::BTreeSet;

use tepui_allocator::{DrfSorter, Sorter};

use crate::amounts::resources;

/// Runs the table on an empty DRF sorter and asserts each order.
pub(crate) fn sorts(table: &str) {
    let mut sorter = DrfSorter::<String>::new(&BTreeSet::new());
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (steps, order) = line
            .split_once("->")
            .map_or((line, None), |(s, o)| (s, Some(o)));
        for step in steps.split(';') {
            carry_out(&mut sorter, &step.split_whitespace().collect::<Vec<_>>());
        }
        if let Some(order) = order {
            let expected: Vec<&str> = order.split_whitespace().collect();
            assert_eq!(&sorter.sort()[..], expected, "after: {line}");
        }
    }
}

fn carry_out(sorter: &mut DrfSorter<String>, words: &[&str]) {
    let client = words
        .get(1)
        .map(|word| (*word).to_owned())
        .unwrap_or_default();
    let amounts = || resources(words[2..].iter().copied()).quantities();
    match words[0] {
        "total" => sorter.set_total(&resources(words[1..].iter().copied()).quantities()),
        "add" => {
            sorter.add(&client);
            sorter.activate(&client);
            if words.len() > 2 {
                sorter.allocated(&client, &amounts());
            }
        }
        "give" => sorter.allocated(&client, &amounts()),
        "free" => sorter.unallocated(&client, &amounts()),
        "remove" => sorter.remove(&client),
        "off" => sorter.deactivate(&client),
        "on" => sorter.activate(&client),
        "weight" => sorter.set_weight(&client, words[2].parse().unwrap()),
        "clients" => assert_eq!(sorter.len().to_string(), words[1]),
        step => panic!("no such step: {step}"),
    }
}
