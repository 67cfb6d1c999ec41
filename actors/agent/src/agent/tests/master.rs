//! Registration, pings, loss of the master.

use super::*;

fn register_timer(effects: &[Effect]) -> (Duration, Timer) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Timer {
            after,
            timer: timer @ Timer::Register { .. },
        } => Some((*after, timer.clone())),
        _ => None,
    });
    found.expect("a timer to register again")
}

#[test]
fn a_new_agent_registers_at_once_and_again_after_random_growing_times() {
    let agent = make(config(), "boot1", &Contents::new()).unwrap();
    let mut bench = Bench::with(agent, Contents::new());
    let mut out = bench.start();
    for attempt in 1..10u32 {
        assert!(matches!(registrations(&out)[..], [ToMaster::Register(_)]));
        let (after, timer) = register_timer(&out);
        let bound = Duration::from_secs((2 << attempt.min(10)).min(60));
        assert!(after < bound, "attempt {attempt}: {after:?} of {bound:?}");
        out = bench.timer(timer);
    }
    let (_, timer) = register_timer(&out);
    let out = bench.registered();
    assert!(
        matches!(&out[0], Effect::Write(w) if w.key() == "agent"),
        "the id is durable"
    );
    assert!(out.contains(&Effect::Monitor("master@h:1".parse().unwrap())));
    assert_eq!(bench.timer(timer), []);
}

#[test]
fn an_agent_tells_a_new_master_what_it_has() {
    let (mut bench, run) = Bench::running(framework(), task("t"));
    bench.update(&run, "t", TaskState::Running);
    bench.update(&run, "t", TaskState::Finished);
    let out = bench.exited(&"master@h:1#9".parse().unwrap());
    let out = bench.timer(register_timer(&out).1);
    let [ToMaster::Reregister(message)] = registrations(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(message.info.id, Some(agent_id()));
    assert_eq!(message.frameworks, [framework()]);
    let task = &message.tasks[0];
    assert_eq!(task.state, TaskState::Finished);
    assert_eq!(task.status_update_state, Some(TaskState::Running));
    assert_eq!(task.status_update_uuid, Some(uuid(TaskState::Running)));
}

#[test]
fn a_ping_is_answered_and_one_that_says_disconnected_makes_the_agent_register_again() {
    let mut bench = Bench::admitted();
    let ping = |bench: &mut Bench, connected| {
        bench.on(|a, now, out| a.on_ping(now, &agent::Ping { connected }, out))
    };
    let out = ping(&mut bench, true);
    assert!(matches!(&out[..], [Effect::Master(ToMaster::Pong(_))]));
    let out = ping(&mut bench, false);
    assert!(matches!(registrations(&out)[..], [ToMaster::Reregister(_)]));
    let out = ping(&mut bench, false);
    assert_eq!(registrations(&out).len(), 0, "it is at it");
}

#[test]
fn a_silent_master_is_taken_for_lost_after_75_seconds() {
    let mut bench = Bench::admitted();
    let silence = Timer::Silence { connection: 1 };
    bench.now = bench.now + Duration::from_secs(60);
    bench.on(|a, now, out| a.on_ping(now, &agent::Ping { connected: true }, out));
    bench.now = bench.now + Duration::from_secs(15);
    let out = bench.timer(silence.clone());
    let rest = Duration::from_secs(60);
    assert_eq!(
        out,
        [Effect::Timer {
            after: rest,
            timer: silence.clone()
        }]
    );
    bench.now = bench.now + rest;
    assert_eq!(registrations(&bench.timer(silence)).len(), 1);
}

#[test]
fn tasks_that_only_the_master_knows_are_dropped_and_known_ones_are_not() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    bench.exited(&"master@h:1#9".parse().unwrap());
    let out = bench.reregistered(vec![(fid(), tid("t")), (fid(), tid("lost"))]);
    let (state, reason, _) = verdict(&out);
    assert_eq!(
        (state, reason),
        (TaskState::Dropped, Some(Reason::Reconciliation))
    );
    assert_eq!(sent(&out)[0].status.task_id, tid("lost"));
}

#[test]
fn a_new_master_is_told_of_updates_of_tasks_that_never_came() {
    let (mut bench, _run) = Bench::running(framework(), task("t"));
    bench.exited(&"master@h:1#9".parse().unwrap());
    let out = bench.reregistered(vec![(fid(), tid("lost"))]);
    let dropped = sent(&out)[0].status.clone();
    let out = bench.exited(&"master@h:1#10".parse().unwrap());
    let out = bench.timer(register_timer(&out).1);
    let [ToMaster::Reregister(message)] = registrations(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(message.updates, [(fid(), dropped)]);
    assert_eq!(
        message.tasks.len(),
        1,
        "the other task is one of those here"
    );
}

#[test]
fn a_framework_that_cannot_tell_states_apart_sees_lost() {
    let (mut bench, _run) = Bench::running(legacy_framework(), task("t"));
    bench.exited(&"master@h:1#9".parse().unwrap());
    let out = bench.reregistered(vec![(fid(), tid("lost"))]);
    assert_eq!(verdict(&out).0, TaskState::Lost);
}

#[test]
fn an_answer_with_another_id_is_not_for_this_agent() {
    let mut bench = Bench::admitted();
    bench.exited(&"master@h:1#9".parse().unwrap());
    let message = agent::Registered {
        agent_id: AgentId::new("m-S7").unwrap(),
        master_id: MasterId::new("m").unwrap(),
    };
    assert_eq!(
        bench.on(|a, now, out| a.on_registered(now, message, out)),
        []
    );
}
