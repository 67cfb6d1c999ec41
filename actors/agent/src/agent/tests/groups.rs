//! Groups: taken, launched and dropped as a whole.

use tepui_protocol::{GroupPolicy, TaskGroup};

use super::*;

fn group(names: &[&str]) -> TaskGroup {
    TaskGroup {
        id: ExecutorId::new("g").unwrap(),
        tasks: names.iter().map(|name| task(name)).collect(),
        policy: GroupPolicy::EndAll,
    }
}

fn run_group(bench: &mut Bench, tasks: Vec<TaskInfo>) -> Vec<Effect> {
    let framework = framework();
    let message = agent::RunGroup { framework, tasks };
    bench.on(|a, now, out| a.on_run_group(now, message, out))
}

/// The tasks that executors are given together.
fn given(effects: &[Effect]) -> Vec<Vec<String>> {
    let tasks = |message: &&ToExecutor| match message {
        ToExecutor::LaunchGroup(launch) => Some(
            launch
                .tasks
                .iter()
                .map(|task| task.id.to_string())
                .collect(),
        ),
        ToExecutor::Launch(launch) => panic!("{} was given alone", launch.task.id),
        _ => None,
    };
    to_executors(effects).iter().filter_map(tasks).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn one_executor_is_launched_for_all_and_given_all_at_once() {
    let mut bench = Bench::admitted();
    let out = run_group(&mut bench, group(&["b", "a"]).members());
    let launched: Vec<_> = out
        .iter()
        .filter_map(|e| launch(std::slice::from_ref(e)))
        .collect();
    let [launched] = launched[..] else {
        panic!("one launch: {out:?}");
    };
    assert_eq!(launched.resources, "cpus:2".parse().unwrap());
    assert!(launched.command.is_none());
    let run = launched.run.clone();
    assert_eq!(run.executor_id.as_str(), "g");
    bench.launched(&run);
    assert_eq!(given(&bench.register(&run)), [names(&["b", "a"])]);
    let containers = bench.agent.container_names();
    let expected = [0, 1].map(|n| format!("{}.{n}", run.run));
    assert_eq!(containers, BTreeSet::from(expected));
    // The same message once more is nothing new.
    assert!(run_group(&mut bench, group(&["b", "a"]).members()).is_empty());
}

#[test]
fn a_group_is_dropped_as_a_whole() {
    let mut bench = Bench::admitted();
    let mut tasks = group(&["a", "b"]).members();
    tasks[1].agent_id = "m-S9".parse().unwrap();
    let out = run_group(&mut bench, tasks);
    assert_eq!(states(&out), [TaskState::Dropped; 2]);
    assert!(launch(&out).is_none());
}

#[test]
fn a_kill_before_its_executor_is_there_ends_the_group() {
    let mut bench = Bench::admitted();
    let out = run_group(&mut bench, group(&["a", "b"]).members());
    let run = launch(&out).unwrap().run.clone();
    let out = bench.kill("b");
    assert_eq!(states(&out), [TaskState::Killed; 2]);
    bench.launched(&run);
    let out = bench.register(&run);
    assert!(given(&out).is_empty());
    assert_eq!(shutdowns(&out) + kills(&out), 1, "{out:?}");
}

#[test]
fn a_restarted_agent_gives_its_executor_what_that_has_not() {
    let mut bench = Bench::admitted();
    let out = run_group(&mut bench, group(&["a", "b"]).members());
    let run = launch(&out).unwrap().run.clone();
    bench.launched(&run);
    bench.register(&run);
    let mut bench = bench.restart();
    bench.start();
    let out = bench.register(&run);
    assert_eq!(given(&out), [names(&["a", "b"])]);
    assert_eq!(bench.agent.container_names().len(), 2);
}

#[test]
fn the_end_of_the_executor_is_that_of_all_tasks() {
    let mut bench = Bench::admitted();
    let out = run_group(&mut bench, group(&["a", "b"]).members());
    let run = launch(&out).unwrap().run.clone();
    bench.launched(&run);
    bench.register(&run);
    let mut out = bench.ended(&run, Ended::Signalled { signal: 9 });
    out.extend(bench.killed(&run));
    assert_eq!(states(&out), [TaskState::Failed; 2]);
}
