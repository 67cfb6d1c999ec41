//! A master node, and actors that stand in for agents and schedulers.
#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only files with tests for tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_master::{MasterActor, MasterConfig};
use tepui_protocol::{
    AgentInfo, CommandInfo, Filters, FrameworkId, FrameworkInfo, MasterId, Offer, Operation,
    Resources, Role, Source, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
    messages::{
        agent::{
            KillTask, Ping, Pong, Register, Registered, Reregister, Reregistered, RunTask,
            Shutdown, ShutdownFramework, StatusUpdate, StatusUpdateAcknowledged,
        },
        operator::GetTasks,
        scheduler::{
            Accept, Acknowledge, Decline, Failure, Heartbeat, Offers, Rescind, SchedulerError,
            Subscribe, Subscribed, Update,
        },
    },
    task::Task,
};
use tepui_runtime::{prelude::*, testkit::TestKit};
use tepui_store::MemoryStore;

pub(crate) struct Cluster {
    pub(crate) kit: TestKit,
    pub(crate) node: Node,
    pub(crate) master: Pid<MasterActor>,
    pub(crate) store: MemoryStore,
}

impl Cluster {
    pub(crate) async fn start(kit: TestKit) -> Self {
        let store = MemoryStore::new();
        let (node, master) = start_master(&kit, &store).await;
        Self {
            kit,
            node,
            master,
            store,
        }
    }

    /// The master's node ends, and another life of it begins with the same registry.
    pub(crate) async fn restart_master(&mut self) {
        self.node.shutdown().await;
        (self.node, self.master) = start_master(&self.kit, &self.store).await;
        self.kit.settle().await;
    }

    pub(crate) async fn agent(&self, name: &str, amounts: &str) -> Node {
        let node = self.kit.node(name).await;
        let info = AgentInfo {
            id: None,
            hostname: name.to_owned(),
            resources: Resources::parse(amounts).unwrap(),
            attributes: BTreeMap::new(),
        };
        let master = self.master.any().any_incarnation();
        node.spawn(
            "agent",
            FakeAgent {
                master,
                info,
                tasks: Vec::new(),
            },
        )
        .unwrap();
        self.kit.settle().await;
        node
    }

    /// A scheduler that launches as many tasks of this size as it is offered, one per offer.
    pub(crate) async fn driver(&self, name: &str, demand: &str) {
        let node = self.kit.node(name).await;
        let driver = FakeDriver {
            master: self.master.any().any_incarnation(),
            info: FrameworkInfo::new(name, Role::new(name).unwrap()),
            demand: Resources::parse(demand).unwrap(),
            launched: 0,
        };
        node.spawn("scheduler", driver).unwrap();
    }

    pub(crate) async fn ask<M: Message>(&self, question: M) -> M::Reply
    where
        MasterActor: Handler<M>,
    {
        self.master
            .ask(question, Duration::from_secs(1))
            .await
            .unwrap()
    }

    /// The states of all tasks, in order.
    pub(crate) async fn states(&self) -> Vec<TaskState> {
        let tasks = self.ask(GetTasks::default()).await;
        let mut tasks: Vec<_> = tasks.into_iter().map(|task| task.task).collect();
        tasks.sort_by(|a, b| a.info.id.cmp(&b.info.id));
        tasks.into_iter().map(|task| task.state).collect()
    }
}

async fn start_master(kit: &TestKit, store: &MemoryStore) -> (Node, Pid<MasterActor>) {
    let node = kit.node("master").await;
    let id = MasterId::new(node.uuid().to_string()).unwrap();
    let master = MasterActor::new(MasterConfig::default(), Box::new(store.clone()), id).unwrap();
    let pid = node.spawn("master", master).unwrap();
    (node, pid)
}

/// An agent whose tasks run until they are killed.
pub(crate) struct FakeAgent {
    master: AnyPid,
    info: AgentInfo,
    tasks: Vec<Task>,
}

impl FakeAgent {
    fn register(&mut self, ctx: &mut Context<Self>) {
        let (pid, info, version) = (ctx.any_pid(), self.info.clone(), String::new());
        let _ = match info.id {
            None => self.master.tell(Register { pid, info, version }).is_ok(),
            Some(_) => {
                let (frameworks, tasks) = (Vec::new(), self.tasks.clone());
                let call = Reregister {
                    pid,
                    info,
                    version,
                    frameworks,
                    tasks,
                    updates: Vec::new(),
                };
                self.master.tell(call).is_ok()
            }
        };
        ctx.monitor(&self.master);
    }

    /// Reports a task's state.
    fn report(
        &mut self,
        framework_id: &FrameworkId,
        task: &TaskId,
        state: TaskState,
        ctx: &Context<Self>,
    ) {
        let agent_id = self.info.id.clone().expect("a registered agent runs tasks");
        let mut status =
            TaskStatus::new(task.clone(), state, Source::Executor, Timestamp(ctx.now()));
        status.uuid = Some(ctx.node().uuid());
        status.agent_id = Some(agent_id.clone());
        let framework_id = framework_id.clone();
        let _ = self.master.tell(StatusUpdate {
            agent_id,
            framework_id,
            status,
            latest_state: state,
        });
    }
}

impl Actor for FakeAgent {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.register(ctx);
    }
}

accepts!(FakeAgent:
    Registered, Reregistered, RunTask, KillTask, ShutdownFramework, Shutdown,
    StatusUpdateAcknowledged, Ping, Exited,
);

impl Handler<Registered> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: Registered, _: &mut Context<Self>) {
        self.info.id = Some(message.agent_id);
    }
}

impl Handler<Reregistered> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: Reregistered, ctx: &mut Context<Self>) {
        for (framework_id, task_id) in message.reconcile {
            if !self.tasks.iter().any(|task| task.info.id == task_id) {
                self.report(&framework_id, &task_id, TaskState::Dropped, ctx);
            }
        }
    }
}

impl Handler<RunTask> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: RunTask, ctx: &mut Context<Self>) {
        let framework_id = message
            .framework
            .id
            .expect("a launching framework has its id");
        let task_id = message.task.id.clone();
        let mut task = Task::staging(message.task, framework_id.clone());
        task.state = TaskState::Running;
        self.tasks.push(task);
        self.report(&framework_id, &task_id, TaskState::Running, ctx);
    }
}

impl Handler<KillTask> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: KillTask, ctx: &mut Context<Self>) {
        self.tasks.retain(|task| task.info.id != message.task_id);
        self.report(
            &message.framework_id,
            &message.task_id,
            TaskState::Killed,
            ctx,
        );
    }
}

impl Handler<ShutdownFramework> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: ShutdownFramework, _: &mut Context<Self>) {
        self.tasks
            .retain(|task| task.framework_id != message.framework_id);
    }
}

impl Handler<Shutdown> for FakeAgent {
    type Result = ();
    fn handle(&mut self, message: Shutdown, ctx: &mut Context<Self>) {
        ctx.fail(message.message);
    }
}

impl Handler<StatusUpdateAcknowledged> for FakeAgent {
    type Result = ();
    fn handle(&mut self, _: StatusUpdateAcknowledged, _: &mut Context<Self>) {}
}

impl Handler<Ping> for FakeAgent {
    type Result = ();
    fn handle(&mut self, ping: Ping, ctx: &mut Context<Self>) {
        let Some(agent_id) = self.info.id.clone() else {
            return;
        };
        let _ = self.master.tell(Pong { agent_id });
        if !ping.connected {
            self.register(ctx);
        }
    }
}

impl Handler<Exited> for FakeAgent {
    type Result = ();
    fn handle(&mut self, _: Exited, ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_secs(1), Self::register);
    }
}

/// A scheduler that launches one task per offer, as long as it fits.
pub(crate) struct FakeDriver {
    master: AnyPid,
    info: FrameworkInfo,
    demand: Resources,
    launched: u32,
}

impl FakeDriver {
    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        let (pid, info) = (ctx.any_pid(), self.info.clone());
        let _ = self.master.tell(Subscribe {
            pid,
            info,
            suppressed_roles: BTreeSet::new(),
        });
        ctx.monitor(&self.master);
    }

    fn answer(&mut self, offer: Offer) {
        let (offer_ids, filters) = (vec![offer.id.clone()], Filters::NONE);
        let framework_id = offer.framework_id.clone();
        let Some(resources) = offer.resources.find(&self.demand) else {
            let _ = self.master.tell(Decline {
                framework_id,
                offer_ids,
                filters,
            });
            return;
        };
        self.launched += 1;
        let id = TaskId::new(format!("{}{:03}", self.info.name, self.launched)).unwrap();
        let task = TaskInfo::command(id, offer.agent_id, resources, CommandInfo::shell("true"));
        let operations = vec![Operation::Launch(vec![task])];
        let _ = self.master.tell(Accept {
            framework_id,
            offer_ids,
            operations,
            filters,
        });
    }
}

impl Actor for FakeDriver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(ctx);
    }
}

accepts!(FakeDriver:
    Subscribed, Offers, Update, Rescind, Failure, SchedulerError, Heartbeat, Exited,
);

impl Handler<Subscribed> for FakeDriver {
    type Result = ();
    fn handle(&mut self, message: Subscribed, _: &mut Context<Self>) {
        self.info.id = Some(message.framework_id);
    }
}

impl Handler<Offers> for FakeDriver {
    type Result = ();
    fn handle(&mut self, message: Offers, _: &mut Context<Self>) {
        message
            .offers
            .into_iter()
            .for_each(|offer| self.answer(offer));
    }
}

impl Handler<Update> for FakeDriver {
    type Result = ();
    fn handle(&mut self, message: Update, _: &mut Context<Self>) {
        let status = message.status;
        let (Some(uuid), Some(agent_id), Some(framework_id)) =
            (status.uuid, status.agent_id, self.info.id.clone())
        else {
            return;
        };
        let _ = self.master.tell(Acknowledge {
            framework_id,
            agent_id,
            task_id: status.task_id,
            uuid,
        });
    }
}

macro_rules! ignored {
    ($($message:ty),*) => {$(
        impl Handler<$message> for FakeDriver {
            type Result = ();
            fn handle(&mut self, _: $message, _: &mut Context<Self>) {}
        }
    )*};
}
ignored!(Rescind, Failure, Heartbeat);

impl Handler<SchedulerError> for FakeDriver {
    type Result = ();
    fn handle(&mut self, _: SchedulerError, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Exited> for FakeDriver {
    type Result = ();
    fn handle(&mut self, _: Exited, ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_secs(1), Self::subscribe);
    }
}
