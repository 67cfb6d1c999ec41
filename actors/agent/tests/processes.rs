//! The agent and its executors for real: processes of the operating system, TCP, a store on disk.
//!
//! This test program is its own executor: the agent starts it again with the arguments that run
//! only [`executor_process`].

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/master.rs"]
mod master;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use master::{Heard, Master, framework_id, run_task};
use tepui_agent::{AgentActor, AgentConfig, SystemLauncher};
use tepui_executor::ExecutorConfig;
use tepui_isolation::{ProcessIdentity, Signal, process::family};
use tepui_protocol::{
    ExecutorId, KillPolicy, TaskId, TaskState, TaskStatus,
    messages::{
        agent,
        operator::{AgentState, GetAgentState, ReadSandbox, SandboxPiece},
    },
};
use tepui_runtime::prelude::*;
use tepui_store::RedbStore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
#[ignore = "not a test: the executor that the agents of the other tests start"]
fn executor_process() {
    // Run as a test, it has no agent and nothing to do.
    if let Ok(config) = ExecutorConfig::from_env() {
        runtime()
            .block_on(tepui_executor::run(config, None))
            .unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A master node and an agent node, with a work directory.
struct Real {
    dir: tempfile::TempDir,
    config: AgentConfig,
    master: Node,
    agent: Option<(Node, AnyPid)>,
    heard: Arc<Mutex<Heard>>,
    news: UnboundedReceiver<TaskStatus>,
}

async fn node() -> Node {
    Node::builder(NodeAddr::new("127.0.0.1", 0))
        .workers(1)
        .start()
        .await
        .unwrap()
}

impl Real {
    async fn start() -> Self {
        Self::with(AgentConfig::default()).await
    }

    /// The same with other settings of the agent.
    async fn with(config: AgentConfig) -> Self {
        let (sender, news) = unbounded_channel();
        let (master, heard) = (node().await, Arc::<Mutex<Heard>>::default());
        let actor = Master {
            heard: heard.clone(),
            agent: None,
            news: Some(sender),
        };
        master.spawn("master", actor).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut real = Self {
            dir,
            config,
            master,
            agent: None,
            heard,
            news,
        };
        real.start_agent().await;
        real
    }

    async fn start_agent(&mut self) {
        let node = node().await;
        let arguments = ["--exact", "executor_process", "--ignored", "--nocapture"];
        let launcher = SystemLauncher::current_exe().unwrap();
        let launcher = launcher.with_arguments(arguments.map(str::to_owned).to_vec());
        let work_dir = self.dir.path().to_owned();
        let resources = "cpus:4".parse().unwrap();
        let actor = AgentActor::new(
            AgentConfig {
                work_dir,
                resources,
                ..self.config.clone()
            },
            Box::new(self.store()),
            Box::new(launcher),
            format!("master@{}", self.master.addr()).parse().unwrap(),
            node.rng(),
        );
        let pid = node.spawn_with("agent", move || actor.unwrap()).unwrap();
        self.agent = Some((node, pid.any()));
        self.until_admitted().await;
    }

    /// The store, once a former agent has let go of it.
    fn store(&self) -> RedbStore {
        let mut opened = None;
        let free = || {
            opened = RedbStore::open(self.dir.path().join("agent.redb")).ok();
            opened.is_some()
        };
        assert!(family::await_patiently(free));
        opened.unwrap()
    }

    async fn until_admitted(&self) {
        let admitted = async { while self.state().await.agent_id.is_none() {} };
        tokio::time::timeout(LIMIT, admitted)
            .await
            .expect("the agent is admitted");
    }

    async fn stop_agent(&mut self) {
        let (node, pid) = self.agent.take().unwrap();
        node.kill(&pid);
        node.shutdown().await;
    }

    fn agent(&self) -> &AnyPid {
        &self.agent.as_ref().unwrap().1
    }

    async fn state(&self) -> AgentState {
        self.master
            .ask(self.agent(), GetAgentState {}, LIMIT)
            .await
            .unwrap()
    }

    fn run(&self, name: &str, line: &str) {
        let kill_policy = KillPolicy {
            grace_period: Duration::from_millis(100),
        };
        self.master
            .tell(self.agent(), run_task(name, line, kill_policy))
            .unwrap();
    }

    fn kill(&self, name: &str) {
        let (framework_id, task_id) = (framework_id(), TaskId::new(name).unwrap());
        let kill = agent::KillTask {
            framework_id,
            task_id,
            kill_policy: None,
        };
        self.master.tell(self.agent(), kill).unwrap();
    }

    async fn next(&mut self) -> TaskStatus {
        let next = tokio::time::timeout(LIMIT, self.news.recv()).await;
        next.expect("an update in time").expect("the master lives")
    }

    /// The next update, which must be of that state.
    async fn until(&mut self, state: TaskState) -> TaskStatus {
        let status = self.next().await;
        assert_eq!(status.state, state, "{status:?}");
        status
    }

    async fn read(&self, executor: &str, path: &str, offset: u64) -> Result<SandboxPiece, String> {
        let question = ReadSandbox {
            framework_id: framework_id(),
            executor_id: ExecutorId::new(executor).unwrap(),
            path: path.to_owned(),
            offset,
            length: u32::MAX,
        };
        self.master
            .ask(self.agent(), question, LIMIT)
            .await
            .unwrap()
    }

    fn file(&self, executor: &str, name: &str) -> PathBuf {
        let framework = framework_id();
        let latest =
            tepui_isolation::sandbox::latest(self.dir.path(), framework.as_str(), executor);
        latest.join(name)
    }
}

/// The process whose number stands in a file.
fn process_in(file: &Path) -> ProcessIdentity {
    let pid = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    ProcessIdentity::of(pid).expect("it runs")
}

#[test]
fn a_command_runs_in_its_sandbox_which_can_be_read_and_not_left() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        fs::write(real.dir.path().join("secret"), "secret").unwrap();
        real.run(
            "t",
            "echo hello $TEPUI_TASK_ID; ln -s ../../../../secret link; exit 3",
        );
        real.until(TaskState::Running).await;
        let failed = real.until(TaskState::Failed).await;
        assert_eq!(failed.message, "command exited with status 3");
        assert_eq!(failed.exit_code, Some(3));
        let piece = real.read("t", "stdout", 6).await.unwrap();
        assert_eq!((piece.data.as_slice(), piece.size), (b"t\n".as_slice(), 8));
        for path in ["link", "../../../../secret", "/etc/passwd"] {
            let refusal = real.read("t", path, 0).await.unwrap_err();
            assert!(
                refusal.contains("leads out of the sandbox"),
                "{path}: {refusal}"
            );
        }
        let refusal = real.read("nobody", "stdout", 0).await.unwrap_err();
        assert!(refusal.contains("there is no sandbox"), "{refusal}");
        real.stop_agent().await;
    });
}

#[test]
fn the_sandbox_of_an_ended_task_goes_and_that_of_a_live_one_stays() {
    runtime().block_on(async {
        // A delay of zero is as good as a full disk.
        let config = AgentConfig {
            gc_delay: Duration::ZERO,
            disk_watch_interval: Duration::from_millis(10),
            ..AgentConfig::default()
        };
        let mut real = Real::with(config).await;
        real.run("live", "echo here; exec sleep 1000");
        real.until(TaskState::Running).await;
        for name in ["first", "second"] {
            real.run(name, "mkdir -p a/b; echo hello > a/b/file");
            real.until(TaskState::Running).await;
            real.until(TaskState::Finished).await;
            let gone = async { while real.read(name, "stdout", 0).await.is_ok() {} };
            let gone = tokio::time::timeout(2 * LIMIT, gone).await;
            gone.expect("the sandbox is removed");
        }
        assert!(real.file("live", "stdout").exists());
        real.kill("live");
        real.until(TaskState::Killed).await;
        real.stop_agent().await;
    });
}

#[test]
fn a_task_that_ignores_sigterm_is_killed() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        // RUNNING is sent when the process runs; the trap is set when the pipe is read.
        real.run(
            "t",
            "trap '' TERM; mkfifo up; echo up > up; while :; do sleep 0.1; done",
        );
        real.until(TaskState::Running).await;
        let pipe = real.file("t", "up");
        assert!(family::await_patiently(|| pipe.exists()));
        assert_eq!(fs::read_to_string(pipe).unwrap(), "up\n");
        real.kill("t");
        let killed = real.until(TaskState::Killed).await;
        assert_eq!(killed.message, "command killed by signal SIGKILL");
        real.stop_agent().await;
    });
}

/// Starts a task that leaves a second process behind, and returns both.
async fn two_processes(real: &mut Real) -> [ProcessIdentity; 2] {
    real.run(
        "t",
        "setsid sh -c 'echo $$ > second; exec sleep 1000' & echo $$ > first; wait",
    );
    real.until(TaskState::Running).await;
    let files = [real.file("t", "first"), real.file("t", "second")];
    let written = || {
        files
            .iter()
            .all(|f| fs::read_to_string(f).is_ok_and(|t| t.ends_with('\n')))
    };
    assert!(family::await_patiently(written));
    files.map(|file| process_in(&file))
}

#[test]
fn an_executor_that_is_killed_leaves_no_process_of_its_task_behind() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        let processes = two_processes(&mut real).await;
        let executor = ProcessIdentity::of(real.state().await.executors[0].os_pid).unwrap();
        executor.signal_group(Signal::Kill).unwrap();
        let failed = real.until(TaskState::Failed).await;
        assert_eq!(failed.message, "executor killed by signal SIGKILL");
        assert!(
            processes.iter().all(|process| !process.is_alive()),
            "{processes:?}"
        );
        real.stop_agent().await;
    });
}

#[test]
fn a_killed_task_leaves_no_process_behind() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        let processes = two_processes(&mut real).await;
        real.kill("t");
        real.until(TaskState::Killed).await;
        assert!(
            processes.iter().all(|process| !process.is_alive()),
            "{processes:?}"
        );
        real.stop_agent().await;
    });
}

#[test]
fn a_task_outlives_the_agent_and_is_found_again_from_another_address() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        real.run("t", "mkfifo go; read line < go; echo $line");
        let running = real.until(TaskState::Running).await;
        let before = real.state().await.executors;
        real.stop_agent().await;
        real.start_agent().await;
        let reregistered = async {
            while real.heard.lock().unwrap().reregistered.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, reregistered).await.unwrap();
        assert_eq!(real.state().await.executors, before);
        let pipe = real.file("t", "go");
        assert!(family::await_patiently(|| pipe.exists()));
        fs::write(pipe, "after\n").unwrap();
        let mut status = real.next().await;
        if status.uuid == running.uuid {
            // The kill came before the acknowledgement was durable.
            status = real.next().await;
        }
        assert_eq!(status.state, TaskState::Finished, "{status:?}");
        assert_eq!(real.read("t", "stdout", 0).await.unwrap().data, b"after\n");
        real.stop_agent().await;
    });
}

#[test]
fn an_executor_that_dies_while_the_agent_is_away_is_cleaned_up_when_it_is_back() {
    runtime().block_on(async {
        let mut real = Real::start().await;
        let processes = two_processes(&mut real).await;
        let executor = ProcessIdentity::of(real.state().await.executors[0].os_pid).unwrap();
        real.stop_agent().await;
        executor.signal_group(Signal::Kill).unwrap();
        real.start_agent().await;
        real.until(TaskState::Gone).await;
        assert!(
            processes.iter().all(|process| !process.is_alive()),
            "{processes:?}"
        );
        real.stop_agent().await;
    });
}
