//! What an agent does, message by message, with processes and store as data.

use std::time::Duration;

use rand::SeedableRng;
use tepui_protocol::{
    AgentId, CommandInfo, MasterId, Reason, Source, TaskStatus,
    messages::{agent, executor},
};
use tepui_store::{Contents, Write};

use super::*;
use crate::{
    effects::{ToExecutor, ToMaster},
    launcher::ExecutorLaunch,
    records::Records,
};

mod endings;
mod executors;
mod fetching;
mod gpus;
mod groups;
mod kills;
mod master;
mod recovery;
mod sessions;
mod updates;
mod world;

/// An agent, what it has made durable, and everything it has wanted.
struct Bench {
    agent: Agent,
    now: Timestamp,
    stored: Contents,
    log: Vec<Effect>,
}

fn config() -> AgentConfig {
    AgentConfig {
        hostname: "h".to_owned(),
        work_dir: "/w".into(),
        resources: "cpus:4;mem:1024".parse().unwrap(),
        gpus: vec!["GPU-a".to_owned(), "GPU-b".to_owned()],
        ..AgentConfig::default()
    }
}

fn fid() -> FrameworkId {
    FrameworkId::new("m-0001").unwrap()
}

fn tid(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn agent_id() -> AgentId {
    AgentId::new("m-S1").unwrap()
}

fn framework() -> FrameworkInfo {
    let role = "*".parse().unwrap();
    FrameworkInfo {
        id: Some(fid()),
        ..FrameworkInfo::new("test", role)
    }
}

fn legacy_framework() -> FrameworkInfo {
    FrameworkInfo {
        capabilities: Default::default(),
        ..framework()
    }
}

fn task(name: &str) -> TaskInfo {
    let (resources, command) = ("cpus:1".parse().unwrap(), CommandInfo::shell("true"));
    TaskInfo::command(tid(name), agent_id(), resources, command)
}

/// A task for the framework's own executor `e`.
fn custom(name: &str) -> TaskInfo {
    let executor = ExecutorInfo {
        id: ExecutorId::new("e").unwrap(),
        command: CommandInfo::shell("./executor"),
        resources: Default::default(),
        name: String::new(),
    };
    TaskInfo {
        command: None,
        executor: Some(executor),
        ..task(name)
    }
}

fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity { pid, start_time: 7 }
}

fn executor_pid(run: &ExecutorRun) -> AnyPid {
    // A port of its own for each executor.
    let port = 40_000 + run.executor_id.as_str().bytes().map(u16::from).sum::<u16>();
    format!("executor@h:{port}#1").parse().unwrap()
}

fn make(config: AgentConfig, boot: &str, stored: &Contents) -> Result<Agent, RecoveryError> {
    let master = "master@h:1".parse().unwrap();
    let records = Records::read(stored).unwrap();
    Agent::recover(
        config,
        master,
        boot.to_owned(),
        StdRng::seed_from_u64(1),
        records,
    )
}

impl Bench {
    fn with(agent: Agent, stored: Contents) -> Self {
        Self {
            agent,
            now: Timestamp::from_secs(1000),
            stored,
            log: Vec::new(),
        }
    }

    /// An agent that has started for the first time.
    fn new() -> Self {
        let mut bench = Self::with(
            make(config(), "boot1", &Contents::new()).unwrap(),
            Contents::new(),
        );
        bench.start();
        bench
    }

    /// An agent that the master has admitted.
    fn admitted() -> Self {
        let mut bench = Self::new();
        bench.registered();
        bench
    }

    /// A task whose executor has registered; the agent has its run.
    fn running(info: FrameworkInfo, task: TaskInfo) -> (Self, ExecutorRun) {
        let mut bench = Self::admitted();
        let run = bench.run(info, task);
        bench.launched(&run);
        bench.register(&run);
        (bench, run)
    }

    fn on(&mut self, event: impl FnOnce(&mut Agent, Timestamp, &mut Vec<Effect>)) -> Vec<Effect> {
        let mut out = Vec::new();
        event(&mut self.agent, self.now, &mut out);
        assert_eq!(self.agent.violated(), None);
        for effect in &out {
            match effect {
                Effect::Write(Write::Put { key, value }) => {
                    self.stored.insert(key.clone(), value.clone());
                }
                Effect::Write(Write::Delete { key }) => {
                    self.stored.remove(key);
                }
                _ => {}
            }
        }
        self.log.extend(out.clone());
        assert_eq!(acknowledged_before_durable(&self.log), None, "AG-1");
        out
    }

    fn start(&mut self) -> Vec<Effect> {
        let pid = "agent@h:2#5".parse().unwrap();
        self.on(|a, now, out| a.on_start(now, pid, out))
    }

    fn registered(&mut self) -> Vec<Effect> {
        let master_id = MasterId::new("m").unwrap();
        let message = agent::Registered {
            agent_id: agent_id(),
            master_id,
        };
        self.on(|a, now, out| a.on_registered(now, message, out))
    }

    fn reregistered(&mut self, reconcile: Vec<(FrameworkId, TaskId)>) -> Vec<Effect> {
        let master_id = MasterId::new("m").unwrap();
        let message = agent::Reregistered {
            agent_id: agent_id(),
            master_id,
            reconcile,
        };
        self.on(|a, now, out| a.on_reregistered(now, message, out))
    }

    fn run_task(&mut self, framework: FrameworkInfo, task: TaskInfo) -> Vec<Effect> {
        self.on(|a, now, out| a.on_run_task(now, agent::RunTask { framework, task }, out))
    }

    fn run(&mut self, framework: FrameworkInfo, task: TaskInfo) -> ExecutorRun {
        let out = self.run_task(framework, task);
        launch(&out).expect("a launch").run.clone()
    }

    fn launched(&mut self, run: &ExecutorRun) -> Vec<Effect> {
        self.on(|a, now, out| a.on_launched(now, run, Ok(process(77)), out))
    }

    fn register(&mut self, run: &ExecutorRun) -> Vec<Effect> {
        self.register_with(run, Vec::new(), Vec::new())
    }

    fn register_with(
        &mut self,
        run: &ExecutorRun,
        tasks: Vec<TaskInfo>,
        unacknowledged: Vec<TaskStatus>,
    ) -> Vec<Effect> {
        let message = executor::Register {
            pid: executor_pid(run),
            framework_id: run.framework_id.clone(),
            executor_id: run.executor_id.clone(),
            run: run.run.clone(),
            tasks,
            unacknowledged,
        };
        self.on(|a, now, out| a.on_register(now, message, out))
    }

    fn update(&mut self, run: &ExecutorRun, name: &str, state: TaskState) -> Vec<Effect> {
        self.update_as(run, status(name, state))
    }

    fn update_as(&mut self, run: &ExecutorRun, status: TaskStatus) -> Vec<Effect> {
        let message = executor::Update {
            framework_id: run.framework_id.clone(),
            executor_id: run.executor_id.clone(),
            status,
        };
        self.on(|a, _, out| a.on_update(message, out))
    }

    fn acknowledge(&mut self, name: &str, uuid: Uuid) -> Vec<Effect> {
        let message = agent::StatusUpdateAcknowledged {
            framework_id: fid(),
            task_id: tid(name),
            uuid,
        };
        self.on(|a, _, out| a.on_acknowledged(&message, out))
    }

    fn kill(&mut self, name: &str) -> Vec<Effect> {
        let message = agent::KillTask {
            framework_id: fid(),
            task_id: tid(name),
            kill_policy: None,
        };
        self.on(|a, now, out| a.on_kill_task(now, &message, out))
    }

    fn timer(&mut self, timer: Timer) -> Vec<Effect> {
        self.on(|a, now, out| a.on_timer(now, timer, out))
    }

    fn ended(&mut self, run: &ExecutorRun, ended: Ended) -> Vec<Effect> {
        self.on(|a, now, out| a.on_executor_ended(now, run, ended, out))
    }

    fn killed(&mut self, run: &ExecutorRun) -> Vec<Effect> {
        self.on(|a, now, out| a.on_killed(now, run, out))
    }

    fn exited(&mut self, pid: &AnyPid) -> Vec<Effect> {
        self.on(|a, now, out| a.on_exited(now, pid, out))
    }

    fn probed(&mut self, run: &ExecutorRun, alive: bool) -> Vec<Effect> {
        self.on(|a, now, out| a.on_probed(now, run, alive, out))
    }

    /// The agent's process dies and starts again with what is durable.
    fn restart(&self) -> Self {
        self.restart_as(config(), "boot1").unwrap()
    }

    fn restart_as(&self, config: AgentConfig, boot: &str) -> Result<Self, RecoveryError> {
        let agent = make(config, boot, &self.stored)?;
        Ok(Self {
            now: self.now,
            ..Self::with(agent, self.stored.clone())
        })
    }

    fn keys(&self) -> Vec<&str> {
        self.stored.keys().map(String::as_str).collect()
    }
}

/// A status as an executor makes it; each has a uuid of its own.
fn status(name: &str, state: TaskState) -> TaskStatus {
    let mut status = TaskStatus::new(tid(name), state, Source::Executor, Timestamp::from_secs(1));
    status.uuid = Some(Uuid::from_u128(state as u128 + 1));
    status
}

fn uuid(state: TaskState) -> Uuid {
    Uuid::from_u128(state as u128 + 1)
}

fn launch(effects: &[Effect]) -> Option<&ExecutorLaunch> {
    effects.iter().find_map(|effect| match effect {
        Effect::Launch(launch) => Some(launch),
        _ => None,
    })
}

/// The updates that are sent to the master.
fn sent(effects: &[Effect]) -> Vec<&agent::StatusUpdate> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Master(ToMaster::StatusUpdate(update)) => Some(update),
            _ => None,
        })
        .collect()
}

fn states(effects: &[Effect]) -> Vec<TaskState> {
    sent(effects)
        .into_iter()
        .map(|update| update.status.state)
        .collect()
}

/// State, reason and message of the only update that is sent.
fn verdict(effects: &[Effect]) -> (TaskState, Option<Reason>, String) {
    let [update] = sent(effects)[..] else {
        panic!("not one update: {effects:?}")
    };
    (
        update.status.state,
        update.status.reason,
        update.status.message.clone(),
    )
}

fn to_executors(effects: &[Effect]) -> Vec<&ToExecutor> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Executor(_, message) => Some(message),
            _ => None,
        })
        .collect()
}

fn launches_of(effects: &[Effect]) -> Vec<&str> {
    let name = |message: &&ToExecutor| match message {
        ToExecutor::Launch(launch) => Some(launch.task.id.clone()),
        _ => None,
    };
    let names = to_executors(effects);
    let ids: Vec<TaskId> = names.iter().filter_map(name).collect();
    ids.into_iter()
        .map(|id| &*String::leak(id.to_string()))
        .collect()
}

fn acknowledged(effects: &[Effect]) -> Vec<Uuid> {
    let uuid = |message: &ToExecutor| match message {
        ToExecutor::Acknowledged(message) => Some(message.uuid),
        _ => None,
    };
    to_executors(effects).into_iter().filter_map(uuid).collect()
}

fn kills(effects: &[Effect]) -> usize {
    effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Kill(..)))
        .count()
}

fn shutdowns(effects: &[Effect]) -> usize {
    let shutdown = |message: &&ToExecutor| matches!(message, ToExecutor::Shutdown(_));
    to_executors(effects).into_iter().filter(shutdown).count()
}

fn retry(effects: &[Effect]) -> Option<(Duration, Timer)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Timer {
            after,
            timer: timer @ Timer::Retry { .. },
        } => Some((*after, timer.clone())),
        _ => None,
    })
}

fn registrations(effects: &[Effect]) -> Vec<&ToMaster> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Master(m @ (ToMaster::Register(_) | ToMaster::Reregister(_))) => Some(m),
            _ => None,
        })
        .collect()
}

fn stops(effects: &[Effect]) -> Option<&Stop> {
    effects.iter().find_map(|effect| match effect {
        Effect::Stop(stop) => Some(stop),
        _ => None,
    })
}
