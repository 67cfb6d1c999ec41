//! Agents come, go silent, and come back.

use std::time::Duration;

use tepui_protocol::{
    FrameworkInfo, Reason, Source, TaskInfo, TaskState, TaskStatus, Timestamp,
    messages::{
        agent::{Pong, Register, Reregister, Unregister},
        operator::AgentStanding,
    },
    task::Task,
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

fn standing(cluster: &Cluster) -> Vec<AgentStanding> {
    cluster
        .master
        .agents()
        .iter()
        .map(|agent| agent.standing)
        .collect()
}

#[test]
fn an_agent_is_admitted_only_after_the_write_and_once() {
    let mut cluster = Cluster::new();
    let call = Register {
        pid: pid("a", 1),
        info: agent_info("a", "cpus:1"),
        version: "0.1.0".to_owned(),
    };
    let mut out = Vec::new();
    cluster
        .master
        .on_register(cluster.now, call.clone(), &mut out);
    let write = out
        .iter()
        .rposition(|e| matches!(e, crate::effects::Effect::Write(_)))
        .unwrap();
    let tell = out
        .iter()
        .position(|e| matches!(e, crate::effects::Effect::Tell { .. }))
        .unwrap();
    assert!(write < tell, "{out:?}");
    cluster.event(|master, now, out| master.on_register(now, call, out));
    let answers = cluster.letters_to(&pid("a", 1));
    assert!(matches!(&answers[..], [Letter::Registered(r)] if r.agent_id.as_str() == "m1-S0"));
    assert_eq!(cluster.master.agents().len(), 1);
}

#[test]
fn an_agent_without_sense_is_told_to_stop() {
    let mut cluster = Cluster::new();
    let mut info = agent_info("a", "cpus:1");
    info.resources = info.resources.allocate(&role("r"));
    let call = Register {
        pid: pid("a", 1),
        info,
        version: String::new(),
    };
    cluster.event(|master, now, out| master.on_register(now, call, out));
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(matches!(&letters[..], [Letter::Shutdown(s)] if s.message.contains("allocated")));
}

#[test]
fn f1_an_agent_that_misses_five_pings_is_unreachable() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let id = task.info.agent_id.clone();
    cluster.silent.insert(id.clone());
    let cut_off = cluster.now;
    cluster.advance(secs(75));
    assert_eq!(
        standing(&cluster),
        [AgentStanding::Active],
        "it was pinged a moment before"
    );
    cluster.advance(secs(15));
    assert_eq!(standing(&cluster), [AgentStanding::Unreachable]);
    let letters = cluster.letters_to(&pid("f", 1));
    let failure = letters.iter().any(|letter| {
        matches!(letter, Letter::Failure(f) if f.agent_id == id && f.executor_id.is_none())
    });
    assert!(failure, "{letters:?}");
    let statuses: Vec<&TaskStatus> = letters
        .iter()
        .filter_map(|letter| match letter {
            Letter::Update(update) => Some(&update.status),
            _ => None,
        })
        .collect();
    let [status] = statuses[..] else {
        panic!("one update: {statuses:?}")
    };
    assert_eq!(status.state, TaskState::Unreachable);
    assert_eq!(status.reason, Some(Reason::AgentRemoved));
    assert!(
        status
            .unreachable_time
            .is_some_and(|time| time.since(cut_off) > secs(75))
    );
    assert!(
        cluster
            .registry
            .keys()
            .any(|key| *key == format!("unreachable/{id}"))
    );
    assert!(
        !cluster
            .registry
            .keys()
            .any(|key| key.starts_with("agents/"))
    );
    for name in [
        "master/slave_unreachable_scheduled",
        "master/slave_unreachable_completed",
        "master/slave_removals",
        "master/slave_removals/reason_unhealthy",
    ] {
        assert_eq!(cluster.metric(name), 1.0, "{name}");
    }
}

#[test]
fn f1_a_legacy_framework_hears_lost() {
    let mut cluster = Cluster::new();
    let id = cluster.agent("a", "cpus:4;mem:4096");
    let framework = cluster.subscribe(pid("f", 1), legacy("f"));
    cluster.launch("f", &framework, "t");
    cluster.silent.insert(id);
    cluster.advance(secs(90));
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(
        statuses.iter().map(|s| s.state).collect::<Vec<_>>(),
        [TaskState::Lost]
    );
}

#[test]
fn f2_tasks_of_an_agent_that_comes_back_run_on() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let id = task.info.agent_id.clone();
    cluster.silent.insert(id.clone());
    cluster.advance(secs(90));
    assert_eq!(cluster.task("t").state, TaskState::Unreachable);
    cluster.letters.clear();
    cluster.silent.clear();
    cluster.reregister("a", &id, 1, &[task]);
    assert_eq!(standing(&cluster), [AgentStanding::Active]);
    assert_eq!(cluster.task("t").state, TaskState::Running);
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(statuses[0].state, TaskState::Running);
    assert_eq!(statuses[0].reason, Some(Reason::AgentReregistered));
    cluster.reconcile(&cluster.task("t").framework_id.clone(), &[("t", None)]);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Running);
    assert!(cluster.registry.contains_key(&format!("agents/{id}")));
    assert!(!cluster.registry.contains_key(&format!("unreachable/{id}")));
    assert_eq!(
        cluster.master.agents()[0].used.unallocate(),
        resources("cpus:1;mem:64")
    );
}

/// Seed 192 of the simulation: the scheduler was told GONE, and then DROPPED.
#[test]
fn a_task_that_never_arrived_stays_dropped() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let (id, framework) = (task.info.agent_id.clone(), task.framework_id.clone());
    let question = [("t", Some(&id))];
    cluster.reregister("a", &id, 1, &[]);
    // The agent does not have it and says so, with an update that it keeps until acknowledged; the
    // scheduler is away. Then the agent registers once more, or is away itself for a while.
    let uuid = cluster.update(&task, TaskState::Dropped, TaskState::Dropped);
    cluster.reregister("a", &id, 1, &[]);
    cluster.letters.clear();
    cluster.reconcile(&framework, &question);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
    cluster.silent.insert(id.clone());
    cluster.advance(secs(90));
    cluster.silent.clear();
    cluster.reregister("a", &id, 1, &[]);
    cluster.letters.clear();
    cluster.reconcile(&framework, &question);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
    cluster.acknowledge(&task, uuid);
    cluster.reconcile(&framework, &question);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
}

#[test]
fn f3_a_spurious_reregistration_kills_nothing() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    let id = task.info.agent_id.clone();
    // A second task is on its way to the agent when it re-registers.
    let framework = task.framework_id.clone();
    let second = crate::testing::task("u", &offer, "cpus:1;mem:64");
    cluster.accept(&framework, &[&offer], vec![second]);
    cluster.letters.clear();
    cluster.reregister("a", &id, 1, &[task]);
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    let letters = cluster.letters_to(&pid("a", 1));
    let reconcile = letters.iter().find_map(|letter| match letter {
        Letter::Reregistered(message) => Some(message.reconcile.clone()),
        _ => None,
    });
    assert_eq!(
        reconcile.unwrap(),
        [(framework, task_id("u"))],
        "the agent is asked for it"
    );
    assert_eq!(cluster.task("t").state, TaskState::Running);
    assert_eq!(cluster.task("u").state, TaskState::Staging);
}

#[test]
fn f4_updates_of_an_unreachable_agent_are_ignored() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.silent.insert(task.info.agent_id.clone());
    cluster.advance(secs(90));
    cluster.letters.clear();
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    assert_eq!(cluster.letters, []);
    assert_eq!(cluster.task("t").state, TaskState::Unreachable);
}

#[test]
fn f5_a_task_that_ends_on_a_cut_off_agent_shows_its_end_afterwards() {
    let (mut cluster, mut task) = Cluster::with_task(MasterConfig::default());
    let id = task.info.agent_id.clone();
    cluster.silent.insert(id.clone());
    cluster.advance(secs(90));
    cluster.letters.clear();
    cluster.silent.clear();
    task.state = TaskState::Finished;
    cluster.reregister("a", &id, 1, &[task.clone()]);
    assert_eq!(cluster.task("t").state, TaskState::Finished);
    assert!(cluster.master.agents()[0].used.is_empty());
    let uuid = cluster.update(&task, TaskState::Finished, TaskState::Finished);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Finished);
    cluster.acknowledge(&task, uuid);
    assert_eq!(cluster.task("t").state, TaskState::Finished);
    assert_eq!(cluster.metric("master/tasks_finished"), 1.0);
}

#[test]
fn f6_a_task_that_has_ended_does_not_become_unreachable() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    cluster.letters.clear();
    cluster.silent.insert(task.info.agent_id.clone());
    cluster.advance(secs(90));
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    assert_eq!(cluster.task("t").state, TaskState::Finished);
}

#[test]
fn f7_the_oldest_unreachable_agents_are_forgotten_first() {
    let config = MasterConfig {
        max_unreachable_agents: 1,
        ..MasterConfig::default()
    };
    let (mut cluster, task) = Cluster::with_task(config);
    cluster.silent.insert(task.info.agent_id.clone());
    cluster.advance(secs(90));
    let other = cluster.agent("b", "cpus:1");
    cluster.silent.insert(other.clone());
    cluster.advance(secs(90));
    let unreachable: Vec<_> = cluster
        .registry
        .keys()
        .filter(|key| key.starts_with("unreachable/"))
        .collect();
    assert_eq!(unreachable, [&format!("unreachable/{other}")]);
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[("t", Some(&task.info.agent_id))]);
    let status = &cluster.statuses(&pid("f", 1))[0];
    assert_eq!(
        (status.state, status.unreachable_time),
        (TaskState::Unknown, None)
    );
}

#[test]
fn f7_unreachable_agents_are_forgotten_by_age() {
    let config = MasterConfig {
        max_unreachable_age: secs(20 * 60),
        ..MasterConfig::default()
    };
    let mut cluster = Cluster::with(config);
    let id = cluster.agent("a", "cpus:1");
    cluster.silent.insert(id.clone());
    cluster.advance(secs(25 * 60));
    assert_eq!(standing(&cluster), [AgentStanding::Unreachable]);
    cluster.advance(secs(10 * 60));
    assert_eq!(standing(&cluster), []);
    assert!(!cluster.registry.contains_key(&format!("unreachable/{id}")));
}

#[test]
fn f8_pings_tell_an_agent_that_it_is_disconnected() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:1");
    cluster.exit(&pid("a", 1));
    cluster.letters.clear();
    cluster.advance(secs(15));
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(matches!(&letters[..], [Letter::Ping(ping)] if !ping.connected));
}

#[test]
fn a_broken_link_takes_the_offers_and_the_agent_has_its_time_to_return() {
    let mut cluster = Cluster::new();
    let id = cluster.agent("a", "cpus:1");
    cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.exit(&pid("a", 1));
    assert_eq!(cluster.rescinded(&pid("f", 1)), [offer.id]);
    cluster.advance(secs(9 * 60));
    assert_eq!(standing(&cluster), [AgentStanding::Disconnected]);
    assert_eq!(cluster.offers(&pid("f", 1)), []);
    cluster.reregister("a", &id, 2, &[]);
    assert_eq!(cluster.offers(&pid("f", 1)).len(), 1);
    cluster.exit(&pid("a", 2));
    cluster.advance(secs(2 * 60));
    assert_eq!(
        standing(&cluster),
        [AgentStanding::Disconnected],
        "a new time-out runs"
    );
    cluster.advance(secs(8 * 60));
    assert_eq!(standing(&cluster), [AgentStanding::Unreachable]);
}

#[test]
fn f13_a_recovered_agent_may_come_back_even_after_its_time_is_over() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.restart_master();
    assert_eq!(standing(&cluster), [AgentStanding::Recovered]);
    let mut info = tepui_protocol::FrameworkInfo::new("f", role("*"));
    info.id = Some(task.framework_id.clone());
    cluster.subscribe(pid("f", 1), info);
    cluster.letters.clear();
    cluster.advance(secs(600));
    assert_eq!(standing(&cluster), [AgentStanding::Unreachable]);
    let letters = cluster.letters_to(&pid("f", 1));
    assert!(
        letters
            .iter()
            .any(|letter| matches!(letter, Letter::Failure(_))),
        "{letters:?}"
    );
    let id = task.info.agent_id.clone();
    cluster.reregister("a", &id, 1, &[task]);
    assert_eq!(standing(&cluster), [AgentStanding::Active]);
    assert_eq!(cluster.task("t").state, TaskState::Running);
}

#[test]
fn f17_a_task_that_only_the_master_knows_is_gone_by_the_agents_word() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let id = task.info.agent_id.clone();
    cluster.exit(&pid("a", 1));
    cluster.letters.clear();
    cluster.reregister("a", &id, 2, &[]);
    assert_eq!(cluster.statuses(&pid("f", 1)), [], "the agent has the word");
    cluster.update(&task, TaskState::Dropped, TaskState::Dropped);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
    assert!(cluster.master.agents()[0].used.is_empty());
}

#[test]
fn an_agent_that_the_registry_does_not_know_is_told_to_stop() {
    let mut cluster = Cluster::new();
    let mut info = agent_info("a", "cpus:1");
    info.id = Some("gone-S1".parse().unwrap());
    let call = Reregister {
        pid: pid("a", 1),
        info,
        version: String::new(),
        frameworks: Vec::new(),
        tasks: Vec::new(),
        updates: Vec::new(),
    };
    cluster.event(|master, now, out| master.on_reregister(now, call, out));
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(matches!(&letters[..], [Letter::Shutdown(s)] if s.message.contains("gone-S1")));
    assert_eq!(cluster.master.agents(), []);
}

#[test]
fn a_task_that_never_reached_its_agent_ends_once_whoever_is_asked() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let (id, framework_id) = (task.info.agent_id.clone(), task.framework_id.clone());
    cluster.restart_master();
    cluster.subscribe(pid("f", 2), {
        let mut info = FrameworkInfo::new("f", role("*"));
        info.id = Some(framework_id.clone());
        info
    });
    let uuid = uuid::Uuid::from_u128(7);
    let mut dropped = TaskStatus::new(
        task_id("lost"),
        TaskState::Dropped,
        Source::Agent,
        cluster.now,
    );
    dropped.uuid = Some(uuid);
    dropped.agent_id = Some(id.clone());
    let mut info = agent_info("a", "cpus:4;mem:4096");
    info.id = Some(id.clone());
    let call = Reregister {
        pid: pid("a", 2),
        info,
        version: String::new(),
        frameworks: Vec::new(),
        tasks: vec![task.clone()],
        updates: vec![(framework_id.clone(), dropped)],
    };
    cluster.event(|master, now, out| master.on_reregister(now, call, out));
    cluster.letters.clear();
    let ask = |cluster: &mut Cluster| {
        cluster.reconcile(&framework_id, &[("lost", Some(&id))]);
        cluster.statuses(&pid("f", 2))[0].state
    };
    assert_eq!(ask(&mut cluster), TaskState::Dropped);
    let lost = Task::staging(
        TaskInfo {
            id: task_id("lost"),
            ..task.info.clone()
        },
        framework_id.clone(),
    );
    cluster.acknowledge(&lost, uuid);
    assert_eq!(
        ask(&mut cluster),
        TaskState::Gone,
        "acknowledged, and forgotten"
    );
}

#[test]
fn ids_never_repeat_over_restarts() {
    let mut cluster = Cluster::new();
    let first = cluster.agent("a", "cpus:1");
    let framework = cluster.framework("f", "*");
    cluster.restart_master();
    let second = cluster.agent("b", "cpus:1");
    assert_eq!((first.as_str(), second.as_str()), ("m1-S0", "m2-S1"));
    assert_ne!(cluster.framework("g", "*"), framework);
}

#[test]
fn an_agent_that_leaves_for_good_takes_its_tasks_with_it() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let agent_id = task.info.agent_id.clone();
    cluster.event(|master, now, out| {
        master.on_unregister(
            now,
            Unregister {
                agent_id: agent_id.clone(),
            },
            out,
        );
    });
    assert_eq!(cluster.master.agents(), []);
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(statuses[0].state, TaskState::Gone);
    assert_eq!(cluster.task("t").state, TaskState::Gone);
    assert!(!cluster.registry.contains_key(&format!("agents/{agent_id}")));
}

#[test]
fn an_agent_that_registers_anew_from_the_same_address_replaces_the_old_one() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let call = Register {
        pid: pid("a", 2),
        info: agent_info("a", "cpus:2;mem:100"),
        version: String::new(),
    };
    cluster.event(|master, now, out| master.on_register(now, call, out));
    let agents = cluster.master.agents();
    assert_eq!(agents.len(), 1);
    assert_ne!(agents[0].info.id, Some(task.info.agent_id));
    assert_eq!(cluster.task("t").state, TaskState::Gone);
}

#[test]
fn an_agent_that_returns_at_the_address_of_another_displaces_it() {
    let mut cluster = Cluster::new();
    let (one, two) = (cluster.agent("a", "cpus:1"), cluster.agent("b", "cpus:1"));
    let mut info = agent_info("b", "cpus:1");
    info.id = Some(two);
    let call = Reregister {
        pid: pid("a", 1),
        info,
        version: String::new(),
        frameworks: Vec::new(),
        tasks: Vec::new(),
        updates: Vec::new(),
    };
    cluster.event(|master, now, out| master.on_reregister(now, call, out));
    assert_eq!(
        standing(&cluster),
        [AgentStanding::Disconnected, AgentStanding::Active]
    );
    cluster.exit(&pid("a", 1));
    assert_eq!(
        standing(&cluster),
        [AgentStanding::Disconnected, AgentStanding::Disconnected]
    );
    cluster.reregister("a", &one, 2, &[]);
    assert_eq!(
        standing(&cluster),
        [AgentStanding::Active, AgentStanding::Disconnected]
    );
}

#[test]
fn an_agent_with_fewer_resources_than_before_is_offered_less() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    let mut info = agent_info("a", "cpus:2;mem:1000");
    info.id = Some(task.info.agent_id.clone());
    let call = Reregister {
        pid: pid("a", 2),
        info,
        version: String::new(),
        frameworks: Vec::new(),
        tasks: vec![task],
        updates: Vec::new(),
    };
    cluster.event(|master, now, out| master.on_reregister(now, call, out));
    let letters = cluster.letters_to(&pid("f", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Rescind(r) if r.offer_id == offer.id))
    );
    let fresh = letters.iter().find_map(|letter| match letter {
        Letter::Offers(offers) => Some(offers.offers[0].resources.unallocate()),
        _ => None,
    });
    assert_eq!(fresh.unwrap(), resources("cpus:1;mem:936"));
}

#[test]
fn a_stray_pong_does_no_harm() {
    let mut cluster = Cluster::new();
    let pong = Pong {
        agent_id: "nobody".parse().unwrap(),
    };
    cluster.event(|master, now, out| master.on_pong(now, pong, out));
    assert_eq!(
        cluster.now.since(Timestamp::from_secs(1_000)),
        Duration::ZERO
    );
}
