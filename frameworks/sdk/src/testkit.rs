//! A fake master for tests of frameworks: scripted offers and updates, on the runtime's paused
//! clock, without master, agents or processes.
//!
//! ```
//! use std::time::Duration;
//! use tepui_framework::{
//!     Calls, Scheduler, protocol::{FrameworkInfo, Offer, Role, TaskState, TaskStatus},
//!     testkit::FakeMaster,
//! };
//! # use tepui_framework::protocol::{CommandInfo, TaskId, TaskInfo};
//!
//! struct Greeter;
//! impl Scheduler for Greeter {
//!     // offers: launches a task "hello" ...
//! #    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
//! #        let command = CommandInfo::shell("echo hello");
//! #        let (id, agent) = (TaskId::new("hello").unwrap(), offers[0].agent_id.clone());
//! #        let task = TaskInfo::command(id, agent, offers[0].resources.clone(), command);
//! #        calls.launch(&offers[0], vec![task]);
//! #    }
//!     fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
//!         if status.state == TaskState::Finished {
//!             calls.stop(tepui_framework::End::Teardown);
//!         }
//!     }
//! }
//!
//! tepui_runtime::testkit::run(async |kit| {
//!     let (there, here) = (kit.node("there").await, kit.node("here").await);
//!     let master = FakeMaster::start(&there, "m1");
//!     let info = FrameworkInfo::new("greeter", Role::star());
//!     let mut framework = tepui_framework::run(&here, master.pid(), info, Greeter).unwrap();
//!     kit.settle().await;
//!
//!     master.offer("a1", "cpus:1;mem:64");
//!     kit.settle().await;
//!     assert_eq!(master.launched().len(), 1);
//!
//!     master.update("hello", TaskState::Finished);
//!     framework.wait().await.unwrap();
//!     kit.settle().await;
//!     assert!(master.is_torn_down());
//! });
//! ```
//!
//! The fake master keeps a real one's promises to the framework: updates come again every 10 s
//! until acknowledged, heartbeats every 15 s, reconciliation is answered (an unknown task is GONE),
//! a kill ends a task. [`FakeMaster::agent`] gives it agents that offer what is free and run tasks.

mod actor;
mod record;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tepui_protocol::{
    AgentId, FrameworkInfo, MasterId, OfferId, Reason, Resources, TaskId, TaskInfo, TaskState,
    TaskStatus,
};
use tepui_runtime::{AnyPid, Node};

use self::{actor::FakeMasterActor, state::State};

pub use record::FromScheduler;

/// A master that does what a test says. Methods act at once; `kit.settle()` lets what they sent
/// arrive.
pub struct FakeMaster {
    node: Node,
    pid: AnyPid,
    state: Arc<Mutex<State>>,
}

impl FakeMaster {
    /// Starts one on `node`, as the actor `master` with the id `id`.
    ///
    /// # Panics
    /// When the name is taken, or `id` is no id.
    pub fn start(node: &Node, id: &str) -> Self {
        let state = Arc::new(Mutex::new(State::new(
            MasterId::new(id).expect("a valid id"),
        )));
        let pid = spawn(node, &state);
        Self {
            node: node.clone(),
            pid,
            state,
        }
    }

    /// Where frameworks reach it, whichever life it is in.
    pub fn pid(&self) -> AnyPid {
        self.pid.any_incarnation()
    }

    /// Offers `resources` (text form) of an agent to the framework.
    ///
    /// # Panics
    /// When a text is invalid, or no framework is subscribed.
    pub fn offer(&self, agent: &str, resources: &str) -> OfferId {
        let resources: Resources = resources.parse().expect("valid resources");
        self.act(|state| state.offer(agent_id(agent), resources))
    }

    /// Takes an offer back.
    pub fn rescind(&self, offer: &OfferId) {
        self.act(|state| state.rescind(offer));
    }

    /// Adds an agent: what is free of it is offered every second, and tasks on it start at once
    /// and finish after `lifetime`; without one they run until the test says otherwise.
    ///
    /// # Panics
    /// When a text is invalid.
    pub fn agent(&self, name: &str, resources: &str, lifetime: Option<Duration>) {
        let resources: Resources = resources.parse().expect("valid resources");
        self.act(|state| state.add_agent(agent_id(name), resources, lifetime));
    }

    /// An agent becomes unreachable: its tasks are, and it makes no offers, until
    /// [`FakeMaster::agent_back`].
    pub fn agent_lost(&self, name: &str) {
        self.act(|state| state.agent_lost(&agent_id(name)));
    }

    /// An unreachable agent is back, its tasks in the state that they were in.
    pub fn agent_back(&self, name: &str) {
        self.act(|state| state.agent_back(&agent_id(name)));
    }

    /// A task enters `state`: the framework is told until it has acknowledged.
    ///
    /// # Panics
    /// When no such task was launched.
    pub fn update(&self, task: &str, state: TaskState) {
        self.act(|inner| inner.enter(&task_id(task), state, None));
    }

    /// The same, with a reason.
    ///
    /// # Panics
    /// When no such task was launched.
    pub fn update_because(&self, task: &str, state: TaskState, reason: Reason) {
        self.act(|inner| inner.enter(&task_id(task), state, Some(reason)));
    }

    /// Sends a status as it is, once.
    pub fn send_status(&self, status: TaskStatus) {
        self.act(|state| state.send_status(status));
    }

    /// Kills have no effect from now on.
    pub fn ignore_kills(&self) {
        self.lock().kills_ignored = true;
    }

    /// Refuses every subscription from now on, and ends that in force.
    pub fn refuse(&self, why: &str) {
        self.act(|state| state.refuse(why));
    }

    /// Falls silent: hears nothing and says nothing, as behind a cut, until [`FakeMaster::speak`].
    pub fn fall_silent(&self) {
        self.lock().silent = true;
    }

    /// Hears and speaks again; it has forgotten the subscription.
    pub fn speak(&self) {
        let mut state = self.lock();
        state.silent = false;
        state.forget_subscription();
    }

    /// Ends, as a process that is killed: its link breaks, offers are gone.
    pub async fn stop(&mut self) {
        self.node.kill(&self.pid);
        self.node.monitor(&self.pid).await;
        self.lock().forget_subscription();
    }

    /// Lives again after [`FakeMaster::stop`] as the master `id`; agents and tasks are still there.
    ///
    /// # Panics
    /// When `id` is no id, or it still runs.
    pub fn start_again(&mut self, id: &str) {
        self.lock().id = MasterId::new(id).expect("a valid id");
        self.pid = spawn(&self.node, &self.state);
    }

    /// The subscribed framework.
    pub fn subscribed(&self) -> Option<FrameworkInfo> {
        self.lock().framework.as_ref().map(|(_, info)| info.clone())
    }

    /// All tasks ever launched, in order.
    pub fn launched(&self) -> Vec<TaskInfo> {
        self.lock().launched.clone()
    }

    /// The state of a task as its agent knows it.
    pub fn state_of(&self, task: &str) -> Option<TaskState> {
        self.lock().state_of(&task_id(task))
    }

    /// Updates that the framework has not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.lock().unacknowledged()
    }

    /// Whether the framework wants no offers at the moment.
    pub fn is_suppressed(&self) -> bool {
        self.lock().suppressed
    }

    /// Whether the framework has torn itself down.
    pub fn is_torn_down(&self) -> bool {
        self.lock()
            .record
            .iter()
            .any(|call| matches!(call, FromScheduler::Teardown(_)))
    }

    /// Everything that frameworks sent, in order.
    pub fn record(&self) -> Vec<FromScheduler> {
        self.lock().record.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and sends what comes of it.
    fn act<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.now = tepui_protocol::Timestamp(self.node.now());
        let result = change(&mut state);
        state.send_from(&self.node);
        result
    }
}

fn spawn(node: &Node, state: &Arc<Mutex<State>>) -> AnyPid {
    let actor = FakeMasterActor::new(state.clone());
    node.spawn("master", actor).expect("the name is free").any()
}

fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).expect("a valid id")
}

fn task_id(name: &str) -> TaskId {
    TaskId::new(name).expect("a valid id")
}
