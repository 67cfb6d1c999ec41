//! Frameworks subscribe, fail over, and end.

use std::{collections::BTreeSet, time::Duration};

use tepui_protocol::{
    FrameworkId, FrameworkInfo, TaskState,
    messages::{operator::FrameworkStanding, scheduler::Teardown},
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

fn again(id: &FrameworkId) -> FrameworkInfo {
    FrameworkInfo {
        id: Some(id.clone()),
        ..FrameworkInfo::new("f", role("*"))
    }
}

fn standing(cluster: &Cluster) -> FrameworkStanding {
    cluster.master.frameworks()[0].standing
}

#[test]
fn a_subscription_is_answered_with_a_heartbeat_behind_it_and_every_15_s() {
    let mut cluster = Cluster::new();
    cluster.framework("f", "*");
    let letters = cluster.letters_to(&pid("f", 1));
    assert!(
        matches!(&letters[..], [Letter::Subscribed(_), Letter::Heartbeat(_)]),
        "{letters:?}"
    );
    cluster.advance(secs(45));
    let beats = cluster.letters_to(&pid("f", 1)).into_iter();
    assert_eq!(
        beats
            .filter(|letter| matches!(letter, Letter::Heartbeat(_)))
            .count(),
        3
    );
}

#[test]
fn a_repeated_subscription_without_id_is_the_same_framework() {
    let mut cluster = Cluster::new();
    let first = cluster.framework("f", "*");
    assert_eq!(cluster.framework("f", "*"), first);
    assert_eq!(cluster.master.frameworks().len(), 1);
    cluster.advance(secs(15));
    let beats = cluster.letters_to(&pid("f", 1)).into_iter();
    let beats = beats
        .filter(|letter| matches!(letter, Letter::Heartbeat(_)))
        .count();
    assert_eq!(beats, 2, "one at the subscription, then one per interval");
}

#[test]
fn a_subscription_that_comes_twice_leaves_offers_as_they_are() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    // The driver did not hear the answer in time, but has by now, and accepts.
    cluster.framework("f", "*");
    assert_eq!(cluster.rescinded(&pid("f", 1)), []);
    cluster.accept(&id, &[&offer], vec![task("t", &offer, "cpus:1")]);
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    let launched = cluster.letters_to(&pid("a", 1));
    assert!(launched.iter().any(|l| matches!(l, Letter::RunTask(_))));
    // One that wants something else is another subscription.
    cluster.framework("g", "*");
    let offer = cluster.offers(&pid("g", 1)).remove(0);
    let info = FrameworkInfo {
        failover_timeout: secs(7),
        ..FrameworkInfo::new("g", role("*"))
    };
    cluster.subscribe(pid("g", 1), info);
    assert_eq!(cluster.rescinded(&pid("g", 1)), [offer.id]);
}

#[test]
fn a_new_instance_takes_over_and_the_old_one_must_stop() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.subscribe(pid("f", 2), again(&task.framework_id));
    let old = cluster.letters_to(&pid("f", 1));
    assert!(
        old.iter()
            .any(|l| matches!(l, Letter::Rescind(r) if r.offer_id == offer.id))
    );
    let stopped =
        |l: &Letter| matches!(l, Letter::Error(e) if e.message == "Framework failed over");
    assert!(old.iter().any(stopped), "{old:?}");
    assert_eq!(
        cluster.offers(&pid("f", 2)).len(),
        1,
        "what was rescinded is offered anew"
    );
    assert_eq!(cluster.task("t").state, TaskState::Running);
    cluster.exit(&pid("f", 1));
    assert_eq!(
        standing(&cluster),
        FrameworkStanding::Active,
        "the old one's end does not matter"
    );
}

#[test]
fn f10_an_unacknowledged_update_reaches_the_new_instance() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    cluster.subscribe(pid("f", 2), again(&task.framework_id));
    cluster.letters.clear();
    let uuid = cluster.update(&task, TaskState::Finished, TaskState::Finished);
    let statuses = cluster.statuses(&pid("f", 2));
    assert_eq!(
        (statuses[0].state, statuses[0].uuid),
        (TaskState::Finished, Some(uuid))
    );
    cluster.acknowledge(&task, uuid);
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Acknowledged(a) if a.uuid == uuid))
    );
}

#[test]
fn f11_offers_do_not_survive_the_master_and_new_ones_come() {
    let mut cluster = Cluster::new();
    let agent = cluster.agent("a", "cpus:1;mem:64");
    let framework = cluster.framework("f", "*");
    let old = cluster.offers(&pid("f", 1)).remove(0);
    cluster.restart_master();
    cluster.subscribe(pid("f", 1), again(&framework));
    cluster.reregister("a", &agent, 1, &[]);
    let new = cluster.offers(&pid("f", 1)).remove(0);
    assert_ne!(new.id, old.id);
    cluster.accept(&framework, &[&old], vec![task("t", &old, "cpus:1")]);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
}

#[test]
fn a_disconnected_framework_loses_its_offers_and_keeps_its_tasks_for_a_while() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    assert_eq!(cluster.master.offers().len(), 1);
    cluster.exit(&pid("f", 1));
    assert_eq!(standing(&cluster), FrameworkStanding::Disconnected);
    cluster.advance(secs(599));
    assert_eq!(cluster.master.offers(), []);
    assert_eq!(cluster.task("t").state, TaskState::Running);
    cluster.subscribe(pid("f", 2), again(&task.framework_id));
    assert_eq!(cluster.offers(&pid("f", 2)).len(), 1);
    cluster.advance(secs(10));
    assert_eq!(
        standing(&cluster),
        FrameworkStanding::Active,
        "the old time-out is void"
    );
}

#[test]
fn a_framework_that_stays_away_is_removed_for_good() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.exit(&pid("f", 1));
    cluster.letters.clear();
    cluster.advance(secs(600));
    assert_eq!(standing(&cluster), FrameworkStanding::Completed);
    assert_eq!(cluster.task("t").state, TaskState::Killed);
    assert!(cluster.master.agents()[0].used.is_empty());
    let letters = cluster.letters_to(&pid("a", 1));
    let told = |l: &Letter| matches!(l, Letter::ShutdownFramework(s) if s.framework_id == task.framework_id);
    assert!(letters.iter().any(told), "{letters:?}");
    let error = cluster
        .try_subscribe(pid("f", 2), again(&task.framework_id))
        .unwrap_err();
    assert!(error.starts_with("Framework has been removed"), "{error}");
    cluster.restart_master();
    assert!(
        cluster
            .try_subscribe(pid("f", 2), again(&task.framework_id))
            .is_err()
    );
}

#[test]
fn without_a_failover_timeout_the_end_comes_at_once() {
    let mut cluster = Cluster::new();
    let mut info = FrameworkInfo::new("f", role("*"));
    info.failover_timeout = Duration::ZERO;
    cluster.subscribe(pid("f", 1), info);
    cluster.exit(&pid("f", 1));
    assert_eq!(standing(&cluster), FrameworkStanding::Completed);
}

#[test]
fn the_failover_timeout_survives_the_master() {
    let (mut cluster, _) = Cluster::with_task(MasterConfig::default());
    cluster.restart_master();
    assert_eq!(standing(&cluster), FrameworkStanding::Recovered);
    cluster.advance(secs(599));
    assert_eq!(standing(&cluster), FrameworkStanding::Recovered);
    cluster.advance(secs(1));
    assert_eq!(standing(&cluster), FrameworkStanding::Completed);
}

#[test]
fn after_a_master_restart_even_an_impatient_framework_has_time_to_return() {
    let mut cluster = Cluster::new();
    let mut info = FrameworkInfo::new("f", role("*"));
    info.failover_timeout = Duration::ZERO;
    let id = cluster.subscribe(pid("f", 1), info);
    cluster.restart_master();
    cluster.advance(secs(59));
    assert_eq!(cluster.subscribe(pid("f", 1), again(&id)), id);
    cluster.advance(secs(10));
    assert_eq!(standing(&cluster), FrameworkStanding::Active);
}

#[test]
fn an_agent_with_tasks_of_an_ended_framework_is_told() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.exit(&pid("a", 1));
    let call = Teardown {
        framework_id: task.framework_id.clone(),
    };
    cluster.event(|master, now, out| master.on_teardown(now, call, out));
    cluster.letters.clear();
    cluster.reregister(
        "a",
        &task.info.agent_id.clone(),
        2,
        std::slice::from_ref(&task),
    );
    let letters = cluster.letters_to(&pid("a", 2));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::ShutdownFramework(_))),
        "{letters:?}"
    );
    // What its executors still report is acknowledged, so that the agent can forget it.
    let call_uuid = cluster.update(&task, TaskState::Killed, TaskState::Killed);
    let letters = cluster.letters_to(&pid("a", 2));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Acknowledged(a) if a.uuid == call_uuid))
    );
}

#[test]
fn bad_subscriptions_are_refused_with_the_reason() {
    let roles = Some(BTreeSet::from([role("a"), role("b")]));
    let mut cluster = Cluster::with(MasterConfig {
        roles,
        ..MasterConfig::default()
    });
    let mut none = FrameworkInfo::new("f", role("a"));
    none.roles.clear();
    let mut two = FrameworkInfo::new("f", role("a"));
    two.roles.insert(role("b"));
    two.capabilities.clear();
    for (info, part) in [
        (FrameworkInfo::new("f", role("c")), "role c"),
        (none, "at least one role"),
        (two, "MULTI_ROLE"),
    ] {
        let error = cluster.try_subscribe(pid("f", 1), info).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(cluster.master.frameworks(), []);
}

#[test]
fn what_may_not_change_does_not() {
    let mut cluster = Cluster::new();
    let id = cluster.framework("f", "*");
    let mut info = again(&id);
    info.user = "root".to_owned();
    info.checkpoint = false;
    info.name = "renamed".to_owned();
    cluster.subscribe(pid("f", 2), info);
    let framework = &cluster.master.frameworks()[0];
    assert_eq!(framework.info.user, "");
    assert!(framework.info.checkpoint);
    assert_eq!(framework.info.name, "renamed");
}

#[test]
fn only_so_many_ended_frameworks_are_remembered() {
    let config = MasterConfig {
        max_completed_frameworks: 2,
        max_removed_frameworks: 3,
        ..MasterConfig::default()
    };
    let mut cluster = Cluster::with(config);
    for n in 0..5 {
        let framework_id = cluster.framework(&format!("f{n}"), "*");
        let call = Teardown { framework_id };
        cluster.event(|master, now, out| master.on_teardown(now, call, out));
    }
    assert_eq!(cluster.master.frameworks().len(), 2);
    assert_eq!(
        cluster
            .registry
            .keys()
            .filter(|key| key.starts_with("removed/"))
            .count(),
        3
    );
}

#[test]
fn a_new_instance_is_not_bound_by_what_the_old_one_refused() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:1;mem:64");
    let id = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&id, &offer, 1000.0);
    cluster.advance(secs(5));
    cluster.subscribe(pid("f", 2), again(&id));
    assert_eq!(cluster.offers(&pid("f", 2)).len(), 1);
}
