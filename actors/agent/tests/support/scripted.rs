//! A cluster of one agent in one thread: executors as actors on nodes of their own, processes that
//! live as long as a script says.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use rand::{SeedableRng, rngs::StdRng};
use tepui_agent::{
    AgentActor, AgentConfig, ExecutorLaunch, ExecutorRun, Launched, Launcher, StopAgent,
};
use tepui_executor::{ExecutorActor, ExecutorConfig, Processes, StartProcess, Started};
use tepui_isolation::{Ended, Piece, ProcessIdentity, Signal};
use tepui_protocol::{
    KillPolicy, TaskId, TaskState,
    messages::{agent, environment::ExecutorPlace},
};
use tepui_runtime::{prelude::*, testkit::TestKit};
use tepui_store::{MemoryStore, StateStore};
use tokio::sync::oneshot;

use crate::master::{Heard, Master, framework_id, lock, run_task};

/// How processes of tasks behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    lasts: Duration,
    /// Only SIGKILL ends it.
    pub(crate) ignores_term: bool,
}

/// A process that ends well after a while.
pub(crate) fn finished_after(lasts: Duration) -> Script {
    Script {
        lasts,
        ignores_term: false,
    }
}

struct ScriptedProcesses {
    script: Script,
    signals: BTreeMap<TaskId, oneshot::Sender<Ended>>,
}

impl Processes for ScriptedProcesses {
    fn start(&mut self, start: &StartProcess) -> LocalBoxFuture<'static, Result<Started, String>> {
        let (sender, signalled) = oneshot::channel();
        self.signals.insert(start.task_id.clone(), sender);
        let lasts = self.script.lasts;
        let ended = Box::pin(async move {
            let ended = match tokio::time::timeout(lasts, signalled).await {
                Ok(signalled) => signalled.unwrap_or(Ended::Unseen),
                Err(_) => Ended::Exited { code: 0 },
            };
            ended.into()
        });
        Box::pin(async move {
            Ok(Started {
                os_pid: 1,
                container: None,
                ended,
            })
        })
    }

    fn signal(&mut self, task: &TaskId, signal: Signal) {
        let number = if signal == Signal::Kill { 9 } else { 15 };
        if signal == Signal::Terminate && self.script.ignores_term {
            return;
        }
        if let Some(sender) = self.signals.remove(task) {
            let _ = sender.send(Ended::Signalled { signal: number });
        }
    }
}

/// Executors that run, by number of their process. They outlive the agent.
#[derive(Default)]
struct Machine {
    executors: BTreeMap<u32, (ExecutorRun, Node)>,
    launched: u32,
}

type SharedMachine = Arc<Mutex<Machine>>;

struct ScriptedLauncher {
    kit: TestKit,
    script: Script,
    machine: SharedMachine,
}

impl ScriptedLauncher {
    fn end(machine: &SharedMachine, run: &ExecutorRun) {
        let mut machine = lock(machine);
        let found = machine
            .executors
            .iter()
            .find(|(_, (other, _))| other == run);
        if let Some(pid) = found.map(|(pid, _)| *pid)
            && let Some((_, node)) = machine.executors.remove(&pid)
        {
            node.kill(&format!("executor@{}", node.addr()).parse().unwrap());
        }
    }
}

impl Launcher for ScriptedLauncher {
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>> {
        let (kit, machine, script) = (self.kit.clone(), self.machine.clone(), self.script);
        Box::pin(async move {
            let variables = launch.environment.clone();
            let place = ExecutorPlace::from_variables(|name| variables.get(name).cloned());
            let config = ExecutorConfig::new(place.map_err(|error| error.to_string())?);
            let node = kit.node(&format!("x-{}", launch.run.run)).await;
            let processes = ScriptedProcesses {
                script,
                signals: BTreeMap::new(),
            };
            let rng = node.rng();
            let actor = move || ExecutorActor::new(config, rng, Box::new(processes));
            let executor = node
                .spawn_with("executor", actor)
                .map_err(|error| error.to_string())?;
            let pid = {
                let mut machine = lock(&machine);
                machine.launched += 1;
                let pid = machine.launched;
                machine
                    .executors
                    .insert(pid, (launch.run.clone(), node.clone()));
                pid
            };
            let ended = Box::pin(async move {
                let _ = node.monitor(executor.as_any()).await;
                lock(&machine).executors.remove(&pid);
                node.shutdown().await;
                Ended::Unseen.into()
            });
            Ok(Launched {
                process: ProcessIdentity { pid, start_time: 0 },
                ended,
            })
        })
    }

    fn kill(
        &mut self,
        run: &ExecutorRun,
        _: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        Self::end(&self.machine, run);
        Box::pin(async { Ok(()) })
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        lock(&self.machine).executors.contains_key(&process.pid)
    }

    fn read_sandbox(
        &self,
        _: PathBuf,
        _: String,
        _: u64,
        _: usize,
    ) -> LocalBoxFuture<'static, Result<Piece, String>> {
        Box::pin(async { Err("no sandbox in a script".to_owned()) })
    }
}

/// A master node, an agent node, and the nodes of executors.
pub(crate) struct Cluster {
    master: Node,
    agent: Option<(Node, Pid<AgentActor>)>,
    store: MemoryStore,
    machine: SharedMachine,
    script: Script,
    heard: Arc<Mutex<Heard>>,
    starts: u64,
}

impl Cluster {
    /// Starts all and waits until the agent is admitted.
    pub(crate) async fn start(kit: &TestKit, script: Script) -> Self {
        let master = kit.node("master").await;
        let heard = Arc::<Mutex<Heard>>::default();
        master
            .spawn(
                "master",
                Master {
                    heard: heard.clone(),
                    agent: None,
                    news: None,
                },
            )
            .unwrap();
        let (store, machine) = (MemoryStore::new(), SharedMachine::default());
        let mut cluster = Self {
            master,
            agent: None,
            store,
            machine,
            script,
            heard,
            starts: 0,
        };
        cluster.start_agent(kit).await;
        cluster
    }

    /// Starts the agent with what its former life made durable.
    pub(crate) async fn start_agent(&mut self, kit: &TestKit) {
        self.starts += 1;
        let node = kit.node("agent").await;
        let launcher = ScriptedLauncher {
            kit: kit.clone(),
            script: self.script,
            machine: self.machine.clone(),
        };
        let resources = "cpus:4".parse().unwrap();
        let actor = AgentActor::on_boot(
            "boot".to_owned(),
            AgentConfig {
                resources,
                ..AgentConfig::default()
            },
            Box::new(self.store.clone()),
            Box::new(launcher),
            format!("master@{}", self.master.addr()).parse().unwrap(),
            StdRng::seed_from_u64(self.starts),
        );
        let pid = node.spawn_with("agent", move || actor.unwrap()).unwrap();
        self.agent = Some((node, pid));
        kit.settle().await;
    }

    /// Ends the agent's node without a word.
    pub(crate) async fn crash_agent(&mut self, kit: &TestKit) {
        let (node, pid) = self.agent.take().unwrap();
        node.kill(pid.as_any());
        node.shutdown().await;
        kit.settle().await;
    }

    /// The master's node ends, and another master starts at its address.
    pub(crate) async fn restart_master(&mut self, kit: &TestKit) {
        self.master.shutdown().await;
        self.master = kit.node("master").await;
        let master = Master {
            heard: self.heard.clone(),
            agent: None,
            news: None,
        };
        self.master.spawn("master", master).unwrap();
    }

    fn tell<M: Message>(&self, message: M)
    where
        AgentActor: Handler<M>,
    {
        let (_, agent) = self.agent.as_ref().unwrap();
        self.master.tell(agent.as_any(), message).unwrap();
    }

    /// The master has the agent run a task of the test's framework.
    pub(crate) fn run(&self, name: &str) {
        self.tell(run_task(name, "scripted", KillPolicy::default()));
    }

    /// The master has the agent kill a task.
    pub(crate) fn kill(&self, name: &str) {
        let (framework_id, task_id) = (framework_id(), TaskId::new(name).unwrap());
        self.tell(agent::KillTask {
            framework_id,
            task_id,
            kill_policy: None,
        });
    }

    /// The operator stops the agent.
    pub(crate) fn stop_agent(&self, kill_tasks: bool) {
        let (_, agent) = self.agent.as_ref().unwrap();
        agent.tell(StopAgent { kill_tasks }).unwrap();
    }

    /// The process of a task's executor dies.
    pub(crate) fn kill_executor(&self, name: &str) {
        let runs: Vec<ExecutorRun> = lock(&self.machine)
            .executors
            .values()
            .map(|(run, _)| run.clone())
            .collect();
        for run in runs
            .into_iter()
            .filter(|run| run.executor_id.as_str() == name)
        {
            ScriptedLauncher::end(&self.machine, &run);
        }
    }

    /// The states of a task that the master has heard of, each once.
    pub(crate) fn states(&self, name: &str) -> Vec<TaskState> {
        let heard = lock(&self.heard);
        let all = heard
            .states
            .iter()
            .filter(|(task_id, _)| task_id.as_str() == name);
        let mut states: Vec<TaskState> = all.map(|(_, state)| *state).collect();
        states.dedup();
        states
    }

    /// Re-registrations so far.
    pub(crate) fn reregistered(&self) -> Vec<agent::Reregister> {
        lock(&self.heard).reregistered.clone()
    }

    /// How often the agent has left for good.
    pub(crate) fn unregistered(&self) -> usize {
        lock(&self.heard).unregistered
    }

    /// Executors that run.
    pub(crate) fn executors(&self) -> usize {
        lock(&self.machine).executors.len()
    }

    /// Executors that were ever started.
    pub(crate) fn launched(&self) -> u32 {
        lock(&self.machine).launched
    }

    /// The keys of what is durable.
    pub(crate) fn records(&self) -> Vec<String> {
        self.store.load().unwrap().into_keys().collect()
    }
}
