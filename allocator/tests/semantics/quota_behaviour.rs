//! What no oracle says of quota.

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::{AgentOrder, FrameworkTerms, Options};

use crate::{
    amounts::resources,
    cluster_table::{Cluster, agent, cluster, framework, role, roles},
};

#[test]
fn a_guarantee_that_was_refused_is_not_given_to_others() {
    cluster(
        "guarantee role1 1/512
         framework f1 role1; framework f2 role2
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 1000s
         tick                                             -> f2:agent1=1/512
         tick                                             -> none
         revive f1                                        -> f1:agent1=1/512",
    );
}

#[test]
fn both_stages_make_one_allocation_of_one_agent() {
    cluster(
        "guarantee a/b 1/512; framework f1 a/b
         agent agent1 4/2048 cpus(a):1                    -> f1:agent1",
    );
}

/// The first stage leaves what is reserved to a role above to the order of shares.
#[test]
fn reservations_of_ancestors_are_no_part_of_a_guarantee() {
    cluster(
        "guarantee a/b 1/512; framework f1 a/b; framework f2 a/c
         agent agent1 1/512 cpus(a):1                     -> f1:agent1=1/512 f2:agent1=cpus(a):1",
    );
}

#[test]
fn what_a_framework_says_it_holds_is_consumed() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("limit role1 2/1024; agent agent1 2/1024; tick -> none");
    let terms = FrameworkTerms {
        roles: roles(&["role1"]),
        ..FrameworkTerms::default()
    };
    let used = BTreeMap::from([(
        agent("agent1"),
        resources(["1/512"]).allocate(&role("role1")),
    )]);
    cluster
        .allocator
        .add_framework(&framework("f1"), terms, &BTreeSet::new(), &used);
    cluster.play(
        "tick                                             -> f1:agent1=1/512
         agent agent2 2/1024                              -> none",
    );
}

#[test]
fn gpus_are_limited_too() {
    cluster(
        "limit role1 gpus:1; framework f1 role1 gpu
         agent agent1 2/1024 gpus:4                       -> f1:agent1=2/1024,gpus:1",
    );
}

#[test]
fn a_role_shows_its_quota_and_what_it_consumes() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play(
        "quota a 4/2048; framework f1 a/b
         agent agent1 2/1024 cpus(a/c):1 cpus{REV}:3      -> f1:agent1=2/1024",
    );
    let view = cluster.allocator.roles().remove(&role("a")).unwrap();
    assert_eq!(
        view.quota.to_string(),
        "guarantees cpus:4;mem:2048, limits cpus:4;mem:2048"
    );
    assert_eq!(view.consumed.to_string(), "cpus:3;mem:1024");
    assert!(view.frameworks.is_empty());
}

#[test]
fn a_quota_that_cannot_be_kept_changes_nothing_unless_forced() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("agent agent1 2/1024 cpus{REV}:8; framework f1 a");
    let quota = tepui_protocol::Quota {
        guarantees: "cpus:3".parse().unwrap(),
        ..Default::default()
    };
    let error = cluster
        .allocator
        .set_quota(&role("a"), quota.clone(), false)
        .unwrap_err();
    let expected = "quota of role a: all guarantees would add up to cpus:3, but the cluster has cpus:2; \
                    lower a guarantee, add agents, or force it (--force)";
    assert_eq!(error.to_string(), expected);
    assert!(cluster.allocator.roles()[&role("a")].quota.is_default());
    cluster
        .allocator
        .set_quota(&role("a"), quota, true)
        .unwrap();
    assert!(!cluster.allocator.roles()[&role("a")].quota.is_default());
}

/// docs/allocator.md has it.
#[test]
fn the_worked_example() {
    let options = Options {
        agent_order: AgentOrder::ById,
        ..Options::default()
    };
    Cluster::new(options).play(
        "guarantee a cpus:3; limit b cpus:1
         agent agent1 cpus:2; agent agent2 cpus:2; agent agent3 cpus:2; agent agent4 cpus:2
         framework a a & framework b b & framework c c    -> a:agent1 a:agent2 b:agent3=cpus:1 c:agent3=cpus:1 c:agent4",
    );
}

#[test]
fn what_is_reserved_while_it_is_held_stays_consumed() {
    // As Q20: 2 of 3 cpus of the limit are used up, whether they are held or only reserved.
    let mine = "cpus(reservations:[(DYNAMIC,a)]):2";
    cluster(&format!(
        "limit a cpus:3
         framework f1 a
         agent agent1 2/1024                              -> f1:agent1
         convert f1 agent1 a cpus:2 > {mine}
         agent agent2 2/1024                              -> f1:agent2=1/1024
         decline f1 agent1 1000s
         agent agent3 2/1024                              -> f1:agent3=mem:1024"
    ));
}
