//! A machine without an operating system: processes that are started, signalled, and end.
//!
//! ```text
//!  launcher, executors --start--> waiting --the host of the machine's executors--> running --> ended
//!                                    |            (`executors.rs`)                    ^
//!                                    +--- signal ------------------------------------+
//! ```
//! It outlives the simulated hosts that use it: an agent's process may crash and find its executors
//! again. [`Machine::power_off`] is the end of everything on it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tepui_executor::{StartProcess, StartSession};
use tepui_isolation::{Ended, ProcessIdentity};
use tokio::sync::{Notify, mpsc, oneshot};

/// What is to be started, on the host of the machine's executors.
pub enum Start {
    /// An executor, told its place by these variables.
    Executor(BTreeMap<String, String>),
    /// A task's process.
    Task(StartProcess),
    /// A command beside a task.
    Session(StartSession),
}

/// A process to be started.
pub struct Waiting {
    /// Which.
    pub pid: u32,
    /// What it is.
    pub start: Start,
    /// The numbers of the signals that it gets.
    pub signals: mpsc::UnboundedReceiver<i32>,
}

/// A process from the moment when it was asked for.
struct Process {
    /// The run of the executor that it belongs to.
    run: String,
    /// The task that it runs; none for an executor.
    task: Option<String>,
    /// Whether it is neither, but a command beside a task.
    is_session: bool,
    signals: mpsc::UnboundedSender<i32>,
    watchers: Vec<oneshot::Sender<Ended>>,
}

/// A machine; clones are the same one.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    boots: u64,
    pids: u32,
    waiting: VecDeque<Waiting>,
    processes: BTreeMap<u32, Process>,
}

/// A signal that ends whoever gets it.
pub const SIGKILL: i32 = 9;
/// A signal that most heed.
pub const SIGTERM: i32 = 15;

impl Machine {
    /// A machine that has just booted.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Which boot of the machine this is.
    pub fn boot_id(&self) -> String {
        format!("boot-{}", self.lock().boots)
    }

    /// Starts a process of `run`; the second part resolves when it has ended.
    pub fn start(&self, run: &str, start: Start) -> (ProcessIdentity, oneshot::Receiver<Ended>) {
        let (watcher, ended) = oneshot::channel();
        let (sender, signals) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.pids += 1;
        let pid = state.pids;
        let task = match &start {
            Start::Executor(_) | Start::Session(_) => None,
            Start::Task(task) => Some(task.task_id.to_string()),
        };
        let is_session = matches!(start, Start::Session(_));
        let (run, watchers) = (run.to_owned(), vec![watcher]);
        state.processes.insert(
            pid,
            Process {
                run,
                task,
                is_session,
                signals: sender,
                watchers,
            },
        );
        state.waiting.push_back(Waiting {
            pid,
            start,
            signals,
        });
        drop(state);
        self.0.wake.notify_one();
        (identity(pid), ended)
    }

    /// The next process to start, when there is one.
    pub async fn next(&self) -> Waiting {
        loop {
            let waiting = self.lock().waiting.pop_front();
            match waiting {
                Some(waiting) => return waiting,
                None => self.0.wake.notified().await,
            }
        }
    }

    /// A process has ended: tells those who wait for it.
    pub fn ended(&self, pid: u32, ended: Ended) {
        let process = self.lock().processes.remove(&pid);
        for watcher in process.into_iter().flat_map(|process| process.watchers) {
            // The agent, or the executor, that waited may be gone.
            let _ = watcher.send(ended);
        }
    }

    /// Whether that process runs.
    pub fn is_alive(&self, process: ProcessIdentity) -> bool {
        identity(process.pid) == process && self.lock().processes.contains_key(&process.pid)
    }

    /// How many processes of a run there are.
    pub fn count(&self, run: &str) -> usize {
        self.lock()
            .processes
            .values()
            .filter(|process| process.run == run)
            .count()
    }

    /// Signals a process.
    pub fn signal(&self, pid: u32, number: i32) {
        if let Some(process) = self.lock().processes.get(&pid) {
            // One that is about to end takes no more signals.
            let _ = process.signals.send(number);
        }
    }

    /// Kills all processes of a run.
    pub fn kill_run(&self, run: &str) {
        for pid in self.pids(|process| process.run == run) {
            self.signal(pid, SIGKILL);
        }
    }

    /// Kills one executor, the `pick`th around; its tasks' processes stay. Returns its run.
    pub fn kill_an_executor(&self, pick: usize) -> Option<String> {
        self.kill_one(pick, |process| {
            process.task.is_none() && !process.is_session
        })
    }

    /// Kills one task's process, the `pick`th around. Returns the task.
    pub fn kill_a_task(&self, pick: usize) -> Option<String> {
        self.kill_one(pick, |process| process.task.is_some())
    }

    fn kill_one(&self, pick: usize, which: impl Fn(&Process) -> bool) -> Option<String> {
        let pids = self.pids(which);
        let pid = *pids.get(pick.checked_rem(pids.len())?)?;
        let name = self
            .lock()
            .processes
            .get(&pid)
            .map(|process| process.task.clone().unwrap_or_else(|| process.run.clone()));
        self.signal(pid, SIGKILL);
        name
    }

    /// The tasks whose processes run, in the order of their start.
    pub fn tasks(&self) -> Vec<String> {
        self.lock()
            .processes
            .values()
            .filter_map(|process| process.task.clone())
            .collect()
    }

    /// How many commands run beside tasks.
    pub fn sessions(&self) -> usize {
        self.pids(|process| process.is_session).len()
    }

    /// Ends everything without a word to anybody.
    pub fn power_off(&self) {
        let mut state = self.lock();
        state.boots += 1;
        state.waiting.clear();
        state.processes.clear();
    }

    fn pids(&self, which: impl Fn(&Process) -> bool) -> Vec<u32> {
        let state = self.lock();
        state
            .processes
            .iter()
            .filter(|(_, process)| which(process))
            .map(|(pid, _)| *pid)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        pid,
        start_time: u64::from(pid) * 7,
    }
}
