//! Many tasks of one agent: launched, destroyed, and kept through a restart of the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tepui_framework::{
    Calls, End, Handle, Scheduler,
    protocol::{
        CommandInfo, Filters, FrameworkInfo, Offer, Resources, Role, TaskId, TaskInfo, TaskState,
        TaskStatus,
        messages::operator::{AgentStanding, AgentSummary, GetAgents},
    },
};
use tepui_runtime::{AnyPid, Node};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

use crate::{
    figures::record,
    nodes::{Process, path, start},
};

/// Tasks of an agent, and how long their launch and their end may take (Mesos published 30 s and 20 s).
const MANY: usize = 1000;
/// Tasks of an agent that is started again.
const LIVE: usize = 500;
const RESOURCES: &str = "cpus:1000;mem:64000;disk:1000";
const LOOK: Duration = Duration::from_millis(5);
const ASK_WITHIN: Duration = Duration::from_secs(5);

enum News {
    /// All tasks run, so long after ACCEPT.
    Running(Duration),
    /// All have ended, so long after they were to be, in these states.
    Ended(Duration, BTreeMap<TaskState, usize>),
}

/// Launches tasks of `sleep` at once, and ends them when it is told to.
struct Sleepers {
    count: usize,
    launched: Option<Instant>,
    running: BTreeSet<TaskId>,
    ending: Option<Instant>,
    ended: BTreeMap<TaskId, TaskState>,
    end: Arc<AtomicBool>,
    news: UnboundedSender<News>,
}

impl Scheduler for Sleepers {
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        for offer in offers {
            if self.launched.is_some() {
                calls.decline([offer.id], Filters::NONE);
                continue;
            }
            let resources: Resources = "cpus:0.1;mem:32".parse().expect("a valid text");
            let task = |index| {
                let id = TaskId::new(format!("sleep-{index}")).expect("a valid id");
                let command = CommandInfo::shell("exec sleep 100000");
                TaskInfo::command(id, offer.agent_id.clone(), resources.clone(), command)
            };
            calls.launch(&offer, (0..self.count).map(task).collect());
            self.launched = Some(Instant::now());
            calls.after(LOOK, 0);
        }
    }

    fn timer(&mut self, calls: &mut Calls, _: u64) {
        if !self.end.load(Ordering::Acquire) {
            return calls.after(LOOK, 0);
        }
        self.ending = Some(Instant::now());
        self.running.iter().for_each(|task| calls.kill(task));
    }

    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        if status.state == TaskState::Running
            && self.running.insert(status.task_id.clone())
            && self.running.len() == self.count
        {
            let since = self.launched.map(|at| at.elapsed());
            let _ = self.news.send(News::Running(since.unwrap_or_default()));
        }
        if !status.state.is_terminal() {
            return;
        }
        if self.ending.is_none() {
            eprintln!("{}: {}: {}", status.task_id, status.state, status.message);
        }
        self.ended.insert(status.task_id, status.state);
        if self.ended.len() == self.count {
            let mut states = BTreeMap::new();
            for state in self.ended.values() {
                *states.entry(*state).or_default() += 1;
            }
            let since = self.ending.map(|at| at.elapsed());
            let _ = self
                .news
                .send(News::Ended(since.unwrap_or_default(), states));
            calls.stop(End::Teardown);
        }
    }
}

/// A master, an agent, and a framework with tasks.
struct Cluster {
    agent: Option<Process>,
    framework: Handle,
    _master: Process,
    dir: tempfile::TempDir,
    address: String,
    master: AnyPid,
    node: Node,
    end: Arc<AtomicBool>,
    news: UnboundedReceiver<News>,
}

impl Cluster {
    /// Starts it, with a framework that launches `count` tasks as soon as it can.
    async fn with(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (process, address) = start(&["master", "--work-dir", &path(dir.path(), "master")]);
        let master: AnyPid = format!("master@{address}").parse().expect("an address");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let node = Node::builder(listen).start().await.expect("a node");
        let (sender, news) = unbounded_channel();
        let end = Arc::new(AtomicBool::new(false));
        let sleepers = Sleepers {
            count,
            launched: None,
            running: BTreeSet::new(),
            ending: None,
            ended: BTreeMap::new(),
            end: end.clone(),
            news: sender,
        };
        let info = FrameworkInfo::new("sleepers", Role::star());
        let framework = tepui_framework::run(&node, master.clone(), info, sleepers);
        let mut cluster = Self {
            agent: None,
            framework: framework.expect("a driver"),
            _master: process,
            dir,
            address,
            master,
            node,
            end,
            news,
        };
        cluster.start_agent();
        cluster
    }

    fn start_agent(&mut self) {
        let work_dir = path(self.dir.path(), "agent");
        let agent = start(&[
            "agent",
            "--master",
            &self.address,
            "--work-dir",
            &work_dir,
            "--resources",
            RESOURCES,
        ]);
        self.agent = Some(agent.0);
    }

    async fn agent(&self) -> Option<AgentSummary> {
        let asked = self.node.ask(&self.master, GetAgents {}, ASK_WITHIN);
        let agents = asked.await.expect("the master answers");
        let mut agents = agents.into_iter();
        agents.find(|agent| agent.standing == AgentStanding::Active)
    }

    async fn running(&mut self) -> Duration {
        match self.news.recv().await {
            Some(News::Running(took)) => took,
            _ => panic!("not all tasks run"),
        }
    }

    /// Ends all tasks. Each must be there until then.
    async fn end(mut self, count: usize) -> Duration {
        self.end.store(true, Ordering::Release);
        let Some(News::Ended(took, states)) = self.news.recv().await else {
            panic!("not all tasks end");
        };
        assert_eq!(states, BTreeMap::from([(TaskState::Killed, count)]));
        self.framework.wait().await.expect("it ends well");
        self.node.shutdown().await;
        took
    }
}

fn block_on(part: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(part);
}

/// 1,000 tasks on one agent.
pub(crate) fn launch_and_destroy() {
    block_on(async {
        let mut cluster = Cluster::with(MANY).await;
        let launched = cluster.running().await;
        let name = format!("launch/scale/{MANY}-tasks");
        let seconds = launched.as_secs_f64();
        record(&format!("{name}/launched"), seconds, "s", "to hold: 8 s");
        let destroyed = cluster.end(MANY).await.as_secs_f64();
        record(&format!("{name}/destroyed"), destroyed, "s", "to hold: 5 s");
    });
}

/// An agent that is killed and started again under 500 tasks.
pub(crate) fn restart() {
    block_on(async {
        let mut cluster = Cluster::with(LIVE).await;
        cluster.running().await;
        let before = cluster.agent().await.expect("it is registered").pid;
        cluster.agent.take().expect("an agent runs").kill();
        let since = Instant::now();
        cluster.start_agent();
        let is_back = |agent: &AgentSummary| agent.pid != before && agent.tasks == LIVE;
        while !cluster.agent().await.as_ref().is_some_and(is_back) {
            tokio::task::yield_now().await;
        }
        let took = since.elapsed().as_secs_f64();
        let name = format!("launch/restart/{LIVE}-tasks/registered");
        record(&name, took, "s", "to hold: 1 s, no task lost");
        cluster.end(LIVE).await;
    });
}
