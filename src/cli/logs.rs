//! `tepui logs`: what a task wrote, read from its sandbox through its agent.
//!
//! The master tells which agent has the task; the agent gives the file piece by piece. With `-f`
//! the end is reached when the task has ended *before* a piece came back empty.

use std::{process::ExitCode, time::Duration};

use anyhow::{anyhow, bail};
use clap::Args;
use tepui_protocol::messages::operator::{ReadSandbox, TaskSummary};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    cli::arguments::{MasterAddress, TaskName},
    client::Client,
    output,
};

const EXAMPLES: &str = "\
Examples:
  tepui logs map-3                  its standard output so far
  tepui logs -f map-3 stderr        its standard error, until the task ends
  tepui logs m-0001/map-3 out.csv   any file of its sandbox; with the framework's id where
                                    several tasks have that id";

/// Bytes asked for at once.
const PIECE: u32 = 256 * 1024;
/// How often `-f` looks for more.
const POLL: Duration = Duration::from_millis(200);

/// Print what a task wrote
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The task's id, or FRAMEWORK/TASK where several have that id
    task: TaskName,
    /// stdout, stderr, or any file of the sandbox
    #[arg(default_value = "stdout")]
    file: String,
    /// Go on until the task ends
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(&arguments.master.pid).await?;
    let copied = copy(&client, &arguments).await;
    client.close().await;
    copied?;
    Ok(ExitCode::SUCCESS)
}

async fn copy(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut task = locate(client, arguments, &mut poll).await?;
    let mut offset = 0;
    loop {
        let over = task.task.state.is_terminal();
        match piece(client, arguments, &task, offset).await {
            Ok(data) if !data.is_empty() => {
                output::write(&data)?;
                offset += data.len() as u64;
                continue;
            }
            Ok(_) => {}
            // The sandbox is made when the executor starts: before that there is nothing to read.
            Err(_) if arguments.follow && !over => {}
            Err(error) => return Err(error),
        }
        if over || !arguments.follow {
            return Ok(());
        }
        poll.tick().await;
        task = find(client, &arguments.task).await?;
    }
}

/// The task, once it has an agent.
async fn locate(
    client: &Client,
    arguments: &Arguments,
    poll: &mut Interval,
) -> anyhow::Result<TaskSummary> {
    loop {
        let task = find(client, &arguments.task).await?;
        if task.agent_pid.is_some() {
            return Ok(task);
        }
        if !arguments.follow || task.task.state.is_terminal() {
            let id = &arguments.task;
            bail!(
                "the agent of task {id} is not connected, so its sandbox cannot be read; see `tepui agents`"
            );
        }
        poll.tick().await;
    }
}

/// The one task of that name.
async fn find(client: &Client, name: &TaskName) -> anyhow::Result<TaskSummary> {
    let mut tasks = client
        .tasks(name.framework.clone(), Some(name.task.clone()))
        .await?;
    match (tasks.pop(), tasks.is_empty()) {
        (Some(task), true) => Ok(task),
        (None, _) => bail!("no task {name}; `tepui tasks` lists those that the master knows"),
        (Some(last), false) => {
            tasks.push(last);
            let names = tasks
                .iter()
                .map(|t| format!("{}/{}", t.task.framework_id, name.task));
            let names: Vec<String> = names.collect();
            bail!(
                "several frameworks have a task {name}; name one of: {}",
                names.join(" ")
            )
        }
    }
}

async fn piece(
    client: &Client,
    arguments: &Arguments,
    task: &TaskSummary,
    offset: u64,
) -> anyhow::Result<Vec<u8>> {
    let agent = task
        .agent_pid
        .as_ref()
        .ok_or_else(|| anyhow!("the agent is not connected"))?;
    let question = ReadSandbox {
        framework_id: task.task.framework_id.clone(),
        executor_id: task.task.info.executor_id(),
        path: arguments.file.clone(),
        offset,
        length: PIECE,
    };
    let piece = client.ask_agent(agent, question).await?;
    Ok(piece
        .map_err(|refusal| anyhow!("{}: {refusal}", arguments.task))?
        .data)
}
