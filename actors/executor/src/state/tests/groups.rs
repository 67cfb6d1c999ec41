//! Groups: tasks that start together, each in a place of its own, and end with each other.

use tepui_isolation::Ended;
use tepui_protocol::{GroupPolicy, TaskGroup};

use super::*;

fn members(policy: GroupPolicy) -> Vec<TaskInfo> {
    let group = TaskGroup {
        id: "g".parse().unwrap(),
        tasks: vec![task("a"), task("b"), task("c")],
        policy,
    };
    group.members()
}

/// A group whose tasks run.
fn running(policy: GroupPolicy) -> Bench {
    let mut bench = Bench::connected();
    bench.on(|e, now, out| e.on_launch_group(now, members(policy), out));
    for name in ["a", "b", "c"] {
        bench.started(name);
    }
    bench
}

/// Whom effects signal.
fn signalled(effects: &[Effect]) -> Vec<String> {
    let task = |effect: &Effect| match effect {
        Effect::Signal(task, Signal::Terminate) => Some(task.to_string()),
        _ => None,
    };
    effects.iter().filter_map(task).collect()
}

const EXITED: Ended = Ended::Exited { code: 3 };
const TERMINATED: Ended = Ended::Signalled { signal: 15 };

#[test]
fn tasks_start_together_and_have_directories_of_their_own_and_one_in_common() {
    let mut bench = Bench::connected();
    let launch = members(GroupPolicy::EndAll);
    let out = bench.on(|e, now, out| e.on_launch_group(now, launch.clone(), out));
    let starts = out.iter().filter_map(|effect| match effect {
        Effect::Start(start) => Some(start),
        _ => None,
    });
    let starts: Vec<_> = starts.collect();
    assert_eq!(starts.len(), 3);
    for (index, (start, name)) in starts.iter().zip(["a", "b", "c"]).enumerate() {
        let sandbox = format!("/s/tasks/{name}");
        assert_eq!(start.sandbox.to_str(), Some(sandbox.as_str()));
        assert_eq!(start.environment["TEPUI_SANDBOX"], sandbox);
        assert_eq!(start.environment["TEPUI_SHARED"], "/s/shared");
        let member = start.member.as_ref().unwrap();
        assert_eq!(member.index as usize, index);
    }
    // What is known is not run again.
    let out = bench.on(|e, now, out| e.on_launch_group(now, launch, out));
    assert!(out.is_empty());
}

#[test]
fn one_that_fails_ends_the_others() {
    let mut bench = running(GroupPolicy::EndAll);
    let out = bench.ended("b", EXITED);
    assert_eq!(states(&out), [TaskState::Failed]);
    assert_eq!(signalled(&out), ["a", "c"]);
    for name in ["a", "c"] {
        let out = bench.ended(name, TERMINATED);
        let [status] = updates(&out)[..] else {
            panic!("one update: {out:?}");
        };
        assert_eq!(status.state, TaskState::Killed);
        assert_eq!(status.message, "task b of its group ended as TASK_FAILED");
    }
    let last: Vec<bool> = ["a", "b", "c"]
        .map(|name| stops(&bench.acknowledge(name)))
        .to_vec();
    assert_eq!(last, [false, false, true]);
}

#[test]
fn one_that_is_killed_ends_the_others_and_one_that_finishes_does_not() {
    let mut bench = running(GroupPolicy::EndAll);
    assert!(signalled(&bench.ended("a", Ended::Exited { code: 0 })).is_empty());
    assert_eq!(signalled(&bench.kill("b", None)), ["b"]);
    let out = bench.ended("b", TERMINATED);
    assert_eq!(
        (states(&out), signalled(&out)),
        (vec![TaskState::Killed], vec!["c".to_owned()])
    );
}

#[test]
fn one_that_cannot_be_started_ends_the_others() {
    let mut bench = Bench::connected();
    bench.on(|e, now, out| e.on_launch_group(now, members(GroupPolicy::EndAll), out));
    bench.started("a");
    let problem = Err("no such program".to_owned());
    let out = bench.on(|e, now, out| e.on_started(now, &id("b"), problem, out));
    assert_eq!(signalled(&out), ["a", "c"]);
    // The third was still being started: its grace begins when it runs.
    assert_eq!(signalled(&bench.started("c")), ["c"]);
}

#[test]
fn others_go_on_where_the_policy_says_so() {
    let mut bench = running(GroupPolicy::KeepOthers);
    assert!(signalled(&bench.ended("b", EXITED)).is_empty());
    assert!(!stops(&bench.acknowledge("b")));
    bench.ended("a", Ended::Exited { code: 0 });
    bench.ended("c", Ended::Exited { code: 0 });
    bench.acknowledge("a");
    assert!(stops(&bench.acknowledge("c")));
}
