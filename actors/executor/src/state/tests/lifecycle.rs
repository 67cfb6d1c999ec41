//! Launch, run, kill, end.

use tepui_isolation::Ended;

use super::*;

#[test]
fn a_task_runs_and_finishes_and_the_executor_ends_when_all_is_acknowledged() {
    let mut bench = Bench::connected();
    let out = bench.launch("t");
    let [Effect::Start(start)] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(start.environment["TEPUI_TASK_ID"], "t");
    assert_eq!(start.environment["MESOS_SANDBOX"], "/s");
    assert_eq!(start.environment["TEPUI_PORT1"], "31001");
    assert_eq!(start.environment["TEPUI_RUN"], "run1");
    let out = bench.started("t");
    assert_eq!(states(&out), [TaskState::Running]);
    assert!(updates(&out)[0].uuid.is_some());
    let out = bench.ended("t", Ended::Exited { code: 0 });
    assert_eq!(states(&out), [TaskState::Finished]);
    assert_eq!(updates(&out)[0].exit_code, Some(0));
    assert!(!stops(&out), "not before the agent has it");
    assert!(stops(&bench.acknowledge("t")));
}

#[test]
fn a_task_that_fails_says_how() {
    for (ended, message, code) in [
        (
            Ended::Exited { code: 3 },
            "command exited with status 3",
            Some(3),
        ),
        (
            Ended::Signalled { signal: 9 },
            "command killed by signal SIGKILL",
            None,
        ),
    ] {
        let mut bench = Bench::connected();
        bench.launch("t");
        bench.started("t");
        let out = bench.ended("t", ended);
        let status = updates(&out)[0];
        assert_eq!((status.state, status.exit_code), (TaskState::Failed, code));
        assert_eq!(status.message, message);
    }
}

#[test]
fn a_command_that_cannot_be_started_fails_with_the_reason() {
    let mut bench = Bench::connected();
    bench.launch("t");
    let out = bench.on(|e, now, out| {
        e.on_started(now, &id("t"), Err("cannot start \"x\"".to_owned()), out);
    });
    let status = updates(&out)[0];
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.reason, Some(Reason::CommandExecutorFailed));
    assert_eq!(status.message, "cannot start \"x\"");
}

#[test]
fn a_task_without_a_command_fails() {
    let mut bench = Bench::connected();
    let out = bench.on(|e, now, out| {
        e.on_launch(
            now,
            TaskInfo {
                command: None,
                ..task("t")
            },
            out,
        )
    });
    assert_eq!(states(&out), [TaskState::Failed]);
}

#[test]
fn a_launch_that_comes_twice_starts_once() {
    let mut bench = Bench::connected();
    bench.launch("t");
    assert_eq!(bench.launch("t"), []);
    bench.started("t");
    assert_eq!(bench.launch("t"), []);
}

#[test]
fn a_kill_is_term_then_kill_after_the_grace_and_ends_killed() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    let out = bench.kill("t", None);
    assert_eq!(signals(&out), [Signal::Terminate]);
    assert_eq!(states(&out), [], "TASK_KILLING only for those who want it");
    let timer = Timer::Kill {
        task_id: id("t"),
        kill: 1,
    };
    assert_eq!(timers(&out), [(Duration::from_secs(3), &timer)]);
    assert_eq!(signals(&bench.timer(timer.clone())), [Signal::Kill]);
    let out = bench.ended("t", Ended::Signalled { signal: 9 });
    assert_eq!(states(&out), [TaskState::Killed]);
    assert_eq!(updates(&out)[0].message, "command killed by signal SIGKILL");
    assert_eq!(bench.timer(timer), [], "it has ended");
}

#[test]
fn a_killed_task_is_killed_even_if_it_ends_well() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    bench.kill("t", None);
    assert_eq!(
        states(&bench.ended("t", Ended::Exited { code: 0 })),
        [TaskState::Killed]
    );
}

#[test]
fn a_second_kill_with_a_shorter_grace_takes_over() {
    let mut bench = Bench::at(ExecutorPlace {
        task_killing: true,
        ..place()
    });
    bench.register();
    bench.launch("t");
    bench.started("t");
    let out = bench.kill(
        "t",
        Some(KillPolicy {
            grace_period: Duration::from_secs(60),
        }),
    );
    assert_eq!(states(&out), [TaskState::Killing]);
    let out = bench.kill(
        "t",
        Some(KillPolicy {
            grace_period: Duration::from_secs(1),
        }),
    );
    assert_eq!(states(&out), [], "TASK_KILLING once");
    assert_eq!(timers(&out)[0].0, Duration::from_secs(1));
    assert_eq!(
        signals(&bench.timer(Timer::Kill {
            task_id: id("t"),
            kill: 1
        })),
        []
    );
    assert_eq!(
        signals(&bench.timer(Timer::Kill {
            task_id: id("t"),
            kill: 2
        })),
        [Signal::Kill]
    );
}

#[test]
fn a_task_killed_before_its_process_is_there_is_signalled_when_it_is() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.kill("t", None);
    let out = bench.started("t");
    assert_eq!(
        (signals(&out), states(&out)),
        (vec![Signal::Terminate], vec![])
    );
}

#[test]
fn kills_of_unknown_and_ended_tasks_do_nothing() {
    let mut bench = Bench::connected();
    assert_eq!(bench.kill("t", None), []);
    bench.launch("t");
    bench.started("t");
    bench.ended("t", Ended::Exited { code: 0 });
    assert_eq!(bench.kill("t", None), []);
    assert_eq!(
        bench.ended("t", Ended::Exited { code: 1 }),
        [],
        "one terminal update"
    );
}

#[test]
fn a_shutdown_kills_what_runs_and_ends_when_it_is_acknowledged() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    let out = bench.on(|e, now, out| e.on_shutdown(now, out));
    assert_eq!(
        (signals(&out), stops(&out)),
        (vec![Signal::Terminate], false)
    );
    assert_eq!(states(&bench.launch("late")), [TaskState::Killed]);
    bench.acknowledge("late");
    assert!(!stops(&bench.ended("t", Ended::Signalled { signal: 15 })));
    assert!(stops(&bench.acknowledge("t")));
}

#[test]
fn a_shutdown_without_tasks_ends_at_once() {
    let mut bench = Bench::connected();
    assert!(stops(&bench.on(|e, now, out| e.on_shutdown(now, out))));
}
