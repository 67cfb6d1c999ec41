//! Commands beside simulated tasks: a script on the machine, which writes its name once and reads
//! whatever it is given; and a client that runs one.

use std::{cell::Cell, collections::BTreeMap, rc::Rc, time::Duration};

use futures_util::future::LocalBoxFuture;
use tepui_executor::{SessionIo, StartSession};
use tepui_isolation::Ended;
use tepui_protocol::{
    WindowSize,
    messages::{
        operator::GetTasks,
        session::{Open, Output, Read, Stream},
    },
    task::TaskState,
};
use tepui_runtime::prelude::*;
use tokio::sync::{oneshot, watch};

use super::{
    launcher::pause,
    machine::{Machine, SIGKILL, SIGTERM, Start},
    simulation::{PORT, Site, master},
};

/// A command that runs on a simulated machine.
struct SimSession {
    machine: Machine,
    pid: u32,
    /// What it has not written yet.
    output: Cell<Option<String>>,
    ended: watch::Receiver<Option<Ended>>,
}

/// Starts one.
pub fn open(machine: &Machine, run: &str, start: &StartSession) -> Rc<dyn SessionIo> {
    let (process, ended) = machine.start(run, Start::Session(start.clone()));
    Rc::new(SimSession {
        machine: machine.clone(),
        pid: process.pid,
        output: Cell::new(Some(start.command.join(" "))),
        ended: told(ended),
    })
}

/// The end of a process, for any number of those who wait for it.
fn told(ended: oneshot::Receiver<Ended>) -> watch::Receiver<Option<Ended>> {
    let (sender, seen) = watch::channel(None);
    tokio::task::spawn_local(async move {
        sender.send_replace(Some(ended.await.unwrap_or(Ended::Unseen)));
    });
    seen
}

impl SessionIo for SimSession {
    fn read(self: Rc<Self>) -> LocalBoxFuture<'static, Option<(Stream, Vec<u8>)>> {
        Box::pin(async move {
            if let Some(text) = self.output.take() {
                return Some((Stream::Stdout, text.into_bytes()));
            }
            self.ended().await;
            None
        })
    }

    fn write(self: Rc<Self>, data: Vec<u8>) -> LocalBoxFuture<'static, Option<usize>> {
        Box::pin(async move { Some(data.len()) })
    }

    fn close_input(&self) {}

    fn resize(&self, _: WindowSize) {}

    fn hang_up(&self) {
        self.machine.signal(self.pid, SIGTERM);
    }

    fn kill(&self) {
        self.machine.signal(self.pid, SIGKILL);
    }

    fn ended(&self) -> LocalBoxFuture<'static, Ended> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let seen = ended.wait_for(Option::is_some).await;
            seen.ok().and_then(|ended| *ended).unwrap_or(Ended::Unseen)
        })
    }
}

/// Whom agents watch.
#[derive(Actor)]
struct Presence;

accepts!(Presence:);

/// Runs `line` beside the first task that runs, from a host of its own. Returns what it wrote, and its
/// exit code.
///
/// # Errors
/// What went wrong on the way.
pub async fn run(site: Site, host: &str, line: &str) -> Result<(String, u8), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let wait = Duration::from_secs(20);
    let node = site.node(host, PORT).await.map_err(|e| failed(&e))?;
    let task = loop {
        let tasks = node.ask(&master(), GetTasks::default(), wait).await;
        let running = |task: &tepui_protocol::messages::operator::TaskSummary| {
            task.task.state == TaskState::Running
        };
        if let Some(task) = tasks.unwrap_or_default().into_iter().find(running) {
            break task;
        }
        pause(Duration::from_millis(200)).await;
    };
    let agent = task.agent_pid.ok_or("the agent is away")?;
    let client = node
        .spawn_unique("client", Presence)
        .map_err(|e| failed(&e))?;
    let open = Open {
        session: None,
        client: client.any(),
        framework_id: task.task.framework_id,
        executor_id: task.task.info.executor_id(),
        task_id: task.task.info.id,
        command: line.split(' ').map(str::to_owned).collect(),
        environment: BTreeMap::new(),
        input: false,
        terminal: None,
    };
    let opened = node.ask(&agent, open, wait).await.map_err(|e| failed(&e))?;
    let session = opened.map_err(|refusal| refusal.message)?;
    let mut written = String::new();
    loop {
        let read = node.ask(&agent, Read { session }, wait).await;
        match read.map_err(|e| failed(&e))?? {
            Output::Nothing => {}
            Output::Piece { data, .. } => written += &String::from_utf8_lossy(&data),
            Output::Ended { code } => return Ok((written, code)),
        }
    }
}
