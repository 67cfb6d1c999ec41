//! The agent's own restart (inventory 5.4, oracle F16).

use super::*;

/// An agent with one running task, whose RUNNING is acknowledged, after a restart.
fn restarted(info: FrameworkInfo) -> (Bench, ExecutorRun, Vec<Effect>) {
    let (mut bench, run) = Bench::running(info, task("t"));
    bench.update(&run, "t", TaskState::Running);
    bench.acknowledge("t", uuid(TaskState::Running));
    let mut bench = bench.restart();
    let out = bench.start();
    (bench, run, out)
}

#[test]
fn an_agent_keeps_its_id_and_finds_its_executors_before_it_registers() {
    let (mut bench, run, out) = restarted(framework());
    assert!(out.contains(&Effect::Probe(run.clone(), process(77))));
    assert!(matches!(to_executors(&out)[..], [ToExecutor::Reconnect(_)]));
    assert_eq!(registrations(&out).len(), 0, "first the executors");
    let out = bench.register_with(&run, vec![task("t")], Vec::new());
    assert_eq!(launches_of(&out), [""; 0], "the task runs already");
    let [ToMaster::Reregister(message)] = registrations(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(message.info.id, Some(agent_id()));
    assert_eq!(message.tasks[0].state, TaskState::Running);
    assert_eq!(kills(&bench.timer(Timer::Recovery)), 0, "it is back");
}

#[test]
fn updates_that_were_not_acknowledged_are_delivered_after_the_restart() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    let mut bench = bench.restart();
    bench.start();
    let finished = status("t", TaskState::Finished);
    let out = bench.register_with(&run, vec![task("t")], vec![finished]);
    assert_eq!(acknowledged(&out), [uuid(TaskState::Finished)]);
    assert_eq!(
        states(&bench.reregistered(Vec::new())),
        [TaskState::Running]
    );
    let out = bench.acknowledge("t", uuid(TaskState::Running));
    assert_eq!(states(&out), [TaskState::Finished]);
}

#[test]
fn an_executor_that_does_not_come_back_in_time_is_killed_and_its_task_gone() {
    for (info, state) in [
        (framework(), TaskState::Gone),
        (legacy_framework(), TaskState::Lost),
    ] {
        let (mut bench, run, _) = restarted(info);
        bench.probed(&run, true);
        let out = bench.timer(Timer::Recovery);
        assert_eq!((kills(&out), registrations(&out).len()), (1, 1));
        bench.killed(&run);
        let out = bench.reregistered(Vec::new());
        let reason = Some(Reason::ExecutorReregistrationTimeout);
        assert_eq!((verdict(&out).0, verdict(&out).1), (state, reason));
        assert_eq!(shutdowns(&bench.register(&run)), 1, "too late");
    }
}

#[test]
fn an_executor_that_died_meanwhile_loses_its_task_after_its_earlier_updates() {
    let (mut bench, run) = Bench::running(legacy_framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    let mut bench = bench.restart();
    bench.start();
    assert_eq!(
        kills(&bench.probed(&run, false)),
        1,
        "its task may have outlived it"
    );
    bench.killed(&run);
    assert_eq!(
        states(&bench.reregistered(Vec::new())),
        [TaskState::Running]
    );
    let out = bench.acknowledge("t", uuid(TaskState::Running));
    let (state, reason, _) = verdict(&out);
    assert_eq!(
        (state, reason),
        (TaskState::Lost, Some(Reason::ExecutorTerminated))
    );
}

#[test]
fn after_a_reboot_no_process_is_left_whatever_bears_its_number() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    bench.acknowledge("t", uuid(TaskState::Running));
    let mut bench = bench.restart_as(config(), "boot2").unwrap();
    let out = bench.start();
    assert!(
        !out.iter()
            .any(|e| matches!(e, Effect::Probe(..) | Effect::Kill(..)))
    );
    assert_eq!(registrations(&out).len(), 1);
    let (state, reason, message) = verdict(&bench.reregistered(Vec::new()));
    assert_eq!(
        (state, reason),
        (TaskState::Failed, Some(Reason::ExecutorTerminated))
    );
    assert_eq!(message, "the machine was rebooted");
}

#[test]
fn an_executor_whose_process_was_never_recorded_is_found_by_its_run() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    let mut bench = bench.restart();
    let out = bench.start();
    assert!(!out.iter().any(|e| matches!(e, Effect::Probe(..))));
    let out = bench.timer(Timer::Recovery);
    assert!(out.contains(&Effect::Kill(run, None)));
}

#[test]
fn resources_may_grow_over_a_restart() {
    let bench = Bench::admitted();
    let more = AgentConfig {
        resources: "cpus:8;mem:1024;gpus:1".parse().unwrap(),
        ..config()
    };
    let mut bench = bench.restart_as(more, "boot1").unwrap();
    let out = bench.start();
    let [ToMaster::Reregister(message)] = registrations(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(message.info.resources.to_string(), "cpus:8;gpus:1;mem:1024");
}

#[test]
fn shrinking_resources_are_refused_with_the_exact_difference() {
    let bench = Bench::admitted();
    let less = AgentConfig {
        resources: "cpus:2.5;mem:1024".parse().unwrap(),
        ..config()
    };
    let error = bench.restart_as(less, "boot1").err().unwrap().to_string();
    assert!(
        error.contains("resources changed since the last start: cpus:1.5 is missing"),
        "{error}"
    );
}

#[test]
fn probed_memory_and_disk_may_drift_but_what_the_operator_gave_may_not() {
    let bench = Bench::admitted();
    let drifted = AgentConfig {
        resources: "cpus:4;mem:1000".parse().unwrap(),
        ..config()
    };
    assert!(bench.restart_as(drifted.clone(), "boot1").is_ok());
    let explicit_resources = ["mem".to_owned()].into();
    let given = AgentConfig {
        explicit_resources,
        ..drifted
    };
    let error = bench.restart_as(given, "boot1").err().unwrap().to_string();
    assert!(error.contains("mem:24 is missing"), "{error}");
}

#[test]
fn another_hostname_or_label_is_refused_but_a_new_label_is_not() {
    let mut config = config();
    config.attributes.insert("rack".to_owned(), "r1".to_owned());
    let bench = Bench::admitted();
    assert!(bench.restart_as(config.clone(), "boot1").is_ok());
    config.hostname = "g".to_owned();
    let error = bench.restart_as(config, "boot1").err().unwrap().to_string();
    assert!(
        error.starts_with("hostname changed since the last start: it was h, it is g"),
        "{error}"
    );
}

#[test]
fn after_a_reboot_with_fewer_resources_it_is_a_new_agent() {
    let (bench, _run) = Bench::running(framework(), task("t"));
    let less = AgentConfig {
        resources: "cpus:1".parse().unwrap(),
        ..config()
    };
    let mut bench = bench.restart_as(less, "boot2").unwrap();
    assert!(matches!(
        registrations(&bench.start())[..],
        [ToMaster::Register(_)]
    ));
    let out = bench.registered();
    assert!(
        out.iter()
            .any(|e| matches!(e, Effect::Write(w) if w.key() == "agent"))
    );
}

#[test]
fn a_task_that_waited_for_a_new_run_gets_it_after_the_restart() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Finished);
    bench.acknowledge("t", uuid(TaskState::Finished));
    bench.run_task(framework(), task("t"));
    let mut bench = bench.restart();
    bench.start();
    let out = bench.probed(&run, false);
    assert!(launch(&out).is_some(), "{out:?}");
    assert_eq!(states(&out), []);
}

#[test]
fn an_executor_that_was_being_ended_when_the_agent_died_is_ended() {
    let (mut bench, run) = Bench::running(framework(), custom("t"));
    let message = agent::ShutdownFramework {
        framework_id: fid(),
    };
    bench.on(|a, _, out| a.on_shutdown_framework(&message, out));
    let mut bench = bench.restart();
    assert!(
        bench
            .start()
            .contains(&Effect::Kill(run.clone(), Some(process(77))))
    );
    bench.killed(&run);
    let (state, reason, _) = verdict(&bench.reregistered(Vec::new()));
    assert_eq!(
        (state, reason),
        (TaskState::Killed, Some(Reason::FrameworkRemoved))
    );
}
