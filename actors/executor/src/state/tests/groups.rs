//! Groups: tasks that start together, each in a place of its own, and end with each other.

use tepui_isolation::Ended;
use tepui_protocol::{
    GroupPolicy, TaskGroup,
    lifecycle::{HealthCheck, Probe},
    start::{StartAfter, StartCondition},
};

use super::*;
use crate::{
    checker::ProbeResult,
    effects::{Look, Which},
};

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

/// A group whose `c` starts when `a` is healthy and `b` has finished.
fn ordered(policy: GroupPolicy) -> Bench {
    let mut tasks = members(policy);
    tasks[0].health_check = Some(HealthCheck::new(Probe::Tcp { port: 1 }));
    tasks[2].start_after = [
        ("a", StartCondition::Healthy),
        ("b", StartCondition::Finished),
    ]
    .map(|(task, condition)| StartAfter {
        task: id(task),
        condition,
    })
    .to_vec();
    let mut bench = Bench::connected();
    let out = bench.on(|e, now, out| e.on_launch_group(now, tasks, out));
    assert_eq!(begun(&out), ["a", "b"]);
    assert!(begun(&bench.started("a")).is_empty());
    assert!(begun(&bench.started("b")).is_empty());
    bench
}

/// Who is started.
fn begun(effects: &[Effect]) -> Vec<String> {
    let task = |effect: &Effect| match effect {
        Effect::Start(start) => Some(start.task_id.to_string()),
        _ => None,
    };
    effects.iter().filter_map(task).collect()
}

/// The first look at the health of `a` goes well.
fn healthy(bench: &mut Bench) -> Vec<Effect> {
    let look = Look {
        task_id: id("a"),
        which: Which::Health,
        life: 1,
        round: 1,
    };
    bench.timer(Timer::Look(look.clone()));
    bench.on(|e, now, out| e.on_probed(now, &look, &ProbeResult::Exited(Some(0)), out))
}

const DONE: Ended = Ended::Exited { code: 0 };

#[test]
fn one_that_waits_for_others_starts_when_all_have_come_that_far() {
    let mut bench = ordered(GroupPolicy::EndAll);
    assert!(begun(&bench.ended("b", DONE)).is_empty());
    bench.acknowledge("b");
    assert_eq!(begun(&healthy(&mut bench)), ["c"]);
    assert_eq!(states(&bench.started("c")), [TaskState::Running]);
    let mut bench = ordered(GroupPolicy::EndAll);
    healthy(&mut bench);
    assert_eq!(begun(&bench.ended("b", DONE)), ["c"]);
}

#[test]
fn one_that_waits_ends_with_its_group_or_when_it_waits_in_vain() {
    let mut bench = ordered(GroupPolicy::EndAll);
    let out = bench.ended("b", EXITED);
    assert_eq!(states(&out), [TaskState::Failed, TaskState::Killed]);
    assert!(updates(&out)[1].message.contains("task b of its group"));
    let mut bench = ordered(GroupPolicy::KeepOthers);
    let out = bench.ended("a", DONE);
    assert_eq!(states(&out), [TaskState::Finished, TaskState::Failed]);
    let why = "it was to start when task a is healthy; that ended as TASK_FINISHED";
    assert_eq!(updates(&out)[1].message, why);
    let mut bench = ordered(GroupPolicy::KeepOthers);
    let out = bench.kill("c", None);
    assert_eq!(states(&out), [TaskState::Killed]);
    assert!(signalled(&out).is_empty());
    assert!(begun(&bench.ended("b", DONE)).is_empty());
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
