//! Frameworks that keep declining are asked less often.

use std::collections::BTreeSet;

use tepui_protocol::messages::scheduler::Revive;

use crate::{config::MasterConfig, testing::*};

fn cluster() -> Cluster {
    Cluster::with(MasterConfig {
        decline_backoff: Some(secs(60)),
        ..MasterConfig::default()
    })
}

/// How many offers it gets within 40 s, each of which it declines for 2 s.
fn declined(cluster: &mut Cluster, name: &str, id: &tepui_protocol::FrameworkId) -> usize {
    let mut count = 0;
    for _ in 0..40 {
        cluster.advance(secs(1));
        for offer in cluster.offers(&pid(name, 1)) {
            count += 1;
            cluster.decline(id, &offer, 2.0);
        }
    }
    count
}

#[test]
fn who_keeps_declining_is_asked_less_and_less_until_it_revives() {
    let mut cluster = cluster();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    let (first, second) = (
        declined(&mut cluster, "f", &f),
        declined(&mut cluster, "f", &f),
    );
    assert!((4..9).contains(&first) && second <= 2, "{first}, {second}");
    assert_eq!(cluster.metric("allocator/backed_off_frameworks"), 1.0);
    let call = Revive {
        framework_id: f.clone(),
        roles: BTreeSet::new(),
    };
    cluster.event(|master, now, out| master.on_revive(now, call, out));
    assert_eq!(cluster.metric("allocator/backed_off_frameworks"), 0.0);
    assert_eq!(declined(&mut cluster, "f", &f), first, "as at first");
}

#[test]
fn who_uses_offers_is_asked_as_often_as_ever() {
    let mut cluster = cluster();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    for n in 0..9 {
        let name = format!("t{n}");
        let task = cluster.launch("f", &f, &name);
        let uuid = cluster.update(
            &task,
            tepui_protocol::TaskState::Finished,
            tepui_protocol::TaskState::Finished,
        );
        cluster.acknowledge(&task, uuid);
        cluster.advance(secs(6));
    }
    assert_eq!(cluster.metric("allocator/backed_off_frameworks"), 0.0);
}

#[test]
fn without_the_choice_refusals_hold_as_long_as_they_say() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    let (first, second) = (
        declined(&mut cluster, "f", &f),
        declined(&mut cluster, "f", &f),
    );
    assert!(
        first.abs_diff(second) <= 1 && second > 10,
        "{first}, {second}"
    );
}
