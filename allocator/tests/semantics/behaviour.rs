//! Promises of the trait that no oracle covers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_allocator::{AgentOrder, Allocator, FrameworkTerms, GpuAgents, Options, invariants};
use tepui_protocol::Resources;

use crate::{
    amounts::resources,
    cluster_table::{Cluster, agent, cluster, framework, info, role, roles},
    subject::Subject,
};

#[test]
fn a_refusal_blocks_parts_of_itself_and_lets_more_through() {
    cluster(
        "framework f1 role1
         agent agent1 4/4096                              -> f1:agent1
         decline f1 agent1 1000s
         resize agent1 2/4096                             -> none
         resize agent1 4/5000                             -> f1:agent1
         return f1 agent1 role1 1/1
         tick                                             -> none",
    );
}

#[test]
fn an_agent_that_a_tick_passed_over_is_looked_at_when_it_grows() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         resize agent1 2/1024
         tick                                             -> none
         resize agent1 4/2048                             -> f1:agent1=2/1024",
    );
}

#[test]
fn a_refusal_in_one_role_or_agent_says_nothing_of_others() {
    cluster(
        "framework f1 role1 role2
         agent agent1 2/1024                              -> f1@role1:agent1
         decline f1 agent1 1000s
         tick                                             -> f1@role2:agent1
         agent agent2 2/1024                              -> f1@role1:agent2",
    );
}

#[test]
fn a_refusal_outlives_the_next_tick_even_if_that_is_late() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 0.5s
         wait 5; filters role1 1
         tick                                             -> none
         filters role1 0
         tick                                             -> f1:agent1",
    );
}

#[test]
fn a_refusal_holds_for_an_interval_even_if_a_tick_comes_sooner() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; decline f1 agent1 0.1s; wait 0.3");
    assert_eq!(cluster.allocator.tick(cluster.now), []);
    cluster.play("wait 0.6; filters role1 1; wait 0.1; filters role1 0");
}

#[test]
fn without_ticks_a_refusal_is_over_with_its_time() {
    let allocation_interval = Duration::ZERO;
    Cluster::new(Options {
        allocation_interval,
        ..Options::default()
    })
    .play(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 0.5s; filters role1 1
         wait 0.4; filters role1 1
         wait 0.1; filters role1 0",
    );
}

#[test]
fn the_next_deadline_is_that_of_the_first_refusal_that_saw_a_tick() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; agent agent2 2/1024");
    let start = cluster.now;
    assert_eq!(cluster.allocator.next_deadline(start), None);

    cluster.play("decline f1 agent1 30s; decline f1 agent2 10s");
    assert_eq!(
        cluster.allocator.next_deadline(start),
        None,
        "both wait for a tick"
    );
    cluster.play("tick");
    assert_eq!(
        cluster.allocator.next_deadline(cluster.now),
        Some(start + Duration::from_secs(10))
    );
    cluster.play("wait 9; filters role1 1");
    assert_eq!(
        cluster.allocator.next_deadline(cluster.now),
        Some(start + Duration::from_secs(30))
    );
}

#[test]
fn refusals_go_with_the_role_the_framework_and_the_agent() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024; decline f1 agent1 1000s; filters role1 1
         off f1; filters role1 0
         on f1                                            -> f1:agent1
         decline f1 agent1 1000s; filters role1 1
         remove agent1; filters role1 0
         agent agent1 2/1024; decline f1 agent1 1000s; filters role1 1
         remove f1; filters role1 0",
    );
}

#[test]
fn giving_back_more_than_is_held_changes_nothing() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024");
    let before = cluster.allocator.agents();
    for more in [
        resources(["3/1024"]).allocate(&role("role1")),
        resources(["1/512"]),
    ] {
        let answer =
            cluster
                .allocator
                .recover(&framework("f1"), &agent("agent1"), &more, None, cluster.now);
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("f1") && error.contains("agent1"), "{error}");
        assert_eq!(cluster.allocator.agents(), before);
    }
}

#[test]
fn giving_back_what_is_gone_already_is_no_error() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; agent agent2 2/1024");
    let held = cluster.held("f1", "agent1");
    cluster.play("remove agent1");
    cluster.recover("f1", "agent1", &held, Some(Duration::from_secs(9)));
    cluster.play("remove f1");
    cluster.recover("f1", "agent2", &held, Some(Duration::from_secs(9)));
    cluster.play("filters role1 0");
}

#[test]
fn what_a_removed_framework_held_is_offered_again() {
    cluster(
        "framework f1 role1; framework f2 role1
         agent agent1 2/1024                              -> f1:agent1
         remove f1
         tick                                             -> f2:agent1
         share role1 1.00",
    );
}

/// A21: after a failover, agents and frameworks come back in any order and count once.
#[test]
fn a21_used_resources_count_once_in_either_order() {
    let half = resources(["1/512"]).allocate(&role("role1"));
    let used_by = BTreeMap::from([(framework("f1"), half.clone())]);
    let used_on = BTreeMap::from([(agent("agent1"), half)]);
    let mut terms = FrameworkTerms::default();
    terms.roles.insert(role("role1"));
    for agent_first in [true, false] {
        let mut cluster = Cluster::new(Options::default());
        let whole = resources(["2/1024"]);
        if agent_first {
            cluster
                .allocator
                .add_agent(&agent("agent1"), &info("host"), whole.clone(), &used_by);
        }
        let none = BTreeSet::new();
        cluster
            .allocator
            .add_framework(&framework("f1"), terms.clone(), &none, &used_on);
        if !agent_first {
            cluster
                .allocator
                .add_agent(&agent("agent1"), &info("host"), whole.clone(), &used_by);
        }
        cluster.play("share role1 0.50; tick                    -> f1:agent1=1/512");
    }
}

/// An agent may come back before the framework that uses it; until then nobody is charged.
#[test]
fn resources_of_an_unknown_framework_are_not_available() {
    let mut cluster = Cluster::new(Options::default());
    let used = resources(["1/512"]).allocate(&role("role1"));
    let used = BTreeMap::from([(framework("f1"), used)]);
    cluster.allocator.add_agent(
        &agent("agent1"),
        &info("host"),
        resources(["2/1024"]),
        &used,
    );
    cluster.play("framework f2 role1                      -> f2:agent1=1/512");
    cluster.play("framework f1 role1                      -> none");
    cluster.play("share role1 1.00");
}

#[test]
fn what_is_held_in_a_role_that_was_left_counts_until_recovered() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024");
    let mut terms = FrameworkTerms::default();
    terms.roles.insert(role("role2"));
    cluster
        .allocator
        .update_framework(&framework("f1"), terms, &BTreeSet::new());
    cluster.play(
        "share role1 1.00; share role2 0.00
         decline f1 agent1 role1
         tick                                             -> f1@role2:agent1",
    );
    assert!(!cluster.allocator.roles().contains_key(&role("role1")));
}

#[test]
fn update_framework_replaces_suppressed_roles() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1 role2; suppress f1");
    let terms = FrameworkTerms {
        roles: roles(&["role1", "role2"]),
        ..Default::default()
    };
    cluster
        .allocator
        .update_framework(&framework("f1"), terms, &roles(&["role1"]));
    cluster.play("agent agent1 2/1024                     -> f1@role2:agent1");
}

#[test]
fn an_inactive_agent_is_not_offered_and_an_activated_one_waits_for_the_tick() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         off agent1; decline f1 agent1
         tick                                             -> none
         on agent1                                        -> none
         tick                                             -> f1:agent1",
    );
}

#[test]
fn recovered_resources_wait_for_the_tick_unless_requested() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1                                -> none",
    );
    cluster.allocator.request(&agent("agent1"));
    assert!(cluster.allocator.needs_run());
    assert_eq!(cluster.allocator.allocate(cluster.now).len(), 1);
}

/// A30: one run per agent and framework added, one per tick, none when nothing is due.
#[test]
fn a30_runs_are_counted() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; share role1 1.00; tick");
    cluster.allocator.allocate(cluster.now);
    assert_eq!(cluster.allocator.counters().runs, 3);
    cluster.play("decline f1 agent1; share role1 0.00; remove f1");
    assert!(cluster.allocator.roles().is_empty());
}

#[test]
fn a_weighted_role_is_shown_before_it_has_frameworks() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("weight a/b 2.5");
    let weights: Vec<_> = cluster
        .allocator
        .roles()
        .into_iter()
        .map(|(role, view)| (role.to_string(), view.weight.to_string()))
        .collect();
    let shown = |role: &str, weight: &str| (role.to_owned(), weight.to_owned());
    assert_eq!(weights, [shown("a", "1"), shown("a/b", "2.5")]);
}

#[test]
fn agents_with_gpus_can_be_offered_to_all() {
    let gpu_agents = GpuAgents::ForAll;
    Cluster::new(Options {
        gpu_agents,
        ..Options::default()
    })
    .play(
        "framework f1 role1
         agent agent1 2/1024 gpus:1                       -> f1:agent1",
    );
}

#[test]
fn non_scalars_are_offered_with_the_rest() {
    let mut cluster = Cluster::new(Options::default());
    let made = cluster.happen("framework f1 role1 & agent agent1 2/1024 ports:[31000-32000]");
    let ports = made[0].resources.ports().unwrap();
    assert_eq!(ports.to_string(), "[31000-32000]");
}

/// The agents in the order in which a run over twenty of them visits them.
fn visited(agent_order: AgentOrder) -> Vec<String> {
    let mut allocator = Subject::new(Options {
        agent_order,
        ..Options::default()
    });
    for i in 10..30 {
        let id = agent(&format!("agent{i}"));
        allocator.add_agent(&id, &info("host"), resources(["2/1024"]), &BTreeMap::new());
    }
    let terms = FrameworkTerms {
        roles: roles(&["role1"]),
        ..FrameworkTerms::default()
    };
    allocator.add_framework(&framework("f1"), terms, &BTreeSet::new(), &BTreeMap::new());
    let made = allocator.allocate(tepui_protocol::Timestamp::from_secs(1));
    made.into_iter()
        .map(|allocation| allocation.agent.to_string())
        .collect()
}

#[test]
fn the_seed_decides_the_order_of_agents() {
    let by_id = visited(AgentOrder::ById);
    assert!(by_id.is_sorted());
    let shuffled = visited(AgentOrder::Shuffled(1));
    assert_ne!(shuffled, by_id);
    assert_ne!(shuffled, visited(AgentOrder::Shuffled(2)));
    assert_eq!(shuffled, visited(AgentOrder::Shuffled(1)));
}

#[test]
fn a_run_that_gives_too_much_violates_an_invariant() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024; decline f1 agent1");
    let before = invariants::State::of(&*cluster.allocator);
    let mut made = cluster.happen("tick");
    invariants::check_run(&before, &made).unwrap();

    made.push(made[0].clone());
    let violation = invariants::check_run(&before, &made).unwrap_err();
    assert_eq!(violation.id, "AL-1");

    made.truncate(1);
    made[0].role = role("other");
    assert_eq!(
        invariants::check_run(&before, &made).unwrap_err().id,
        "AL-5"
    );
}

#[test]
fn a_refusal_of_nothing_blocks_nothing() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; agent agent1 2/1024");
    cluster.recover(
        "f1",
        "agent1",
        &Resources::new(),
        Some(Duration::from_secs(9)),
    );
    cluster.play("filters role1 0");
}

//= mesos, offer constraints
#[test]
fn constraints_say_which_agents_a_framework_is_offered() {
    cluster(
        "framework f1 role1@rack=r1|hostname=agent3
         agent agent1 2/1024                              -> none
         attributes agent1 rack=r1                        -> f1:agent1
         agent agent2 2/1024; attributes agent2 rack=r2   -> none
         agent agent3 2/1024                              -> f1:agent3
         framework f2 role2                               -> f2:agent2",
    );
}

/// What one may not have is not taken for what nobody wants.
#[test]
fn constraints_hold_beside_guarantees() {
    cluster(
        "guarantee role1 2/1024
         framework f1 role1@rack=r1
         agent agent1 2/1024 & agent agent2 2/1024        -> none
         attributes agent2 rack=r1                        -> f1:agent2
         framework f2 role2                               -> f2:agent1",
    );
}

//= mesos, fault domains
#[test]
fn agents_of_other_regions_are_for_those_who_take_them() {
    let region = Some("here".to_owned());
    Cluster::new(Options {
        region,
        ..Options::default()
    })
    .play(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         remove agent1
         agent agent2 2/1024; attributes agent2 region=here -> f1:agent2
         agent agent3 2/1024                              -> f1:agent3
         return f1 agent3 role1 2/1024; attributes agent3 region=there -> none
         framework f2 role2 region                        -> f2:agent3",
    );
}
