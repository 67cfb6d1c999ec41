//! Processes of tasks: what the executor needs of an operating system, as a trait, so that a
//! simulation can give scripted lifetimes in its place.

mod probes;
mod session;
mod system;

use std::{collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

use futures_util::future::LocalBoxFuture;
use tepui_isolation::{Ended, Outcome, Signal};
use tepui_protocol::{
    CommandInfo, ContainerStatus, NetworkInfo, Resources, TaskId, WindowSize,
    lifecycle::{Limits, Probe},
    messages::session::{Refusal, Stream},
};
use uuid::Uuid;

use crate::checker::ProbeResult;

pub use system::{Containers, SystemProcesses};

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProcess {
    /// For which task; names the process in [`Processes::signal`].
    pub task_id: TaskId,
    /// What to run.
    pub command: CommandInfo,
    /// All of its environment, the command's own variables included.
    pub environment: BTreeMap<String, String>,
    /// Where it runs and writes `stdout` and `stderr`.
    pub sandbox: PathBuf,
    /// What it may use.
    pub resources: Resources,
    /// What it may use beyond that.
    pub limits: Limits,
    /// The network that it asks for.
    pub network: Option<NetworkInfo>,
    /// Its place in its group, where it is part of one.
    pub member: Option<Member>,
}

/// What a task of a group has of its own, and with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which task of the group it is.
    pub index: u32,
    /// The directory that all of them see.
    pub shared: PathBuf,
}

/// How to look at a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProbe {
    /// Which.
    pub task_id: TaskId,
    /// What to do.
    pub probe: Probe,
    /// For how long; zero: as long as it takes.
    pub timeout: Duration,
    /// All of the environment of a command.
    pub environment: BTreeMap<String, String>,
    /// The task's sandbox.
    pub sandbox: PathBuf,
}

/// A command to start beside a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSession {
    /// Its name, unlike that of any other.
    pub session: Uuid,
    /// Beside which task.
    pub task_id: TaskId,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// All of the environment of the task.
    pub environment: BTreeMap<String, String>,
    /// What is added to it.
    pub more_environment: BTreeMap<String, String>,
    /// The task's sandbox.
    pub sandbox: PathBuf,
    /// Whether it gets input.
    pub input: bool,
    /// Whether it gets a terminal, and of what size.
    pub terminal: Option<WindowSize>,
}

/// A command beside a task, and our ends of its streams. At most one read and one write at a time.
pub trait SessionIo {
    /// Waits for what it writes next; none when it has closed all of its output. Nothing is lost when
    /// the future is dropped before it is done.
    fn read(self: Rc<Self>) -> LocalBoxFuture<'static, Option<(Stream, Vec<u8>)>>;

    /// Waits until it takes some of this, and says how much; none if it reads no more.
    fn write(self: Rc<Self>, data: Vec<u8>) -> LocalBoxFuture<'static, Option<usize>>;

    /// There is no more input.
    fn close_input(&self);

    /// The window of its terminal has another size.
    fn resize(&self, size: WindowSize);

    /// Closes its streams and asks it to end.
    fn hang_up(&self);

    /// Ends it and all that came of it. Does not wait for that.
    fn kill(&self);

    /// Resolves when it has ended.
    fn ended(&self) -> LocalBoxFuture<'static, Ended>;
}

/// A process that was started.
pub struct Started {
    /// Its number.
    pub os_pid: u32,
    /// Its container, where that has an address of its own.
    pub container: Option<ContainerStatus>,
    /// Resolves when it has ended and nothing of it is left.
    pub ended: LocalBoxFuture<'static, Outcome>,
}

/// Starts and signals the processes of tasks.
pub trait Processes: Send + 'static {
    /// Starts a process. Resolves when it runs, or to a text for people that names the command and
    /// what is wrong with it.
    fn start(&mut self, start: &StartProcess) -> LocalBoxFuture<'static, Result<Started, String>>;

    /// Looks at a task that runs. Processes that are not real say nothing.
    fn probe(&mut self, _start: &StartProbe) -> LocalBoxFuture<'static, ProbeResult> {
        Box::pin(async { ProbeResult::Killed })
    }

    /// Starts a command beside a task that runs, in the same container. Processes that are not real have
    /// none.
    fn open(
        &mut self,
        _start: &StartSession,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn SessionIo>, Refusal>> {
        let refusal = Refusal::from("these processes take no sessions".to_owned());
        Box::pin(async { Err(refusal) })
    }

    /// Signals the process of `task` and all of its group; nothing happens if it does not run yet or
    /// has ended.
    fn signal(&mut self, task: &TaskId, signal: Signal);
}
