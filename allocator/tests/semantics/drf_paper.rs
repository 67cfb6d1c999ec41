//! The worked example of the DRF paper on the allocator, with whole tasks: each framework takes one
//! task's worth of an offer and gives the rest back without a filter.
//= drf-2011 §4.1: 9 cpus and 18 GB; A's tasks need (1, 4), B's (3, 1); A ends with 3, B with 2

use std::collections::BTreeMap;

use tepui_allocator::{Options, Share, Weight};
use tepui_protocol::Resources;

use crate::cluster_table::{Cluster, framework, role};

/// Ticks until neither framework starts a task, and tells how many each runs. `demands` are the
/// frameworks' tasks.
fn fill(cluster: &mut Cluster, demands: &BTreeMap<&str, &str>) -> BTreeMap<String, u32> {
    let mut tasks = BTreeMap::new();
    let mut idle_ticks = 0;
    while idle_ticks < 3 {
        idle_ticks += 1;
        for allocation in cluster.happen("tick") {
            let (name, on) = (allocation.framework.as_str(), allocation.agent.as_str());
            let task = Resources::parse(demands[name])
                .unwrap()
                .allocate(&allocation.role);
            let rest = allocation.resources.checked_sub(&task);
            if rest.is_some() {
                *tasks.entry(name.to_owned()).or_default() += 1;
                idle_ticks = 0;
            }
            cluster.recover(name, on, &rest.unwrap_or(allocation.resources), None);
        }
    }
    tasks
}

const DEMANDS: [(&str, &str); 2] = [("A", "cpus:1;mem:4096"), ("B", "cpus:3;mem:1024")];

fn expected() -> BTreeMap<String, u32> {
    BTreeMap::from([("A".to_owned(), 3), ("B".to_owned(), 2)])
}

#[test]
fn the_example_holds_between_roles() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework A a; framework B b; agent node 9/18432; decline A node");
    assert_eq!(fill(&mut cluster, &BTreeMap::from(DEMANDS)), expected());

    let two_thirds = Share::of(2, 3, Weight::ONE).unwrap();
    let roles = cluster.allocator.roles();
    assert_eq!(roles[&role("a")].dominant_share, two_thirds);
    assert_eq!(roles[&role("b")].dominant_share, two_thirds);
    let agents = cluster.allocator.agents();
    assert!(
        agents
            .values()
            .all(|agent| agent.available.to_string() == "mem:4096")
    );
}

#[test]
fn the_example_holds_between_frameworks_of_a_role() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework A r; framework B r; agent node 9/18432; decline A node");
    assert_eq!(fill(&mut cluster, &BTreeMap::from(DEMANDS)), expected());

    let shares = cluster.allocator.frameworks();
    let share = |name| shares[&framework(name)].shares[&role("r")];
    assert_eq!(share("A"), share("B"));
}

#[test]
fn with_equal_tasks_and_twice_the_weight_a_role_runs_twice_as_many() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("weight b 2; framework A a; framework B b; agent node 9/18432; decline A node");
    let equal = BTreeMap::from([("A", "cpus:1;mem:1024"), ("B", "cpus:1;mem:1024")]);
    let tasks = fill(&mut cluster, &equal);
    assert_eq!(
        tasks,
        BTreeMap::from([("A".to_owned(), 3), ("B".to_owned(), 6)])
    );
}
