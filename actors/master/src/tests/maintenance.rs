//! Maintenance of machines, inverse offers, drained agents.

use std::{collections::BTreeSet, time::Duration};

use tepui_protocol::{
    AgentId, Filters, FrameworkId, InverseOffer, OfferId, TaskState, Timestamp, Unavailability,
    maintenance::{Answer, Mode, Schedule, Window},
    messages::{
        agent::Register,
        operator::{
            DrainAgent, ReactivateAgent, StartMaintenance, StopMaintenance,
            UpdateMaintenanceSchedule,
        },
        scheduler::{AcceptInverseOffers, DeclineInverseOffers, Revive},
    },
};

use crate::{effects::Letter, testing::*};

const SOON: Unavailability = Unavailability {
    start: Timestamp::from_secs(5_000),
    duration: Some(Duration::from_secs(600)),
};

fn plan(windows: &[(&[&str], Unavailability)]) -> Schedule {
    let window = |(names, unavailability): &(&[&str], Unavailability)| Window {
        machines: set(names),
        unavailability: *unavailability,
    };
    Schedule {
        windows: windows.iter().map(window).collect(),
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn answered(cluster: &mut Cluster) -> Result<(), String> {
    cluster.check_books();
    cluster.answers.pop().expect("a command is answered")
}

fn schedule(cluster: &mut Cluster, schedule: Schedule) -> Result<(), String> {
    let call = UpdateMaintenanceSchedule { schedule };
    cluster.event(|master, now, out| master.on_update_maintenance_schedule(now, call, 1, out));
    answered(cluster)
}

fn down(cluster: &mut Cluster, names: &[&str]) -> Result<(), String> {
    let machines = set(names);
    let call = StartMaintenance { machines };
    cluster.event(|master, now, out| master.on_start_maintenance(now, call, 1, out));
    answered(cluster)
}

fn up(cluster: &mut Cluster, names: &[&str]) -> Result<(), String> {
    let machines = set(names);
    let call = StopMaintenance { machines };
    cluster.event(|master, now, out| master.on_stop_maintenance(now, call, 1, out));
    answered(cluster)
}

fn drain(cluster: &mut Cluster, id: &AgentId, grace: Option<Duration>) -> Result<(), String> {
    let call = DrainAgent {
        agent_id: id.clone(),
        max_grace_period: grace,
    };
    cluster.event(|master, now, out| master.on_drain_agent(now, call, 1, out));
    answered(cluster)
}

fn reactivate(cluster: &mut Cluster, id: &AgentId) -> Result<(), String> {
    let agent_id = id.clone();
    let call = ReactivateAgent { agent_id };
    cluster.event(|master, now, out| master.on_reactivate_agent(now, call, 1, out));
    answered(cluster)
}

fn inverse(cluster: &mut Cluster, name: &str) -> Vec<InverseOffer> {
    let letters = cluster.letters_to(&pid(name, 1)).into_iter();
    letters
        .filter_map(|letter| match letter {
            Letter::InverseOffers(letter) => Some(letter.inverse_offers),
            _ => None,
        })
        .flatten()
        .collect()
}

fn answer(cluster: &mut Cluster, id: &FrameworkId, offer: &OfferId, yes: bool, seconds: f64) {
    let (framework_id, inverse_offer_ids) = (id.clone(), vec![offer.clone()]);
    let filters = Filters::seconds(seconds);
    if yes {
        let call = AcceptInverseOffers {
            framework_id,
            inverse_offer_ids,
            filters,
        };
        cluster.event(|master, now, out| master.on_accept_inverse_offers(now, call, out));
    } else {
        let call = DeclineInverseOffers {
            framework_id,
            inverse_offer_ids,
            filters,
        };
        cluster.event(|master, now, out| master.on_decline_inverse_offers(now, call, out));
    }
}

fn said(cluster: &Cluster) -> Vec<Answer> {
    let machines = cluster.master.maintenance().machines;
    machines
        .iter()
        .flat_map(|machine| &machine.answers)
        .map(|said| said.answer)
        .collect()
}

#[test]
fn offers_say_when_their_machine_will_be_taken_down() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    cluster.agent("b", "cpus:4;mem:4096");
    cluster.framework("f", "x");
    assert!(
        cluster
            .offers(&pid("f", 1))
            .iter()
            .all(|offer| offer.unavailability.is_none())
    );
    schedule(&mut cluster, plan(&[(&["A"], SOON)])).unwrap();
    let letters = cluster.letters_to(&pid("f", 1));
    assert_eq!(
        letters.len(),
        2,
        "the offer of a alone, withdrawn and made again: {letters:?}"
    );
    let Some(Letter::Offers(again)) = letters.into_iter().next_back() else {
        panic!("an offer")
    };
    assert_eq!(again.offers[0].hostname, "a");
    assert_eq!(again.offers[0].unavailability, Some(SOON));
    let machines = cluster.master.maintenance().machines;
    assert_eq!(
        (machines[0].hostname.as_str(), machines[0].mode),
        ("a", Mode::Draining)
    );
    schedule(&mut cluster, Schedule::default()).unwrap();
    let offers = cluster.master.offers();
    assert!(
        offers.iter().all(|offer| offer.unavailability.is_none()),
        "{offers:?}"
    );
}

/// A28: frameworks that use an agent of the schedule get one inverse offer each, others none.
#[test]
fn a28_frameworks_that_use_the_machine_are_asked_once() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    cluster.launch("f", &f, "t");
    cluster.framework("g", "x");
    schedule(&mut cluster, plan(&[(&["a"], SOON)])).unwrap();
    let asked = inverse(&mut cluster, "f");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].unavailability, SOON);
    assert_eq!(asked[0].resources.unallocate(), resources("cpus:1;mem:64"));
    assert_eq!(inverse(&mut cluster, "g"), []);
    assert_eq!(said(&cluster), [Answer::Unknown]);
    cluster.advance(secs(20));
    assert_eq!(inverse(&mut cluster, "f"), [], "one at a time");
    // Its answer is noted; it is asked again when that is old.
    answer(&mut cluster, &f, &asked[0].id, false, 60.0);
    assert_eq!(said(&cluster), [Answer::Decline]);
    cluster.advance(secs(59));
    assert_eq!(inverse(&mut cluster, "f"), []);
    cluster.advance(secs(2));
    let again = inverse(&mut cluster, "f");
    assert_eq!(again.len(), 1);
    answer(&mut cluster, &f, &again[0].id, true, 1000.0);
    assert_eq!(said(&cluster), [Answer::Accept]);
    // Void answers, and those of others, mean nothing.
    answer(&mut cluster, &f, &again[0].id, false, 5.0);
    assert_eq!(said(&cluster), [Answer::Accept]);
    // A revive asks for everything anew.
    let call = Revive {
        framework_id: f.clone(),
        roles: BTreeSet::new(),
    };
    cluster.event(|master, now, out| master.on_revive(now, call, out));
    cluster.advance(secs(1));
    assert_eq!(inverse(&mut cluster, "f").len(), 1);
}

#[test]
fn inverse_offers_end_with_what_they_are_about() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    let task = cluster.launch("f", &f, "t");
    let withdrawn = |cluster: &mut Cluster| {
        let letters = cluster.letters_to(&pid("f", 1));
        letters
            .iter()
            .filter(|l| matches!(l, Letter::RescindInverseOffer(_)))
            .count()
    };
    schedule(&mut cluster, plan(&[(&["a"], SOON)])).unwrap();
    assert_eq!(inverse(&mut cluster, "f").len(), 1);
    // Another time: asked anew.
    let later = Unavailability {
        start: Timestamp::from_secs(9_000),
        ..SOON
    };
    schedule(&mut cluster, plan(&[(&["a"], later)])).unwrap();
    let letters = cluster.letters_to(&pid("f", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::RescindInverseOffer(_))),
        "{letters:?}"
    );
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::InverseOffers(_))),
        "{letters:?}"
    );
    // Its last task there ends.
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    cluster.advance(secs(1));
    assert_eq!(withdrawn(&mut cluster), 1);
    assert_eq!(said(&cluster), []);
}

#[test]
fn a_machine_is_taken_down_and_up() {
    let mut cluster = Cluster::new();
    let a = cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    cluster.launch("f", &f, "t");
    let error = down(&mut cluster, &["a"]).unwrap_err();
    assert!(
        error.contains("machine a is not in the schedule"),
        "{error}"
    );
    schedule(&mut cluster, plan(&[(&["a", "b"], SOON)])).unwrap();
    let error = up(&mut cluster, &["a"]).unwrap_err();
    assert!(error.contains("machine a is not down"), "{error}");
    cluster.letters.clear();
    down(&mut cluster, &["a"]).unwrap();
    let told = cluster.letters_to(&pid("a", 1));
    assert!(
        told.iter()
            .any(|letter| matches!(letter, Letter::Shutdown(_))),
        "{told:?}"
    );
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(statuses[0].state, TaskState::Gone);
    assert!(
        statuses[0].message.contains("maintenance"),
        "{:?}",
        statuses[0].message
    );
    assert_eq!(cluster.master.agents(), []);
    for (schedule_of, part) in [
        (plan(&[]), "machine a is down"),
        (plan(&[(&["b"], SOON)]), "tepui maintenance up a"),
    ] {
        let error = schedule(&mut cluster, schedule_of).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        down(&mut cluster, &["a"])
            .unwrap_err()
            .contains("down already")
    );
    // Over restarts of the master, whoever comes from there is refused.
    cluster.restart_master();
    for life in [2, 3] {
        let call = Register {
            pid: pid("a", life),
            info: agent_info("A", "cpus:4"),
            version: String::new(),
        };
        cluster.event(|master, now, out| master.on_register(now, call, out));
        let told = cluster.letters_to(&pid("a", life));
        let refused =
            |l: &Letter| matches!(l, Letter::Shutdown(s) if s.message.contains("maintenance up"));
        assert!(told.iter().any(refused), "{told:?}");
    }
    cluster.reregister_with("a", &a, 4, resources("cpus:4"));
    assert_eq!(cluster.master.agents(), []);
    up(&mut cluster, &["a"]).unwrap();
    cluster.agent("a", "cpus:4");
    let machines = cluster.master.maintenance().machines;
    assert_eq!(machines.len(), 1, "b is still planned: {machines:?}");
}

#[test]
fn a_drained_agent_ends_its_tasks_and_is_offered_to_nobody() {
    let mut cluster = Cluster::new();
    let a = cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    let task = cluster.launch("f", &f, "t");
    cluster.advance(secs(6));
    cluster.letters.clear();
    drain(&mut cluster, &a, Some(secs(1))).unwrap();
    assert_eq!(cluster.rescinded(&pid("f", 1)).len(), 1);
    let kills = |cluster: &mut Cluster, life: u64| {
        let letters = cluster.letters_to(&pid("a", life)).into_iter();
        let kills = letters.filter_map(|letter| match letter {
            Letter::KillTask(kill) => Some(kill.kill_policy.map(|policy| policy.grace_period)),
            _ => None,
        });
        kills.collect::<Vec<_>>()
    };
    assert_eq!(kills(&mut cluster, 1), [Some(secs(1))]);
    assert_eq!(cluster.master.maintenance().drained[&a], 1);
    // Neither the master's restart nor the agent's makes it open again.
    cluster.restart_master();
    cluster.reregister("a", &a, 2, std::slice::from_ref(&task));
    assert_eq!(kills(&mut cluster, 2), [Some(secs(1))]);
    cluster.framework("g", "x");
    cluster.update(&task, TaskState::Killed, TaskState::Killed);
    cluster.advance(secs(10));
    assert_eq!(cluster.offers(&pid("g", 1)), []);
    assert_eq!(cluster.master.maintenance().drained[&a], 0);
    cluster.crash_allocator();
    cluster.advance(secs(10));
    assert_eq!(cluster.offers(&pid("g", 1)), []);
    reactivate(&mut cluster, &a).unwrap();
    assert_eq!(cluster.offers(&pid("g", 1)).len(), 1);
    assert!(
        reactivate(&mut cluster, &a)
            .unwrap_err()
            .contains("is not drained")
    );
    let error = drain(&mut cluster, &"nobody".parse().unwrap(), None).unwrap_err();
    assert!(error.contains("agent nobody is unknown"), "{error}");
    cluster.restart_master();
    assert!(cluster.master.maintenance().drained.is_empty());
}
