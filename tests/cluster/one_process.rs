//! A cluster in one process: master, agents and executors are nodes of it, joined by loopback TCP.
//! Tasks are real processes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use tempfile::TempDir;
use tepui_agent::{
    AgentActor, AgentConfig, ExecutorLaunch, ExecutorRun, Launched, Launcher, StopAgent,
};
use tepui_executor::{ExecutorActor, ExecutorConfig, SystemProcesses, actor::NAME};
use tepui_isolation::{
    Ended, Piece, ProcessIdentity,
    process::{chain, family},
    sandbox,
};
use tepui_master::{MasterActor, MasterConfig};
use tepui_protocol::{
    MasterId, Resources,
    messages::environment::{self as names, ExecutorPlace},
};
use tepui_runtime::{AnyPid, ExitReason, Node, NodeAddr, Pid};
use tepui_store::RedbStore;

use super::poll::Client;

/// A running cluster.
pub struct OneProcess {
    master: Node,
    agents: Vec<(Node, Pid<AgentActor>)>,
    /// Asks the master.
    pub client: Client,
    _dir: TempDir,
}

fn loopback() -> NodeAddr {
    NodeAddr::new("127.0.0.1", 0)
}

async fn node() -> Node {
    Node::builder(loopback())
        .workers(1)
        .start()
        .await
        .expect("a free port")
}

impl OneProcess {
    /// A master and one agent for each of `machines`.
    pub async fn start(machines: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let master = node().await;
        let store = RedbStore::open(dir.path().join("master.redb")).expect("a new store");
        let config = MasterConfig {
            allocation_interval: Duration::from_millis(200),
            ..MasterConfig::default()
        };
        let id = MasterId::new(master.uuid().to_string()).expect("a UUID is an id");
        let actor = MasterActor::new(config, Box::new(store), id).expect("a valid configuration");
        let pid = master.spawn("master", actor).expect("a free name").any();
        let client = Client {
            node: node().await,
            master: pid.any_incarnation(),
        };
        let mut this = Self {
            master,
            agents: Vec::new(),
            client,
            _dir: dir,
        };
        for text in machines {
            this.start_agent(text.parse().expect("valid resources"))
                .await;
        }
        this
    }

    async fn start_agent(&mut self, resources: Resources) {
        let hostname = format!("agent-{}", self.agents.len() + 1);
        let work_dir = self._dir.path().join(&hostname);
        std::fs::create_dir_all(&work_dir).expect("a writable directory");
        let store = RedbStore::open(work_dir.join("state.redb")).expect("a new store");
        let registration_backoff = Duration::from_millis(50);
        let config = AgentConfig {
            work_dir,
            hostname,
            resources,
            registration_backoff,
            ..AgentConfig::default()
        };
        let node = node().await;
        let (launcher, rng) = (Box::new(InProcess::default()), node.rng());
        let actor = AgentActor::new(
            config,
            Box::new(store),
            launcher,
            self.client.master.clone(),
            rng,
        );
        let actor = actor.expect("an empty store");
        let pid = node
            .spawn(tepui_agent::actor::NAME, actor)
            .expect("a free name");
        self.agents.push((node, pid));
    }

    /// Ends tasks, agents and master.
    pub async fn stop(self) {
        for (node, agent) in &self.agents {
            agent
                .tell(StopAgent { kill_tasks: true })
                .expect("the agent runs");
            node.monitor(agent.as_any()).await;
            node.shutdown().await;
        }
        self.client.node.shutdown().await;
        self.master.shutdown().await;
    }
}

/// Executors as nodes of this process.
#[derive(Default)]
struct InProcess {
    running: Running,
    started: u32,
}

/// The nodes and actors, by a number in place of a process's.
type Running = Arc<Mutex<BTreeMap<u32, (String, Node, AnyPid)>>>;

impl Launcher for InProcess {
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>> {
        self.started += 1;
        let (number, running) = (self.started, self.running.clone());
        Box::pin(async move {
            sandbox::make(&launch.sandbox).map_err(|error| chain(&error))?;
            let (node, actor) = start(&launch).await?;
            let entry = (launch.run.run, node.clone(), actor.clone());
            locked(&running).insert(number, entry);
            let ended = Box::pin(async move {
                let exited = node.monitor(&actor).await;
                node.shutdown().await;
                locked(&running).remove(&number);
                let ended = Ended::Exited {
                    code: i32::from(exited.reason != ExitReason::Stopped),
                };
                ended.into()
            });
            Ok(Launched {
                process: ProcessIdentity {
                    pid: number,
                    start_time: 0,
                },
                ended,
            })
        })
    }

    fn kill(
        &mut self,
        run: &ExecutorRun,
        _: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        for (of, node, actor) in locked(&self.running).values() {
            if *of == run.run {
                node.kill(actor);
            }
        }
        let mark = run.run.clone();
        Box::pin(
            async move { family::kill_marked(names::RUN, &mark).map_err(|error| chain(&error)) },
        )
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        locked(&self.running).contains_key(&process.pid)
    }

    fn read_sandbox(
        &self,
        sandbox: PathBuf,
        path: String,
        offset: u64,
        length: usize,
    ) -> LocalBoxFuture<'static, Result<Piece, String>> {
        let piece = sandbox::read(&sandbox, &path, offset, length);
        Box::pin(async { piece.map_err(|error| chain(&error)) })
    }
}

/// An executor on a node of its own.
async fn start(launch: &ExecutorLaunch) -> Result<(Node, AnyPid), String> {
    let variables = &launch.environment;
    let place = ExecutorPlace::from_variables(|name| variables.get(name).cloned());
    let config = ExecutorConfig::new(place.map_err(|error| error.to_string())?);
    let node = Node::builder(loopback()).workers(1).start().await;
    let node = node.map_err(|error| error.to_string())?;
    let rng = node.rng();
    let actor = move || ExecutorActor::new(config, rng, Box::new(SystemProcesses::new()));
    let pid = node
        .spawn_with(NAME, actor)
        .map_err(|error| error.to_string())?;
    Ok((node, pid.any()))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
