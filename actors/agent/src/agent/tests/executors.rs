//! Launching executors and what becomes of them.

use tepui_protocol::messages::environment::ExecutorPlace;

use super::*;

#[test]
fn a_task_is_durable_before_its_executor_is_launched() {
    let mut bench = Bench::admitted();
    let out = bench.run_task(framework(), task("t"));
    let launched = out
        .iter()
        .position(|e| matches!(e, Effect::Launch(_)))
        .unwrap();
    for key in ["framework/m-0001", "task/m-0001/t", "executor/m-0001/t"] {
        let put = |e: &Effect| matches!(e, Effect::Write(Write::Put { key: k, .. }) if k == key);
        assert!(out.iter().position(put).unwrap() < launched, "{key}");
    }
}

#[test]
fn an_executor_is_told_its_place() {
    let mut bench = Bench::admitted();
    let out = bench.run_task(framework(), task("t"));
    let launch = launch(&out).unwrap();
    let place =
        ExecutorPlace::from_variables(|name| launch.environment.get(name).cloned()).unwrap();
    assert_eq!(place.agent.to_string(), "agent@h:2#5");
    assert_eq!(place.run, launch.run.run);
    assert_eq!(place.recovery_timeout, Duration::from_secs(900));
    assert_eq!(place.master.as_deref(), Some("master@h:1"));
    let sandbox = format!("/w/sandboxes/m-0001/t/{}", launch.run.run);
    assert_eq!(
        (launch.sandbox.display().to_string(), launch.command.clone()),
        (sandbox, None)
    );
}

#[test]
fn a_task_goes_to_its_executor_when_that_registers() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    bench.launched(&run);
    let out = bench.register(&run);
    assert!(out.contains(&Effect::Monitor(executor_pid(&run))));
    assert!(matches!(to_executors(&out)[0], ToExecutor::Registered(_)));
    assert_eq!(launches_of(&out), ["t"]);
    assert_eq!(
        launches_of(&bench.register_with(&run, vec![task("t")], Vec::new())),
        [""; 0]
    );
}

#[test]
fn a_launch_that_got_lost_is_sent_again_when_the_executor_comes_back_without_it() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.exited(&executor_pid(&run));
    assert_eq!(launches_of(&bench.register(&run)), ["t"]);
}

#[test]
fn a_task_that_comes_twice_is_run_once() {
    let mut bench = Bench::admitted();
    bench.run_task(framework(), task("t"));
    assert_eq!(bench.run_task(framework(), task("t")), []);
}

#[test]
fn tasks_for_one_executor_start_in_it_in_the_order_received() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), custom("b"));
    assert!(
        launch(&bench.run_task(framework(), custom("a"))).is_none(),
        "it is being launched"
    );
    bench.launched(&run);
    assert_eq!(launches_of(&bench.register(&run)), ["b", "a"]);
    assert_eq!(
        launches_of(&bench.run_task(framework(), custom("c"))),
        ["c"]
    );
}

#[test]
fn an_executor_that_cannot_be_started_fails_its_task() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    let out = bench.on(|a, now, out| a.on_launched(now, &run, Err("no disk".to_owned()), out));
    let (state, reason, message) = verdict(&out);
    assert_eq!(
        (state, reason),
        (TaskState::Failed, Some(Reason::ContainerLaunchFailed))
    );
    assert_eq!(message, "executor not started: no disk");
}

#[test]
fn an_executor_that_does_not_register_in_time_is_killed_and_its_task_fails() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    bench.launched(&run);
    let out = bench.timer(Timer::Registration(run.clone()));
    assert_eq!(
        (kills(&out), states(&out)),
        (1, vec![]),
        "not before it is dead"
    );
    let out = bench.killed(&run);
    let expected = Some(Reason::ExecutorRegistrationTimeout);
    assert_eq!(
        (verdict(&out).0, verdict(&out).1),
        (TaskState::Failed, expected)
    );
    assert_eq!(shutdowns(&bench.register(&run)), 1, "too late");
}

#[test]
fn an_executor_that_registered_is_not_killed_by_the_registration_time_out() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    assert_eq!(bench.timer(Timer::Registration(run)), []);
}

#[test]
fn an_executor_that_dies_takes_its_tasks_along_once_nothing_is_left_of_it() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    bench.acknowledge("t", uuid(TaskState::Running));
    let out = bench.ended(&run, Ended::Signalled { signal: 9 });
    assert_eq!((kills(&out), states(&out)), (1, vec![]));
    let (state, reason, message) = verdict(&bench.killed(&run));
    assert_eq!(
        (state, reason),
        (TaskState::Failed, Some(Reason::ExecutorTerminated))
    );
    assert_eq!(message, "executor killed by signal SIGKILL");
    assert!(!bench.keys().contains(&"executor/m-0001/t"));
}

#[test]
fn an_executor_that_ends_after_its_task_is_just_forgotten() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Finished);
    bench.acknowledge("t", uuid(TaskState::Finished));
    let out = bench.ended(&run, Ended::Exited { code: 0 });
    assert_eq!((kills(&out), sent(&out).len()), (0, 0));
    assert_eq!(bench.keys(), ["agent"]);
}

#[test]
fn the_master_hears_of_the_end_of_a_frameworks_own_executor() {
    let (mut bench, run) = Bench::running(framework(), custom("t"));
    bench.update(&run, "t", TaskState::Finished);
    let out = bench.ended(&run, Ended::Exited { code: 3 });
    let exited = out.iter().find_map(|effect| match effect {
        Effect::Master(ToMaster::ExecutorExited(message)) => Some(message.status),
        _ => None,
    });
    assert_eq!(exited, Some(3 << 8));
}

#[test]
fn an_executor_whose_link_breaks_is_probed_and_may_come_back() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let out = bench.exited(&executor_pid(&run));
    let probe = Timer::Probe(run.clone());
    assert_eq!(
        out,
        [Effect::Timer {
            after: Duration::from_millis(200),
            timer: probe.clone()
        }]
    );
    assert_eq!(
        bench.timer(probe.clone()),
        [Effect::Probe(run.clone(), process(77))]
    );
    let out = bench.probed(&run, true);
    assert!(
        matches!(to_executors(&out)[..], [ToExecutor::Reconnect(_)]),
        "it may not have noticed"
    );
    bench.register_with(&run, vec![task("t")], Vec::new());
    assert_eq!(bench.timer(probe), [], "it is back");
}

#[test]
fn an_executor_that_lives_but_stays_away_is_killed() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.exited(&executor_pid(&run));
    bench.now = bench.now + Duration::from_secs(15);
    assert_eq!(kills(&bench.probed(&run, true)), 1);
    let (state, reason, _) = verdict(&bench.killed(&run));
    assert_eq!(
        (state, reason),
        (
            TaskState::Failed,
            Some(Reason::ExecutorReregistrationTimeout)
        )
    );
}

#[test]
fn an_executor_that_is_no_child_is_found_dead_by_probing() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.exited(&executor_pid(&run));
    assert_eq!(kills(&bench.probed(&run, false)), 1);
    assert_eq!(verdict(&bench.killed(&run)).0, TaskState::Failed);
}

#[test]
fn an_unknown_executor_is_told_to_end() {
    let mut bench = Bench::admitted();
    let executor_id = ExecutorId::new("x").unwrap();
    let run = ExecutorRun {
        framework_id: fid(),
        executor_id,
        run: "old".to_owned(),
    };
    assert_eq!(shutdowns(&bench.register(&run)), 1);
}

#[test]
fn a_task_whose_id_was_used_before_waits_for_the_end_of_the_old_run() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Finished);
    bench.acknowledge("t", uuid(TaskState::Finished));
    assert!(launch(&bench.run_task(framework(), task("t"))).is_none());
    let out = bench.ended(&run, Ended::Exited { code: 0 });
    let second = launch(&out).expect("a new run").run.clone();
    assert_ne!(second.run, run.run);
    assert_eq!(states(&out), []);
    bench.launched(&second);
    assert_eq!(launches_of(&bench.register(&second)), ["t"]);
}

#[test]
fn a_task_meant_for_another_agent_is_dropped() {
    let mut bench = Bench::admitted();
    let stray = TaskInfo {
        agent_id: AgentId::new("m-S9").unwrap(),
        ..task("t")
    };
    let (state, reason, message) = verdict(&bench.run_task(framework(), stray));
    assert_eq!(
        (state, reason),
        (TaskState::Dropped, Some(Reason::AgentUnknown))
    );
    assert!(message.contains("m-S9"));
}

#[test]
fn a_run_that_is_given_up_while_it_is_started_is_killed_when_it_is_there() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    assert_eq!(
        kills(&bench.timer(Timer::Registration(run.clone()))),
        0,
        "nothing to kill yet"
    );
    let out = bench.launched(&run);
    assert_eq!(out, [Effect::Kill(run.clone(), Some(process(77)))]);
    assert_eq!(
        verdict(&bench.killed(&run)).1,
        Some(Reason::ExecutorRegistrationTimeout)
    );
}

#[test]
fn an_executor_without_a_recorded_process_that_stays_away_is_killed_by_its_run() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    // The agent dies before it has heard that the executor runs.
    let mut bench = bench.restart();
    bench.start();
    bench.register(&run);
    bench.exited(&executor_pid(&run));
    bench.now = bench.now + Duration::from_secs(15);
    let out = bench.timer(Timer::Probe(run.clone()));
    assert!(out.contains(&Effect::Kill(run, None)), "{out:?}");
}
