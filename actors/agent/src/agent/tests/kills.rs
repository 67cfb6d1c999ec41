//! Kills of tasks (oracle F19).

use super::*;

#[test]
fn a_task_killed_before_its_executor_registers_is_killed_and_the_executor_with_it() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    bench.launched(&run);
    let out = bench.kill("t");
    let (state, reason, _) = verdict(&out);
    assert_eq!(
        (state, reason),
        (TaskState::Killed, Some(Reason::TaskKilledDuringLaunch))
    );
    assert_eq!(kills(&out), 1);
    assert_eq!(
        shutdowns(&bench.register(&run)),
        1,
        "it is not wanted any more"
    );
    let out = bench.killed(&run);
    assert_eq!(states(&out), [], "one terminal update");
}

#[test]
fn killing_some_of_the_queued_tasks_leaves_the_executor_for_the_others() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), custom("a"));
    bench.run_task(framework(), custom("b"));
    let out = bench.kill("a");
    assert_eq!((states(&out), kills(&out)), (vec![TaskState::Killed], 0));
    bench.launched(&run);
    assert_eq!(
        launches_of(&bench.register(&run)),
        ["b"],
        "the killed one is not launched"
    );
}

#[test]
fn a_kill_is_passed_to_the_executor() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    let out = bench.kill("t");
    assert!(matches!(to_executors(&out)[..], [ToExecutor::Kill(_)]));
    assert_eq!(states(&out), []);
}

#[test]
fn a_kill_waits_for_an_executor_that_is_away() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    bench.exited(&executor_pid(&run));
    assert_eq!(to_executors(&bench.kill("t")).len(), 0);
    let out = bench.register_with(&run, vec![task("t")], Vec::new());
    assert!(matches!(
        to_executors(&out)[..],
        [ToExecutor::Registered(_), ToExecutor::Kill(_)]
    ));
}

#[test]
fn a_task_whose_executor_dies_while_it_is_being_killed_is_killed() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.kill("t");
    bench.ended(&run, Ended::Signalled { signal: 15 });
    assert_eq!(verdict(&bench.killed(&run)).0, TaskState::Killed);
}

#[test]
fn a_kill_of_an_unknown_task_says_that_it_is_gone() {
    let mut bench = Bench::admitted();
    let (state, reason, _) = verdict(&bench.kill("x"));
    assert_eq!(
        (state, reason),
        (TaskState::Gone, Some(Reason::TaskUnknown))
    );
    assert_eq!(sent(&bench.kill("x")).len(), 0, "its update is on its way");
}

#[test]
fn a_kill_of_a_task_that_is_over_does_nothing() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Finished);
    assert_eq!(bench.kill("t"), []);
}

#[test]
fn an_executor_whose_task_was_killed_before_a_crash_of_the_agent_is_ended_when_it_registers() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), task("t"));
    bench.kill("t");
    // The agent dies before it has killed the executor.
    let mut bench = bench.restart();
    bench.start();
    assert_eq!(shutdowns(&bench.register(&run)), 1);
}
