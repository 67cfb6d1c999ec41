//! RESERVE and UNRESERVE: by frameworks on their offers, by operators, over restarts.

use std::collections::BTreeSet;

use tepui_protocol::{
    AgentId, Capability, Filters, FrameworkId, FrameworkInfo, Offer, Operation, Resources,
    messages::{
        operator::{ReserveResources, UnreserveResources},
        scheduler::Accept,
    },
    resources::Reservation,
};

use crate::{config::MasterConfig, testing::*};

fn refining(name: &str, role_name: &str) -> FrameworkInfo {
    let mut info = FrameworkInfo::new(name, role(role_name));
    info.capabilities.insert(Capability::ReservationRefinement);
    info
}

fn reserved(text: &str, roles: &[&str]) -> Resources {
    let claims = roles
        .iter()
        .map(|name| Reservation::dynamic(role(name), None));
    claims.fold(resources(text), |all, claim| all.push_reservation(&claim))
}

fn operate(cluster: &mut Cluster, id: &FrameworkId, offer: &Offer, operations: Vec<Operation>) {
    let call = Accept {
        framework_id: id.clone(),
        offer_ids: vec![offer.id.clone()],
        operations,
        filters: Filters::NONE,
    };
    cluster.event(|master, now, out| master.on_accept(now, call, out));
    cluster.check_books();
}

fn reserve(cluster: &mut Cluster, id: &AgentId, what: Resources) -> Result<(), String> {
    reserve_of(cluster, id, None, what)
}

fn reserve_of(
    cluster: &mut Cluster,
    id: &AgentId,
    source: Option<Resources>,
    what: Resources,
) -> Result<(), String> {
    let call = ReserveResources {
        agent_id: id.clone(),
        resources: what,
        source,
    };
    cluster.event(|master, now, out| master.on_reserve_resources(now, call, 1, out));
    cluster.check_books();
    cluster.answers.pop().expect("a command is answered")
}

fn unreserve(cluster: &mut Cluster, id: &AgentId, what: Resources) -> Result<(), String> {
    let call = UnreserveResources {
        agent_id: id.clone(),
        resources: what,
    };
    cluster.event(|master, now, out| master.on_unreserve_resources(now, call, 1, out));
    cluster.check_books();
    cluster.answers.pop().expect("a command is answered")
}

/// What the agent has.
fn has(cluster: &Cluster) -> Resources {
    cluster.master.agents()[0].info.resources.clone()
}

/// The one offer that there is now, after a tick.
fn offer(cluster: &mut Cluster, name: &str) -> Offer {
    cluster.advance(secs(1));
    let mut offers = cluster.offers(&pid(name, 1));
    assert_eq!(offers.len(), 1, "{name}: {offers:?}");
    offers.remove(0)
}

#[test]
fn a_framework_reserves_and_uses_what_it_is_offered_in_one_call() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "eng");
    let first = offer(&mut cluster, "f");
    let mine = reserved("cpus:2", &["eng"]);
    let mut info = task("t", &first, "cpus:1;mem:64");
    info.resources = reserved("cpus:1", &["eng"]) + resources("mem:64");
    operate(
        &mut cluster,
        &f,
        &first,
        vec![
            Operation::Reserve(mine.clone()),
            Operation::Launch(vec![info]),
        ],
    );
    assert_eq!(has(&cluster), resources("cpus:2;mem:4096") + &mine);
    let rest = offer(&mut cluster, "f").resources.unallocate();
    assert_eq!(
        rest,
        resources("cpus:2;mem:4032") + reserved("cpus:1", &["eng"])
    );
    // Others get what is not reserved.
    cluster.framework("g", "other");
    let offers = cluster.master.offers();
    let held = offers.iter().find(|offer| offer.framework_id == f).unwrap();
    cluster.decline(&f, held, 1000.0);
    let others = offer(&mut cluster, "g").resources.unallocate();
    assert_eq!(others, resources("cpus:2;mem:4032"));
    assert_eq!(cluster.metric("master/operations/reserve/finished"), 1.0);
}

#[test]
fn reservations_are_refined_and_popped_and_used_by_roles_below() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let eng = cluster.subscribe(pid("f", 1), refining("f", "eng"));
    let first = offer(&mut cluster, "f");
    let (below, refined) = (
        reserved("cpus:2", &["eng"]),
        reserved("cpus:2", &["eng", "eng/web"]),
    );
    operate(
        &mut cluster,
        &eng,
        &first,
        vec![Operation::Reserve(below.clone())],
    );
    let back = offer(&mut cluster, "f");
    cluster.decline(&eng, &back, 1000.0);
    let web = cluster.subscribe(pid("w", 1), refining("w", "eng/web"));
    let inherited = offer(&mut cluster, "w");
    assert!(
        inherited.resources.unallocate().contains(&below),
        "of an ancestor"
    );
    operate(
        &mut cluster,
        &web,
        &inherited,
        vec![Operation::Reserve(refined.clone())],
    );
    assert_eq!(has(&cluster), resources("cpus:2;mem:4096") + &refined);
    let web_only = offer(&mut cluster, "w");
    assert!(web_only.resources.unallocate().contains(&refined));
    // The claim of eng/web goes first, and nobody takes off both at once.
    operate(
        &mut cluster,
        &web,
        &web_only,
        vec![Operation::Unreserve(below.clone())],
    );
    assert_eq!(
        has(&cluster),
        resources("cpus:2;mem:4096") + &refined,
        "not as it is reserved"
    );
    let again = offer(&mut cluster, "w");
    let pops = vec![Operation::Unreserve(refined), Operation::Unreserve(below)];
    operate(&mut cluster, &web, &again, pops);
    assert_eq!(has(&cluster), resources("cpus:4;mem:4096"));
    assert_eq!(cluster.metric("master/operations/unreserve/dropped"), 1.0);
    assert_eq!(cluster.metric("master/operations/unreserve/finished"), 2.0);
}

#[test]
fn what_is_not_valid_changes_nothing() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096;cpus(eng):1;cpus{REV}:2");
    let mut info = FrameworkInfo::new("f", role("eng"));
    info.capabilities.insert(Capability::RevocableResources);
    let f = cluster.subscribe(pid("f", 1), info);
    let before = has(&cluster);
    let wrong = [
        Operation::Reserve(Resources::new()),
        Operation::Reserve(resources("cpus:1")),
        Operation::Reserve(resources("cpus(eng):1")),
        Operation::Reserve(reserved("cpus:5", &["eng"])),
        Operation::Reserve(reserved("cpus:1", &["other"])),
        Operation::Reserve(reserved("cpus:1", &["eng/web"])),
        Operation::Reserve(reserved("cpus(eng):1", &["eng"])),
        Operation::Reserve(reserved("cpus{REV}:1", &["eng"])),
        Operation::Unreserve(resources("cpus(eng):1")),
        Operation::Unreserve(reserved("cpus:1", &["eng"])),
    ];
    for operation in wrong {
        let offer = offer(&mut cluster, "f");
        operate(&mut cluster, &f, &offer, vec![operation.clone()]);
        assert_eq!(has(&cluster), before, "{operation:?}");
    }
}

#[test]
fn stacks_need_the_capability() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;cpus(eng):2");
    let f = cluster.framework("f", "eng/web");
    let first = offer(&mut cluster, "f");
    let refined =
        resources("cpus(eng):2").push_reservation(&Reservation::dynamic(role("eng/web"), None));
    operate(
        &mut cluster,
        &f,
        &first,
        vec![Operation::Reserve(refined.clone())],
    );
    assert_eq!(has(&cluster), resources("cpus:4;cpus(eng):2"));
    let second = offer(&mut cluster, "f");
    cluster.decline(&f, &second, 1000.0);
    let g = cluster.subscribe(pid("g", 1), refining("g", "eng/web"));
    let third = offer(&mut cluster, "g");
    operate(
        &mut cluster,
        &g,
        &third,
        vec![Operation::Reserve(refined.clone())],
    );
    assert_eq!(has(&cluster), resources("cpus:4") + &refined);
}

#[test]
fn operators_reserve_what_is_free_and_withdraw_offers_for_it() {
    let mut cluster = Cluster::new();
    let a = cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "x");
    cluster.launch("f", &f, "t");
    cluster.advance(secs(6));
    let held = offer(&mut cluster, "f");
    assert_eq!(held.resources.cpus().to_string(), "3");
    let mine = reserved("cpus:3", &["eng"]);
    reserve(&mut cluster, &a, mine.clone()).unwrap();
    let letters = cluster.letters_to(&pid("f", 1));
    assert_eq!(
        letters.len(),
        2,
        "withdrawn, and the rest offered: {letters:?}"
    );
    assert_eq!(has(&cluster), resources("cpus:1;mem:4096") + &mine);
    let left: Vec<_> = cluster
        .master
        .offers()
        .into_iter()
        .map(|o| o.resources.unallocate())
        .collect();
    assert_eq!(left, [resources("mem:4032")]);
    // Refusals name what is wrong.
    for (what, parts) in [
        (reserved("cpus:1", &["eng"]), ["tasks on agent", "cpus"]),
        (reserved("gpus:1", &["eng"]), ["has no gpus:1", "it has"]),
        (
            reserved("cpus:1", &["eng", "web"]),
            ["reservation to web", "below eng"],
        ),
        (resources("cpus:1"), ["cpus:1", "DYNAMIC"]),
    ] {
        let error = reserve(&mut cluster, &a, what).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let stranger = "nobody".parse().unwrap();
    let error = reserve(&mut cluster, &stranger, mine.clone()).unwrap_err();
    assert!(error.contains("agent nobody is not registered"), "{error}");
    let roles = cluster.master.roles();
    let eng = roles
        .iter()
        .find(|summary| summary.role == role("eng"))
        .unwrap();
    assert_eq!(eng.reserved, mine);
    // A framework of the role gets it; then it is not free, but offered.
    cluster.framework("e", "eng");
    assert_eq!(offer(&mut cluster, "e").resources.unallocate(), mine);
    unreserve(&mut cluster, &a, mine).unwrap();
    assert_eq!(has(&cluster), resources("cpus:4;mem:4096"));
    assert_eq!(cluster.rescinded(&pid("e", 1)).len(), 1);
}

#[test]
fn only_roles_of_the_list_are_reserved_to() {
    let roles = Some(BTreeSet::from([role("eng")]));
    let mut cluster = Cluster::with(MasterConfig {
        roles,
        ..MasterConfig::default()
    });
    let a = cluster.agent("a", "cpus:4");
    let error = reserve(&mut cluster, &a, reserved("cpus:1", &["web"])).unwrap_err();
    assert!(error.contains("role web is not on"), "{error}");
    reserve(&mut cluster, &a, reserved("cpus:1", &["eng"])).unwrap();
}

#[test]
fn reservations_outlast_master_agent_and_absence() {
    let mut cluster = Cluster::new();
    let a = cluster.agent("a", "cpus:4;mem:4096");
    let mine = reserved("cpus:2", &["eng", "eng/web"]);
    reserve(&mut cluster, &a, reserved("cpus:2", &["eng"])).unwrap();
    reserve(&mut cluster, &a, mine.clone()).unwrap();
    let expected = resources("cpus:2;mem:4096") + &mine;
    let back = |cluster: &mut Cluster, life: u64, said: &str| {
        cluster.reregister_with("a", &a, life, resources(said));
    };
    cluster.restart_master();
    back(&mut cluster, 2, "cpus:4;mem:4096");
    assert_eq!(has(&cluster), expected);
    cluster.silent.insert(a.clone());
    cluster.advance(secs(200));
    assert_eq!(cluster.metric("master/slaves_unreachable"), 1.0);
    cluster.restart_master();
    cluster.silent.clear();
    back(&mut cluster, 3, "cpus:4;mem:4096");
    assert_eq!(has(&cluster), expected);
    cluster.check_books();
    // It lost a part of what was reserved, and has it again without the claim.
    back(&mut cluster, 4, "cpus:1;mem:4096");
    assert_eq!(
        has(&cluster),
        resources("mem:4096") + reserved("cpus:1", &["eng", "eng/web"])
    );
    back(&mut cluster, 5, "cpus:3;mem:4096");
    let some = reserved("cpus:1", &["eng", "eng/web"]);
    assert_eq!(has(&cluster), resources("cpus:2;mem:4096") + some);
    cluster.check_books();
}

#[test]
fn what_is_reserved_is_reserved_anew_in_one_step() {
    let mut cluster = Cluster::new();
    let a = cluster.agent("a", "cpus:4;mem:4096");
    cluster.framework("f", "eng");
    let eng = reserved("cpus:2", &["eng"]);
    reserve(&mut cluster, &a, eng.clone()).unwrap();
    let ops = reserved("cpus:2", &["ops", "ops/night"]);
    reserve_of(&mut cluster, &a, Some(eng.clone()), ops.clone()).unwrap();
    assert_eq!(has(&cluster), resources("cpus:2;mem:4096") + &ops);
    let held = cluster.offers(&pid("f", 1)).pop().unwrap();
    let held = held.resources.unallocate();
    assert_eq!(held, resources("cpus:2;mem:4096"), "it is not eng's now");
    // Down to the common ancestor, and of nobody's.
    let day = reserved("cpus:2", &["ops", "ops/day"]);
    reserve_of(&mut cluster, &a, Some(ops.clone()), day.clone()).unwrap();
    let free = resources("cpus:1");
    let more = reserved("cpus:1", &["eng"]);
    reserve_of(&mut cluster, &a, Some(free), more.clone()).unwrap();
    assert_eq!(has(&cluster), resources("cpus:1;mem:4096") + &day + &more);
    let mut refused = |source: &Resources, to: Resources, part: &str| {
        let error = reserve_of(&mut cluster, &a, Some(source.clone()), to).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    refused(&ops, eng.clone(), "has no");
    refused(&day, reserved("cpus:1", &["eng"]), "not the same amounts");
    refused(&day, reserved("cpus:2", &["ops"]), "UNRESERVE");
    refused(
        &(day.clone() + &more),
        reserved("cpus:3", &["eng"]),
        "the same claims",
    );
    refused(&Resources::new(), eng.clone(), "no resources are named");
    refused(&resources("cpus(eng):2"), eng, "configuration");
    // It survives a restart.
    cluster.restart_master();
    assert_eq!(has(&cluster), resources("cpus:1;mem:4096") + &day + &more);
}
