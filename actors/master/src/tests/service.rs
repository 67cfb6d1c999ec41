//! Service levels: admitted with a reason, kept, and measured.

use std::time::Duration;

use tepui_protocol::{
    messages::operator::UpdateServiceLevel,
    messages::scheduler::{Revive, Suppress},
    service::{ServiceClass, ServiceLevel},
};

use crate::testing::*;

const HOUR: Duration = Duration::from_secs(3600);

fn level(class: ServiceClass, tasks: u32, minutes: u64) -> ServiceLevel {
    ServiceLevel {
        class,
        each: "cpus:1;mem:10".parse().unwrap(),
        tasks,
        length: secs(60 * minutes),
        period: HOUR,
        within: secs(2),
        percent: 90,
    }
}

fn set(cluster: &mut Cluster, name: &str, level: Option<ServiceLevel>) -> Result<(), String> {
    let call = UpdateServiceLevel {
        role: role(name),
        level,
    };
    cluster.event(|master, now, out| master.on_update_service_level(now, call, 1, out));
    cluster.check_books();
    cluster.answers.pop().expect("a command is answered")
}

fn got(cluster: &Cluster, name: &str) -> (ServiceClass, String) {
    let levels = cluster.master.service_levels();
    let of = levels
        .iter()
        .find(|summary| summary.role == role(name))
        .unwrap();
    (of.class, of.reason.clone())
}

#[test]
fn levels_are_admitted_with_a_reason() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:100;mem:4096");
    cluster.framework("f", "x");
    // 60 at once, 15 on average; a half is 50.
    set(&mut cluster, "q", Some(level(ServiceClass::Hard, 60, 15))).unwrap();
    assert_eq!(
        got(&cluster, "q"),
        (ServiceClass::Hard, "as asked".to_owned())
    );
    set(&mut cluster, "r", Some(level(ServiceClass::Hard, 41, 15))).unwrap();
    let (class, reason) = got(&cluster, "r");
    assert_eq!(class, ServiceClass::Soft);
    assert!(
        reason.contains("41 of cpus") && reason.contains("40 are left"),
        "{reason}"
    );
    set(&mut cluster, "s", Some(level(ServiceClass::Soft, 60, 30))).unwrap();
    let (class, reason) = got(&cluster, "s");
    assert_eq!(class, ServiceClass::Elastic);
    assert!(
        reason.contains("30 of cpus") && reason.contains("fair share is 25"),
        "{reason}"
    );
    // Asked anew, it keeps its place in the order.
    set(&mut cluster, "q", Some(level(ServiceClass::Hard, 10, 15))).unwrap();
    set(&mut cluster, "r", Some(level(ServiceClass::Hard, 41, 15))).unwrap();
    assert_eq!(got(&cluster, "r").0, ServiceClass::Hard);
}

#[test]
fn who_would_cost_another_its_promise_is_refused() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:100;mem:4096");
    set(&mut cluster, "q", Some(level(ServiceClass::Hard, 90, 60))).unwrap();
    let error = set(&mut cluster, "r", Some(level(ServiceClass::Soft, 1, 1))).unwrap_err();
    assert!(
        error.contains("role r: role q, admitted before, is promised 90 of cpus"),
        "{error}"
    );
    assert!(error.contains("fair share of 50"), "{error}");
    for (name, wanted, part) in [
        ("*", level(ServiceClass::Hard, 1, 1), "all roles but *"),
        ("s", level(ServiceClass::Hard, 0, 1), "takes nothing"),
        (
            "s",
            level(ServiceClass::Hard, 1, 61),
            "not longer than its period",
        ),
    ] {
        let error = set(&mut cluster, name, Some(wanted)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        set(&mut cluster, "s", None)
            .unwrap_err()
            .contains("no service level")
    );
}

#[test]
fn the_room_of_a_hard_burst_is_held_free_also_over_restarts() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    let first = cluster.offers(&pid("f", 1));
    assert_eq!(first[0].resources.cpus().to_string(), "4");
    set(&mut cluster, "q", Some(level(ServiceClass::Hard, 3, 10))).unwrap();
    let offered = |cluster: &Cluster, name: &str| {
        let offers = cluster.master.offers().into_iter();
        let own = offers.filter(|offer| offer.role == role(name));
        own.map(|offer| offer.resources.cpus())
            .sum::<tepui_protocol::Scalar>()
            .to_string()
    };
    cluster.advance(secs(2));
    assert_eq!(
        offered(&cluster, "x"),
        "1",
        "its offer is withdrawn and made again, without the burst"
    );
    cluster.framework("g", "q");
    assert_eq!(offered(&cluster, "q"), "3");
    cluster.restart_master();
    assert_eq!(got(&cluster, "q").0, ServiceClass::Hard);
    assert!(
        cluster.master.quotas.is_empty(),
        "it is no quota of the operator's"
    );
    set(&mut cluster, "q", None).unwrap();
    cluster.restart_master();
    assert_eq!(cluster.master.service_levels(), []);
    let _ = f;
}

#[test]
fn the_time_to_the_first_offer_is_measured() {
    let mut cluster = Cluster::new();
    set(&mut cluster, "q", Some(level(ServiceClass::Elastic, 1, 1))).unwrap();
    let f = cluster.framework("f", "q");
    cluster.advance(secs(5));
    let levels = cluster.master.service_levels();
    assert_eq!((levels[0].waits, levels[0].waited_secs), (0, None));
    cluster.agent("a", "cpus:4;mem:4096");
    let gauge = |cluster: &Cluster, what: &str| {
        cluster.metric(&format!("allocator/roles/q/time_to_first_offer_ms/{what}"))
    };
    assert_eq!(
        (gauge(&cluster, "count"), gauge(&cluster, "p99")),
        (1.0, 5000.0)
    );
    let levels = cluster.master.service_levels();
    assert_eq!(
        (levels[0].waited_secs, levels[0].periods, levels[0].kept),
        (Some(5.0), 1, 0)
    );
    // It does not wait while it wants nothing; a revive begins anew.
    let offers = cluster.offers(&pid("f", 1));
    cluster.decline(&f, &offers[0], 0.0);
    let (framework_id, roles) = (f.clone(), Default::default());
    cluster.event(|master, now, out| {
        master.on_suppress(
            now,
            Suppress {
                framework_id,
                roles,
            },
            out,
        );
    });
    cluster.advance(secs(100));
    let (framework_id, roles) = (f.clone(), Default::default());
    cluster.event(|master, now, out| {
        master.on_revive(
            now,
            Revive {
                framework_id,
                roles,
            },
            out,
        );
    });
    cluster.advance(secs(2));
    assert_eq!(
        (gauge(&cluster, "count"), gauge(&cluster, "p50")),
        (2.0, 0.0)
    );
    assert_eq!(gauge(&cluster, "max"), 5000.0);
}

#[test]
fn a_hard_burst_is_guaranteed_for_its_length_and_held_free_for_the_next() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    set(&mut cluster, "q", Some(level(ServiceClass::Hard, 3, 10))).unwrap();
    cluster.framework("f", "x");
    let cpus = |cluster: &Cluster, name: &str| {
        let offers = cluster.master.offers().into_iter();
        let own = offers.filter(|offer| offer.role == role(name));
        own.map(|offer| offer.resources.cpus())
            .sum::<tepui_protocol::Scalar>()
            .to_string()
    };
    let spent = |cluster: &Cluster| cluster.master.service_levels()[0].spent;
    cluster.advance(secs(100));
    assert_eq!(cpus(&cluster, "x"), "1", "held free before it comes");
    // It comes and goes within its length.
    let g = cluster.framework("g", "q");
    let offer = cluster.offers(&pid("g", 1)).remove(0);
    let info = task("t", &offer, "cpus:1;mem:10");
    cluster.accept(&g, &[&offer], vec![info]);
    let task = cluster.task("t");
    cluster.advance(secs(60));
    cluster.update(
        &task,
        tepui_protocol::TaskState::Finished,
        tepui_protocol::TaskState::Finished,
    );
    let call = Suppress {
        framework_id: g.clone(),
        roles: Default::default(),
    };
    cluster.event(|master, now, out| master.on_suppress(now, call, out));
    for offer in cluster.offers(&pid("g", 1)) {
        cluster.decline(&g, &offer, 1.0);
    }
    cluster.advance(secs(60));
    assert_eq!(
        (cpus(&cluster, "x").as_str(), spent(&cluster)),
        ("1", false)
    );
    cluster.advance(secs(500));
    assert_eq!((cpus(&cluster, "x").as_str(), spent(&cluster)), ("4", true));
    // Also over a restart; and what is promised to others counts it.
    assert_eq!(got(&cluster, "q").0, ServiceClass::Hard);
    set(&mut cluster, "r", Some(level(ServiceClass::Hard, 2, 5))).unwrap();
    assert_eq!(got(&cluster, "r").0, ServiceClass::Soft);
    set(&mut cluster, "r", None).unwrap();
    cluster.restart_master();
    assert!(spent(&cluster));
    // The next period.
    cluster.advance(HOUR - secs(600));
    assert!(!spent(&cluster));
    assert_eq!(cluster.master.service_levels()[0].began, None);
}

#[test]
fn roles_below_others_have_levels_within_what_those_above_them_have() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:100;mem:4096");
    cluster.framework("f", "x");
    cluster.framework("g", "q/other");
    // A half of a half: 25 on average.
    set(
        &mut cluster,
        "q/in",
        Some(level(ServiceClass::Hard, 30, 30)),
    )
    .unwrap();
    assert_eq!(
        got(&cluster, "q/in"),
        (ServiceClass::Hard, "as asked".to_owned())
    );
    set(
        &mut cluster,
        "q/other",
        Some(level(ServiceClass::Soft, 26, 60)),
    )
    .unwrap();
    let (class, reason) = got(&cluster, "q/other");
    assert_eq!(class, ServiceClass::Elastic);
    assert!(
        reason.contains("26 of cpus") && reason.contains("fair share is 25"),
        "{reason}"
    );
    // 15 are promised below q, and a half is 50.
    set(
        &mut cluster,
        "q/other",
        Some(level(ServiceClass::Soft, 25, 60)),
    )
    .unwrap();
    assert_eq!(got(&cluster, "q/other").0, ServiceClass::Soft);
    set(&mut cluster, "q", Some(level(ServiceClass::Soft, 11, 60))).unwrap();
    assert_eq!(got(&cluster, "q").0, ServiceClass::Elastic);
    // What is held free for it is so for those above it, and ends with it.
    let held = |cluster: &Cluster| {
        let offers = cluster.master.offers().into_iter();
        let others = offers.filter(|offer| offer.role == role("x"));
        others
            .map(|offer| offer.resources.cpus())
            .sum::<tepui_protocol::Scalar>()
    };
    for name in ["f", "g"] {
        for offer in cluster.offers(&pid(name, 1)) {
            cluster.decline(&offer.framework_id.clone(), &offer, 1.0);
        }
    }
    cluster.exit(&pid("g", 1));
    cluster.advance(secs(3));
    assert_eq!(held(&cluster).to_string(), "70");
    set(&mut cluster, "q/in", None).unwrap();
    cluster.advance(secs(1));
    assert_eq!(held(&cluster).to_string(), "100");
}
