//! The way of a status update (inventory 5.2, oracles F15 and F10).

use super::*;

#[test]
fn an_update_is_durable_before_it_is_acknowledged_and_sent() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let out = bench.update(&run, "t", TaskState::Running);
    assert!(matches!(&out[0], Effect::Write(Write::Put { key, .. }) if key == "stream/m-0001/t"));
    assert_eq!(acknowledged(&out), [uuid(TaskState::Running)]);
    let [update] = sent(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(update.agent_id, agent_id());
    assert_eq!(update.status.agent_id, Some(agent_id()));
    assert_eq!(update.status.executor_id, Some(run.executor_id));
    assert_eq!(retry(&out).unwrap().0, Duration::from_secs(10));
}

#[test]
fn one_update_is_in_flight_and_carries_the_latest_state() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    let out = bench.update(&run, "t", TaskState::Finished);
    assert_eq!(states(&out), [], "RUNNING is not acknowledged");
    assert_eq!(acknowledged(&out), [uuid(TaskState::Finished)]);
    let out = bench.acknowledge("t", uuid(TaskState::Running));
    assert_eq!(states(&out), [TaskState::Finished]);
    let out = bench.acknowledge("t", uuid(TaskState::Finished));
    assert_eq!(sent(&out).len(), 0);
    assert!(
        !bench
            .keys()
            .iter()
            .any(|key| key.starts_with("task/") || key.starts_with("stream/"))
    );
}

#[test]
fn an_update_is_retried_with_doubling_pauses_until_it_is_acknowledged() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let out = bench.update(&run, "t", TaskState::Running);
    let (mut after, mut timer) = retry(&out).unwrap();
    bench.update(&run, "t", TaskState::Finished);
    let mut pauses = vec![after.as_secs()];
    for _ in 0..7 {
        let out = bench.timer(timer);
        assert_eq!(states(&out), [TaskState::Running]);
        assert_eq!(sent(&out)[0].latest_state, TaskState::Finished);
        (after, timer) = retry(&out).unwrap();
        pauses.push(after.as_secs());
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
    bench.acknowledge("t", uuid(TaskState::Running));
    assert_eq!(bench.timer(timer), [], "it was acknowledged");
}

#[test]
fn duplicates_from_the_executor_are_acknowledged_again_and_dropped() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    let out = bench.update(&run, "t", TaskState::Running);
    assert_eq!(
        (acknowledged(&out), states(&out)),
        (vec![uuid(TaskState::Running)], vec![])
    );
    bench.acknowledge("t", uuid(TaskState::Running));
    bench.update(&run, "t", TaskState::Finished);
    bench.acknowledge("t", uuid(TaskState::Finished));
    let out = bench.update(&run, "t", TaskState::Finished);
    let expected = (vec![uuid(TaskState::Finished)], vec![]);
    assert_eq!(
        (acknowledged(&out), states(&out)),
        expected,
        "not forwarded anew"
    );
}

#[test]
fn nothing_follows_a_terminal_update() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Finished);
    let out = bench.update(&run, "t", TaskState::Failed);
    assert_eq!(
        (acknowledged(&out), states(&out)),
        (vec![uuid(TaskState::Failed)], vec![])
    );
    bench.acknowledge("t", uuid(TaskState::Finished));
    assert_eq!(states(&bench.log), [TaskState::Finished]);
}

#[test]
fn duplicate_and_unexpected_acknowledgements_are_ignored() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    assert_eq!(bench.acknowledge("t", uuid(TaskState::Finished)), []);
    assert_eq!(bench.acknowledge("other", uuid(TaskState::Running)), []);
    bench.acknowledge("t", uuid(TaskState::Running));
    assert_eq!(bench.acknowledge("t", uuid(TaskState::Running)), []);
}

#[test]
fn without_a_master_updates_wait_and_are_sent_when_it_is_back() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let out = bench.update(&run, "t", TaskState::Running);
    let (_, timer) = retry(&out).unwrap();
    bench.exited(&"master@h:1#9".parse().unwrap());
    assert_eq!(bench.timer(timer), [], "nobody to send it to");
    let out = bench.update(&run, "t", TaskState::Finished);
    assert_eq!((acknowledged(&out).len(), states(&out)), (1, vec![]));
    let out = bench.reregistered(Vec::new());
    assert_eq!(
        states(&out),
        [TaskState::Running],
        "the oldest first, at once"
    );
    assert_eq!(sent(&out)[0].latest_state, TaskState::Finished);
}

#[test]
fn a_framework_that_does_not_checkpoint_leaves_no_records() {
    let info = FrameworkInfo {
        checkpoint: false,
        ..framework()
    };
    let (mut bench, run) = Bench::running(info, task("t"));
    // AG-1 is about frameworks that checkpoint.
    bench.log.clear();
    let message = executor::Update {
        framework_id: fid(),
        executor_id: run.executor_id,
        status: status("t", TaskState::Running),
    };
    let mut out = Vec::new();
    bench.agent.on_update(message, &mut out);
    assert_eq!(
        (acknowledged(&out).len(), states(&out)),
        (1, vec![TaskState::Running])
    );
    assert_eq!(bench.keys(), ["agent"]);
}
