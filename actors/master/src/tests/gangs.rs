//! Offers of a gang come all at once, or not at all.

use std::collections::BTreeSet;

use tepui_protocol::{
    Constraints, Filters, FrameworkId, FrameworkInfo, Gang, Offer, Operation, TaskState,
    gang::GangState,
    messages::scheduler::{Accept, Decline},
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

fn gang_of(name: &str, role_name: &str, tasks: u32, agents: u32) -> FrameworkInfo {
    let gang = Gang {
        tasks,
        each: "cpus:2;mem:100".parse().unwrap(),
        agents,
    };
    let mut info = FrameworkInfo::new(name, role(role_name));
    info.gangs.insert(role(role_name), gang);
    info
}

/// The messages with offers that it got, each by how many there are.
fn messages(cluster: &mut Cluster, name: &str) -> Vec<Vec<Offer>> {
    let letters = cluster.letters_to(&pid(name, 1)).into_iter();
    let offers = letters.filter_map(|letter| match letter {
        Letter::Offers(offers) => Some(offers.offers),
        _ => None,
    });
    offers.collect()
}

fn accept_all(cluster: &mut Cluster, id: &FrameworkId, offers: &[Offer]) {
    for (n, offer) in offers.iter().enumerate() {
        let task = task(&format!("{id}-{n}"), offer, "cpus:2;mem:100");
        let call = Accept {
            framework_id: id.clone(),
            offer_ids: vec![offer.id.clone()],
            operations: vec![Operation::Launch(vec![task])],
            filters: Filters::NONE,
        };
        cluster.event(|master, now, out| master.on_accept(now, call, out));
    }
    cluster.check_books();
}

#[test]
fn offers_are_kept_back_until_there_are_enough() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:2;mem:1000");
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 3, 0));
    cluster.agent("b", "cpus:2;mem:1000");
    cluster.advance(secs(5));
    assert_eq!(messages(&mut cluster, "f"), Vec::<Vec<Offer>>::new());
    assert_eq!(cluster.master.offers(), [], "nobody sees a part of it");
    cluster.agent("c", "cpus:2;mem:1000");
    let told = messages(&mut cluster, "f");
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
    accept_all(&mut cluster, &f, &told[0]);
    assert_eq!(cluster.master.summary(cluster.now).tasks, 3);
    // It has begun: what comes now is offered by itself.
    cluster.agent("d", "cpus:2;mem:1000");
    assert_eq!(messages(&mut cluster, "f").last().map(Vec::len), Some(1));
}

#[test]
fn what_is_kept_back_cannot_be_used_and_is_withdrawn_in_silence() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:2;mem:1000");
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 2, 0));
    let hidden: Vec<Offer> = cluster.master.offers.values().cloned().collect();
    assert_eq!(hidden.len(), 1);
    accept_all(&mut cluster, &f, &hidden);
    assert_eq!(cluster.master.summary(cluster.now).tasks, 0);
    let call = Decline {
        framework_id: f.clone(),
        offer_ids: vec![hidden[0].id.clone()],
        filters: Filters::NONE,
    };
    cluster.event(|master, now, out| master.on_decline(now, call, out));
    assert_eq!(cluster.master.offers.len(), 1);
    cluster.letters.clear();
    cluster.exit(&pid("a", 1));
    assert_eq!(cluster.rescinded(&pid("f", 1)), []);
    assert!(cluster.master.offers.is_empty());
    cluster.check_books();
}

#[test]
fn who_waits_in_vain_lets_others_have_it() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:1000");
    cluster.subscribe(pid("f", 1), gang_of("f", "x", 3, 0));
    let g = cluster.framework("g", "y");
    cluster.advance(secs(29));
    assert_eq!(messages(&mut cluster, "g"), Vec::<Vec<Offer>>::new());
    cluster.advance(secs(3));
    let told = messages(&mut cluster, "g");
    assert_eq!(told.len(), 1);
    assert_eq!(cluster.metric("master/gangs_given_up"), 1.0);
    // It comes again later, and waits longer for it.
    cluster.decline(&g, &told[0][0], 1.0);
    cluster.advance(secs(20));
    assert_eq!(
        messages(&mut cluster, "g").len(),
        1,
        "the other's pause is not over"
    );
    cluster.check_books();
}

#[test]
fn two_gangs_do_not_hold_halves() {
    let mut cluster = Cluster::new();
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 2, 0));
    let g = cluster.subscribe(pid("g", 1), gang_of("g", "y", 2, 0));
    cluster.agent("a", "cpus:2;mem:1000");
    cluster.agent("b", "cpus:2;mem:1000");
    let mut sent = Vec::new();
    for _ in 0..20 {
        cluster.advance(secs(1));
        for (name, id) in [("f", &f), ("g", &g)] {
            for offers in messages(&mut cluster, name) {
                assert_eq!(offers.len(), 2);
                accept_all(&mut cluster, id, &offers);
                sent.push(name);
            }
        }
        // What runs ends.
        for summary in cluster.master.tasks(&Default::default()) {
            if !summary.task.state.is_terminal() && sent.len() == 1 {
                cluster.update(&summary.task, TaskState::Finished, TaskState::Finished);
            }
        }
    }
    sent.sort();
    assert_eq!(sent, ["f", "g"], "one after the other");
}

#[test]
fn who_has_enough_begins_while_an_earlier_one_gathers() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:2;mem:1000");
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 4, 0));
    let g = cluster.subscribe(pid("g", 1), gang_of("g", "y", 2, 0));
    cluster.agent("b", "cpus:4;mem:1000");
    assert_eq!(messages(&mut cluster, "g").len(), 1, "backfilled");
    assert_eq!(messages(&mut cluster, "f").len(), 0);
    assert_eq!(cluster.master.gangs(cluster.now, &g)[0].room, 0);
    let standing = cluster.master.gangs(cluster.now, &f).remove(0);
    assert_eq!((standing.room, standing.on_agents), (1, 1));
    assert_eq!(standing.held.to_string(), "cpus:2;mem:1000");
    let until = cluster.now + secs(30);
    assert_eq!(standing.state, GangState::Gathers { until });
    cluster.check_books();
}

#[test]
fn later_gangs_let_go_of_what_an_earlier_one_can_begin_with() {
    let mut cluster = Cluster::new();
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 3, 0));
    let g = cluster.subscribe(pid("g", 1), gang_of("g", "y", 4, 0));
    cluster.agent("a", "cpus:2;mem:1000");
    cluster.agent("b", "cpus:2;mem:1000");
    // Each holds a part, and nobody sees it.
    let rooms =
        |cluster: &Cluster| [&f, &g].map(|id| cluster.master.gangs(cluster.now, id)[0].room);
    assert_eq!(rooms(&cluster), [1, 1]);
    assert_eq!(cluster.master.gangs(cluster.now, &g)[0].before, 1);
    assert_eq!(cluster.master.offers(), []);
    cluster.agent("c", "cpus:2;mem:1000");
    cluster.advance(secs(1));
    let told = messages(&mut cluster, "f");
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
    assert_eq!(messages(&mut cluster, "g").len(), 0);
    assert_eq!(cluster.metric("master/gangs_given_up"), 0.0);
    cluster.check_books();
}

#[test]
fn what_an_earlier_gang_cannot_use_is_not_let_go() {
    let mut cluster = Cluster::new();
    let mut f = gang_of("f", "x", 2, 0);
    let only = Constraints::parse(["hostname=a"]).unwrap();
    f.constraints.insert(role("x"), only);
    cluster.subscribe(pid("f", 1), f);
    let g = cluster.subscribe(pid("g", 1), gang_of("g", "y", 2, 0));
    cluster.agent("a", "cpus:2;mem:1000");
    cluster.agent("b", "cpus:2;mem:1000");
    cluster.advance(secs(5));
    assert_eq!(cluster.master.gangs(cluster.now, &g)[0].room, 1);
    cluster.agent("c", "cpus:2;mem:1000");
    assert_eq!(messages(&mut cluster, "g").len(), 1);
}

/// Gangs of all sizes that each fit alone begin one after the other, whatever they hold of each other, and no part is ever sent
/// (the cluster checks that of each message).
#[test]
fn no_set_of_gangs_waits_for_each_other() {
    for seed in 0..20_u64 {
        let mut cluster = Cluster::new();
        for n in 0..6 {
            cluster.agent(&format!("a{n}"), "cpus:2;mem:1000");
        }
        let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
        let gangs = names.iter().enumerate().map(|(n, name)| {
            let tasks = 2 + (seed * 7 + n as u64 * (seed % 3 + 1)) % 5;
            let info = gang_of(name, name, u32::try_from(tasks).unwrap(), 0);
            (name, cluster.subscribe(pid(name, 1), info))
        });
        let gangs: Vec<_> = gangs.collect();
        let mut begun = BTreeSet::new();
        for _ in 0..120 {
            for (name, id) in &gangs {
                for offers in messages(&mut cluster, name) {
                    accept_all(&mut cluster, id, &offers);
                    begun.insert(id.clone());
                }
            }
            cluster.advance(secs(1));
            for summary in cluster.master.tasks(&Default::default()) {
                if !summary.task.state.is_terminal() {
                    cluster.update(&summary.task, TaskState::Finished, TaskState::Finished);
                }
            }
        }
        assert_eq!(begun.len(), gangs.len(), "seed {seed}");
        assert_eq!(cluster.metric("master/gangs_given_up"), 0.0, "seed {seed}");
    }
}

#[test]
fn a_gang_that_gathers_in_vain_does_not_decline() {
    let mut cluster = Cluster::with(MasterConfig {
        decline_backoff: Some(secs(600)),
        gang_timeout: secs(1),
        ..MasterConfig::default()
    });
    cluster.agent("a", "cpus:2;mem:1000");
    let f = cluster.subscribe(pid("f", 1), gang_of("f", "x", 3, 0));
    cluster.advance(secs(120));
    assert!(cluster.metric("master/gangs_given_up") > 4.0);
    assert_eq!(cluster.metric("allocator/backed_off_frameworks"), 0.0);
    let standing = cluster.master.gangs(cluster.now, &f).remove(0);
    assert!(standing.vain > 4, "{standing:?}");
    assert!(matches!(standing.state, GangState::Pauses { .. }));
    cluster.check_books();
}

#[test]
fn a_gang_can_ask_for_several_agents() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:8;mem:1000");
    cluster.subscribe(pid("f", 1), gang_of("f", "x", 2, 2));
    cluster.advance(secs(3));
    assert_eq!(messages(&mut cluster, "f"), Vec::<Vec<Offer>>::new());
    cluster.agent("b", "cpus:2;mem:1000");
    assert_eq!(
        messages(&mut cluster, "f")
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn a_gang_that_makes_no_sense_is_refused() {
    let mut cluster = Cluster::new();
    let error = cluster
        .try_subscribe(pid("f", 1), gang_of("f", "x", 0, 0))
        .unwrap_err();
    assert!(error.contains("gang in role x"), "{error}");
    let mut elsewhere = gang_of("f", "x", 1, 0);
    elsewhere.roles = [role("y")].into();
    let error = cluster.try_subscribe(pid("f", 1), elsewhere).unwrap_err();
    assert!(error.contains("not among its roles"), "{error}");
}
