//! Frameworks hear what became of their operations, until they have acknowledged it.

use tepui_protocol::{
    Filters, FrameworkId, FrameworkInfo, Offer, OfferId, Operation, OperationId, OperationState,
    OperationStatus, Resources,
    messages::scheduler::{Accept, AcknowledgeOperation, ReconcileOperations},
    operation::{ReservationChange, Tracked},
    resources::Reservation,
};

use crate::{effects::Letter, testing::*};

fn op(id: &str) -> OperationId {
    OperationId::new(id).unwrap()
}

fn reserve(id: &str, amounts: &str) -> Operation {
    let claim = Reservation::dynamic(role("eng"), None);
    let named: Resources = resources(amounts).push_reservation(&claim);
    Operation::Tracked(Tracked {
        id: op(id),
        change: ReservationChange::Reserve(named),
    })
}

fn accept(cluster: &mut Cluster, id: &FrameworkId, offer: &OfferId, operations: Vec<Operation>) {
    let call = Accept {
        framework_id: id.clone(),
        offer_ids: vec![offer.clone()],
        operations,
        filters: Filters::NONE,
    };
    cluster.event(|master, now, out| master.on_accept(now, call, out));
    cluster.check_books();
}

/// What it was told, of which operation and what; takes it out.
fn told(cluster: &mut Cluster) -> Vec<(OperationId, OperationState)> {
    let letters = cluster.letters_to(&pid("f", 1)).into_iter();
    let news = letters.filter_map(|letter| match letter {
        Letter::Operation(update) => Some((update.status.id, update.status.state)),
        _ => None,
    });
    news.collect()
}

fn acknowledge(cluster: &mut Cluster, framework_id: &FrameworkId, id: &str) {
    let call = AcknowledgeOperation {
        framework_id: framework_id.clone(),
        operation_id: op(id),
    };
    cluster.event(|master, now, out| master.on_acknowledge_operation(now, call, out));
}

fn reconcile(cluster: &mut Cluster, framework_id: &FrameworkId, ids: &[&str]) {
    let call = ReconcileOperations {
        framework_id: framework_id.clone(),
        operation_ids: ids.iter().map(|id| op(id)).collect(),
    };
    cluster.event(|master, now, out| master.on_reconcile_operations(now, call, out));
}

fn kept(cluster: &Cluster) -> usize {
    let keys = cluster.registry.keys();
    keys.filter(|key| key.starts_with("operations/")).count()
}

fn started() -> (Cluster, FrameworkId, Offer) {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "eng");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.letters.clear();
    (cluster, f, offer)
}

use OperationState::{Dropped, Error, Finished, Unknown};

#[test]
fn each_operation_is_told_of_until_it_is_acknowledged() {
    let (mut cluster, f, offer) = started();
    let operations = vec![reserve("ok", "cpus:2"), reserve("much", "cpus:3")];
    accept(&mut cluster, &f, &offer.id, operations.clone());
    assert_eq!(
        told(&mut cluster),
        [(op("ok"), Finished), (op("much"), Error)]
    );
    // The same call once more, with offers that are void: what became of it is told again.
    accept(&mut cluster, &f, &offer.id, operations);
    assert_eq!(
        told(&mut cluster),
        [(op("ok"), Finished), (op("much"), Error)]
    );
    acknowledge(&mut cluster, &f, "much");
    cluster.advance(secs(16));
    assert_eq!(told(&mut cluster), [(op("ok"), Finished)]);
    acknowledge(&mut cluster, &f, "ok");
    acknowledge(&mut cluster, &f, "ok");
    cluster.advance(secs(16));
    assert_eq!(told(&mut cluster), []);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn what_was_not_tried_is_told_and_what_is_not_known_too() {
    let (mut cluster, f, _) = started();
    let nothing = OfferId::new("m1-O99").unwrap();
    accept(&mut cluster, &f, &nothing, vec![reserve("late", "cpus:1")]);
    assert_eq!(told(&mut cluster), [(op("late"), Dropped)]);
    reconcile(&mut cluster, &f, &["late", "never"]);
    assert_eq!(
        told(&mut cluster),
        [(op("late"), Dropped), (op("never"), Unknown)]
    );
    reconcile(&mut cluster, &f, &[]);
    assert_eq!(told(&mut cluster), [(op("late"), Dropped)]);
    assert_eq!(kept(&cluster), 1, "what is unknown is not kept");
}

#[test]
fn a_status_survives_the_master_and_ends_with_its_framework() {
    let (mut cluster, f, offer) = started();
    accept(&mut cluster, &f, &offer.id, vec![reserve("ok", "cpus:2")]);
    cluster.restart_master();
    let named = FrameworkInfo {
        id: Some(f.clone()),
        ..FrameworkInfo::new("f", role("eng"))
    };
    cluster.subscribe(pid("f", 1), named);
    assert_eq!(told(&mut cluster), [(op("ok"), Finished)]);
    let call = tepui_protocol::messages::scheduler::Teardown { framework_id: f };
    cluster.event(|master, now, out| master.on_teardown(now, call, out));
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn too_many_that_nobody_acknowledges_are_not_tried() {
    let (mut cluster, f, _) = started();
    let nothing = OfferId::new("m1-O99").unwrap();
    let many = (0..crate::master::KEPT_MAX).map(|n| reserve(&format!("o{n}"), "cpus:1"));
    accept(&mut cluster, &f, &nothing, many.collect());
    cluster.letters.clear();
    let offer = cluster.master.offers().remove(0);
    accept(&mut cluster, &f, &offer.id, vec![reserve("more", "cpus:1")]);
    let letters = cluster.letters_to(&pid("f", 1)).into_iter();
    let news: Vec<OperationStatus> = letters
        .filter_map(|letter| match letter {
            Letter::Operation(update) => Some(update.status),
            _ => None,
        })
        .collect();
    assert_eq!(
        (news.len(), &news[0].id, news[0].state),
        (1, &op("more"), Dropped)
    );
    assert!(news[0].message.contains("acknowledge them first"));
    assert_eq!(kept(&cluster), crate::master::KEPT_MAX);
}
