//! A cluster of processes: how soon a command task runs, tasks and offers a second.
//!
//! One master and three agents, each a process, as `tepui demo` starts them. Baselines, in the same
//! run: spawning `true` from this process for tasks; an ask of the master for latency and offers.
//! `cargo bench --bench cluster`

mod figures;
mod nodes;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use figures::{quantile, record, wall};
use nodes::{BINARY, path, start};
use tepui_framework::{
    Calls, End, Scheduler,
    protocol::{
        CommandInfo, Filters, FrameworkInfo, Offer, Resources, Role, TaskId, TaskInfo, TaskState,
        TaskStatus, messages::operator::GetMaster,
    },
};
use tepui_runtime::{AnyPid, Node};
use tokio::time::Instant;

const TASKS: usize = 1000;
const LAUNCHES: usize = 100;
const OFFERS: usize = 3000;
const ASKS: usize = 1000;

/// Launches one `true` at a time, and times each from ACCEPT to TASK_RUNNING.
struct Launcher {
    launched: BTreeMap<TaskId, Instant>,
    done: usize,
    times: std::sync::mpsc::Sender<f64>,
}

impl Scheduler for Launcher {
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        let wanted: Resources = "cpus:0.1;mem:32".parse().expect("a valid text");
        for offer in offers {
            let found = offer
                .resources
                .find(&wanted)
                .filter(|_| self.launched.is_empty());
            let Some(resources) = found else {
                calls.decline([offer.id], Filters::NONE);
                continue;
            };
            let id = TaskId::new(format!("true-{}", self.done)).expect("a valid id");
            let agent = offer.agent_id.clone();
            let command = CommandInfo::shell("true");
            let task = TaskInfo::command(id.clone(), agent, resources, command);
            calls.launch(&offer, vec![task]);
            self.launched.insert(id, Instant::now());
        }
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        if status.state == TaskState::Running
            && let Some(since) = self.launched.get(&status.task_id)
        {
            let _ = self.times.send(since.elapsed().as_secs_f64() * 1e3);
        }
        if status.state.is_terminal() && self.launched.remove(&status.task_id).is_some() {
            self.done += 1;
            if self.done == LAUNCHES {
                calls.stop(End::Teardown);
            }
        }
    }
}

/// Declines everything at once, and counts.
struct Decliner {
    left: usize,
}

impl Scheduler for Decliner {
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.left = self.left.saturating_sub(offers.len());
        calls.decline(offers.into_iter().map(|offer| offer.id), Filters::NONE);
        // Without it, what was declined comes back with the allocator's next tick.
        calls.revive();
        if self.left == 0 {
            calls.stop(End::Teardown);
        }
    }

    fn update(&mut self, _: &mut Calls, _: TaskStatus) {}
}

async fn run(node: &Node, master: &AnyPid, name: &str, scheduler: impl Scheduler) {
    let info = FrameworkInfo::new(name, Role::star());
    let running = tepui_framework::run(node, master.clone(), info, scheduler);
    running
        .expect("a driver")
        .wait()
        .await
        .expect("the framework ends well");
}

/// Milliseconds from ACCEPT to TASK_RUNNING, sorted.
async fn launches(node: &Node, master: &AnyPid) -> Vec<f64> {
    let (times, received) = std::sync::mpsc::channel();
    let launcher = Launcher {
        launched: BTreeMap::new(),
        done: 0,
        times,
    };
    run(node, master, "launcher", launcher).await;
    let mut times: Vec<f64> = received.try_iter().collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Milliseconds of a question to the master, sorted.
async fn asks(node: &Node, master: &AnyPid) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..ASKS {
        let since = Instant::now();
        let asked = node.ask(master, GetMaster {}, Duration::from_secs(5)).await;
        asked.expect("the master answers");
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_master, master) = start(&["master", "--work-dir", &path(dir.path(), "master")]);
    let agents = [("agent-1", "4"), ("agent-2", "3"), ("agent-3", "2")].map(|(name, cpus)| {
        let resources = format!("cpus:{cpus};mem:4096;disk:1024");
        let work_dir = path(dir.path(), name);
        start(&[
            "agent",
            "--master",
            &master,
            "--work-dir",
            &work_dir,
            "--resources",
            &resources,
        ])
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let pid: AnyPid = format!("master@{master}").parse().expect("an address");
    let addr = "127.0.0.1:0".parse().expect("an address");
    let node = runtime
        .block_on(Node::builder(addr).start())
        .expect("a node");

    let asked = runtime.block_on(asks(&node, &pid));
    let baseline = format!("an ask of the master {:.3} ms", quantile(&asked, 0.5));
    let times = runtime.block_on(launches(&node, &pid));
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        record(
            &format!("cluster/accept-to-running/{name}"),
            quantile(&times, q),
            "ms",
            &baseline,
        );
    }
    let took = wall(|| {
        runtime.block_on(run(&node, &pid, "decliner", Decliner { left: OFFERS }));
    });
    record(
        "cluster/offers",
        OFFERS as f64 / took.as_secs_f64(),
        "offers/s",
        &baseline,
    );

    let bare = wall(|| {
        for _ in 0..TASKS {
            let status = Command::new("sh").args(["-c", "true"]).status();
            assert!(status.expect("sh starts").success());
        }
    });
    let took = wall(|| {
        let (count, task) = (TASKS.to_string(), ["--cpus", "0.1", "--mem", "16"]);
        let status = Command::new(BINARY)
            .args(["run", "--master", &master, "--instances", &count])
            .args(task)
            .args(["--", "true"])
            .stdout(Stdio::null())
            .status();
        assert!(
            status.expect("the binary starts").success(),
            "all tasks finish"
        );
    });
    let rate = |took: Duration| TASKS as f64 / took.as_secs_f64();
    let baseline = format!("bare `sh -c true`, one after another {:.0}/s", rate(bare));
    record("cluster/tasks", rate(took), "tasks/s", &baseline);
    record(
        "cluster/tasks/vs-bare",
        took.as_secs_f64() / bare.as_secs_f64(),
        "ratio",
        &baseline,
    );
    drop(agents);
}
