//! Sessions: to whom they are passed on, and what ends them.

use tepui_protocol::messages::session::{Close, Open, Refusal};

use super::*;

fn client(n: u16) -> AnyPid {
    format!("client@h:{}#1", 50_000 + n).parse().unwrap()
}

fn open(bench: &mut Bench, name: &str, n: u16) -> Result<(AnyPid, Uuid), Refusal> {
    let open = Open {
        session: None,
        client: client(n),
        framework_id: fid(),
        executor_id: ExecutorId::of_command_task(&tid(name)),
        task_id: tid(name),
        command: vec!["sh".to_owned()],
        environment: BTreeMap::new(),
        input: true,
        terminal: None,
    };
    let mut opened = None;
    bench.on(|a, _, out| opened = Some(a.on_open(open, out)));
    let (executor, open) = opened.unwrap()?;
    Ok((executor, open.session.expect("a name")))
}

/// Which sessions executors are told to close.
fn closed(effects: &[Effect]) -> Vec<Uuid> {
    let close = |message: &&ToExecutor| match message {
        ToExecutor::Close(Close { session }) => Some(*session),
        _ => None,
    };
    to_executors(effects).iter().filter_map(close).collect()
}

#[test]
fn a_session_goes_to_the_executor_of_its_task_and_ends_with_its_client() {
    let (mut bench, run) = Bench::running(framework(), task("a"));
    let (executor, one) = open(&mut bench, "a", 1).unwrap();
    assert_eq!(executor, executor_pid(&run));
    let (_, other) = open(&mut bench, "a", 2).unwrap();
    assert_ne!(one, other);
    assert_eq!(closed(&bench.exited(&client(2))), [other]);
    assert_eq!(bench.agent.session_executor(other), None);
    assert_eq!(bench.agent.session_executor(one), Some(executor));
    assert_eq!(closed(&bench.on(|a, _, out| a.on_close(one, out))), [one]);
    assert!(closed(&bench.exited(&client(1))).is_empty(), "closed twice");
}

#[test]
fn sessions_are_forgotten_with_their_executor() {
    let (mut bench, run) = Bench::running(framework(), task("a"));
    let (executor, session) = open(&mut bench, "a", 1).unwrap();
    assert!(closed(&bench.exited(&executor_pid(&run))).is_empty());
    assert_eq!(bench.agent.session_executor(session), None);
    let refusal = open(&mut bench, "a", 1).unwrap_err();
    assert!(
        refusal.message.contains("its executor is away"),
        "{refusal:?}"
    );
    assert_eq!(executor, executor_pid(&run));
}

#[test]
fn what_does_not_run_has_no_sessions() {
    let (mut bench, run) = Bench::running(framework(), task("a"));
    let refusal = open(&mut bench, "b", 1).unwrap_err();
    assert_eq!(refusal.message, "task b does not run any more");
    bench.update(&run, "a", TaskState::Finished);
    let refusal = open(&mut bench, "a", 1).unwrap_err();
    assert_eq!(refusal.message, "task a does not run any more");
    bench.run(framework(), task("c"));
    let refusal = open(&mut bench, "c", 1).unwrap_err();
    assert!(refusal.message.contains("is being started"), "{refusal:?}");
}

#[test]
fn there_are_not_any_number_of_them() {
    let (mut bench, _) = Bench::running(framework(), task("a"));
    let max = u16::try_from(super::super::sessions::SESSIONS_MAX).unwrap();
    for n in 0..max {
        open(&mut bench, "a", n).unwrap();
    }
    let refusal = open(&mut bench, "a", max).unwrap_err();
    assert!(refusal.message.contains("end one first"), "{refusal:?}");
    bench.exited(&client(7));
    open(&mut bench, "a", max).unwrap();
}
