//! Mesos's quota tests as tables; notation: `cluster_table.rs`. There, a quota is a guarantee and a limit of
//! the same amount unless stated, and so is `quota` here.

use tepui_allocator::{AgentOrder, Options};

use crate::cluster_table::{Cluster, cluster};

#[test]
fn q1_a_quota_provides_a_guarantee() {
    cluster(
        "quota role1 2/1024
         framework f1 role1; framework f2 role2           -> none
         agent agent1 1/512                               -> f1:agent1
         agent agent2 1/512                               -> f1:agent2
         decline f1 agent2 2s
         tick                                             -> none
         tick                                             -> f1:agent2",
    );
}

#[test]
fn q2_a_quota_provides_a_limit() {
    cluster(
        "limit * 0/0 disk:0
         framework f1 *; framework f2 role2
         agent agent1 2/1024 disk:1024                    -> f2:agent1
         limit * 1/512 disk:512
         agent agent2 2/1024 disk:1024                    -> f1:agent2=1/512,disk:512 f2:agent2=1/512,disk:512",
    );
}

#[test]
fn q3_without_its_quota_a_role_is_one_of_many() {
    cluster(
        "quota role1 1/512
         framework f1 role1; framework f2 role2
         agent agent1 1/512                               -> f1:agent1
         decline f1 agent1
         tick                                             -> f1:agent1
         decline f1 agent1; unquota role1                 -> none
         tick                                             -> f2:agent1",
    );
}

#[test]
fn q4_frameworks_of_a_role_share_its_quota() {
    cluster(
        "quota role1 4/2048
         framework f1a role1; framework f1b role1; framework f2 role2
         agent agent1 1/512                               -> f1a:agent1
         agent agent2 2/1024                              -> f1b:agent2
         agent agent3 1/512                               -> f1a:agent3
         decline f1a agent3 1000s
         tick                                             -> f1b:agent3",
    );
}

#[test]
fn q5_agents_are_chopped_to_the_quota() {
    cluster(
        "quota role1 0.5/200
         framework f1 role1; framework f2 role2
         agent agent1 1/512                               -> f1:agent1=0.5/200 f2:agent1=0.5/312",
    );
}

#[test]
fn q6_a_mount_disk_is_given_whole_or_not() {
    cluster(
        "quota role1 2/2048 disk:150
         framework f1 role1
         agent agent1 0.5/512 disk[MOUNT:/mnt]:100        -> f1:agent1
         agent agent2 0.5/512 disk[MOUNT:/mnt]:100        -> f1:agent2=0.5/512
         agent agent3 2/2048 disk:150                     -> f1:agent3=1/1024,disk:50",
    );
}

#[test]
fn q7_disks_of_several_kinds_count_together() {
    cluster(
        "quota role1 1/512 disk:100
         framework f1 role1
         agent agent1 1/512 disk:50 disk[MOUNT:/mnt]:50   -> f1:agent1",
    );
}

#[test]
fn q8_what_the_quota_does_not_name_comes_with_it() {
    cluster(
        "quota role1 cpus:2
         framework f1 role1
         agent agent1 1/1024 ports:[1-10]                 -> f1:agent1
         quota role2 mem:1024
         agent agent2 1/1024 ports:[1-10]                 -> f1:agent2=cpus:1,ports:[1-10]
         agent agent3 1/1024 ports:[1-10]                 -> f1:agent3=mem:1024,ports:[1-10]",
    );
}

#[test]
fn q9_drf_with_quota() {
    cluster(
        "quota role1 0.25/128
         framework f1 role1; framework f2 role2
         agent agent1 1/512 use f1@role1=0.25/128         -> f2:agent1=0.75/384
         agent agent2 1/512                               -> f2:agent2",
    );
}

#[test]
fn q10_a_quota_ends_starvation() {
    cluster(
        "framework f1 role1
         agent agent1 1/512                               -> f1:agent1
         framework f2 role2
         agent agent2 1/512                               -> f2:agent2
         decline f2 agent2
         tick                                             -> f2:agent2
         decline f2 agent2
         tick                                             -> f2:agent2
         decline f2 agent2; quota role1 2/1024            -> none
         tick                                             -> f1:agent2",
    );
}

#[test]
fn q11_a_whole_agent_is_held_for_absent_frameworks() {
    cluster(
        "quota role1 2/1024
         framework f2 role2
         agent agent1 2/1024                              -> none
         agent agent2 2/1024                              -> f2:agent2
         tick                                             -> none",
    );
}

/// Both agents are there before the first run; which of them is given is left to chance.
#[test]
fn q11_of_two_equal_agents_one_is_given() {
    let mut cluster = Cluster::new(Options::default());
    cluster.play("quota role1 2/1024; agent agent1 2/1024; agent agent2 2/1024");
    let made = cluster.happen("framework f2 role2");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(
        made[0].resources.unallocate().to_string(),
        "cpus:2;mem:1024"
    );
}

#[test]
fn q12_an_absent_role_does_not_block_another_guarantee() {
    cluster(
        "quota role1 2/1024; quota role2 2/1024
         framework f2 role2
         agent agent1 2/1024                              -> f2:agent1
         framework f3 role3
         agent agent2 2/1024                              -> none",
    );
}

#[test]
fn q13_a_guarantee_is_filled_up() {
    cluster(
        "quota role1 1/1024; quota role2 2/2000
         framework f1 role1; framework f2 role2
         agent agent1 1/1024 use f1@role1=1/1024          -> none
         agent agent2 1/1024 use f2@role2=1/1024          -> none
         agent agent3 2/2048                              -> f2:agent3=1/976",
    );
}

#[test]
fn q14_reservations_are_within_the_quota() {
    cluster(
        "quota role1 2/256
         framework f1 role1; framework f2 role2
         agent agent1 cpus:8 mem(role1):256               -> f1:agent1=cpus:2,mem(role1):256 f2:agent1=cpus:6
         agent agent2 cpus:4                              -> f2:agent2",
    );
}

const STATIC: &str = "cpus(role1):1 mem(role1):1024";
const DYNAMIC: &str =
    "cpus(reservations:[(DYNAMIC,role1)]):1 mem(reservations:[(DYNAMIC,role1)]):1024";

#[test]
fn q15_reservations_count_whether_held_or_not() {
    for reserved in [STATIC, DYNAMIC] {
        for then in ["", "decline f1 agent1 1000s"] {
            cluster(&format!(
                "quota role1 1/1024
                 framework f1 role1
                 agent agent1 {reserved}                  -> f1:agent1
                 {then}
                 agent agent2 1/1024                      -> none
                 quota role1 2/2048
                 agent agent3 1/1024                      -> f1:agent3
                 agent agent4 1/1024                      -> none"
            ));
        }
    }
}

#[test]
fn q16_own_reservations_are_offered_beside_the_headroom() {
    cluster(
        "quota role1 2/1024
         framework f2 role2
         agent agent1 2/1024 cpus(role2):1 mem(role2):512 -> f2:agent1=cpus(role2):1,mem(role2):512",
    );
}

#[test]
fn q17_reservations_of_others_are_no_headroom() {
    cluster(
        "quota role1 4/512
         framework f1 role1; framework f2 role2
         agent agent1 4/512 cpus(role2):4 mem(role2):512  -> f1:agent1=4/512 f2:agent1=cpus(role2):4,mem(role2):512
         decline f1 agent1 1000s; decline f2 agent1 1000s
         tick                                             -> none
         tick                                             -> none",
    );
}

#[test]
fn q18_what_a_role_has_reserved_too_much_helps_nobody() {
    cluster(
        "quota role1 1/1024; quota over 1/1024
         framework f2 role2
         agent agent1 cpus(over):2 mem(over):2048         -> none
         agent agent2 1/1024                              -> none
         agent agent3 1/1024                              -> f2:agent3",
    );
}

#[test]
fn q19_a_shared_volume_counts_once() {
    let shared = "disk(role1)[id1:data]<SHARED>:50";
    cluster(&format!(
        "quota role1 2/1024 disk:100
         framework f1 role1; framework f2 role1
         agent agent1 1/512 {shared} use f1@role1=1/512,{shared} f2@role1={shared} -> none
         agent agent2 1/512 disk:50                       -> f1:agent2
         agent agent3 1/512 disk:50                       -> none"
    ));
}

/// Reserving and unreserving are the agent's registering again with other resources.
#[test]
fn q20_reserving_what_is_held_changes_no_consumption() {
    let reserved = "cpus(role1):5,mem(role1):512";
    cluster(&format!(
        "quota role1 10/1024
         framework f1 role1
         agent agent1 5/512                               -> f1:agent1
         agent agent1 cpus(role1):5 mem(role1):512 use f1@role1={reserved} -> none
         agent agent2 10/1024                             -> f1:agent2=5/512
         agent agent1 5/512 use f1@role1=5/512            -> none
         tick                                             -> none"
    ));
}

#[test]
fn q21_a_disproportionate_quota() {
    cluster(
        "quota role1 4/1024
         framework f1 role1
         agent agent1 2/1024                              -> f1:agent1
         agent agent2 2/1024                              -> f1:agent2=cpus:2",
    );
}

#[test]
fn q22_reservations_of_ancestors_in_use_are_not_free() {
    cluster(
        "quota role1 1/1024
         framework f1 a/b
         agent agent1 cpus(a):1 mem(a):1024               -> f1:agent1
         agent agent2 1/1024                              -> none
         agent agent3 1/1024                              -> f1:agent3",
    );
}

#[test]
fn q23_reservations_below_a_role_count_for_it() {
    cluster(
        "quota a 2/200
         framework f1 a
         agent agent1 cpus(a/b):1 mem(a/b):100            -> none
         agent agent2 10/1000                             -> f1:agent2=1/100",
    );
}

/// In Mesos also a limited role goes beyond its limit by the roles below it.
//= mesos, differs: limits bind the roles below
#[test]
fn q24_a_guarantee_that_is_met_through_a_child_bounds_nobody_and_a_limit_does() {
    for (quota, second) in [("guarantee", "f1:agent2"), ("quota", "none")] {
        cluster(&format!(
            "{quota} a 1/1024
             framework f1 a/b
             agent agent1 1/1024                          -> f1:agent1
             agent agent2 1/1024                          -> {second}"
        ));
    }
}

#[test]
fn q25_headroom_with_allocations_to_nested_roles() {
    cluster(
        "framework f1 a/b; framework f2 a/c
         agent agent1 1/1024                              -> f1:agent1
         agent agent2 1/1024                              -> f2:agent2
         quota role1 1/1024
         agent agent3 1/1024                              -> none
         agent agent4 1/1024                              -> f1:agent4",
    );
}

/// Mesos leaves nested quota open.
#[test]
fn q26_a_guarantee_is_for_the_roles_below_too() {
    cluster(
        "guarantee a 2/1024
         framework f1 a/b; framework f2 c
         agent agent1 2/1024                              -> f1:agent1
         agent agent2 2/1024                              -> f2:agent2",
    );
}

#[test]
fn q26_what_a_child_is_guaranteed_is_held_back_from_its_siblings() {
    cluster(
        "quota a 2/1024; guarantee a/b 1/512
         framework f1 a/c
         agent agent1 4/2048                              -> f1:agent1=1/512
         framework f2 a/b                                 -> f2:agent1=1/512
         return f1 agent1 a/c 1/512
         tick                                             -> f1:agent1=1/512",
    );
}

/// What a child was just given for its guarantee need not be held back for it.
#[test]
fn q26_a_child_fills_its_parents_limit_with_what_comes_with_the_guarantee() {
    cluster(
        "limit a 4/2048; guarantee a/b 2/1024
         framework f1 a/b; framework f2 c
         agent agent1 4/2048                              -> f1:agent1",
    );
}

/// Roles that lack something are served by the shares of those above them, also within one run.
#[test]
fn q26_guarantees_are_served_in_the_order_of_the_tree() {
    let options = Options {
        agent_order: AgentOrder::ById,
        ..Options::default()
    };
    Cluster::new(options).play(
        "guarantee a/x 2/1024; guarantee a/y 2/1024; guarantee b 2/1024
         agent agent1 2/1024; agent agent2 2/1024; agent agent3 2/1024
         framework f1 a/x & framework f2 a/y & framework f3 b -> f1:agent1 f3:agent2 f2:agent3",
    );
}

#[test]
fn q26_a_limit_binds_the_sum_of_the_leaves() {
    cluster(
        "limit a 2/1024
         framework f1 a/b; framework f2 a/c/d; framework f3 a
         agent agent1 1/512                               -> f3:agent1
         agent agent2 1/512                               -> f1:agent2
         agent agent3 1/512                               -> none
         framework f4 e                                   -> f4:agent3",
    );
}
