//! Sessions: when there are any, and what ends them.

use tepui_protocol::messages::session::{Open, Refusal};
use uuid::Uuid;

use super::*;
use crate::processes::StartSession;

fn name(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn open(bench: &mut Bench, task: &str, n: u128) -> Result<StartSession, Refusal> {
    let open = Open {
        session: Some(name(n)),
        client: "client@h:3#1".parse().unwrap(),
        framework_id: "m-0001".parse().unwrap(),
        executor_id: "e".parse().unwrap(),
        task_id: id(task),
        command: vec!["sh".to_owned()],
        environment: Default::default(),
        input: false,
        terminal: None,
    };
    let mut opened = None;
    bench.on(|e, _, _| opened = Some(e.on_open(open)));
    opened.unwrap()
}

/// A task that runs, with sessions that are open.
fn with_sessions(names: &[u128]) -> Bench {
    let mut bench = Bench::connected();
    bench.launch("a");
    bench.started("a");
    for n in names {
        open(&mut bench, "a", *n).unwrap();
        bench.on(|e, _, out| e.on_opened(name(*n), true, out));
    }
    bench
}

/// What is done to sessions, in a word each.
fn done(effects: &[Effect]) -> Vec<(&'static str, Uuid)> {
    let word = |effect: &Effect| match effect {
        Effect::HangUp(session) => Some(("hang up", *session)),
        Effect::KillSession(session) => Some(("kill", *session)),
        Effect::ForgetSession(session) => Some(("forget", *session)),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

#[test]
fn a_session_ends_when_its_end_was_read() {
    let mut bench = with_sessions(&[1]);
    assert!(done(&bench.on(|e, _, out| e.on_session_ended(name(1), out))).is_empty());
    let out = bench.on(|e, _, out| e.on_read_to_end(name(1), out));
    assert_eq!(done(&out), [("forget", name(1))]);
}

#[test]
fn a_session_that_nobody_wants_any_more_is_hung_up_and_killed_after_a_second() {
    let mut bench = with_sessions(&[1]);
    let out = bench.on(|e, _, out| e.on_close(name(1), out));
    assert_eq!(done(&out), [("hang up", name(1))]);
    let timer = Timer::Session(name(1));
    assert_eq!(timers(&out), [(Duration::from_secs(1), &timer)]);
    assert_eq!(done(&bench.timer(timer.clone())), [("kill", name(1))]);
    let out = bench.on(|e, _, out| e.on_session_ended(name(1), out));
    assert_eq!(done(&out), [("forget", name(1))]);
    assert!(done(&bench.timer(timer)).is_empty());
}

#[test]
fn a_session_that_is_closed_while_it_starts_ends_as_soon_as_it_runs() {
    let mut bench = with_sessions(&[]);
    open(&mut bench, "a", 1).unwrap();
    assert!(done(&bench.on(|e, _, out| e.on_close(name(1), out))).is_empty());
    let out = bench.on(|e, _, out| e.on_opened(name(1), true, out));
    assert_eq!(done(&out), [("hang up", name(1))]);
}

#[test]
fn sessions_end_with_their_task_and_what_they_wrote_stays() {
    let mut bench = with_sessions(&[1, 2]);
    let out = bench.ended("a", tepui_isolation::Ended::Exited { code: 0 });
    assert_eq!(done(&out), [("kill", name(1)), ("kill", name(2))]);
    assert!(done(&bench.on(|e, _, out| e.on_session_ended(name(1), out))).is_empty());
}

#[test]
fn a_session_that_starts_while_its_task_ends_is_killed_and_its_end_can_be_read() {
    let mut bench = with_sessions(&[]);
    open(&mut bench, "a", 1).unwrap();
    assert!(done(&bench.ended("a", tepui_isolation::Ended::Exited { code: 0 })).is_empty());
    assert!(!stops(&bench.acknowledge("a")));
    let out = bench.on(|e, _, out| e.on_opened(name(1), true, out));
    assert_eq!(done(&out), [("kill", name(1))]);
    assert!(done(&bench.on(|e, _, out| e.on_session_ended(name(1), out))).is_empty());
    let out = bench.on(|e, _, out| e.on_read_to_end(name(1), out));
    assert_eq!(done(&out), [("forget", name(1))]);
    assert!(stops(&out));
}

#[test]
fn an_executor_without_tasks_waits_a_while_for_those_who_read_from_its_sessions() {
    for reads in [true, false] {
        let mut bench = with_sessions(&[1, 2]);
        bench.ended("a", tepui_isolation::Ended::Exited { code: 0 });
        let out = bench.acknowledge("a");
        assert_eq!(timers(&out), [(Duration::from_secs(10), &Timer::Farewell)]);
        assert!(!stops(&out));
        for n in [1, 2] {
            let out = bench.on(|e, _, out| e.on_session_ended(name(n), out));
            assert!(!stops(&out));
        }
        let out = bench.on(|e, _, out| e.on_read_to_end(name(1), out));
        assert!(!stops(&out));
        let out = match reads {
            true => bench.on(|e, _, out| e.on_read_to_end(name(2), out)),
            false => bench.timer(Timer::Farewell),
        };
        assert!(stops(&out));
    }
}

#[test]
fn sessions_end_with_the_agent_that_asked_for_them() {
    let mut bench = with_sessions(&[1]);
    assert_eq!(done(&bench.agent_lost()), [("hang up", name(1))]);
}

#[test]
fn only_tasks_that_run_have_sessions_and_not_any_number_of_them() {
    let mut bench = with_sessions(&[]);
    let refusal = open(&mut bench, "b", 1).unwrap_err();
    assert_eq!(refusal.message, "task b does not run");
    bench.launch("c");
    let refusal = open(&mut bench, "c", 1).unwrap_err();
    assert_eq!(refusal.message, "task c does not run");
    for n in 0..SESSIONS_MAX {
        open(&mut bench, "a", n as u128).unwrap();
    }
    let refusal = open(&mut bench, "a", 1_000).unwrap_err();
    assert!(refusal.message.contains("end one first"), "{refusal:?}");
    // One that could not be started makes room.
    bench.on(|e, _, out| e.on_opened(name(0), false, out));
    open(&mut bench, "a", 1_000).unwrap();
}
