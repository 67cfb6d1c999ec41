//! Ends of frameworks and of the agent.

use super::*;

fn shutdown_framework(bench: &mut Bench) -> Vec<Effect> {
    let message = agent::ShutdownFramework {
        framework_id: fid(),
    };
    bench.on(|a, _, out| a.on_shutdown_framework(&message, out))
}

fn stop(bench: &mut Bench, kill_tasks: bool) -> Vec<Effect> {
    bench.on(|a, _, out| a.on_stop(kill_tasks, out))
}

#[test]
fn a_framework_that_is_shut_down_is_forgotten_with_its_executors() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    assert_eq!(shutdowns(&shutdown_framework(&mut bench)), 1);
    bench.update(&run, "t", TaskState::Killed);
    bench.ended(&run, Ended::Exited { code: 0 });
    assert_eq!(bench.keys(), ["agent"], "also without acknowledgements");
}

#[test]
fn an_executor_that_ignores_its_shutdown_is_killed() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let out = shutdown_framework(&mut bench);
    let after = Duration::from_secs(5);
    let grace = Timer::ShutdownGrace(run.clone());
    assert!(out.contains(&Effect::Timer {
        after,
        timer: grace.clone()
    }));
    assert_eq!(kills(&bench.timer(grace)), 1);
    assert_eq!(verdict(&bench.killed(&run)).0, TaskState::Killed);
    assert_eq!(bench.keys(), ["agent"]);
}

#[test]
fn a_task_for_a_framework_that_is_being_shut_down_is_dropped() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    shutdown_framework(&mut bench);
    let (state, reason, _) = verdict(&bench.run_task(framework(), task("late")));
    assert_eq!(
        (state, reason),
        (TaskState::Dropped, Some(Reason::FrameworkRemoved))
    );
}

#[test]
fn an_agent_that_restarts_leaves_its_tasks_running() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    let before = bench.stored.clone();
    assert_eq!(stop(&mut bench, false), [Effect::Stop(Stop::Asked)]);
    assert_eq!(bench.stored, before);
    assert!(bench.agent.is_stopped());
}

#[test]
fn an_agent_that_leaves_kills_its_tasks_waits_for_the_acknowledgements_and_unregisters() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    assert_eq!(shutdowns(&stop(&mut bench, true)), 1);
    bench.update(&run, "t", TaskState::Killed);
    assert_eq!(stops(&bench.ended(&run, Ended::Exited { code: 0 })), None);
    let out = bench.acknowledge("t", uuid(TaskState::Killed));
    assert!(
        out.iter()
            .any(|e| matches!(e, Effect::Master(ToMaster::Unregister(_))))
    );
    assert_eq!(stops(&out), Some(&Stop::Asked));
    assert!(bench.stored.is_empty(), "{:?}", bench.keys());
}

#[test]
fn an_agent_that_leaves_does_not_wait_for_ever() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    stop(&mut bench, true);
    let out = bench.timer(Timer::StopGrace);
    assert_eq!(
        (kills(&out), stops(&out)),
        (1, None),
        "not while something runs"
    );
    let out = bench.killed(&run);
    assert_eq!(stops(&out), Some(&Stop::Asked));
    assert!(bench.stored.is_empty(), "{:?}", bench.keys());
}

#[test]
fn a_task_that_comes_while_the_agent_leaves_is_dropped() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    stop(&mut bench, true);
    assert_eq!(
        verdict(&bench.run_task(framework(), task("late"))).0,
        TaskState::Dropped
    );
}

#[test]
fn an_idle_agent_leaves_at_once() {
    let mut bench = Bench::admitted();
    assert_eq!(stops(&stop(&mut bench, true)), Some(&Stop::Asked));
}

#[test]
fn an_agent_that_the_master_refuses_ends_everything() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    let message = agent::Shutdown {
        message: "gone".to_owned(),
    };
    let out = bench.on(|a, _, out| a.on_shutdown(message, out));
    assert_eq!((kills(&out), stops(&out)), (1, None));
    let out = bench.killed(&run);
    assert_eq!(stops(&out), Some(&Stop::Refused("gone".to_owned())));
    assert!(bench.stored.is_empty(), "{:?}", bench.keys());
}

#[test]
fn updates_of_dropped_tasks_end_with_their_framework() {
    let mut bench = Bench::admitted();
    bench.exited(&"master@h:1#9".parse().unwrap());
    let out = bench.reregistered(vec![(fid(), tid("lost"))]);
    let (_, timer) = retry(&out).unwrap();
    shutdown_framework(&mut bench);
    assert_eq!(bench.timer(timer), [], "nobody is left to acknowledge it");
    assert_eq!(bench.keys(), ["agent"]);
}
