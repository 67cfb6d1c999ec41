//! Checks, the longest time, restarts.

use tepui_isolation::Ended;
use tepui_protocol::lifecycle::{CheckInfo, CheckStatus, HealthCheck, Probe, RestartOnFailure};

use super::*;
use crate::{
    checker::ProbeResult,
    effects::{Look, Which},
};

const FAILED: Ended = Ended::Exited { code: 1 };
const UP: ProbeResult = ProbeResult::Connected(true);
const DOWN: ProbeResult = ProbeResult::Connected(false);

fn port() -> Probe {
    Probe::Tcp { port: 80 }
}

/// A task that runs, and what followed from its start.
fn running(change: impl FnOnce(&mut TaskInfo)) -> (Bench, Vec<Effect>) {
    let mut bench = Bench::connected();
    let mut info = task("t");
    change(&mut info);
    bench.on(|e, now, out| e.on_launch(now, info, out));
    let out = bench.started("t");
    (bench, out)
}

fn look(which: Which, life: u32, round: u32) -> Look {
    Look {
        task_id: id("t"),
        which,
        life,
        round,
    }
}

impl Bench {
    /// The look is done, this much later, with this result.
    fn looked(&mut self, look: Look, seconds: u64, result: &ProbeResult) -> Vec<Effect> {
        self.now = Timestamp(self.now.0 + seconds * 1_000_000);
        let out = self.timer(Timer::Look(look.clone()));
        assert!(
            matches!(&out[..], [Effect::Probe(at, _)] if *at == look),
            "{out:?}"
        );
        self.on(|e, now, out| e.on_probed(now, &look, result, out))
    }
}

/// The timers that have to do with tasks.
fn waits(effects: &[Effect]) -> Vec<(Duration, &Timer)> {
    let all = timers(effects).into_iter();
    all.filter(|(_, timer)| **timer != Timer::Resend).collect()
}

fn healths(effects: &[Effect]) -> Vec<(TaskState, Option<bool>)> {
    let all = updates(effects).into_iter();
    all.map(|status| (status.state, status.healthy)).collect()
}

#[test]
fn a_health_check_tells_changes_and_ends_the_task_after_three_failures() {
    let (mut bench, out) = running(|info| info.health_check = Some(HealthCheck::new(port())));
    let first = Timer::Look(look(Which::Health, 1, 1));
    assert_eq!(waits(&out), [(Duration::from_secs(15), &first)]);
    assert_eq!(healths(&out), [(TaskState::Running, None)]);
    let out = bench.looked(look(Which::Health, 1, 1), 15, &UP);
    assert_eq!(healths(&out), [(TaskState::Running, Some(true))]);
    assert_eq!(
        updates(&out)[0].reason,
        Some(Reason::TaskHealthCheckStatusUpdated)
    );
    let next = Timer::Look(look(Which::Health, 1, 2));
    assert_eq!(waits(&out), [(Duration::from_secs(10), &next)]);
    let out = bench.looked(look(Which::Health, 1, 2), 10, &DOWN);
    assert_eq!(healths(&out), [(TaskState::Running, Some(false))]);
    assert_eq!(
        healths(&bench.looked(look(Which::Health, 1, 3), 10, &DOWN)),
        []
    );
    let out = bench.looked(look(Which::Health, 1, 4), 10, &DOWN);
    assert_eq!(signals(&out), [Signal::Terminate]);
    let out = bench.ended("t", Ended::Signalled { signal: 15 });
    assert_eq!(healths(&out), [(TaskState::Killed, Some(false))]);
    let status = updates(&out)[0];
    assert_eq!(status.reason, Some(Reason::TaskHealthCheckStatusUpdated));
    let text = "health check failed 3 times in a row: the connection was refused";
    assert_eq!(status.message, text);
}

#[test]
fn a_plain_check_is_told_and_never_ends_the_task() {
    let check = CheckInfo {
        delay: Duration::ZERO,
        ..CheckInfo::new(port())
    };
    let (mut bench, _) = running(|info| info.check = Some(check));
    let told = |out: &[Effect]| {
        let all = updates(out).into_iter();
        all.map(|status| (status.reason, status.check_status))
            .collect::<Vec<_>>()
    };
    let reason = Some(Reason::TaskCheckStatusUpdated);
    for round in 1..6 {
        let out = bench.looked(look(Which::Plain, 1, round), 10, &DOWN);
        let status = CheckStatus::Tcp {
            succeeded: Some(false),
        };
        let expected = if round == 1 {
            vec![(reason, Some(status))]
        } else {
            vec![]
        };
        assert_eq!((told(&out), signals(&out)), (expected, vec![]));
    }
    let finished = bench.ended("t", Ended::Exited { code: 0 });
    assert_eq!(states(&finished), [TaskState::Finished]);
}

#[test]
fn a_task_that_is_being_killed_is_not_looked_at() {
    let (mut bench, _) = running(|info| info.health_check = Some(HealthCheck::new(port())));
    bench.kill("t", None);
    assert_eq!(bench.timer(Timer::Look(look(Which::Health, 1, 1))), []);
    let late = bench.on(|e, now, out| e.on_probed(now, &look(Which::Health, 1, 1), &DOWN, out));
    assert_eq!(late, []);
}

#[test]
fn a_task_that_takes_too_long_is_ended_and_has_failed() {
    let limit = Duration::from_secs(60);
    let (mut bench, out) = running(|info| info.max_completion_time = Some(limit));
    let timer = Timer::Completion(id("t"));
    assert_eq!(waits(&out), [(limit, &timer)]);
    assert_eq!(signals(&bench.timer(timer.clone())), [Signal::Terminate]);
    let out = bench.ended("t", Ended::Exited { code: 0 });
    let status = updates(&out)[0];
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.reason, Some(Reason::MaxCompletionTimeReached));
    assert_eq!(status.message, "it ran for longer than its maximum of 60s");
    // Who is killed anyway is killed.
    let (mut bench, _) = running(|info| info.max_completion_time = Some(limit));
    bench.kill("t", None);
    assert_eq!(bench.timer(timer), []);
    assert_eq!(states(&bench.ended("t", FAILED)), [TaskState::Killed]);
}

#[test]
fn a_task_that_fails_is_started_again_as_often_as_it_may_be() {
    let (mut bench, _) = running(|info| info.restart = Some(RestartOnFailure::new(2)));
    for restart in [1, 2] {
        let out = bench.ended("t", FAILED);
        let timer = Timer::Restart {
            task_id: id("t"),
            restart,
        };
        assert_eq!(
            timers(&out),
            [(Duration::from_secs(u64::from(restart)), &timer)]
        );
        assert_eq!(states(&out), []);
        assert!(matches!(bench.timer(timer.clone())[..], [Effect::Start(_)]));
        assert_eq!(bench.timer(timer), [], "once");
        let out = bench.started("t");
        assert_eq!(states(&out), [TaskState::Running]);
        let number = ["1st", "2nd"][restart as usize - 1];
        assert_eq!(
            updates(&out)[0].message,
            format!("restarted, for the {number} time")
        );
    }
    let out = bench.ended("t", FAILED);
    assert_eq!(states(&out), [TaskState::Failed]);
    assert_eq!(updates(&out)[0].message, "command exited with status 1");
}

#[test]
fn what_succeeds_or_is_killed_is_not_started_again() {
    let may = |info: &mut TaskInfo| info.restart = Some(RestartOnFailure::new(2));
    let (mut bench, _) = running(may);
    assert_eq!(
        states(&bench.ended("t", Ended::Exited { code: 0 })),
        [TaskState::Finished]
    );
    let (mut bench, _) = running(may);
    bench.kill("t", None);
    assert_eq!(states(&bench.ended("t", FAILED)), [TaskState::Killed]);
    let (mut bench, _) = running(may);
    bench.ended("t", FAILED);
    let out = bench.kill("t", None);
    assert_eq!(
        (states(&out), signals(&out)),
        (vec![TaskState::Killed], vec![])
    );
    let timer = Timer::Restart {
        task_id: id("t"),
        restart: 1,
    };
    assert_eq!(bench.timer(timer), []);
}

#[test]
fn an_unhealthy_task_is_started_again_and_checked_anew() {
    let (mut bench, _) = running(|info| {
        info.restart = Some(RestartOnFailure::new(1));
        info.health_check = Some(HealthCheck {
            failures: 1,
            ..HealthCheck::new(port())
        });
    });
    bench.looked(look(Which::Health, 1, 1), 15, &DOWN);
    assert_eq!(states(&bench.ended("t", FAILED)), []);
    bench.timer(Timer::Restart {
        task_id: id("t"),
        restart: 1,
    });
    let out = bench.started("t");
    assert_eq!(
        healths(&out),
        [(TaskState::Running, None)],
        "of the new process nothing is known"
    );
    assert_eq!(
        bench.timer(Timer::Look(look(Which::Health, 1, 1))),
        [],
        "of the old one"
    );
    let out = bench.looked(look(Which::Health, 2, 1), 15, &UP);
    assert_eq!(healths(&out), [(TaskState::Running, Some(true))]);
    // The scheduler's kill is the last word, also on a task that is being ended.
    bench.looked(look(Which::Health, 2, 2), 10, &DOWN);
    bench.kill("t", None);
    let out = bench.ended("t", FAILED);
    assert_eq!(
        (states(&out), updates(&out)[0].reason),
        (vec![TaskState::Killed], None)
    );
}
