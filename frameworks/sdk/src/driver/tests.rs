//! The driver against a scripted master, without actors.

mod bench;

use tepui_protocol::{
    Filters, InverseOffer, OperationId, TaskId, Unavailability,
    messages::scheduler::{Accept, AcceptInverseOffers, Acknowledge, AcknowledgeOperation, Kill},
    operation::{ReservationChange, Tracked},
};
use uuid::Uuid;

use super::{effect::ToMaster, *};
use bench::*;

#[test]
fn it_asks_to_be_subscribed_with_growing_patience_until_it_is() {
    let mut bench = Bench::new(Contents::new());
    assert!(matches!(bench.out[0], Effect::Monitor));
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(bench.fire(is_subscribe));
        assert!(matches!(bench.out[0], Effect::Tell(ToMaster::Subscribe(_))));
    }
    for (wait, longest) in waits.iter().zip([1000, 2000, 4000, 5000, 5000, 5000]) {
        let longest = Duration::from_millis(longest);
        assert!(*wait >= longest / 2 && *wait <= longest, "{waits:?}");
    }
    let late = bench.take();
    bench.subscribed("m1");
    assert_eq!(
        bench.script.heard(),
        ["restored []", "registered m1-0000 m1"]
    );
    bench.take();
    let Some(Effect::Timer { timer, .. }) = late.last() else {
        panic!("{late:?}")
    };
    bench.timer(*timer);
    assert_eq!(bench.sent(), [], "an attempt that came late is not made");
}

#[test]
fn the_framework_id_is_written_before_the_scheduler_acts() {
    let mut bench = Bench::new(Contents::new());
    bench.take();
    bench.script.then(launch("t"));
    bench.subscribed("m1");
    let at = |wanted: fn(&Effect) -> bool| bench.out.iter().position(wanted).unwrap();
    let write = at(|effect| matches!(effect, Effect::Write(w) if w.key() == "framework_id"));
    let accept = at(|effect| matches!(effect, Effect::Tell(ToMaster::Accept(_))));
    assert!(write < accept, "{:?}", bench.out);
}

#[test]
fn a_restarted_process_subscribes_with_the_id_and_gets_what_it_kept() {
    let id = FrameworkId::new("m1-0000").unwrap();
    let mut stored = Contents::new();
    for write in [
        tepui_store::put("framework_id", &id),
        tepui_store::put("kept/a", &1),
    ] {
        let Write::Put { key, value } = write else {
            panic!("a put")
        };
        stored.insert(key, value);
    }
    let mut bench = Bench::new(stored);
    let ToMaster::Subscribe(subscribe) = &bench.sent()[0] else {
        panic!("a subscription")
    };
    assert_eq!(subscribe.info.id, Some(id));
    bench.subscribed("m2");
    let writes = bench
        .take()
        .into_iter()
        .filter(|effect| matches!(effect, Effect::Write(_)));
    assert_eq!(writes.count(), 0, "the id is there already");
    assert_eq!(
        bench.script.heard(),
        ["restored [\"a\"]", "registered m1-0000 m2"]
    );
}

#[test]
fn keys_of_the_scheduler_do_not_meet_those_of_the_driver() {
    let mut bench = Bench::joined();
    bench.call(Call::Write(tepui_store::put("framework_id", &1)));
    let keys: Vec<_> = bench.take();
    assert!(matches!(&keys[0], Effect::Write(write) if write.key() == "kept/framework_id"));
}

#[test]
fn an_update_is_acknowledged_after_what_the_scheduler_kept() {
    let mut bench = Bench::joined();
    bench.script.then(Call::Write(tepui_store::put("t", &1)));
    let uuid = Uuid::from_u128(1);
    bench.update(status("t", TaskState::Running, Some(uuid)));
    let effects = bench.take();
    assert!(matches!(effects[0], Effect::Write(_)), "{effects:?}");
    let Effect::Tell(ToMaster::Acknowledge(Acknowledge {
        uuid: acknowledged, ..
    })) = &effects[1]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(*acknowledged, uuid);
}

#[test]
fn the_same_update_reaches_the_scheduler_once_and_is_acknowledged_each_time() {
    let mut bench = Bench::joined();
    let update = status("t", TaskState::Running, Some(Uuid::from_u128(1)));
    bench.update(update.clone());
    bench.update(update);
    assert_eq!(bench.script.heard(), ["t TASK_RUNNING"]);
    assert_eq!(bench.sent().len(), 2);
    bench.update(status("t", TaskState::Running, None));
    assert_eq!(
        bench.script.heard(),
        ["t TASK_RUNNING"],
        "a reconciliation is no duplicate"
    );
    assert_eq!(bench.sent(), [], "and needs no acknowledgement");
}

#[test]
fn a_scheduler_may_acknowledge_itself() {
    let script = Script::default();
    script.0.lock().unwrap().acknowledges_itself = true;
    let mut bench = Bench::with(script, Contents::new());
    bench.subscribed("m1");
    bench.take();
    let uuid = Uuid::from_u128(1);
    let update = status("t", TaskState::Running, Some(uuid));
    bench.update(update.clone());
    bench.update(update.clone());
    assert_eq!(bench.sent(), []);
    let task_id = update.task_id.clone();
    bench.call(Call::Acknowledge {
        agent_id: agent(),
        task_id,
        uuid,
    });
    assert_eq!(bench.sent().len(), 1);
    bench.update(update);
    assert_eq!(bench.sent().len(), 1, "the master had not heard it");
}

#[test]
fn a_lost_master_is_told_of_once_and_its_messages_no_longer_count() {
    let mut bench = Bench::joined();
    bench.exited();
    bench.exited();
    assert_eq!(bench.script.heard(), ["disconnected"]);
    bench.update(status("t", TaskState::Running, Some(Uuid::from_u128(1))));
    bench
        .driver
        .on_offers(bench.now, Vec::new(), &mut bench.out);
    assert_eq!(bench.script.heard(), [""; 0]);
    assert_eq!(bench.sent(), [], "not acknowledged, so that it comes again");
}

#[test]
fn three_missed_heartbeats_mean_a_lost_master() {
    let is_liveness = |timer: &Timer| matches!(timer, Timer::Liveness { .. });
    let mut bench = Bench::new(Contents::new());
    bench.subscribed("m1");
    bench.script.heard();
    bench.now = START + Duration::from_secs(30);
    bench.driver.on_heartbeat(bench.now);
    bench.now = START;
    assert_eq!(bench.fire(is_liveness), Duration::from_secs(45));
    assert_eq!(
        bench.script.heard(),
        [""; 0],
        "the master was heard 15 s ago"
    );
    assert_eq!(bench.fire(is_liveness), Duration::from_secs(30));
    assert_eq!(bench.script.heard(), ["disconnected"]);
    bench.fire(is_subscribe);
    assert!(matches!(bench.sent()[0], ToMaster::Subscribe(_)));
}

#[test]
fn live_tasks_are_reconciled_and_kills_repeated_after_each_subscription() {
    let mut bench = Bench::joined();
    for task in ["a", "b", "c"] {
        bench.call(launch(task));
    }
    bench.update(status("b", TaskState::Finished, Some(Uuid::from_u128(1))));
    bench.call(kill("c"));
    bench.exited();
    bench.call(kill("a"));
    bench.fire(is_subscribe);
    bench.sent();
    bench.subscribed("m2");
    let effects: Vec<_> = bench
        .out
        .iter()
        .map(|effect| format!("{effect:?}"))
        .collect();
    let sent = bench.sent();
    assert_eq!(reconciled(&sent), ["a", "c"]);
    let killed = sent.iter().filter_map(|message| match message {
        ToMaster::Kill(Kill {
            task_id, agent_id, ..
        }) => Some((task_id.as_str(), agent_id)),
        _ => None,
    });
    assert_eq!(
        killed.collect::<Vec<_>>(),
        [("a", &Some(agent())), ("c", &Some(agent()))]
    );
    assert!(
        effects.iter().any(|effect| effect.contains("Reconcile {")),
        "and again later"
    );
    assert_eq!(bench.script.heard().last().unwrap(), "reregistered m2");
}

#[test]
fn what_is_not_answered_is_asked_again_and_everything_from_time_to_time() {
    let name = |task| (TaskId::new(task).unwrap(), None);
    let is_reconcile = |timer: &Timer| matches!(timer, Timer::Reconcile { .. });
    let mut bench = Bench::new(Contents::new());
    bench.script.then(Call::Reconcile {
        tasks: vec![name("silent"), name("told")],
    });
    bench.timer(Timer::Scheduler { token: 0 });
    bench.subscribed("m1");
    let mut asked = vec![reconciled(&tells(&bench.out))];
    bench.driver.on_update(
        bench.now,
        status("told", TaskState::Running, None),
        &mut bench.out,
    );
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(bench.fire(is_reconcile).as_secs());
        asked.push(reconciled(&tells(&bench.out)));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 1, 2]);
    let (silent, both) = (
        vec!["silent".to_owned()],
        vec!["silent".to_owned(), "told".to_owned()],
    );
    let once = [
        both.clone(),
        silent.clone(),
        silent.clone(),
        silent.clone(),
        silent.clone(),
        silent,
    ];
    assert_eq!(asked[..6], once);
    assert_eq!(asked[6], both, "after a minute, all");
}

#[test]
fn tasks_launched_without_a_master_are_dropped_at_once() {
    let mut bench = Bench::joined();
    bench.exited();
    bench.script.heard();
    bench.call(launch("t"));
    assert!(bench.script.heard().contains(&"t TASK_DROPPED".to_owned()));
    assert_eq!(bench.sent(), []);
}

#[test]
fn suppression_outlives_the_connection() {
    let mut bench = Bench::joined();
    bench.call(Call::Suppress {
        roles: Default::default(),
    });
    assert!(matches!(bench.sent()[0], ToMaster::Suppress(_)));
    bench.exited();
    bench.fire(is_subscribe);
    let ToMaster::Subscribe(subscribe) = &bench.sent()[0] else {
        panic!("a subscription")
    };
    assert_eq!(subscribe.suppressed_roles, subscribe.info.roles);
}

#[test]
fn another_master_counts_as_lost_and_back() {
    let mut bench = Bench::joined();
    bench.subscribed("m1");
    assert_eq!(
        bench.script.heard(),
        [""; 0],
        "the same once more is nothing new"
    );
    bench.subscribed("m2");
    assert_eq!(bench.script.heard(), ["disconnected", "reregistered m2"]);
}

#[test]
fn a_refusal_ends_the_driver() {
    let mut bench = Bench::joined();
    bench
        .driver
        .on_error(bench.now, "torn down".to_owned(), &mut bench.out);
    assert_eq!(bench.script.heard(), ["error torn down"]);
    let Some(Effect::Stop(Err(error))) = bench.out.last() else {
        panic!("{:?}", bench.out)
    };
    assert_eq!(
        error.to_string(),
        "the master refuses the framework: torn down"
    );
}

#[test]
fn a_master_that_does_not_know_the_subscription_is_subscribed_with_again() {
    let mut bench = Bench::joined();
    bench.driver.on_not_subscribed(bench.now, &mut bench.out);
    assert_eq!(bench.script.heard(), ["disconnected"]);
    bench.fire(is_subscribe);
    assert!(matches!(bench.sent()[0], ToMaster::Subscribe(_)));
}

#[test]
fn a_teardown_waits_for_a_lost_master_but_not_for_ever() {
    let mut bench = Bench::joined();
    bench.call(Call::Stop(End::Teardown));
    assert!(matches!(
        bench.out[..],
        [
            Effect::Tell(ToMaster::Teardown(_)),
            Effect::Stop(Ok(())),
            ..
        ]
    ));

    let mut bench = Bench::joined();
    bench.exited();
    bench.call(Call::Stop(End::Teardown));
    assert!(
        !bench
            .out
            .iter()
            .any(|effect| matches!(effect, Effect::Stop(_)))
    );
    let mut other = Bench::joined();
    other.exited();
    other.take();
    other.call(Call::Stop(End::Teardown));
    other.fire(|timer| *timer == Timer::GiveUp);
    assert!(matches!(other.out[..], [Effect::Stop(Ok(()))]));
    bench.take();
    bench.subscribed("m2");
    assert!(
        bench
            .out
            .iter()
            .any(|effect| matches!(effect, Effect::Tell(ToMaster::Teardown(_))))
    );
    assert!(matches!(bench.out.last(), Some(Effect::Stop(Ok(())))));
}

#[test]
fn accepts_name_the_framework_and_the_offers() {
    let mut bench = Bench::joined();
    bench.call(launch("t"));
    let sent = bench.sent();
    let ToMaster::Accept(Accept {
        framework_id,
        offer_ids,
        operations,
        ..
    }) = &sent[0]
    else {
        panic!("{sent:?}")
    };
    assert_eq!(framework_id.as_str(), "m1-0000");
    assert_eq!(offer_ids[0].as_str(), "m1-O0");
    assert_eq!(operations.len(), 1);
}

#[test]
fn a_scheduler_is_asked_to_leave_and_answers() {
    struct Leaving;
    impl Scheduler for Leaving {
        fn offers(&mut self, _: &mut Calls, _: Vec<Offer>) {}
        fn update(&mut self, _: &mut Calls, _: TaskStatus) {}
        fn inverse_offers(&mut self, calls: &mut Calls, offers: Vec<InverseOffer>) {
            let ids = offers.into_iter().map(|offer| offer.id);
            calls.accept_inverse(ids, Filters::seconds(60.0));
        }
    }
    let mut bench = Bench::joined();
    bench.driver.scheduler = Box::new(Leaving);
    let (framework_id, id) = ("m1-0000".parse().unwrap(), "m1-O7".parse().unwrap());
    let unavailability = Unavailability {
        start: bench.now,
        duration: None,
    };
    let offer = InverseOffer {
        id,
        framework_id,
        agent_id: agent(),
        unavailability,
        resources: "cpus:1".parse().unwrap(),
    };
    let asked = InverseOffers {
        inverse_offers: vec![offer.clone()],
    };
    bench
        .driver
        .on_inverse_offers(bench.now, asked, &mut bench.out);
    let answer = AcceptInverseOffers {
        framework_id: offer.framework_id,
        inverse_offer_ids: vec![offer.id],
        filters: Filters::seconds(60.0),
    };
    assert_eq!(bench.sent(), [ToMaster::AcceptInverse(answer)]);
}

#[test]
fn a_scheduler_hears_of_operations_and_they_are_acknowledged() {
    /// Reserves what it is offered, and keeps what became of that.
    struct Reserving;
    impl Scheduler for Reserving {
        fn offers(&mut self, _: &mut Calls, _: Vec<Offer>) {}
        fn update(&mut self, _: &mut Calls, _: TaskStatus) {}
        fn operation(&mut self, calls: &mut Calls, status: OperationStatus) {
            calls.keep(format!("{}-{}", status.id, status.state), &status.message);
        }
        fn disconnected(&mut self, calls: &mut Calls) {
            let tracked = Tracked {
                id: OperationId::new("late").unwrap(),
                change: ReservationChange::Reserve("cpus:1".parse().unwrap()),
            };
            let operations = vec![Operation::Tracked(tracked)];
            calls.accept(vec!["m1-O1".parse().unwrap()], operations, Filters::NONE);
        }
    }
    let mut bench = Bench::joined();
    bench.driver.scheduler = Box::new(Reserving);
    bench.take();
    let kept = |bench: &Bench| {
        let writes = bench.out.iter().filter_map(|effect| match effect {
            Effect::Write(write) => Some(write.key().to_owned()),
            _ => None,
        });
        writes.collect::<Vec<_>>()
    };
    for (state, known) in [
        (OperationState::Finished, true),
        (OperationState::Unknown, false),
    ] {
        let id = OperationId::new("r1").unwrap();
        let status = OperationStatus {
            id: id.clone(),
            state,
            message: String::new(),
            agent_id: None,
        };
        bench.driver.on_operation(bench.now, status, &mut bench.out);
        assert_eq!(kept(&bench), [format!("kept/r1-{state}")]);
        let acknowledge = AcknowledgeOperation {
            framework_id: "m1-0000".parse().unwrap(),
            operation_id: id,
        };
        let told = known.then_some(ToMaster::AcknowledgeOperation(acknowledge));
        assert_eq!(bench.sent(), told.into_iter().collect::<Vec<_>>());
        bench.take();
    }
    // One that nobody takes is answered here.
    bench.driver.on_exited(bench.now, &mut bench.out);
    assert_eq!(kept(&bench), ["kept/late-OPERATION_DROPPED"]);
}
