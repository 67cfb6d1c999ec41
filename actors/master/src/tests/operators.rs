//! What operators see and command.

use std::collections::BTreeMap;

use tepui_protocol::{
    FrameworkId, TaskState,
    messages::operator::{GetTasks, KillTask, TeardownFramework, UpdateWeights},
};

use crate::{config::MasterConfig, effects::Letter, testing::*};

fn kill(cluster: &mut Cluster, framework: Option<&FrameworkId>, task: &str) -> Result<(), String> {
    let call = KillTask {
        framework_id: framework.cloned(),
        task_id: task_id(task),
        kill_policy: None,
    };
    cluster.event(|master, now, out| master.on_kill_task(now, call, 1, out));
    cluster.answers.pop().expect("a command is answered")
}

#[test]
fn the_summary_counts_what_is_alive() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    cluster.advance(secs(6));
    let summary = cluster.master.summary(cluster.now);
    assert_eq!(
        (
            summary.agents,
            summary.frameworks,
            summary.tasks,
            summary.offers
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(summary.metrics["master/slaves_active"], 1.0);
    assert_eq!(summary.metrics["master/tasks_running"], 1.0);
    assert_eq!(summary.metrics["master/uptime_secs"], 6.0);
    assert_eq!(summary.metrics["master/cpus_percent"], 0.25);
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    let summary = cluster.master.summary(cluster.now);
    assert_eq!(summary.tasks, 0);
    assert_eq!(summary.metrics["master/tasks_finished"], 1.0);
}

#[test]
fn agents_frameworks_and_roles_show_who_holds_what() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "eng/web");
    cluster.launch("f", &f, "t");
    cluster.framework("g", "eng");
    let agent = &cluster.master.agents()[0];
    assert_eq!(agent.used.unallocate(), resources("cpus:1;mem:64"));
    assert_eq!(agent.offered.unallocate(), resources("cpus:3;mem:4032"));
    assert_eq!(agent.tasks, 1);
    let frameworks = cluster.master.frameworks();
    assert_eq!(frameworks[0].used.unallocate(), resources("cpus:1;mem:64"));
    assert_eq!(frameworks[0].dominant_share, 0.25);
    assert_eq!(
        frameworks[1].offered.unallocate(),
        resources("cpus:3;mem:4032")
    );
    let roles: Vec<_> = cluster
        .master
        .roles()
        .into_iter()
        .map(|r| (r.role.to_string(), r.dominant_share, r.frameworks.len()))
        .collect();
    assert_eq!(
        roles,
        [("eng".to_owned(), 1.0, 1), ("eng/web".to_owned(), 0.25, 1)]
    );
}

#[test]
fn tasks_are_found_by_id_framework_and_life() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    let count = |cluster: &Cluster, call: GetTasks| cluster.master.tasks(&call).len();
    let by_id = GetTasks {
        task_id: Some(task_id("t")),
        ..GetTasks::default()
    };
    let by_owner = GetTasks {
        framework_id: Some(task.framework_id.clone()),
        ..GetTasks::default()
    };
    let stranger = GetTasks {
        framework_id: Some("nobody".parse().unwrap()),
        ..GetTasks::default()
    };
    let live = GetTasks {
        live_only: true,
        ..GetTasks::default()
    };
    for (call, expected) in [(&by_id, 1), (&by_owner, 1), (&stranger, 0), (&live, 1)] {
        assert_eq!(count(&cluster, call.clone()), expected, "{call:?}");
    }
    let found = &cluster.master.tasks(&by_id)[0];
    assert_eq!(
        (found.hostname.as_str(), &found.agent_pid),
        ("a", &Some(pid("a", 1)))
    );
    cluster.update(&task, TaskState::Finished, TaskState::Finished);
    assert_eq!((count(&cluster, live), count(&cluster, by_id)), (0, 1));
}

#[test]
fn a_task_is_killed_by_name_where_the_name_is_clear() {
    let (mut cluster, task) = Cluster::with_task(MasterConfig::default());
    assert!(
        kill(&mut cluster, None, "nothing")
            .unwrap_err()
            .contains("nothing")
    );
    kill(&mut cluster, None, "t").unwrap();
    let letters = cluster.letters_to(&pid("a", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::KillTask(k) if k.task_id == task.info.id))
    );
    let g = cluster.framework("g", "*");
    cluster.advance(secs(6));
    cluster.letters.clear();
    let offers = cluster.master.offers();
    let offer = offers.iter().find(|offer| offer.framework_id == g).unwrap();
    let same = crate::testing::task("t", offer, "cpus:1");
    cluster.accept(&g, &[offer], vec![same]);
    let error = kill(&mut cluster, None, "t").unwrap_err();
    assert!(error.contains("2 frameworks"), "{error}");
    kill(&mut cluster, Some(&g), "t").unwrap();
    cluster.update(&task, TaskState::Killed, TaskState::Killed);
    let error = kill(&mut cluster, Some(&task.framework_id), "t").unwrap_err();
    assert!(error.contains("TASK_KILLED"), "{error}");
}

#[test]
fn a_framework_is_torn_down_and_told() {
    let mut cluster = Cluster::new();
    let id = cluster.framework("f", "*");
    let call = TeardownFramework { framework_id: id };
    for part in [None, Some("ended already")] {
        let call = call.clone();
        cluster.event(|master, now, out| master.on_teardown_framework(now, call, 1, out));
        let answer = cluster.answers.pop().unwrap();
        assert_eq!(answer.is_err(), part.is_some());
        assert!(part.is_none_or(|part| answer.unwrap_err().contains(part)));
    }
    let letters = cluster.letters_to(&pid("f", 1));
    assert!(
        letters
            .iter()
            .any(|l| matches!(l, Letter::Error(e) if e.message.contains("operator")))
    );
}

#[test]
fn a_bad_weight_changes_nothing() {
    let mut cluster = Cluster::new();
    let weights = BTreeMap::from([(role("a"), 2.0), (role("b"), 0.0)]);
    cluster.event(|master, now, out| {
        master.on_update_weights(now, UpdateWeights { weights }, 1, out);
    });
    let error = cluster.answers.pop().unwrap().unwrap_err();
    assert!(error.contains("role b"), "{error}");
    assert_eq!(cluster.master.roles(), []);
}
