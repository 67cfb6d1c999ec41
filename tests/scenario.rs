//! One scenario, three clusters: in one process, of separate processes over TCP, and simulated.
//!
//! The scenario and the actors are the same; only where they run differs. It also has the example of
//! the DRF paper, through a whole cluster.

#[path = "cluster/support.rs"]
mod cluster;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use cluster::{
    faults::{Schedule, framework},
    one_process::OneProcess,
    poll::{Client, until},
    processes::Processes,
    simulation::{Plan, Simulation, master},
};
use tepui_batch::{Group, Job, JobOptions, JobOutcome, start_job};
use tepui_framework::{Calls, Options, Scheduler, run_with};
use tepui_protocol::{
    CommandInfo, Filters, FrameworkInfo, Offer, Operation, Resources, Role, TaskId, TaskInfo,
    TaskState, TaskStatus, messages::operator,
};

/// What the agents have.
const MACHINES: [&str; 2] = ["cpus:2;mem:512", "cpus:1;mem:256"];

/// Maps, one task that fails at first, one that is killed at first, and a reduce after all.
fn job() -> Job {
    let resources: Resources = "cpus:0.5;mem:32".parse().expect("valid resources");
    let group = |name, command, count, retries, after: &[&str]| {
        let mut group = Group::new(name, command, count, resources.clone());
        group.retries = retries;
        group.after = after.iter().map(|name| (*name).to_owned()).collect();
        group
    };
    let groups = vec![
        group("map", "sleep 0.3", 4, 0, &[]),
        group(
            "flaky",
            "[ ${TEPUI_TASK_ID##*.} -eq 0 ] && exit 3; true",
            1,
            1,
            &[],
        ),
        group(
            "victim",
            "[ ${TEPUI_TASK_ID##*.} -eq 0 ] && sleep 600; true",
            1,
            1,
            &[],
        ),
        group("reduce", "true", 1, 0, &["map", "flaky", "victim"]),
    ];
    Job {
        name: "scenario".to_owned(),
        groups,
    }
}

/// Submits the job, kills a task of it, and looks at what became of all tasks.
async fn scenario(client: &Client) {
    let agents = client.agents(MACHINES.len()).await;
    let role = Role::new("science").expect("a valid role");
    let options = JobOptions {
        role: role.clone(),
        ..JobOptions::default()
    };
    let mut handle = start_job(&client.node, &client.master, job(), options).expect("a valid job");
    kill("scenario.victim.0.0", client).await;
    let outcome = handle.wait().await.expect("the job runs");
    check_outcome(&outcome);
    check_tasks(&outcome, &agents, client).await;
    until("all resources are free", async || {
        let agents = client.ask(operator::GetAgents {}).await;
        agents
            .iter()
            .all(|agent| agent.used.is_empty())
            .then_some(())
    })
    .await;
    let frameworks = client.ask(operator::GetFrameworks {}).await;
    assert_eq!(frameworks.len(), 1);
    assert_eq!(
        frameworks[0].standing,
        operator::FrameworkStanding::Completed
    );
    assert_eq!(frameworks[0].info.roles, BTreeSet::from([role]));
}

/// Has the master kill a task once it runs.
async fn kill(task: &str, client: &Client) {
    let task_id = TaskId::new(task).expect("a valid id");
    until("the victim runs", async || {
        let tasks = client.tasks().await;
        let runs = |summary: &operator::TaskSummary| {
            summary.task.info.id == task_id && summary.task.state == TaskState::Running
        };
        tasks.iter().any(runs).then_some(())
    })
    .await;
    let kill = operator::KillTask {
        framework_id: None,
        task_id,
        kill_policy: None,
    };
    client
        .ask(kill)
        .await
        .expect("a running task can be killed");
}

/// Each instance has finished in its first or second attempt, as its command says.
fn check_outcome(outcome: &JobOutcome) {
    assert!(outcome.is_success(), "{:?}", outcome.result);
    let finished =
        |group: &str| -> Vec<&str> { outcome.tasks[group].iter().map(TaskId::as_str).collect() };
    let maps = [
        "scenario.map.0.0",
        "scenario.map.1.0",
        "scenario.map.2.0",
        "scenario.map.3.0",
    ];
    assert_eq!(finished("map"), maps);
    assert_eq!(finished("flaky"), ["scenario.flaky.0.1"]);
    assert_eq!(finished("victim"), ["scenario.victim.0.1"]);
    assert_eq!(finished("reduce"), ["scenario.reduce.0.0"]);
}

/// Each task has one terminal state, the right one, and ran on an agent that had room for it.
async fn check_tasks(outcome: &JobOutcome, agents: &[operator::AgentSummary], client: &Client) {
    let framework_id = outcome.framework_id.clone();
    let question = operator::GetTasks {
        framework_id,
        ..operator::GetTasks::default()
    };
    let tasks = client.ask(question).await;
    let mut states = BTreeMap::new();
    for operator::TaskSummary { task, hostname, .. } in &tasks {
        let terminal = task
            .statuses
            .iter()
            .filter(|status| status.state.is_terminal());
        let terminal: Vec<&TaskStatus> = terminal.collect();
        assert_eq!(terminal.len(), 1, "{task:?}");
        let agent = agents
            .iter()
            .find(|agent| agent.info.id.as_ref() == Some(&task.info.agent_id));
        let agent = agent.unwrap_or_else(|| panic!("{} ran on no agent", task.info.id));
        assert_eq!(agent.info.hostname, *hostname);
        assert!(
            agent
                .info
                .resources
                .contains(&task.info.resources.unallocate())
        );
        states.insert(
            task.info.id.as_str(),
            (terminal[0].state, terminal[0].exit_code),
        );
    }
    assert_eq!(states.len(), 9, "{states:?}");
    assert_eq!(states["scenario.flaky.0.0"], (TaskState::Failed, Some(3)));
    assert_eq!(states["scenario.victim.0.0"].0, TaskState::Killed);
    assert_eq!(
        states["scenario.reduce.0.0"],
        (TaskState::Finished, Some(0))
    );
    let finished = states
        .values()
        .filter(|(state, _)| *state == TaskState::Finished);
    assert_eq!(finished.count(), 7, "{states:?}");
    let used: BTreeSet<&str> = tasks.iter().map(|task| task.hostname.as_str()).collect();
    assert_eq!(
        used.len(),
        MACHINES.len(),
        "one agent alone has no room for the first tasks"
    );
}

fn block_on(test: impl Future<Output = ()>) {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // The other test has it already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(test);
}

#[test]
fn in_one_process() {
    block_on(async {
        let cluster = OneProcess::start(&MACHINES).await;
        scenario(&cluster.client).await;
        cluster.stop().await;
    });
}

#[test]
fn in_separate_processes() {
    block_on(async {
        let cluster = Processes::start(&MACHINES).await;
        scenario(&cluster.client).await;
    });
}

#[test]
fn in_simulation() {
    let mut simulation = Simulation::new(peaceful(&MACHINES));
    let done = Rc::new(Cell::new(false));
    let (site, seen) = (simulation.site.clone(), done.clone());
    simulation.host(&framework(1), move || {
        let (site, done) = (site.clone(), done.clone());
        async move {
            let node = site.node(&framework(1), 5050).await?;
            scenario(&Client {
                node,
                master: master(),
            })
            .await;
            done.set(true);
            Ok(())
        }
    });
    let verdict = simulation.run(Duration::from_secs(120), move || seen.get());
    verdict.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A simulated cluster in which nothing fails.
fn peaceful(machines: &[&str]) -> Plan {
    Plan {
        seed: 1,
        machines: machines
            .iter()
            .map(|text| text.parse().expect("valid resources"))
            .collect(),
        latency: Duration::from_millis(5),
        faults: Schedule::default(),
        calm_from: Duration::ZERO,
    }
}

/// While short tasks end one by one, no single offer is large enough for the tasks of a framework that
/// comes later. It is owed the most all the time, and must get its share.
#[test]
fn tasks_that_are_larger_than_any_offer_are_not_starved() {
    let mut simulation = Simulation::new(peaceful(&["cpus:4;mem:4096", "cpus:3;mem:4096"]));
    let resources = |text: &str| text.parse().expect("valid resources");
    let group = |name: &str, count, needs| Group {
        retries: 1_000,
        ..Group::new(name, "work", count, resources(needs))
    };
    let stream = group("stream", 2_000, "cpus:0.5;mem:64");
    let first = group("first", 1, "cpus:0.5;mem:64");
    let mut map = group("map", 8, "cpus:2;mem:64");
    map.after = vec!["first".to_owned()];
    let outcomes = Rc::default();
    for (number, name, groups) in [
        (1, "background", vec![stream]),
        (2, "late", vec![first, map]),
    ] {
        let name = name.to_owned();
        let role = Role::new(&name).expect("a valid role");
        simulation.job(number, role, Job { name, groups }, &outcomes);
    }
    let seen = outcomes.clone();
    let done = move || seen.borrow().contains_key(&framework(2));
    let verdict = simulation.run(Duration::from_secs(120), done);
    verdict.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(outcomes.borrow()[&framework(2)].is_success());
    assert!(
        !outcomes.borrow().contains_key(&framework(1)),
        "the stream went on meanwhile"
    );
}

/// Launches one task in each round of offers, and wants the rest back at once.
struct OneByOne {
    name: &'static str,
    needs: Resources,
    launched: usize,
    running: Running,
}

/// The tasks of each framework that run.
type Running = Arc<Mutex<BTreeMap<&'static str, usize>>>;

impl OneByOne {
    fn task(&mut self, offer: &Offer) -> Option<TaskInfo> {
        let resources = offer.resources.find(&self.needs)?;
        self.launched += 1;
        let id = TaskId::new(format!("{}-{}", self.name, self.launched)).expect("a valid id");
        let command = CommandInfo::shell("sleep 1000");
        Some(TaskInfo::command(
            id,
            offer.agent_id.clone(),
            resources,
            command,
        ))
    }
}

impl Scheduler for OneByOne {
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        let mut first = true;
        for offer in offers {
            let task = if first { self.task(&offer) } else { None };
            first &= task.is_none();
            match task {
                Some(task) => {
                    let launch = Operation::Launch(vec![task]);
                    calls.accept(vec![offer.id], vec![launch], Filters::NONE);
                }
                None => calls.decline([offer.id], Filters::NONE),
            }
        }
    }

    fn update(&mut self, _: &mut Calls, status: TaskStatus) {
        assert!(!status.state.is_terminal(), "{status:?}");
        if status.state == TaskState::Running {
            *self
                .running
                .lock()
                .expect("no panic")
                .entry(self.name)
                .or_default() += 1;
        }
    }
}

//= drf-2011 §4.1
#[test]
fn the_papers_example_ends_with_three_and_two_tasks() {
    let mut simulation = Simulation::new(peaceful(&["cpus:9;mem:18432"]));
    let running = Running::default();
    for (number, name, needs) in [(1, "a", "cpus:1;mem:4096"), (2, "b", "cpus:3;mem:1024")] {
        let (site, host, running) = (simulation.site.clone(), framework(number), running.clone());
        simulation.host(&host.clone(), move || {
            let needs = needs.parse().expect("valid resources");
            let scheduler = OneByOne {
                name,
                needs,
                launched: 0,
                running: running.clone(),
            };
            let (site, host) = (site.clone(), host.clone());
            async move {
                let node = site.node(&host, 5050).await?;
                let info = FrameworkInfo::new(name, Role::new(name)?);
                run_with(&node, master(), info, scheduler, Options::default())?
                    .wait()
                    .await?;
                Ok(())
            }
        });
    }
    let counts = |running: &Running| running.lock().expect("no panic").clone();
    let expected = BTreeMap::from([("a", 3), ("b", 2)]);
    let (seen, wanted) = (running.clone(), expected.clone());
    let verdict = simulation.run(Duration::from_secs(60), move || counts(&seen) == wanted);
    verdict.unwrap_or_else(|failure| panic!("{failure}, with {:?}", counts(&running)));
    simulation
        .run_for(Duration::from_secs(30))
        .expect("nothing is violated");
    assert_eq!(counts(&running), expected, "and it stays so");
}
