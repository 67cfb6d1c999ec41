//! Tasks: launched, refused, updated, killed, forgotten.

use tepui_protocol::{
    CommandInfo, ExecutorId, ExecutorInfo, Filters, Offer, Reason, Scalar, Source, TaskInfo,
    TaskState,
    lifecycle::Limits,
    messages::{
        agent::ExecutorExited,
        operator::GetTasks,
        scheduler::{Kill, Teardown},
    },
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

/// A cluster with an offer of 4 cpus and 4096 MiB for framework `f`.
fn offered() -> (Cluster, tepui_protocol::FrameworkId, Offer) {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.framework("f", "*");
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    (cluster, id, offer)
}

fn executor(id: &str, amounts: &str) -> ExecutorInfo {
    ExecutorInfo {
        id: ExecutorId::new(id).unwrap(),
        command: CommandInfo::shell("executor"),
        resources: resources(amounts),
        name: String::new(),
    }
}

fn with_executor(id: &str, offer: &Offer, amounts: &str, executor: ExecutorInfo) -> TaskInfo {
    TaskInfo {
        command: None,
        executor: Some(executor),
        ..task(id, offer, amounts)
    }
}

#[test]
fn accepted_tasks_go_to_the_agent_and_the_rest_goes_back() {
    let (mut cluster, id, offer) = offered();
    let tasks = vec![
        task("t", &offer, "cpus:1;mem:64"),
        task("u", &offer, "cpus:2"),
    ];
    cluster.accept(&id, &[&offer], tasks);
    let launched: Vec<_> = cluster
        .letters_to(&pid("a", 1))
        .into_iter()
        .filter_map(|letter| match letter {
            Letter::RunTask(run) => Some((run.task.id.to_string(), run.framework.id)),
            _ => None,
        })
        .collect();
    assert_eq!(
        launched,
        [
            ("t".to_owned(), Some(id.clone())),
            ("u".to_owned(), Some(id.clone()))
        ]
    );
    let agent = &cluster.master.agents()[0];
    assert_eq!(agent.used, resources("cpus:3;mem:64").allocate(&role("*")));
    assert!(agent.offered.is_empty());
    cluster.framework("g", "*");
    let rest = cluster.offers(&pid("g", 1)).remove(0);
    assert_eq!(rest.resources.unallocate(), resources("cpus:1;mem:4032"));
}

#[test]
fn offers_of_one_agent_add_up() {
    let (mut cluster, id, offer) = offered();
    let tasks = vec![task("t", &offer, "cpus:3;mem:64")];
    cluster.accept_with(&id, &[&offer], tasks, Filters::NONE);
    cluster.advance(secs(1));
    let second = cluster.offers(&pid("f", 1)).remove(0);
    let first = cluster.task("t");
    cluster.update(&first, TaskState::Finished, TaskState::Finished);
    let third = cluster.offers(&pid("f", 1)).remove(0);
    cluster.accept(
        &id,
        &[&second, &third],
        vec![task("u", &second, "cpus:4;mem:4096")],
    );
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    assert_eq!(cluster.task("u").state, TaskState::Staging);
}

#[test]
fn f18_offers_that_do_not_go_together_are_refused_and_given_back() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    cluster.agent("b", "cpus:4;mem:4096");
    let mut info = tepui_protocol::FrameworkInfo::new("f", role("r"));
    info.roles.insert(role("s"));
    let id = cluster.subscribe(pid("f", 1), info);
    for (chosen, part) in [
        (&[0, 1][..], "different agents"),
        (&[1, 1], "duplicate"),
        (&[], "no offers"),
    ] {
        let offers = cluster.offers(&pid("f", 1));
        assert!(!offers.is_empty(), "what was named is given back");
        let chosen: Vec<_> = chosen.iter().map(|at| &offers[*at]).collect();
        cluster.accept(&id, &chosen, vec![task("t", &offers[0], "cpus:1")]);
        let statuses = cluster.statuses(&pid("f", 1));
        let [status] = &statuses[..] else {
            panic!("one status: {statuses:?}")
        };
        assert_eq!(status.state, TaskState::Dropped);
        assert_eq!(status.reason, Some(Reason::InvalidOffers));
        assert!(status.message.contains(part), "{}", status.message);
        cluster.advance(secs(1));
    }
    assert_eq!(
        cluster.master.offers().len(),
        2,
        "nothing was named, nothing is given back"
    );
}

#[test]
fn f18_offers_for_different_roles_do_not_go_together() {
    let mut cluster = Cluster::new();
    let mut info = tepui_protocol::FrameworkInfo::new("f", role("r"));
    info.roles.insert(role("s"));
    let id = cluster.subscribe(pid("f", 1), info);
    cluster.agent("a", "cpus:1;mem:64;cpus(r):1;cpus(s):1");
    let offers = cluster.offers(&pid("f", 1));
    let [one, two] = &offers[..] else {
        panic!("one per role: {offers:?}")
    };
    assert_ne!(one.role, two.role);
    cluster.accept(&id, &[one, two], vec![task("u", two, "cpus:1")]);
    let status = &cluster.statuses(&pid("f", 1))[0];
    assert!(
        status.message.contains("different roles"),
        "{}",
        status.message
    );
}

#[test]
fn an_offer_of_another_framework_is_refused_and_stays_its_own() {
    let (mut cluster, _, offer) = offered();
    let g = cluster.framework("g", "*");
    cluster.accept(&g, &[&offer], vec![task("t", &offer, "cpus:1")]);
    assert_eq!(
        cluster.statuses(&pid("g", 1))[0].reason,
        Some(Reason::InvalidOffers)
    );
    assert_eq!(cluster.master.offers().len(), 1);
}

#[test]
fn a_legacy_framework_hears_lost_for_invalid_offers() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.subscribe(pid("f", 1), legacy("f"));
    let offer = cluster.offers(&pid("f", 1)).remove(0);
    cluster.decline(&id, &offer, 5.0);
    cluster.accept(&id, &[&offer], vec![task("t", &offer, "cpus:1")]);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Lost);
    assert_eq!(cluster.metric("master/tasks_lost"), 1.0);
}

#[test]
fn invalid_tasks_are_errors_that_say_why() {
    let (mut cluster, id, offer) = offered();
    let good = task("t", &offer, "cpus:1;mem:64");
    let both = TaskInfo {
        executor: Some(executor("e", "")),
        ..task("x", &offer, "cpus:1")
    };
    let none = TaskInfo {
        command: None,
        ..task("x", &offer, "cpus:1")
    };
    let elsewhere = TaskInfo {
        agent_id: "z".parse().unwrap(),
        ..task("x", &offer, "cpus:1")
    };
    let other_role = TaskInfo {
        resources: resources("cpus:1").allocate(&role("r")),
        ..good.clone()
    };
    let mixed = task("x", &offer, "cpus:1;cpus{REV}:1");
    let tasks = vec![
        good.clone(),
        good.clone(),
        task("x", &offer, "cpus:3.001"),
        task("x", &offer, ""),
        task("x", &offer, "gpus:1.5"),
        TaskInfo {
            limits: Limits {
                mem: Some(Scalar::from_whole(1)),
                ..Limits::default()
            },
            ..task("x", &offer, "cpus:1;mem:2")
        },
        both,
        none,
        elsewhere,
        TaskInfo {
            id: task_id("x"),
            ..other_role
        },
        mixed,
        task("last", &offer, "cpus:3"),
    ];
    cluster.accept(&id, &[&offer], tasks);
    let statuses = cluster.statuses(&pid("f", 1));
    let messages: Vec<_> = statuses
        .iter()
        .map(|status| status.message.as_str())
        .collect();
    let parts = [
        "in use",
        "3.001",
        "no resources",
        "must be whole",
        "limit of mem is 1",
        "exactly one",
        "exactly one",
        "names agent z",
        "role r",
        "revocable",
    ];
    assert_eq!(messages.len(), parts.len(), "{messages:?}");
    for (status, part) in statuses.iter().zip(parts) {
        assert!(
            status.message.contains(part),
            "{} does not say {part}",
            status.message
        );
        assert_eq!(
            (status.state, status.source),
            (TaskState::Error, Source::Master)
        );
        assert_eq!(
            (status.reason, status.uuid),
            (Some(Reason::TaskInvalid), None)
        );
    }
    assert_eq!(
        cluster.task("last").state,
        TaskState::Staging,
        "the others are not affected"
    );
    assert_eq!(cluster.metric("master/tasks_error"), 10.0);
}

#[test]
fn an_executor_is_paid_for_once_and_until_it_exits() {
    let (mut cluster, id, offer) = offered();
    let e = executor("e", "cpus:1;mem:100");
    let tasks = vec![
        with_executor("t", &offer, "cpus:1", e.clone()),
        with_executor("u", &offer, "cpus:1", e.clone()),
        with_executor("v", &offer, "cpus:1", executor("e", "cpus:0.1")),
        with_executor("w", &offer, "cpus:0.5", executor("e2", "cpus:1")),
    ];
    cluster.accept(&id, &[&offer], tasks);
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(statuses.len(), 2, "{statuses:?}");
    assert!(statuses[0].message.contains("another description"));
    assert!(statuses[1].message.contains("more than is left"));
    let used = |cluster: &Cluster| cluster.master.agents()[0].used.unallocate();
    assert_eq!(used(&cluster), resources("cpus:3;mem:100"));
    for name in ["t", "u"] {
        let ended = cluster.task(name);
        cluster.update(&ended, TaskState::Finished, TaskState::Finished);
    }
    assert_eq!(used(&cluster), resources("cpus:1;mem:100"));
    let call = ExecutorExited {
        agent_id: offer.agent_id.clone(),
        framework_id: id,
        executor_id: e.id,
        status: 9,
    };
    cluster.event(|master, now, out| master.on_executor_exited(now, call.clone(), out));
    cluster.event(|master, now, out| master.on_executor_exited(now, call, out));
    assert_eq!(used(&cluster), resources(""));
    let failures = cluster.letters_to(&pid("f", 1)).into_iter();
    let failure = failures.into_iter().find_map(|letter| match letter {
        Letter::Failure(failure) => {
            Some((failure.executor_id.unwrap().to_string(), failure.status))
        }
        _ => None,
    });
    assert_eq!(failure, Some(("e".to_owned(), Some(9))));
}

#[test]
fn resources_are_free_at_the_latest_state_while_each_update_is_delivered() {
    let (mut cluster, id, offer) = offered();
    cluster.accept(&id, &[&offer], vec![task("t", &offer, "cpus:4;mem:4096")]);
    let launched = cluster.task("t");
    cluster.letters.clear();
    let uuid = cluster.update(&launched, TaskState::Running, TaskState::Finished);
    assert!(cluster.master.agents()[0].used.is_empty());
    let letters = cluster.letters_to(&pid("f", 1));
    let told = letters.iter().find_map(|letter| match letter {
        Letter::Update(update) => Some(update.status.state),
        _ => None,
    });
    assert_eq!(told, Some(TaskState::Running));
    let offered = |l: &Letter| matches!(l, Letter::Offers(o) if !o.offers.is_empty());
    assert!(
        letters.iter().any(offered),
        "offered again at once: {letters:?}"
    );
    cluster.acknowledge(&launched, uuid);
    assert_eq!(
        cluster.task("t").status_update_state,
        Some(TaskState::Running)
    );
    let uuid = cluster.update(&launched, TaskState::Finished, TaskState::Finished);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Finished);
    assert_eq!(cluster.metric("master/tasks_finished"), 1.0);
    cluster.acknowledge(&launched, uuid);
    let call = GetTasks {
        live_only: true,
        ..GetTasks::default()
    };
    assert_eq!(cluster.master.tasks(&call), []);
    assert_eq!(
        cluster.master.frameworks()[0].tasks[&TaskState::Finished],
        1
    );
}

#[test]
fn a_task_is_kept_until_its_end_is_acknowledged() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let uuid = cluster.update(&task, TaskState::Failed, TaskState::Failed);
    // Another acknowledgement does not count.
    cluster.acknowledge(&task, uuid::Uuid::from_u128(77));
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[]);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Failed);
    cluster.acknowledge(&task, uuid);
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[]);
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
}

#[test]
fn the_last_acknowledgement_is_passed_on_even_if_the_task_is_forgotten() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let uuid = cluster.update(&task, TaskState::Failed, TaskState::Failed);
    cluster.acknowledge(&task, uuid);
    // The acknowledgement was lost: the agent sends the update again.
    cluster.letters.clear();
    let uuid = cluster.update(&task, TaskState::Failed, TaskState::Failed);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].uuid, Some(uuid));
    cluster.acknowledge(&task, uuid);
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Acknowledged(a) if a.uuid == uuid))
    );
    assert_eq!(cluster.metric("master/tasks_failed"), 1.0);
}

/// Exits overtake messages: a driver that acknowledges and ends may be known to be gone first.
#[test]
fn the_last_acknowledgement_counts_although_its_scheduler_is_gone() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let uuid = cluster.update(&task, TaskState::Finished, TaskState::Finished);
    cluster.exit(&pid("f", 1));
    cluster.acknowledge(&task, uuid);
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Acknowledged(a) if a.uuid == uuid))
    );
    assert_eq!(cluster.metric("master/tasks_finished"), 1.0);
}

#[test]
fn a_kill_is_passed_on_now_and_again_when_the_agent_is_back() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let kill = Kill {
        framework_id: task.framework_id.clone(),
        task_id: task.info.id.clone(),
        agent_id: None,
        kill_policy: None,
    };
    cluster.event(|master, now, out| master.on_kill(now, kill.clone(), out));
    let killed = |letters: &[Letter]| {
        letters
            .iter()
            .any(|l| matches!(l, Letter::KillTask(k) if k.task_id == task.info.id))
    };
    assert!(killed(&cluster.letters_to(&pid("a", 1))));
    cluster.exit(&pid("a", 1));
    cluster.event(|master, now, out| master.on_kill(now, kill, out));
    assert!(!killed(&cluster.letters_to(&pid("a", 1))));
    cluster.reregister(
        "a",
        &task.info.agent_id.clone(),
        2,
        std::slice::from_ref(&task),
    );
    assert!(killed(&cluster.letters_to(&pid("a", 2))));
    cluster.exit(&pid("a", 2));
    cluster.reregister(
        "a",
        &task.info.agent_id.clone(),
        3,
        std::slice::from_ref(&task),
    );
    assert!(
        killed(&cluster.letters_to(&pid("a", 3))),
        "the link may have lost it"
    );
    cluster.update(&task, TaskState::Killed, TaskState::Killed);
    cluster.exit(&pid("a", 3));
    cluster.reregister("a", &task.info.agent_id.clone(), 4, &[]);
    assert!(!killed(&cluster.letters_to(&pid("a", 4))));
}

#[test]
fn a_task_that_cannot_be_sent_is_dropped() {
    let (mut cluster, id, offer) = offered();
    cluster.accept(&id, &[&offer], vec![task("t", &offer, "cpus:1")]);
    let letters = cluster.letters_to(&pid("a", 1)).into_iter();
    let run = letters
        .into_iter()
        .find(|l| matches!(l, Letter::RunTask(_)))
        .unwrap();
    cluster.letters.clear();
    cluster.event(|master, now, out| master.on_undelivered(now, run, out));
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Dropped);
    assert!(cluster.master.agents()[0].used.is_empty());
}

#[test]
fn updates_of_a_disconnected_framework_wait_with_the_agent() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.exit(&pid("f", 1));
    cluster.letters.clear();
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    assert_eq!(cluster.letters, [], "neither delivered nor acknowledged");
    assert_eq!(cluster.task("t").state, TaskState::Finished);
}

#[test]
fn only_so_many_ended_tasks_are_remembered() {
    let config = MasterConfig {
        max_completed_tasks: 3,
        ..MasterConfig::default()
    };
    let mut cluster = Cluster::with(config);
    cluster.agent("a", "cpus:4;mem:4096");
    let id = cluster.framework("f", "*");
    for n in 0..6 {
        let task = cluster.launch("f", &id, &format!("t{n}"));
        let uuid = cluster.update(&task, TaskState::Finished, TaskState::Finished);
        cluster.acknowledge(&task, uuid);
        cluster.advance(secs(7));
    }
    let tasks = cluster.master.tasks(&GetTasks::default());
    let ids: Vec<_> = tasks
        .iter()
        .map(|task| task.task.info.id.to_string())
        .collect();
    assert_eq!(ids, ["t3", "t4", "t5"]);
    assert_eq!(cluster.metric("master/tasks_finished"), 6.0);
}

#[test]
fn teardown_ends_everything_of_a_framework() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    let call = Teardown {
        framework_id: task.framework_id.clone(),
    };
    cluster.event(|master, now, out| master.on_teardown(now, call, out));
    assert_eq!(cluster.master.offers(), []);
    assert!(cluster.master.agents()[0].used.is_empty());
    assert_eq!(cluster.watched.len(), 1, "only the agent is watched");
    cluster.framework("g", "*");
    let offer = cluster.offers(&pid("g", 1)).remove(0);
    assert_eq!(offer.resources.unallocate(), resources("cpus:4;mem:4096"));
}

#[test]
fn calls_of_nobody_do_nothing() {
    let mut cluster = Cluster::new();
    let offer = Offer {
        id: "o".parse().unwrap(),
        framework_id: "f".parse().unwrap(),
        agent_id: "a".parse().unwrap(),
        hostname: String::new(),
        role: role("*"),
        resources: resources("cpus:1"),
        attributes: Default::default(),
        unavailability: None,
    };
    let nobody = offer.framework_id.clone();
    cluster.accept(&nobody, &[&offer], vec![task("t", &offer, "cpus:1")]);
    cluster.decline(&nobody, &offer, 1.0);
    cluster.reconcile(&nobody, &[("t", None)]);
    let call = Teardown {
        framework_id: nobody,
    };
    cluster.event(|master, now, out| master.on_teardown(now, call, out));
    assert_eq!(cluster.letters, []);
}

#[test]
fn an_old_update_for_a_name_that_runs_elsewhere_again_is_settled_by_the_master() {
    let (mut cluster, old) = Cluster::with_task(MasterConfig::default());
    let uuid = cluster.update(&old, TaskState::Failed, TaskState::Failed);
    cluster.acknowledge(&old, uuid);
    cluster.agent("b", "cpus:4;mem:4096");
    let offer = cluster
        .offers(&pid("f", 1))
        .into_iter()
        .find(|o| o.hostname == "b")
        .unwrap();
    cluster.accept(
        &old.framework_id.clone(),
        &[&offer],
        vec![task("t", &offer, "cpus:1")],
    );
    cluster.letters.clear();
    // The acknowledgement of the first end was lost.
    let uuid = cluster.update(&old, TaskState::Failed, TaskState::Failed);
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Acknowledged(a) if a.uuid == uuid))
    );
    let running = cluster.master.tasks(&GetTasks {
        live_only: true,
        ..GetTasks::default()
    });
    assert_eq!(running[0].task.state, TaskState::Staging);
}

#[test]
fn an_accept_that_arrives_twice_does_not_end_what_it_started() {
    let (mut cluster, id, offer) = offered();
    for _ in 0..2 {
        cluster.accept(&id, &[&offer], vec![task("t", &offer, "cpus:1")]);
    }
    assert_eq!(cluster.statuses(&pid("f", 1)), []);
    assert_eq!(cluster.task("t").state, TaskState::Staging);
}
