//! The agent and executor actors together, on a paused clock and a network in memory: only
//! processes are scripted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/master.rs"]
mod master;
#[path = "support/scripted.rs"]
mod scripted;

use std::time::Duration;

use scripted::{Cluster, finished_after};
use tepui_protocol::{TaskState, messages::agent};
use tepui_runtime::testkit;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_task_runs_from_launch_to_acknowledged_end() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(&kit, finished_after(5 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        assert_eq!(cluster.states("t"), [TaskState::Running]);
        kit.advance(5 * SECOND).await;
        assert_eq!(
            cluster.states("t"),
            [TaskState::Running, TaskState::Finished]
        );
        kit.settle().await;
        assert_eq!(cluster.records(), ["agent"], "nothing is left of it");
        assert_eq!(cluster.executors(), 0);
    });
}

#[test]
fn a_killed_task_ends_killed() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(&kit, finished_after(1000 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.kill("t");
        kit.settle().await;
        assert_eq!(cluster.states("t"), [TaskState::Running, TaskState::Killed]);
    });
}

#[test]
fn a_task_that_ignores_sigterm_is_killed_after_its_grace() {
    testkit::run(async |kit| {
        let mut script = finished_after(1000 * SECOND);
        script.ignores_term = true;
        let cluster = Cluster::start(&kit, script).await;
        cluster.run("t");
        kit.settle().await;
        cluster.kill("t");
        kit.advance(2 * SECOND).await;
        assert_eq!(cluster.states("t"), [TaskState::Running]);
        kit.advance(SECOND).await;
        assert_eq!(cluster.states("t"), [TaskState::Running, TaskState::Killed]);
    });
}

#[test]
fn tasks_survive_a_restart_of_the_agent() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(&kit, finished_after(20 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.crash_agent(&kit).await;
        kit.advance(3 * SECOND).await;
        cluster.start_agent(&kit).await;
        kit.advance(SECOND).await;
        assert_eq!(cluster.reregistered().len(), 1);
        let tasks = &cluster.reregistered()[0].tasks;
        assert_eq!((tasks.len(), tasks[0].state), (1, TaskState::Running));
        kit.advance(20 * SECOND).await;
        assert_eq!(
            cluster.states("t"),
            [TaskState::Running, TaskState::Finished]
        );
        assert_eq!(cluster.launched(), 1, "it was not run again");
    });
}

#[test]
fn a_task_that_ends_while_the_agent_is_down_is_reported_after_it_is_back() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(&kit, finished_after(2 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.crash_agent(&kit).await;
        kit.advance(30 * SECOND).await;
        cluster.start_agent(&kit).await;
        kit.advance(SECOND).await;
        assert_eq!(
            cluster.states("t"),
            [TaskState::Running, TaskState::Finished]
        );
    });
}

#[test]
fn an_executor_that_is_killed_fails_its_task() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(&kit, finished_after(1000 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.kill_executor("t");
        kit.settle().await;
        assert_eq!(cluster.states("t"), [TaskState::Running, TaskState::Failed]);
    });
}

#[test]
fn an_executor_that_dies_with_the_agent_loses_its_task() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(&kit, finished_after(1000 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.crash_agent(&kit).await;
        cluster.kill_executor("t");
        kit.settle().await;
        cluster.start_agent(&kit).await;
        kit.advance(3 * SECOND).await;
        assert_eq!(cluster.states("t"), [TaskState::Running, TaskState::Gone]);
    });
}

#[test]
fn lost_updates_are_sent_again_and_duplicates_do_not_count_twice() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(&kit, finished_after(SECOND)).await;
        kit.filter().drop_next::<agent::StatusUpdate>(2);
        kit.filter().duplicate::<agent::StatusUpdateAcknowledged>(2);
        cluster.run("t");
        kit.advance(9 * SECOND).await;
        assert_eq!(cluster.states("t"), []);
        kit.advance(60 * SECOND).await;
        assert_eq!(
            cluster.states("t"),
            [TaskState::Running, TaskState::Finished]
        );
    });
}

#[test]
fn an_agent_follows_its_master_through_a_restart() {
    testkit::run(async |kit| {
        let mut cluster = Cluster::start(&kit, finished_after(1000 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.restart_master(&kit).await;
        kit.advance(60 * SECOND).await;
        assert_eq!(cluster.reregistered().len(), 1);
        assert_eq!(cluster.reregistered()[0].tasks[0].state, TaskState::Running);
    });
}

#[test]
fn an_agent_that_leaves_with_its_tasks_ends_cleanly() {
    testkit::run(async |kit| {
        let cluster = Cluster::start(&kit, finished_after(1000 * SECOND)).await;
        cluster.run("t");
        kit.settle().await;
        cluster.stop_agent(true);
        kit.settle().await;
        assert_eq!(cluster.states("t"), [TaskState::Running, TaskState::Killed]);
        assert_eq!(cluster.unregistered(), 1);
        assert_eq!((cluster.executors(), cluster.records().len()), (0, 0));
    });
}
