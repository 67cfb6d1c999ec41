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
//! | SIM-7 | the tasks of a group are given to their agent and executor together, and when one ends badly, none runs on |
//!
//! Components check their own invariants after every event (`MA-n`, `AL-n`, `EX-n`, ...) and panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tepui_protocol::{
    FrameworkId, Resources, TaskInfo, TaskState,
    messages::{agent, executor, scheduler},
};
use tepui_runtime::{Message, filter::Traced};
use uuid::Uuid;

use super::{journal::Journal, machine::Machine, rng};

/// Updates reach their scheduler within this time after the last fault.
const DELIVERED_WITHIN: Duration = Duration::from_secs(40);

/// After the last fault, the tasks of a group end within this time after one that ended badly.
const ENDED_WITHIN: Duration = Duration::from_secs(15);

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
    /// The group of each task that has one.
    groups: BTreeMap<String, String>,
    /// When a framework was told that a task of a group ended badly, by group.
    broken: BTreeMap<String, Duration>,
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
            groups: BTreeMap::new(),
            broken: BTreeMap::new(),
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
            state.check_groups(now);
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
            agent::RunGroup::NAME => {
                let run: agent::RunGroup = read(body);
                for task in &run.tasks {
                    let (id, owner) = (task.id.to_string(), run.framework.id.clone());
                    self.owners.extend(owner.map(|owner| (id.clone(), owner)));
                    self.needs.insert(id, task.resources.clone());
                }
                self.given(&run.tasks);
            }
            executor::LaunchGroup::NAME => {
                let launch: executor::LaunchGroup = read(body);
                self.given(&launch.tasks);
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

    /// Tasks of a group are given to an agent or executor: all that have not ended.
    fn given(&mut self, tasks: &[TaskInfo]) {
        for task in tasks {
            let Some(group) = &task.group else {
                let what = format!("{} is given with a group and not of it", task.id);
                return self.journal.violated("SIM-7", what);
            };
            self.groups
                .insert(task.id.to_string(), group.id.to_string());
        }
        let Some(group) = tasks.first().and_then(|task| task.group.as_ref()) else {
            return;
        };
        let whole = tasks.len() == group.size as usize;
        if !whole
            && !self
                .started
                .iter()
                .any(|task| self.is_of(task, group.id.as_str()))
        {
            let what = format!("{} tasks of {} are given", tasks.len(), group.id);
            self.journal.violated("SIM-7", what);
        }
    }

    fn is_of(&self, task: &str, group: &str) -> bool {
        self.groups.get(task).is_some_and(|id| id == group)
    }

    fn check_groups(&self, now: Duration) {
        for (machine, _) in &self.machines {
            for task in machine.tasks() {
                let group = self.groups.get(&task);
                let broken = group.and_then(|group| self.broken.get(group));
                if broken.is_some_and(|since| now > *since + ENDED_WITHIN) {
                    let what = format!("{task} runs on, though another of its group ended badly");
                    self.journal.violated("SIM-7", what);
                }
            }
        }
    }

    fn update(&mut self, update: &scheduler::Update, to: &str) {
        let (task, state) = (update.status.task_id.to_string(), update.status.state);
        self.journal
            .note(&format!("{to} hears that {task} is {state}"));
        if !state.is_terminal() {
            return;
        }
        if state != TaskState::Finished
            && let Some(group) = self.groups.get(&task)
        {
            let now = turmoil::sim_elapsed().unwrap_or_default();
            self.broken.entry(group.clone()).or_insert(now);
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
