//! Invariants of the whole cluster, checked on the messages that pass and the processes that start.
//!
//! | id | statement |
//! |---|---|
//! | SIM-1 | no actor panics, and no component ends but when it should |
//! | SIM-2 | a task has at most one terminal state, as its framework sees it |
//! | SIM-3 | the process of a task is started at most once |
//! | SIM-4 | the tasks that run on a machine never need more than it has |
//! | SIM-5 | an update that was acknowledged to its executor reaches its scheduler |
//! | SIM-6 | a job ends in time once the faults are over, each instance finished |
//!
//! Components check their own invariants after every event (`MA-n`, `AL-n`, `EX-n`, ...) and panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tepui_protocol::{
    FrameworkId, Resources, TaskState,
    messages::{agent, executor, scheduler},
};
use tepui_runtime::{Message, filter::Traced};
use uuid::Uuid;

use super::{journal::Journal, machine::Machine, rng};

/// Updates reach their scheduler within this time after the last fault.
const DELIVERED_WITHIN: Duration = Duration::from_secs(40);

/// The checker of one run; clones are the same one.
#[derive(Clone)]
pub struct Watch(Arc<Mutex<State>>);

struct State {
    journal: Journal,
    machines: Vec<(Machine, Resources)>,
    /// What each task needs, once an agent was told to run it.
    needs: BTreeMap<String, Resources>,
    /// Terminal states by task.
    ended: BTreeMap<(String, String), TaskState>,
    started: BTreeSet<String>,
    /// Whether processes were started since the machines were looked at.
    fuller: bool,
    /// Updates that were acknowledged to executors, not yet by schedulers: when, whose.
    owed: BTreeMap<Uuid, (Duration, String)>,
    /// Updates that schedulers have acknowledged.
    confirmed: BTreeSet<Uuid>,
    /// Frameworks that have ended: nothing is delivered to them any more.
    over: BTreeSet<FrameworkId>,
    /// Whose updates are, by task.
    owners: BTreeMap<String, FrameworkId>,
}

impl Watch {
    /// Watches `machines`, each with what it has.
    pub fn new(journal: Journal, machines: Vec<(Machine, Resources)>) -> Self {
        Self(Arc::new(Mutex::new(State {
            journal,
            machines,
            needs: BTreeMap::new(),
            ended: BTreeMap::new(),
            started: BTreeSet::new(),
            fuller: false,
            owed: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            over: BTreeSet::new(),
            owners: BTreeMap::new(),
        })))
    }

    /// Writes the event down, and checks what it means.
    pub fn see(&self, event: &Traced<'_>) {
        let mut state = self.lock();
        match event {
            Traced::Sent {
                from,
                to,
                name,
                body,
            } => {
                let from = from.map_or("-", |node| node.host());
                let digest = body.map(rng::digest).unwrap_or_default();
                state
                    .journal
                    .note(&format!("{from} -> {to} {name} {digest:016x}"));
                if let Some(body) = body {
                    state.sent(name, body);
                }
            }
            Traced::Handled { by, name, body } => {
                state.journal.note(&format!("{by} {name}"));
                if *name == scheduler::Update::NAME {
                    let update = read(body.expect("an update travels"));
                    state.update(&update, by.node().host());
                }
            }
        }
    }

    /// The process of a task is about to start.
    pub fn process_started(&self, task: &str) {
        let mut state = self.lock();
        state.journal.note(&format!("process of {task}"));
        state.fuller = true;
        if !state.started.insert(task.to_owned()) {
            state
                .journal
                .violated("SIM-3", format!("{task} is started a second time"));
        }
    }

    /// Checks what is not bound to an event; `calm` is how long the last fault has been over.
    pub fn check(&self, now: Duration, calm: Option<Duration>) {
        let mut state = self.lock();
        if std::mem::take(&mut state.fuller) {
            state.check_machines();
        }
        if calm.is_some_and(|calm| calm > DELIVERED_WITHIN) {
            state.check_delivery(now);
        }
    }

    /// The state in which a task has ended, as its framework was told.
    pub fn ended(&self, framework_host: &str, task: &str) -> Option<TaskState> {
        let key = (framework_host.to_owned(), task.to_owned());
        self.lock().ended.get(&key).copied()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<M: Message>(body: &[u8]) -> M {
    M::decode(body).expect("what was encoded a moment ago decodes")
}

impl State {
    fn sent(&mut self, name: &str, body: &[u8]) {
        match name {
            agent::RunTask::NAME => {
                let run: agent::RunTask = read(body);
                let (task, owner) = (run.task.id.to_string(), run.framework.id);
                self.owners.extend(owner.map(|owner| (task.clone(), owner)));
                self.needs.insert(task, run.task.resources);
            }
            scheduler::Acknowledge::NAME => {
                let acknowledged: scheduler::Acknowledge = read(body);
                self.owed.remove(&acknowledged.uuid);
                self.confirmed.insert(acknowledged.uuid);
            }
            scheduler::Teardown::NAME => {
                self.over
                    .insert(read::<scheduler::Teardown>(body).framework_id);
            }
            executor::Acknowledged::NAME => {
                let acknowledged: executor::Acknowledged = read(body);
                let (uuid, task) = (acknowledged.uuid, acknowledged.task_id.to_string());
                if !self.confirmed.contains(&uuid) {
                    let now = turmoil::sim_elapsed().unwrap_or_default();
                    self.owed.entry(uuid).or_insert((now, task));
                }
            }
            _ => {}
        }
    }

    fn update(&mut self, update: &scheduler::Update, to: &str) {
        let (task, state) = (update.status.task_id.to_string(), update.status.state);
        self.journal
            .note(&format!("{to} hears that {task} is {state}"));
        if !state.is_terminal() {
            return;
        }
        let before = *self
            .ended
            .entry((to.to_owned(), task.clone()))
            .or_insert(state);
        if before != state {
            let what = format!("{to} is told that {task} is {before}, then that it is {state}");
            self.journal.violated("SIM-2", what);
        }
    }

    fn check_machines(&self) {
        for (number, (machine, total)) in self.machines.iter().enumerate() {
            let tasks = machine.tasks();
            let needs = tasks.iter().filter_map(|task| self.needs.get(task));
            let needed = needs.fold(Resources::new(), |sum, more| {
                let more = more.unallocate();
                sum + &more
            });
            if !total.contains(&needed) {
                let what = format!("machine {}: {tasks:?} need {needed}", number + 1);
                self.journal.violated("SIM-4", what);
            }
        }
    }

    fn check_delivery(&self, now: Duration) {
        for (uuid, (since, task)) in &self.owed {
            let over = self
                .owners
                .get(task)
                .is_some_and(|owner| self.over.contains(owner));
            if !over && now > *since + DELIVERED_WITHIN {
                let what = format!("update {uuid} of {task} was acknowledged at {since:?}");
                self.journal.violated("SIM-5", what);
            }
        }
    }
}
