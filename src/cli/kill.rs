//! `tepui kill`: ends a task, or all of a framework.

use std::{process::ExitCode, time::Duration};

use anyhow::anyhow;
use clap::Args;
use tepui_protocol::{
    FrameworkId, KillPolicy,
    messages::operator::{KillTask, TeardownFramework},
};

use crate::{
    cli::arguments::{MasterAddress, TaskName},
    client::Client,
};

const EXAMPLES: &str = "\
Examples:
  tepui kill map-3                   SIGTERM, and SIGKILL after the task's own grace period
  tepui kill m-0001/map-3 --grace 0  the one of framework m-0001, at once
  tepui kill --framework m-0001      the framework and all its tasks";

/// End a task, or a whole framework
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The task's id, or FRAMEWORK/TASK where several have that id
    #[arg(required_unless_present = "framework", conflicts_with = "framework")]
    task: Option<TaskName>,
    /// End this framework with all its tasks
    #[arg(long, value_name = "FRAMEWORK")]
    framework: Option<FrameworkId>,
    /// Seconds between SIGTERM and SIGKILL, in place of what the task says
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u32>,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(&arguments.master).await?;
    let answer = match (&arguments.task, arguments.framework) {
        (Some(task), _) => client.ask(kill(task.clone(), arguments.grace)).await,
        (None, Some(framework_id)) => client.ask(TeardownFramework { framework_id }).await,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    client.close().await;
    answer?.map_err(|refusal| anyhow!("{refusal}"))?;
    Ok(ExitCode::SUCCESS)
}

fn kill(name: TaskName, grace: Option<u32>) -> KillTask {
    let kill_policy = grace.map(|seconds| KillPolicy {
        grace_period: Duration::from_secs(seconds.into()),
    });
    KillTask {
        framework_id: name.framework,
        task_id: name.task,
        kill_policy,
    }
}
