//! Offers are made, declined, rescinded, and never outlive what they are made of.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{
    FrameworkInfo,
    messages::{
        operator::UpdateWeights,
        scheduler::{Revive, Suppress},
    },
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

#[test]
fn an_agent_and_a_framework_make_an_offer_at_once() {
    let mut cluster = Cluster::new();
    let agent = cluster.agent("a", "cpus:4;mem:4096;ports:[1-9]");
    let framework = cluster.framework("f", "x/y");
    let offers = cluster.offers(&pid("f", 1));
    assert_eq!(offers.len(), 1);
    assert_eq!(
        (&offers[0].agent_id, &offers[0].framework_id),
        (&agent, &framework)
    );
    assert_eq!(
        offers[0].resources.unallocate(),
        resources("cpus:4;mem:4096;ports:[1-9]")
    );
    assert_eq!(offers[0].role, role("x/y"));
    assert_eq!(offers[0].hostname, "a");
    assert_eq!(cluster.master.offers(), offers);
}

#[test]
fn a_declined_offer_comes_back_after_its_filter_and_another_framework_has_it_meanwhile() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    let g = cluster.framework("g", "*");
    cluster.decline(&f, &offer, 5.0);
    let other = cluster.offers(&pid("g", 1)).remove(0);
    cluster.decline(&g, &other, 100.0);
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    cluster.advance(secs(4));
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    cluster.advance(secs(3));
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
}

#[test]
fn a_refusal_without_filter_waits_for_the_tick() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&f, &offer, 0.0);
    assert_eq!(
        cluster.offers(&pid("f", 1)),
        [],
        "or offer and refusal would chase each other"
    );
    cluster.advance(secs(1));
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
}

#[test]
fn recovered_resources_wait_for_the_tick_where_the_operator_wants_it() {
    let config = MasterConfig {
        allocate_on_recover: false,
        ..MasterConfig::default()
    };
    let mut cluster = Cluster::with(config);
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    cluster.framework("g", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&f, &offer, 5.0);
    assert_eq!(cluster.offers(&pid("g", 1)), []);
    cluster.advance(secs(1));
    assert_eq!(cluster.offers(&pid("g", 1)).len(), 1);
}

#[test]
fn an_answered_offer_cannot_be_answered_again() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    let g = cluster.framework("g", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&g, &offer, 0.0);
    assert_eq!(cluster.master.offers().len(), 1, "it is not g's to decline");
    cluster.decline(&f, &offer, 1000.0);
    cluster.decline(&f, &offer, 1000.0);
    let other = cluster.offers(&pid("g", 1)).remove(0);
    assert_eq!(other.resources.unallocate(), resources("cpus:4;mem:4096"));
}

#[test]
fn suppressed_roles_get_no_offers_until_revived() {
    let mut cluster = Cluster::new();
    let id = cluster.framework("f", "*");
    let roles = BTreeSet::new();
    let call = Suppress {
        framework_id: id.clone(),
        roles: roles.clone(),
    };
    cluster.event(|master, now, out| master.on_suppress(now, call, out));
    cluster.agent("a", "cpus:4;mem:4096");
    cluster.advance(secs(5));
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    let call = Revive {
        framework_id: id,
        roles,
    };
    cluster.event(|master, now, out| master.on_revive(now, call, out));
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
}

#[test]
fn revive_clears_filters() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&id, &offer, 1000.0);
    cluster.advance(secs(10));
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    let call = Revive {
        framework_id: id,
        roles: BTreeSet::from([role("*")]),
    };
    cluster.event(|master, now, out| master.on_revive(now, call, out));
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
}

#[test]
fn f25_an_unanswered_offer_is_rescinded_and_an_answered_one_is_not() {
    let config = MasterConfig {
        offer_timeout: Some(secs(30)),
        ..MasterConfig::default()
    };
    let mut cluster = Cluster::with(config);
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&f, &offer, 10.0);
    cluster.advance(secs(15));
    let second = cluster.offers(&pid("f", 1)).remove(0);
    cluster.advance(secs(16));
    assert_eq!(cluster.rescinded(&pid("f", 1)), []);
    cluster.advance(secs(15));
    assert_eq!(cluster.rescinded(&pid("f", 1)), [second.id]);
}

#[test]
fn what_was_granted_before_the_agent_left_is_not_offered() {
    let mut cluster = Cluster::new();
    let agent = cluster.agent("a", "cpus:4;mem:4096");
    cluster.quiet_event(|master, now, out| {
        let call = tepui_protocol::messages::scheduler::Subscribe {
            pid: pid("f", 1),
            info: FrameworkInfo::new("f", role("*")),
            suppressed_roles: BTreeSet::new(),
        };
        master.on_subscribe(now, call, out);
    });
    let granted = cluster.work();
    assert_eq!(granted.len(), 1, "the grant is on its way");
    cluster.exit(&pid("a", 1));
    cluster.event(|master, now, out| {
        master.on_allocated(now, granted.clone(), &Default::default(), out)
    });
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    cluster.reregister("a", &agent, 2, &[]);
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
    // The same grant once more: it belongs to a ledger that is void.
    cluster.event(|master, now, out| master.on_allocated(now, granted, &Default::default(), out));
    assert_eq!(cluster.offers(&pid("f", 1)), []);
}

#[test]
fn what_was_granted_to_a_framework_that_left_goes_back() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    cluster.quiet_event(|master, now, out| {
        let call = tepui_protocol::messages::scheduler::Subscribe {
            pid: pid("f", 1),
            info: FrameworkInfo::new("f", role("*")),
            suppressed_roles: BTreeSet::new(),
        };
        master.on_subscribe(now, call, out);
    });
    let granted = cluster.work();
    cluster.exit(&pid("f", 1));
    cluster.event(|master, now, out| master.on_allocated(now, granted, &Default::default(), out));
    assert_eq!(cluster.master.offers(), []);
    cluster.framework("g", "*");
    cluster.advance(secs(1));
    assert_eq!(cluster.offers(&pid("g", 1)).len(), 1);
}

#[test]
fn offers_that_cannot_be_sent_go_back() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    cluster.framework("f", "*");
    let offers = cluster.letters_to(&pid("f", 1)).into_iter();
    let letter = offers
        .into_iter()
        .find(|l| matches!(l, Letter::Offers(_)))
        .unwrap();
    cluster.event(|master, now, out| master.on_undelivered(now, letter, out));
    assert_eq!(cluster.master.offers(), []);
    cluster.advance(secs(1));
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
}

#[test]
fn weights_survive_a_restart_and_govern_the_shares() {
    let mut cluster = Cluster::new();
    let weights = BTreeMap::from([(role("heavy"), 2.0)]);
    cluster.event(|master, now, out| {
        master.on_update_weights(now, UpdateWeights { weights }, 7, out);
    });
    cluster.restart_master();
    cluster.framework("f", "heavy");
    cluster.framework("g", "light");
    for n in 0..6 {
        cluster.agent(&format!("a{n}"), "cpus:2;mem:1024");
    }
    let (heavy, light) = (
        cluster.offers(&pid("f", 1)).len(),
        cluster.offers(&pid("g", 1)).len(),
    );
    assert_eq!((heavy, light), (4, 2));
}

#[test]
fn configured_weights_hold_until_an_operator_sets_others() {
    let weights = BTreeMap::from([(role("a"), 3.0), (role("b"), 0.5)]);
    let mut cluster = Cluster::with(MasterConfig {
        weights,
        ..MasterConfig::default()
    });
    let weights = BTreeMap::from([(role("a"), 5.0)]);
    cluster.event(|master, now, out| {
        master.on_update_weights(now, UpdateWeights { weights }, 7, out);
    });
    cluster.restart_master();
    let roles = cluster
        .master
        .roles()
        .into_iter()
        .map(|r| (r.role.to_string(), r.weight));
    assert_eq!(
        roles.collect::<Vec<_>>(),
        [("a".to_owned(), 5.0), ("b".to_owned(), 0.5)]
    );
}
