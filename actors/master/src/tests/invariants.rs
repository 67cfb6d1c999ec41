//! Each invariant can fail: broken books are noticed, by name.

use tepui_protocol::{
    Source, TaskState, TaskStatus, messages::operator::AgentStanding, task::Task,
};

use crate::{config::MasterConfig, invariants, master::Master, testing::*};

/// A master with a running task, an outstanding offer, and both books broken by `damage`.
fn broken(damage: impl FnOnce(&mut Master, &Task)) -> &'static str {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    invariants::check(&cluster.master).unwrap();
    damage(&mut cluster.master, &task);
    invariants::check(&cluster.master).unwrap_err().id
}

#[test]
fn broken_books_are_noticed() {
    let ids = [
        broken(|master, task| {
            let agent = master.agents.get_mut(&task.info.agent_id).unwrap();
            agent.info.resources = resources("cpus:1;mem:64");
        }),
        broken(|master, task| {
            let framework = master.frameworks.get_mut(&task.framework_id).unwrap();
            let known = framework.tasks.get_mut(&task.info.id).unwrap();
            for state in [TaskState::Failed, TaskState::Finished] {
                let id = task.info.id.clone();
                known.statuses.push(TaskStatus::new(
                    id,
                    state,
                    Source::Executor,
                    Default::default(),
                ));
            }
        }),
        broken(|master, task| {
            let agent = master.agents.get_mut(&task.info.agent_id).unwrap();
            agent.standing = AgentStanding::Disconnected;
        }),
        broken(|master, task| {
            let agent = master.agents.get_mut(&task.info.agent_id).unwrap();
            agent.offers.clear();
        }),
        broken(|master, task| {
            let agent = master.agents.get_mut(&task.info.agent_id).unwrap();
            agent.used.clear();
        }),
        broken(|master, task| {
            master
                .removed
                .insert(task.framework_id.clone(), Default::default());
        }),
    ];
    assert_eq!(ids, ["MA-1", "MA-2", "MA-3", "MA-4", "MA-5", "MA-6"]);
}
