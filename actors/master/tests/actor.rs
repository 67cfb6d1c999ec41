//! The master's actor among agents and schedulers on nodes of their own, on a paused clock.

#[path = "actor/cluster.rs"]
mod cluster;

use std::{collections::BTreeMap, time::Duration};

use cluster::*;
use tepui_master::{MasterActor, MasterConfig};
use tepui_protocol::{
    Role, TaskState,
    messages::operator::{
        AgentStanding, FrameworkStanding, GetAgents, GetFrameworks, GetMaster, GetRoles, GetTasks,
        KillTask, TeardownFramework, UpdateWeights,
    },
};
use tepui_runtime::{ExitReason, testkit};
use tepui_store::{MemoryStore, StateStore};

const SOON: Duration = Duration::from_secs(5);

/// 9 cpus and 18 GB; one framework's tasks need 1 cpu and 4 GB, the other's 3 cpus and 1 GB: they
/// end with 3 and 2 tasks.
//= drf-2011 §4.1
#[test]
fn the_example_of_the_paper_ends_with_3_and_2_tasks() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.agent("a", "cpus:9;mem:18432").await;
        cluster.driver("f", "cpus:1;mem:4096").await;
        cluster.driver("g", "cpus:3;mem:1024").await;
        cluster.kit.advance(Duration::from_secs(20)).await;
        let frameworks = cluster.ask(GetFrameworks {}).await;
        let running = frameworks.iter().map(|framework| {
            let tasks = framework
                .tasks
                .get(&TaskState::Running)
                .copied()
                .unwrap_or_default();
            (framework.info.name.as_str(), tasks)
        });
        assert_eq!(
            running.collect::<BTreeMap<_, _>>(),
            BTreeMap::from([("f", 3), ("g", 2)])
        );
    });
}

#[test]
fn a_task_runs_and_is_killed() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.agent("a", "cpus:1;mem:64").await;
        cluster.driver("f", "cpus:1;mem:64").await;
        cluster.kit.settle().await;
        let tasks = cluster.ask(GetTasks::default()).await;
        assert_eq!(tasks.len(), 1, "without any time passing");
        assert_eq!(tasks[0].task.state, TaskState::Running);
        assert_eq!(tasks[0].hostname, "a");
        let task_id = tasks[0].task.info.id.clone();
        let call = KillTask {
            framework_id: None,
            task_id,
            kill_policy: None,
        };
        assert_eq!(cluster.ask(call).await, Ok(()));
        cluster.kit.settle().await;
        let states = cluster.states().await;
        assert_eq!(
            states,
            [TaskState::Killed, TaskState::Running],
            "its place is taken at once"
        );
    });
}

#[test]
fn agents_and_frameworks_survive_the_master() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(kit).await;
        cluster.agent("a", "cpus:2;mem:128").await;
        cluster.driver("f", "cpus:1;mem:64").await;
        cluster.kit.advance(Duration::from_secs(3)).await;
        assert_eq!(cluster.states().await, [TaskState::Running; 2]);
        let before = cluster.ask(GetFrameworks {}).await.remove(0).info.id;
        cluster.restart_master().await;
        let frameworks = cluster.ask(GetFrameworks {}).await;
        assert_eq!(frameworks[0].standing, FrameworkStanding::Recovered);
        assert_eq!(
            cluster.ask(GetAgents {}).await[0].standing,
            AgentStanding::Recovered
        );
        cluster.kit.advance(Duration::from_secs(3)).await;
        let frameworks = cluster.ask(GetFrameworks {}).await;
        assert_eq!(frameworks.len(), 1);
        assert_eq!(frameworks[0].standing, FrameworkStanding::Active);
        assert_eq!(frameworks[0].info.id, before);
        assert_eq!(cluster.states().await, [TaskState::Running; 2]);
        let agents = cluster.ask(GetAgents {}).await;
        assert_eq!(agents.len(), 1);
        assert_eq!(agents[0].standing, AgentStanding::Active);
    });
}

#[test]
fn a_cut_off_agent_is_disconnected_and_its_tasks_run_on_when_it_is_back() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        let agent = cluster.agent("a", "cpus:1;mem:64").await;
        cluster.driver("f", "cpus:1;mem:64").await;
        cluster.kit.settle().await;
        cluster.kit.cut(&cluster.node, &agent);
        cluster.kit.advance(Duration::from_secs(30)).await;
        assert_eq!(
            cluster.ask(GetAgents {}).await[0].standing,
            AgentStanding::Disconnected
        );
        cluster.kit.advance(Duration::from_secs(90)).await;
        assert_eq!(
            cluster.ask(GetAgents {}).await[0].standing,
            AgentStanding::Unreachable
        );
        assert_eq!(cluster.states().await, [TaskState::Unreachable]);
        cluster.kit.join(&cluster.node, &agent);
        cluster.kit.advance(Duration::from_secs(60)).await;
        assert_eq!(
            cluster.ask(GetAgents {}).await[0].standing,
            AgentStanding::Active
        );
        assert_eq!(cluster.states().await, [TaskState::Running]);
    });
}

#[test]
fn a_framework_that_is_torn_down_loses_its_tasks() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.agent("a", "cpus:1;mem:64").await;
        cluster.driver("f", "cpus:1;mem:64").await;
        cluster.kit.settle().await;
        let framework_id = cluster.ask(GetFrameworks {}).await[0]
            .info
            .id
            .clone()
            .unwrap();
        let call = TeardownFramework { framework_id };
        assert_eq!(cluster.ask(call.clone()).await, Ok(()));
        assert!(cluster.ask(call).await.is_err());
        cluster.kit.settle().await;
        assert_eq!(cluster.states().await, [TaskState::Killed]);
        assert!(cluster.ask(GetAgents {}).await[0].used.is_empty());
    });
}

#[test]
fn weights_are_durable_when_the_answer_comes() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.kit.settle().await;
        let commits = cluster.store.commits();
        let weights = BTreeMap::from([(Role::new("a").unwrap(), 2.0)]);
        assert_eq!(cluster.ask(UpdateWeights { weights }).await, Ok(()));
        assert_eq!(cluster.store.commits(), commits + 1);
        assert!(cluster.store.load().unwrap().contains_key("weights"));
        assert_eq!(cluster.ask(GetRoles {}).await[0].weight, 2.0);
    });
}

#[test]
fn a_registry_that_takes_no_writes_ends_the_master_with_the_reason() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.kit.settle().await;
        cluster.store.fail("no space left on device");
        let end = cluster.node.monitor(cluster.master.as_any());
        let (exited, _) = tokio::join!(end, cluster.agent("a", "cpus:1;mem:64"));
        let ExitReason::Failed(why) = exited.reason else {
            panic!("{:?}", exited.reason)
        };
        assert!(why.contains("no space left"), "{why}");
        cluster.kit.settle().await;
        assert!(
            cluster.node.lookup("allocator").is_none(),
            "the allocator goes with it"
        );
    });
}

#[test]
fn a_master_without_its_allocator_ends_and_another_can_take_its_name() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(kit).await;
        cluster.agent("a", "cpus:1;mem:64").await;
        cluster.kit.settle().await;
        cluster
            .node
            .kill(&cluster.node.lookup("allocator").unwrap());
        let exited = cluster.node.monitor(cluster.master.as_any()).await;
        assert!(matches!(&exited.reason, ExitReason::Failed(why) if why.contains("allocator")));
        cluster.restart_master().await;
        cluster.driver("f", "cpus:1;mem:64").await;
        cluster.kit.advance(Duration::from_secs(5)).await;
        assert_eq!(cluster.states().await, [TaskState::Running]);
    });
}

#[test]
fn a_master_does_not_start_from_a_registry_it_cannot_read() {
    testkit::run(async |_| {
        let store = MemoryStore::new();
        let bad = tepui_store::Write::Put {
            key: "agents/a".to_owned(),
            value: vec![0xc1],
        };
        store.commit(vec![bad]).await.unwrap();
        let id = "m".parse().unwrap();
        let error = MasterActor::new(MasterConfig::default(), Box::new(store), id)
            .err()
            .unwrap();
        assert!(error.to_string().contains("agents/a"), "{error}");
    });
}

#[test]
fn metrics_tell_of_the_allocator() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(kit).await;
        cluster.kit.advance(SOON).await;
        let metrics = cluster.ask(GetMaster {}).await.metrics;
        let runs = metrics["allocator/mesos/allocation_runs"];
        assert!((4.0..=6.0).contains(&runs), "{runs}");
        assert_eq!(metrics["master/slaves_active"], 0.0);
    });
}
