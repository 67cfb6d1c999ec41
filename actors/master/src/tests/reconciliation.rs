//! F9: the table of reconciliation, one test per row, with and without PARTITION_AWARE.

use tepui_protocol::{
    AgentId, FrameworkId, FrameworkInfo, Reason, Source, TaskState, messages::scheduler::Kill,
};

use crate::{config::MasterConfig, testing::*};

/// A cluster with agent `a`, and frameworks `f` (which tells lost tasks apart) and `old`.
fn cluster() -> (Cluster, AgentId, [FrameworkId; 2]) {
    let mut cluster = Cluster::new();
    let agent = cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    let old = cluster.subscribe(pid("old", 1), legacy("old"));
    cluster.letters.clear();
    (cluster, agent, [f, old])
}

/// What both frameworks are answered for a task `t` on `agent`.
fn answers(
    cluster: &mut Cluster,
    frameworks: &[FrameworkId; 2],
    agent: Option<&AgentId>,
) -> [Option<TaskState>; 2] {
    ["f", "old"].map(|name| {
        let id = &frameworks[usize::from(name == "old")];
        cluster.reconcile(id, &[("t", agent)]);
        let mut statuses = cluster.statuses(&pid(name, 1));
        assert!(statuses.len() <= 1);
        statuses.pop().map(|status| {
            assert_eq!(status.reason, Some(Reason::Reconciliation));
            assert_eq!((status.source, status.uuid), (Source::Master, None));
            status.state
        })
    })
}

#[test]
fn row_1_a_known_task_shows_its_latest_update() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.update(&task, TaskState::Running, TaskState::Finished);
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[("t", None)]);
    let statuses = cluster.statuses(&pid("f", 1));
    assert_eq!(
        statuses[0].state,
        TaskState::Running,
        "not the state that is ahead of it"
    );
    assert_eq!(statuses[0].agent_id, Some(task.info.agent_id));
}

#[test]
fn row_1_a_task_on_its_way_is_staging() {
    let (mut cluster, agent, [f, _]) = cluster();
    cluster.advance(secs(6));
    let offer = cluster
        .master
        .offers()
        .into_iter()
        .find(|offer| offer.framework_id == f)
        .unwrap();
    cluster.accept(&f, &[&offer], vec![task("t", &offer, "cpus:1")]);
    cluster.letters.clear();
    cluster.reconcile(&f, &[("t", Some(&agent))]);
    assert_eq!(cluster.statuses(&pid("f", 1))[0].state, TaskState::Staging);
}

#[test]
fn row_2_silence_while_the_agent_is_not_back_after_a_failover() {
    let (mut cluster, agent, [f, old]) = cluster();
    cluster.restart_master();
    let again = |id: &FrameworkId, info: FrameworkInfo| FrameworkInfo {
        id: Some(id.clone()),
        ..info
    };
    cluster.subscribe(pid("f", 1), again(&f, FrameworkInfo::new("f", role("*"))));
    cluster.subscribe(pid("old", 1), again(&old, legacy("old")));
    cluster.letters.clear();
    assert_eq!(
        answers(&mut cluster, &[f.clone(), old.clone()], Some(&agent)),
        [None, None]
    );
    assert_eq!(
        answers(&mut cluster, &[f.clone(), old.clone()], None),
        [None, None]
    );
    cluster.reregister("a", &agent, 1, &[]);
    cluster.letters.clear();
    let states = answers(&mut cluster, &[f, old], Some(&agent));
    assert_eq!(states, [Some(TaskState::Gone), Some(TaskState::Lost)]);
}

#[test]
fn row_3_gone_when_the_agent_is_there() {
    let (mut cluster, agent, frameworks) = cluster();
    let states = answers(&mut cluster, &frameworks, Some(&agent));
    assert_eq!(states, [Some(TaskState::Gone), Some(TaskState::Lost)]);
}

#[test]
fn row_4_unreachable_with_its_agent() {
    let (mut cluster, agent, frameworks) = cluster();
    cluster.silent.insert(agent.clone());
    cluster.advance(secs(90));
    cluster.letters.clear();
    let states = answers(&mut cluster, &frameworks, Some(&agent));
    assert_eq!(
        states,
        [Some(TaskState::Unreachable), Some(TaskState::Lost)]
    );
    cluster.reconcile(&frameworks[0], &[("t", Some(&agent))]);
    assert!(cluster.statuses(&pid("f", 1))[0].unreachable_time.is_some());
}

#[test]
fn row_4_the_master_remembers_where_an_unreachable_task_was() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.silent.insert(task.info.agent_id.clone());
    cluster.advance(secs(90));
    cluster.letters.clear();
    for tasks in [&[("t", None)][..], &[]] {
        cluster.reconcile(&task.framework_id, tasks);
        let statuses = cluster.statuses(&pid("f", 1));
        assert_eq!(statuses.len(), 1);
        assert_eq!(statuses[0].state, TaskState::Unreachable);
        assert!(statuses[0].unreachable_time.is_some());
    }
}

#[test]
fn row_6_unknown_with_an_unknown_agent_or_none() {
    let (mut cluster, _, frameworks) = cluster();
    let stranger: AgentId = "stranger".parse().unwrap();
    for agent in [Some(&stranger), None] {
        let states = answers(&mut cluster, &frameworks, agent);
        assert_eq!(states, [Some(TaskState::Unknown), Some(TaskState::Lost)]);
    }
}

#[test]
fn all_tasks_are_named_when_none_is_asked_for() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    cluster.launch("f", &task.framework_id, "u");
    let uuid = cluster.update(&task, TaskState::Failed, TaskState::Failed);
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[]);
    let states: Vec<_> = cluster
        .statuses(&pid("f", 1))
        .iter()
        .map(|s| s.state)
        .collect();
    assert_eq!(
        states,
        [TaskState::Failed, TaskState::Running],
        "also the unacknowledged end"
    );
    cluster.acknowledge(&task, uuid);
    cluster.letters.clear();
    cluster.reconcile(&task.framework_id, &[]);
    assert_eq!(cluster.statuses(&pid("f", 1)).len(), 1);
}

#[test]
fn killing_an_unknown_task_is_answered_as_reconciling_it() {
    let (mut cluster, agent, [f, _]) = cluster();
    let kill = Kill {
        framework_id: f,
        task_id: task_id("t"),
        agent_id: Some(agent),
        kill_policy: None,
    };
    cluster.event(|master, now, out| master.on_kill(now, kill, out));
    let status = &cluster.statuses(&pid("f", 1))[0];
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Gone, Some(Reason::Reconciliation))
    );
}
