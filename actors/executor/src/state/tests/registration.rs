//! Finding the agent, losing it, finding it again.

use tepui_isolation::Ended;

use super::*;

fn registers(effects: &[Effect]) -> Vec<(&AnyPid, &executor::Register)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Register(agent, register) => Some((agent, register)),
            _ => None,
        })
        .collect()
}

#[test]
fn registration_is_repeated_with_back_off_until_it_is_answered() {
    let mut bench = Bench::at(place());
    let out = bench.on(|e, _, out| e.on_start(out));
    assert_eq!(registers(&out)[0].1.run, "run1");
    let mut waits = vec![timers(&out)[0].0];
    for attempt in 1..7 {
        let out = bench.timer(Timer::Register { attempt });
        assert_eq!(registers(&out).len(), 1);
        waits.push(timers(&out)[0].0);
    }
    let millis: Vec<_> = waits.iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [250, 500, 1000, 2000, 4000, 5000, 5000]);
    let out = bench.register();
    assert_eq!(out, [Effect::Monitor("agent@h:1#a".parse().unwrap())]);
    assert_eq!(bench.timer(Timer::Register { attempt: 7 }), []);
}

#[test]
fn after_losing_the_agent_it_registers_again_with_tasks_and_unacknowledged_updates() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    let out = bench.agent_lost();
    assert_eq!(timers(&out)[0].0, Duration::from_secs(900));
    assert_eq!(
        states(&bench.ended("t", Ended::Exited { code: 0 })),
        [],
        "nobody to tell"
    );
    let out = bench.timer(Timer::Register { attempt: 1 });
    let (agent, register) = registers(&out)[0];
    assert_eq!(agent.to_string(), "agent@h:1", "the agent's next life");
    assert_eq!(register.tasks, [task("t")]);
    let states: Vec<_> = register
        .unacknowledged
        .iter()
        .map(|status| status.state)
        .collect();
    assert_eq!(states, [TaskState::Running, TaskState::Finished]);
    bench.register();
    assert_eq!(bench.timer(Timer::Recovery { loss: 1 }), [], "it came back");
    assert!(stops(&bench.acknowledge("t")));
}

#[test]
fn without_an_agent_for_too_long_it_kills_its_tasks_and_ends() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    bench.agent_lost();
    let out = bench.timer(Timer::Recovery { loss: 1 });
    assert_eq!(
        (signals(&out), stops(&out)),
        (vec![Signal::Terminate], false)
    );
    assert!(stops(&bench.ended("t", Ended::Signalled { signal: 15 })));
}

#[test]
fn a_recovery_time_of_zero_ends_it_with_the_agent() {
    let mut bench = Bench::at(ExecutorPlace {
        recovery_timeout: Duration::ZERO,
        ..place()
    });
    bench.on(|e, _, out| e.on_start(out));
    bench.register();
    bench.launch("t");
    bench.started("t");
    assert_eq!(signals(&bench.agent_lost()), [Signal::Terminate]);
}

#[test]
fn a_restarted_agent_at_another_address_is_followed() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    let agent: AnyPid = "agent@h:9#b".parse().unwrap();
    let message = executor::Reconnect {
        agent: agent.clone(),
        agent_id: "m-S1".parse().unwrap(),
    };
    let out = bench.on(|e, _, out| e.on_reconnect(message, out));
    assert_eq!(registers(&out)[0].0, &agent);
    assert_eq!(bench.agent_lost(), [], "the old one is no longer ours");
    assert_eq!(bench.register(), [Effect::Monitor(agent)]);
}

#[test]
fn an_agent_that_does_not_know_it_ends_it_without_acknowledgements() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    bench.agent_lost();
    bench.timer(Timer::Register { attempt: 1 });
    let out = bench.on(|e, now, out| e.on_shutdown(now, out));
    assert_eq!(signals(&out), [Signal::Terminate]);
    assert!(stops(&bench.ended("t", Ended::Signalled { signal: 15 })));
}

#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let mut bench = Bench::connected();
    bench.launch("t");
    let out = bench.started("t");
    assert_eq!(timers(&out), [(Duration::from_secs(10), &Timer::Resend)]);
    let first = updates(&out)[0].clone();
    let out = bench.timer(Timer::Resend);
    assert_eq!(updates(&out), [&first], "the same uuid");
    bench.acknowledge("t");
    assert_eq!(bench.timer(Timer::Resend), []);
    assert_eq!(
        timers(&bench.ended("t", Ended::Exited { code: 0 })).len(),
        1,
        "armed again"
    );
}

#[test]
fn acknowledgements_that_are_not_ours_are_ignored() {
    let mut bench = Bench::connected();
    bench.launch("t");
    bench.started("t");
    let stranger = executor::Acknowledged {
        task_id: id("t"),
        uuid: uuid::Uuid::nil(),
    };
    assert_eq!(bench.on(|e, _, out| e.on_acknowledged(&stranger, out)), []);
    assert_eq!(bench.executor.unacknowledged.len(), 1);
}
