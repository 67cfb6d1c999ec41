//! `tepui attach`: what a task writes from now on, until it ends; then its exit code.

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use tepui_protocol::task::{Task, TaskState};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cli::arguments::{MasterAddress, TaskName},
    client::Client,
    output,
    sandbox::{self, Sandbox},
};

const EXAMPLES: &str = "\
Examples:
  tepui attach web.run.0.0          its output from now on, until it ends
  tepui attach --all web.run.0.0    from its start on

Exit codes: the task's own exit status; 1 if it ended in another way, or cannot be followed.";

/// How often it is looked for more.
const POLL: Duration = Duration::from_millis(200);
/// The files that a task's output goes to.
const FILES: [&str; 2] = ["stdout", "stderr"];

/// Follow what a task writes, and end as it does
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The task's id, or FRAMEWORK/TASK where several have that id
    task: TaskName,
    /// Also what it has written so far
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(&arguments.master).await?;
    let ended = follow(&client, &arguments).await;
    let task = match ended {
        Ok(()) => the_task(&client, &arguments.task).await,
        Err(error) => Err(error),
    };
    client.close().await;
    verdict(&arguments.task, &task?)
}

async fn the_task(client: &Client, name: &TaskName) -> anyhow::Result<Option<Task>> {
    let tasks = client
        .tasks(name.framework.clone(), Some(name.task.clone()))
        .await?;
    Ok(sandbox::the_one(name, tasks)?.map(|summary| summary.task))
}

fn verdict(name: &TaskName, task: &Option<Task>) -> anyhow::Result<ExitCode> {
    let Some(task) = task else {
        bail!("how task {name} ended is not known any more");
    };
    let last = task.statuses.last();
    let code = last.and_then(|status| status.exit_code);
    match (task.state, code.map(u8::try_from)) {
        (TaskState::Finished, _) => Ok(ExitCode::SUCCESS),
        (_, Some(Ok(code))) => Ok(ExitCode::from(code)),
        (state, _) => {
            let why = last
                .map(|status| status.message.clone())
                .unwrap_or_default();
            bail!("task {name} ended as {state}: {why}")
        }
    }
}

/// Copies the output of a task until it has ended.
async fn follow(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut offsets = [0; FILES.len()];
    let mut is_first = true;
    loop {
        poll.tick().await;
        let sandbox = Sandbox::find(client, &arguments.task).await?;
        if std::mem::take(&mut is_first) && !arguments.all && !sandbox.is_complete {
            for (file, offset) in FILES.into_iter().zip(&mut offsets) {
                // Before the executor has started there is nothing to pass over.
                *offset = sandbox.size(client, file).await.unwrap_or_default();
            }
        }
        for (file, offset) in FILES.into_iter().zip(&mut offsets) {
            copy(client, &sandbox, file, offset).await?;
        }
        if sandbox.is_complete {
            return Ok(());
        }
    }
}

/// Copies what there is now of one file.
async fn copy(
    client: &Client,
    sandbox: &Sandbox,
    file: &str,
    offset: &mut u64,
) -> anyhow::Result<()> {
    loop {
        match sandbox.piece(client, file, *offset).await {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => {
                *offset += data.len() as u64;
                match file {
                    "stderr" => output::write_error(&data)?,
                    _ => output::write(&data)?,
                }
            }
            Err(_) if !sandbox.is_complete => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
