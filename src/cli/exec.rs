//! `tepui exec`: a command in the container of a task that runs, with this terminal or these pipes.
//!
//! ```text
//!  find the task --> open a session at its agent --> copy both ways --command ended--> its exit code
//!                                                        +--signal, lost agent--> close it, 128 + signal or 1
//! ```
//! `exec/copy.rs` copies, `exec/terminal.rs` is this side's terminal.

mod copy;
mod terminal;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{anyhow, bail};
use clap::Args;
use tepui_protocol::{
    messages::{operator::TaskSummary, session},
    task::TaskState,
};
use tepui_runtime::{AnyPid, prelude::*};

use crate::{
    cli::{
        BadInput,
        arguments::{MasterAddress, TaskName},
    },
    client::Client,
    output, sandbox,
};
use copy::Copy;
pub(crate) use terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  tepui exec web.run.0.0 ps aux                    what runs in the task's container
  tepui exec -it web.run.0.0 sh                    a shell in it
  tepui exec -i web.run.0.0 sh -c 'cat > new' < f  input from here
  tepui exec m-0001/web.run.0.0 env                the one of framework m-0001

The command has the task's namespaces, limits, user and environment. Exit codes: the command's own; 128
and the signal's number if one ended it; 127 there is no such command; 126 it cannot be executed; 1 there
is no such task, it does not run, or its agent was lost.";

/// Run a command in the container of a task
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Give the command what comes on stdin
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long)]
    tty: bool,
    #[command(flatten)]
    master: MasterAddress,
    /// The task's id, or FRAMEWORK/TASK where several have that id
    task: TaskName,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// A command with streams of this process.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Whether stdin is for it.
    pub(crate) interactive: bool,
    /// The terminal that it uses.
    pub(crate) terminal: Option<Terminal>,
}

impl Beside {
    /// With this process's terminal, if that is wanted.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(command: Vec<String>, interactive: bool, tty: bool) -> anyhow::Result<Self> {
        let none = || BadInput("-t: stdin and stdout are no terminal; leave -t out".to_owned());
        let terminal = match tty {
            true => Some(Terminal::of_this_process().ok_or_else(none)?),
            false => None,
        };
        Ok(Self {
            command,
            interactive,
            terminal,
        })
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let beside = Beside::of(arguments.command, arguments.interactive, arguments.tty)?;
    let client = Client::of(&arguments.master).await?;
    let code = in_session(&client, &arguments.task, beside).await;
    client.close().await;
    Ok(ExitCode::from(code?))
}

/// Runs a command beside a task, to its end. Returns the exit code for this process.
///
/// # Errors
/// When there is no such task, it does not run, or its agent was lost.
pub(crate) async fn in_session(
    client: &Client,
    name: &TaskName,
    beside: Beside,
) -> anyhow::Result<u8> {
    let Beside {
        command,
        interactive,
        terminal,
    } = beside;
    let task = running(client, name).await?;
    let agent = task.agent_pid.ok_or_else(|| away(name))?;
    let mut environment = BTreeMap::new();
    if let (true, Ok(term)) = (terminal.is_some(), std::env::var("TERM")) {
        environment.insert("TERM".to_owned(), term);
    }
    let open = session::Open {
        session: None,
        client: client.presence()?,
        framework_id: task.task.framework_id,
        executor_id: task.task.info.executor_id(),
        task_id: name.task.clone(),
        command,
        environment,
        input: interactive,
        terminal: terminal.as_ref().map(Terminal::size),
    };
    let copy = Copy::new(client, agent, interactive, terminal)?;
    match copy.run(open).await? {
        Ok(code) => Ok(code),
        Err(refusal) => match refusal.exit_code {
            Some(code) => {
                output::error(&refusal.message);
                Ok(code)
            }
            None => bail!("{}", refusal.message),
        },
    }
}

fn away(name: &TaskName) -> anyhow::Error {
    anyhow!("the agent of task {name} is not connected; see `tepui agents`")
}

/// The task of that name, which must run.
async fn running(client: &Client, name: &TaskName) -> anyhow::Result<TaskSummary> {
    let tasks = client
        .tasks(name.framework.clone(), Some(name.task.clone()))
        .await?;
    let task = sandbox::the_one(name, tasks)?
        .ok_or_else(|| anyhow!("no task {name}; `tepui tasks --live` lists those that run"))?;
    match task.task.state {
        TaskState::Running => Ok(task),
        state if state.is_terminal() => bail!("task {name} has ended ({state})"),
        state => bail!("task {name} does not run yet, or not any more ({state})"),
    }
}

/// An actor that is there as long as this process is: agents watch it.
#[derive(Actor)]
pub(crate) struct Presence;

accepts!(Presence:);

impl Client {
    /// Whom an agent may watch to see that this process is there.
    fn presence(&self) -> anyhow::Result<AnyPid> {
        Ok(self.node().spawn_unique("client", Presence)?.any())
    }
}
