//! A driver on a bench: a scripted scheduler on one side, a hand-made master on the other.

use std::sync::{Arc, Mutex};

use tepui_protocol::{
    AgentId, CommandInfo, Filters, MasterId, OfferId, Resources, Role, TaskId, TaskInfo,
    messages::scheduler::Reconcile,
};
use uuid::Uuid;

use super::super::{effect::ToMaster, *};

pub(super) const START: Timestamp = Timestamp::from_secs(1000);

/// Does what it is told at the next callback, and notes all callbacks.
#[derive(Clone, Default)]
pub(super) struct Script(pub(super) Arc<Mutex<Inner>>);

#[derive(Default)]
pub(super) struct Inner {
    pub(super) heard: Vec<String>,
    pub(super) next: Vec<Call>,
    pub(super) acknowledges_itself: bool,
}

impl Script {
    pub(super) fn note(&self, calls: &mut Calls, what: String) {
        self.0.lock().unwrap().heard.push(what);
        self.act(calls);
    }

    pub(super) fn act(&self, calls: &mut Calls) {
        for call in std::mem::take(&mut self.0.lock().unwrap().next) {
            match call {
                Call::Accept {
                    offer_ids,
                    operations,
                    filters,
                } => {
                    calls.accept(offer_ids, operations, filters);
                }
                Call::Kill {
                    task_id,
                    kill_policy,
                } => calls.kill_with(&task_id, kill_policy),
                Call::Suppress { roles } => calls.suppress_roles(roles),
                Call::Reconcile { tasks } => calls.reconcile(tasks),
                Call::Write(Write::Put { key, .. }) => calls.keep(key, &1),
                Call::Stop(end) => calls.stop(end),
                Call::Acknowledge {
                    agent_id,
                    task_id,
                    uuid,
                } => {
                    let status = status(&task_id.to_string(), TaskState::Running, Some(uuid));
                    calls.acknowledge(&TaskStatus {
                        agent_id: Some(agent_id),
                        ..status
                    });
                }
                other => panic!("not scripted: {other:?}"),
            }
        }
    }

    pub(super) fn then(&self, call: Call) {
        self.0.lock().unwrap().next.push(call);
    }

    pub(super) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }
}

impl Scheduler for Script {
    fn restored(&mut self, calls: &mut Calls, kept: Kept) {
        self.note(
            calls,
            format!("restored {:?}", kept.keys().collect::<Vec<_>>()),
        );
    }
    fn registered(&mut self, calls: &mut Calls, framework: &FrameworkId, master: &MasterId) {
        self.note(calls, format!("registered {framework} {master}"));
    }
    fn reregistered(&mut self, calls: &mut Calls, master: &MasterId) {
        self.note(calls, format!("reregistered {master}"));
    }
    fn disconnected(&mut self, calls: &mut Calls) {
        self.note(calls, "disconnected".to_owned());
    }
    fn offers(&mut self, calls: &mut Calls, offers: Vec<Offer>) {
        self.note(calls, format!("{} offers", offers.len()));
    }
    fn update(&mut self, calls: &mut Calls, status: TaskStatus) {
        self.note(calls, format!("{} {}", status.task_id, status.state));
    }
    fn error(&mut self, calls: &mut Calls, message: &str) {
        self.note(calls, format!("error {message}"));
    }
    fn timer(&mut self, calls: &mut Calls, _: u64) {
        self.act(calls);
    }
    fn acknowledges_itself(&self) -> bool {
        self.0.lock().unwrap().acknowledges_itself
    }
}

pub(super) struct Bench {
    pub(super) script: Script,
    pub(super) driver: Driver,
    pub(super) now: Timestamp,
    pub(super) out: Vec<Effect>,
}

impl Bench {
    pub(super) fn new(stored: Contents) -> Self {
        Self::with(Script::default(), stored)
    }

    pub(super) fn with(script: Script, stored: Contents) -> Self {
        let info = FrameworkInfo::new("test", Role::star());
        let me: AnyPid = "scheduler@here:1".parse().unwrap();
        let boxed = Box::new(script.clone());
        let driver = Driver::new(me, info, boxed, Timing::default(), 7, &stored).unwrap();
        let mut bench = Self {
            script,
            driver,
            now: START,
            out: Vec::new(),
        };
        bench.driver.start(START, stored, &mut bench.out);
        bench
    }

    /// A driver that is subscribed with master `m1`.
    pub(super) fn joined() -> Self {
        let mut bench = Self::new(Contents::new());
        bench.subscribed("m1");
        bench.take();
        bench.script.heard();
        bench
    }

    pub(super) fn subscribed(&mut self, master: &str) {
        let msg = Subscribed {
            framework_id: FrameworkId::new("m1-0000").unwrap(),
            master_id: MasterId::new(master).unwrap(),
            heartbeat_interval: Duration::from_secs(15),
        };
        self.driver.on_subscribed(self.now, msg, &mut self.out);
    }

    pub(super) fn update(&mut self, status: TaskStatus) {
        self.driver.on_update(self.now, status, &mut self.out);
    }

    pub(super) fn exited(&mut self) {
        self.driver.on_exited(self.now, &mut self.out);
    }

    pub(super) fn timer(&mut self, timer: Timer) {
        self.driver.on_timer(self.now, timer, &mut self.out);
    }

    /// Has the scheduler make `call` at once.
    pub(super) fn call(&mut self, call: Call) {
        self.script.then(call);
        self.timer(Timer::Scheduler { token: 0 });
    }

    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn sent(&mut self) -> Vec<ToMaster> {
        let tell = |effect| match effect {
            Effect::Tell(message) => Some(message),
            _ => None,
        };
        self.take().into_iter().filter_map(tell).collect()
    }

    /// Lets the next timer that `wanted` picks be due, and drops all other effects.
    pub(super) fn fire(&mut self, wanted: impl Fn(&Timer) -> bool) -> Duration {
        let due = self.take().into_iter().find_map(|effect| match effect {
            Effect::Timer { after, timer } if wanted(&timer) => Some((after, timer)),
            _ => None,
        });
        let (after, timer) = due.expect("such a timer is set");
        self.now = self.now + after;
        self.timer(timer);
        after
    }
}

pub(super) fn agent() -> AgentId {
    AgentId::new("m1-S0").unwrap()
}

pub(super) fn status(task: &str, state: TaskState, uuid: Option<Uuid>) -> TaskStatus {
    let status = TaskStatus::new(TaskId::new(task).unwrap(), state, Source::Executor, START);
    TaskStatus {
        agent_id: Some(agent()),
        uuid,
        ..status
    }
}

pub(super) fn launch(task: &str) -> Call {
    let resources: Resources = "cpus:1".parse().unwrap();
    let (id, command) = (TaskId::new(task).unwrap(), CommandInfo::shell("true"));
    let task = TaskInfo::command(id, agent(), resources, command);
    let offer_ids = vec![OfferId::new("m1-O0").unwrap()];
    let operations = vec![Operation::Launch(vec![task])];
    Call::Accept {
        offer_ids,
        operations,
        filters: Filters::default(),
    }
}

pub(super) fn kill(task: &str) -> Call {
    Call::Kill {
        task_id: TaskId::new(task).unwrap(),
        kill_policy: None,
    }
}

pub(super) fn is_subscribe(timer: &Timer) -> bool {
    matches!(timer, Timer::Subscribe { .. })
}

pub(super) fn tells(effects: &[Effect]) -> Vec<ToMaster> {
    let tell = |effect: &Effect| match effect {
        Effect::Tell(message) => Some(message.clone()),
        _ => None,
    };
    effects.iter().filter_map(tell).collect()
}

pub(super) fn reconciled(sent: &[ToMaster]) -> Vec<String> {
    let tasks = sent.iter().filter_map(|message| match message {
        ToMaster::Reconcile(Reconcile { tasks, .. }) => Some(tasks),
        _ => None,
    });
    tasks.flatten().map(|(task, _)| task.to_string()).collect()
}
