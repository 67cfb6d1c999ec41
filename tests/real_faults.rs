//! `kill -9` of every kind of process in the middle of a job, with real processes.
//!
//! What was killed is started again with the same work directory where it is a component; executors
//! and tasks are the cluster's own business. The job must end with the right result, and each task
//! must have exactly one terminal state.

#[path = "cluster/support.rs"]
mod cluster;

use std::{collections::BTreeMap, fs};

use cluster::{poll::until, processes::Processes};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgid},
};
use tepui_protocol::{TaskState, messages::operator};

const MACHINES: [&str; 2] = ["cpus:2;mem:512", "cpus:2;mem:512"];
const MAPS: u32 = 8;
const JOB: &str = "job";

/// Eight maps that take a while and write a number each; a reduce that adds the numbers up. Files
/// appear whole, and a map that is run again writes the same.
fn job(out: &str) -> String {
    format!(
        r#"
name = "sum"

[[group]]
name = "map"
command = "sleep 1.5; echo $((10 + {{index}})) > $OUT/new-$TEPUI_TASK_ID && mv $OUT/new-$TEPUI_TASK_ID $OUT/map-{{index}}"
count = {MAPS}
cpus = 0.5
mem = 32
retries = 3
env = {{ OUT = "{out}" }}

[[group]]
name = "reduce"
after = ["map"]
command = "cat $OUT/map-* | awk '{{ s += $1 }} END {{ print NR, s }}' > $OUT/new && mv $OUT/new $OUT/sum"
cpus = 0.5
mem = 32
retries = 3
env = {{ OUT = "{out}" }}
"#
    )
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(test);
}

/// The statuses of all tasks, by task id, in the order in which the master had them.
type Histories = BTreeMap<String, Vec<TaskState>>;

/// A cluster with the job half way through it.
async fn half_way() -> Processes {
    let mut cluster = Processes::start(&MACHINES).await;
    cluster.client.agents(MACHINES.len()).await;
    let out = cluster.path("out");
    fs::create_dir(&out).expect("a new directory");
    cluster.start_job(JOB, &job(&out.display().to_string()));
    until("one map runs", async || {
        let tasks = cluster.client.tasks().await;
        tasks
            .iter()
            .find(|task| task.task.state == TaskState::Running)
            .map(drop)
    })
    .await;
    cluster
}

/// A task that runs now, and its process.
async fn victim(cluster: &Processes) -> (operator::TaskSummary, Pid) {
    until("a task runs", async || {
        let tasks = cluster.client.tasks().await;
        let running = tasks
            .into_iter()
            .filter(|task| task.task.state == TaskState::Running);
        running.into_iter().find_map(|summary| {
            let id = summary.task.info.id.to_string();
            let processes = cluster.of_task(&id);
            let mut processes = processes.into_iter().map(Pid::from_raw);
            // The shell leads the group; its children are not the task.
            let shell = processes.find(|process| getpgid(Some(*process)) == Ok(*process))?;
            Some((summary, shell))
        })
    })
    .await
}

/// Waits for the end of the job, and checks its result and what became of each task.
async fn check(cluster: &mut Processes) -> Histories {
    let ended = until("the job ends", async || cluster.ended(JOB)).await;
    let said = fs::read_to_string(cluster.path("job.out")).unwrap_or_default();
    assert!(ended.success(), "{ended}: {said}{}", cluster.log(JOB));
    let sum: u32 = (0..MAPS).map(|index| 10 + index).sum();
    let result = fs::read_to_string(cluster.path("out/sum")).expect("the reduce has run");
    assert_eq!(result.trim(), format!("{MAPS} {sum}"));
    let histories = until("the last acknowledgements are in", async || {
        let all = histories(cluster).await;
        all.values()
            .all(|states| states.iter().any(|state| state.is_terminal()))
            .then_some(all)
    })
    .await;
    for (task, states) in &histories {
        let terminal = states.iter().filter(|state| state.is_terminal()).count();
        assert_eq!(terminal, 1, "{task}: {states:?}");
    }
    until("all resources are free", async || {
        let agents = cluster.client.agents(MACHINES.len()).await;
        agents
            .iter()
            .all(|agent| agent.used.is_empty())
            .then_some(())
    })
    .await;
    until("nothing is left but the nodes", async || {
        (cluster.everything().len() == MACHINES.len() + 1).then_some(())
    })
    .await;
    histories
}

async fn histories(cluster: &Processes) -> Histories {
    let tasks = cluster.client.tasks().await;
    let history = |summary: operator::TaskSummary| {
        let states = summary
            .task
            .statuses
            .iter()
            .map(|status| status.state)
            .collect();
        (summary.task.info.id.to_string(), states)
    };
    tasks.into_iter().map(history).collect()
}

/// How often instances were finished, by `group.index`.
fn finished(histories: &Histories) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (task, states) in histories {
        if states.contains(&TaskState::Finished) {
            let (instance, _attempt) = task.rsplit_once('.').expect("a task of a job");
            *counts.entry(instance.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// What must hold when the master knows of all tasks: it never restarted.
fn check_all_known(histories: &Histories) {
    let finished = finished(histories);
    assert_eq!(finished.len(), MAPS as usize + 1, "{histories:?}");
    assert!(finished.values().all(|count| *count == 1), "{histories:?}");
}

#[test]
fn a_killed_task_is_run_again() {
    block_on(async {
        let mut cluster = half_way().await;
        let (summary, process) = victim(&cluster).await;
        kill(process, Signal::SIGKILL).expect("it runs");
        let histories = check(&mut cluster).await;
        check_all_known(&histories);
        let id = summary.task.info.id.as_str();
        assert!(
            histories[id].contains(&TaskState::Failed),
            "{id}: {:?}",
            histories[id]
        );
        assert_eq!(
            histories.len(),
            MAPS as usize + 2,
            "one more attempt: {histories:?}"
        );
    });
}

#[test]
fn a_killed_executor_costs_its_task_only() {
    block_on(async {
        let mut cluster = half_way().await;
        let (summary, _) = victim(&cluster).await;
        let id = summary.task.info.id.as_str();
        let agent = summary.agent_pid.clone().expect("its agent is there");
        let state = cluster
            .client
            .ask_of(&agent, operator::GetAgentState {})
            .await;
        let executor = state
            .executors
            .iter()
            .find(|executor| executor.executor_id.as_str() == id);
        let executor = executor.expect("a command task has an executor of its name");
        let process = Pid::from_raw(executor.os_pid.cast_signed());
        kill(process, Signal::SIGKILL).expect("it runs");
        let histories = check(&mut cluster).await;
        check_all_known(&histories);
        assert!(
            !histories[id].contains(&TaskState::Finished),
            "{id}: {:?}",
            histories[id]
        );
        assert_eq!(
            histories.len(),
            MAPS as usize + 2,
            "one more attempt: {histories:?}"
        );
        assert_eq!(
            cluster.of_task(id),
            [0; 0],
            "the task's process is gone, too"
        );
    });
}

#[test]
fn a_killed_agent_finds_its_tasks_again() {
    block_on(async {
        let mut cluster = half_way().await;
        let (summary, _) = victim(&cluster).await;
        cluster.kill(&summary.hostname);
        cluster.restart_node(&summary.hostname);
        let histories = check(&mut cluster).await;
        check_all_known(&histories);
        let id = summary.task.info.id.as_str();
        assert!(
            histories[id].contains(&TaskState::Finished),
            "{id}: {:?}",
            histories[id]
        );
        // A task that was on its way to the agent may be lost; one that ran may not.
        for (task, states) in &histories {
            let ran = states.contains(&TaskState::Running);
            let expected = if ran {
                TaskState::Finished
            } else {
                TaskState::Gone
            };
            assert_eq!(states.last(), Some(&expected), "{task}: {states:?}");
        }
    });
}

#[test]
fn a_killed_framework_takes_its_tasks_over() {
    block_on(async {
        let mut cluster = half_way().await;
        cluster.kill(JOB);
        cluster.restart_job(JOB);
        let histories = check(&mut cluster).await;
        check_all_known(&histories);
        assert_eq!(
            histories.len(),
            MAPS as usize + 1,
            "no other attempt: {histories:?}"
        );
    });
}

#[test]
fn a_killed_master_learns_from_agents_and_frameworks() {
    block_on(async {
        let mut cluster = half_way().await;
        cluster.kill("master");
        cluster.restart_node("master");
        let histories = check(&mut cluster).await;
        let finished = finished(&histories);
        assert!(finished.values().all(|count| *count == 1), "{histories:?}");
        assert!(finished.contains_key("sum.reduce.0"), "{histories:?}");
    });
}
