//! Mesos's allocator tests as tables. Amounts are cpus/mem; the interval is 1 s unless stated.
//!
//! Mesos's tests begin with the clock at the first event and let no periodic run happen but those
//! that they ask for; so do these. Each event is followed by the run that it makes due.

use std::{collections::BTreeMap, time::Duration};

use tepui_allocator::{Options, Weight};

use crate::cluster_table::{Cluster, cluster, role};

#[test]
fn a1_unreserved_drf() {
    cluster(
        "framework f1 role1                               -> none
         agent agent1 2/1024                              -> f1:agent1
         framework f2 role2                               -> none
         agent agent2 1/512                               -> f2:agent2
         agent agent3 3/2048; share role1 0.33            -> f2:agent3
         share role2 0.71
         framework f3 role1                               -> none
         agent agent4 4/4096; share role2 0.40            -> f3:agent4
         framework f4 role1                               -> none
         agent agent5 1/512                               -> f2:agent5",
    );
}

#[test]
fn a2_reserved_drf() {
    cluster(
        "framework f1 role1
         agent agent1 1/512 cpus(role1):100 mem(role1):1024 -> f1:agent1
         framework f2 role2                               -> none
         agent agent2 2/512                               -> f2:agent2
         agent agent3 2/512                               -> f2:agent3
         framework f3 role1                               -> none
         agent agent4 cpus(role1):2 mem(role1):1024       -> f3:agent4",
    );
}

#[test]
fn a3_drf_with_fairness_exclusion() {
    let fair_share_excluded = ["gpus".to_owned()].into();
    Cluster::new(Options {
        fair_share_excluded,
        ..Options::default()
    })
    .play(
        "framework f1 role1 gpu
         agent agent1 2/1024 gpus:1                       -> f1:agent1
         framework f2 role2 gpu                           -> none
         agent agent2 1/512                               -> f2:agent2
         agent agent3 3/2048; share role1 0.33            -> f2:agent3
         framework f3 role1                               -> none
         agent agent4 4/4096                              -> f3:agent4
         framework f4 role1                               -> none
         agent agent5 1/512                               -> f2:agent5",
    );
}

/// The same without the exclusion: role1 has every GPU, so that it gets nothing else.
#[test]
fn a3_without_the_exclusion_other_roles_win() {
    cluster(
        "framework f1 role1 gpu
         agent agent1 2/1024 gpus:1                       -> f1:agent1
         framework f2 role2 gpu
         agent agent2 1/512                               -> f2:agent2
         agent agent3 3/2048                              -> f2:agent3
         framework f3 role1
         agent agent4 4/4096                              -> f2:agent4",
    );
}

#[test]
fn a4_nested_role_drf() {
    cluster(
        "framework f1 a/b
         agent agent1 2/1024                              -> f1:agent1
         framework f2 a/c                                 -> none
         framework f3 d/e                                 -> none
         agent agent2 1/512                               -> f3:agent2
         framework f4 d/f                                 -> none
         agent agent3 2/1024                              -> f4:agent3
         share a 0.40; share d 0.60; share a/c 0.00",
    );
}

/// The refusal of two intervals is in force at the first tick and over at the second.
#[test]
fn a5_offer_filter() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 2s; filters role1 1            -> none
         tick                                             -> none
         filters role1 1
         tick                                             -> f1:agent1
         filters role1 0",
    );
}

/// f1 takes agent1, so that f2 has the smaller share and is offered agent2 first. Its refusal of
/// one second lasts an interval of a minute, and the tick at its end.
#[test]
fn a6_small_offer_filter_timeout() {
    let allocation_interval = Duration::from_secs(60);
    Cluster::new(Options {
        allocation_interval,
        ..Options::default()
    })
    .play(
        "framework f1 role1; framework f2 role1
         agent agent1 1/512                               -> f1:agent1
         agent agent2 1/512                               -> f2:agent2
         decline f2 agent2 1s
         tick                                             -> f1:agent2
         decline f1 agent2
         tick                                             -> f2:agent2",
    );
}

/// Both frameworks are there before the first run; which of the agents is whose is left to chance.
#[test]
fn a7_coarse_grained() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("agent agent1 2/1024; agent agent2 2/1024 -> none");
    let made = cluster.happen("framework f1 role1 & framework f2 role2");
    assert_eq!(per_framework(&made), [1, 1]);
    assert_eq!(
        made[0].resources.unallocate(),
        made[1].resources.unallocate()
    );
}

#[test]
fn a8_same_share_fairness() {
    let mut cluster = Cluster::new(Options::default());
    let mut offers = BTreeMap::<String, u32>::new();
    let mut made = Vec::new();
    for event in ["framework f1 *", "framework f2 *", "agent agent1 2/1024"] {
        made = cluster.happen(event);
    }
    for _ in 0..10 {
        let [allocation] = &made[..] else {
            panic!("one offer a round, not {made:?}")
        };
        let served = allocation.framework.to_string();
        *offers.entry(served.clone()).or_default() += 1;
        cluster.happen(&format!("decline {served} agent1"));
        made = cluster.happen("tick");
    }
    assert_eq!(
        offers,
        BTreeMap::from([("f1".to_owned(), 5), ("f2".to_owned(), 5)])
    );
}

#[test]
fn a9_allocatable() {
    cluster(
        "framework f1 role1
         agent agent1 0.005/16 disk:128                   -> none
         agent agent2 0.01/16                             -> f1:agent2
         agent agent3 0.005/32                            -> f1:agent3
         agent agent4 0.005/16 cpus(role1):0.005 mem(role1):16 -> f1:agent4",
    );
}

#[test]
fn a10_framework_min_allocatable() {
    cluster(
        "framework f1 role1                               -> none
         framework f2 role1 role1>=cpus:0.0033            -> none
         agent agent1 0.005/16                            -> f2:agent1",
    );
}

#[test]
fn a10_framework_min_allocatable_empty() {
    cluster(
        "framework f1 role1 role1>=
         agent agent1 disk:1                              -> f1:agent1",
    );
}

#[test]
fn a11_update_weight() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("framework f1 role1; framework f2 role2");
    let mut made = Vec::new();
    for i in 1..=6 {
        made.extend(cluster.happen(&format!("agent agent{i} 2/1024")));
    }
    assert_eq!(per_framework(&made), [3, 3]);

    give_all_back(&mut cluster);
    cluster.play("weight role2 2                          -> none");
    let made = cluster.happen("tick");
    assert_eq!(per_framework(&made), [2, 4]);

    give_all_back(&mut cluster);
    set_weights(
        &mut cluster,
        &[("role1", 1.0), ("role2", 2.0), ("role3", 3.0)],
    );
    let made = cluster.happen("framework f3 role3");
    assert_eq!(per_framework(&made), [1, 2, 3]);
}

fn set_weights(cluster: &mut Cluster, weights: &[(&str, f64)]) {
    let weight = |value| Weight::try_from(value).unwrap();
    let weights = weights
        .iter()
        .map(|&(name, value)| (role(name), weight(value)))
        .collect();
    cluster.allocator.update_weights(&weights);
}

fn give_all_back(cluster: &mut Cluster) {
    for (agent, view) in cluster.allocator.agents() {
        for (framework, resources) in view.used {
            cluster.recover(framework.as_str(), agent.as_str(), &resources, None);
        }
    }
}

/// How many agents f1, f2, ... got.
fn per_framework(made: &[tepui_allocator::Allocation]) -> Vec<u32> {
    let mut counts = BTreeMap::<_, u32>::new();
    for allocation in made {
        *counts.entry(&allocation.framework).or_default() += 1;
    }
    counts.into_values().collect()
}

#[test]
fn a12_revive_offers() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 1000s
         tick                                             -> none
         revive f1                                        -> f1:agent1",
    );
}

#[test]
fn a13_suppress_and_revive_offers() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1; suppress f1
         tick                                             -> none
         revive f1                                        -> f1:agent1
         revive f1                                        -> none
         decline f1 agent1
         tick                                             -> f1:agent1",
    );
}

#[test]
fn a14_suppress_and_revive_offers_with_multi_role() {
    cluster(
        "framework f1 role1 role2
         suppress f1 role1
         agent agent1 2/1024                              -> f1@role2:agent1
         decline f1 agent1 role2 1000s
         tick                                             -> none
         revive f1 role1; filters role2 1                 -> f1@role1:agent1
         decline f1 agent1 role1 1000s
         filters role1 1; filters role2 1
         tick                                             -> none",
    );
}

#[test]
fn a15_deactivate_and_reactivate_framework() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1; suppress f1; off f1
         tick                                             -> none
         on f1                                            -> none
         revive f1                                        -> f1:agent1",
    );
}

#[test]
fn a16_changed_attributes_remove_filters() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         decline f1 agent1 1000s
         tick                                             -> none
         resize agent1 2/1024; filters role1 1            -> none
         attributes agent1 rack=r2                        -> f1:agent1
         filters role1 0",
    );
}

#[test]
fn a18_an_incapable_framework_does_not_stop_the_next() {
    cluster(
        "framework f1 role1; framework f2 role2 gpu
         agent agent1 2/1024 gpus:1                       -> f2:agent1
         agent agent2 1/512                               -> f1:agent2",
    );
}

#[test]
fn a19_removing_an_agent_recovers_its_resources() {
    cluster(
        "framework f1 role1
         agent agent1 2/200                               -> f1:agent1
         framework f2 role2
         agent agent2 1/100                               -> f2:agent2
         remove agent1; share role1 0.00; share role2 1.00
         agent agent3 1/100                               -> f1:agent3",
    );
}

#[test]
fn a20_whitelist() {
    cluster(
        "framework f1 role1
         whitelist other
         agent agent1 2/1024                              -> none
         tick                                             -> none
         whitelist agent1                                 -> none
         tick                                             -> f1:agent1",
    );
}

#[test]
fn a22_ancestor_reservations_are_offered_to_descendants() {
    cluster(
        "framework f1 a/b/c; framework f2 x
         agent agent1 cpus(a):1 mem(a):512                -> f1:agent1
         framework f3 a/b
         off f2
         agent agent2 2/1024 cpus(a/b):4 mem(a/b):2048    -> f3:agent2
         decline f3 agent2 1000s
         tick                                             -> f1:agent2",
    );
}

#[test]
fn a23_update_agent_total() {
    cluster(
        "framework f1 role1
         agent agent1 cpus:100                            -> f1:agent1
         resize agent1 cpus:112                           -> f1:agent1=cpus:12
         resize agent1 cpus:50                            -> none
         return f1 agent1 role1 cpus:60
         tick                                             -> none
         return f1 agent1 role1 cpus:52
         tick                                             -> f1:agent1
         resize agent1 cpus:100                           -> f1:agent1=cpus:50",
    );
}

#[test]
fn a24_update_agent_oversubscribed_resources() {
    cluster(
        "framework f1 role1 revocable
         agent agent1 cpus:100                            -> f1:agent1
         resize agent1 cpus:100 cpus{REV}:10              -> f1:agent1=cpus{REV}:10
         resize agent1 cpus:100 cpus{REV}:12              -> f1:agent1=cpus{REV}:2
         resize agent1 cpus:100 cpus{REV}:5               -> none",
    );
}

#[test]
fn a25_recover_oversubscribed_resources() {
    cluster(
        "framework f1 role1 revocable
         agent agent1 cpus:100 cpus{REV}:10               -> f1:agent1
         return f1 agent1 role1 cpus:2 cpus{REV}:6
         tick                                             -> f1:agent1=cpus:2,cpus{REV}:6",
    );
}

#[test]
fn a26_oversubscribed_not_allocated() {
    cluster(
        "framework f1 role1
         agent agent1 2/1024 cpus{REV}:10                 -> f1:agent1=2/1024
         framework f2 role1 revocable                     -> f2:agent1=cpus{REV}:10",
    );
}

#[test]
fn stacked_reservations_go_to_the_topmost_role_and_those_below_it_if_they_understand_stacks() {
    let refined = "cpus(reservations:[(STATIC,a),(DYNAMIC,a/b)]):2";
    cluster(&format!(
        "framework f1 a refine; framework f2 a/b; framework f3 a/c refine
         agent agent1 {refined}                           -> none
         framework f4 a/b/x refine                        -> f4:agent1
         off f4
         framework f5 a/b refine; decline f4 agent1 a/b/x
         tick                                             -> f5:agent1"
    ));
}

#[test]
fn reservations_change_on_what_is_held() {
    let mine = "cpus(reservations:[(DYNAMIC,a)]):2";
    let refined = "cpus(reservations:[(DYNAMIC,a),(DYNAMIC,a/b)]):2";
    cluster(&format!(
        "framework f1 a; framework f2 x
         off f2
         agent agent1 4/1024                              -> f1:agent1
         convert f1 agent1 a cpus:2 > {mine}
         share a 1.00
         on f2
         decline f1 agent1 1000s
         tick                                             -> f2:agent1=2/1024
         framework f3 a/b refine                          -> f3:agent1={mine}
         convert f3 agent1 a/b {mine} > {refined}
         decline f3 agent1
         off f3
         tick                                             -> none
         framework f4 a/b                                 -> none
         on f3                                            -> f3:agent1={refined}
         convert f3 agent1 a/b {refined} > cpus:2
         decline f3 agent1 1000s
         off f4 & off f2
         tick                                             -> none
         on f2                                            -> f2:agent1=cpus:2"
    ));
}
