//! `tepui tasks`: what runs, what ran, and how it ended.

use std::process::ExitCode;

use clap::Args;
use tepui_protocol::{
    FrameworkId, Timestamp,
    messages::operator::{GetTasks, TaskSummary},
};

use crate::{
    cli::View,
    client,
    output::{Listing, span},
};

const EXAMPLES: &str = "\
Examples:
  tepui tasks --live                        what runs now
  tepui tasks --framework m-0001 --json     all of a framework, for scripts

AGE is the time since the last change of state. The master remembers the last ended
tasks of each framework. ADDRESS is that of a private network, where the task has one: docs/network.md.";

/// List tasks and their states
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only those of this framework
    #[arg(long, value_name = "FRAMEWORK")]
    framework: Option<FrameworkId>,
    /// Only those that have not ended
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let question = GetTasks {
        framework_id: arguments.framework,
        task_id: None,
        live_only: arguments.live,
    };
    client::ask_and_show(&arguments.view, question, |tasks, now| {
        let headings = [
            "TASK",
            "FRAMEWORK",
            "STATE",
            "HOST",
            "ADDRESS",
            ">CPUS",
            ">MEM",
            ">AGE",
            "MESSAGE",
        ];
        let mut table = Listing::new(&headings, "no tasks");
        tasks.iter().for_each(|task| table.row(row(task, now)));
        table
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

fn row(summary: &TaskSummary, now: Timestamp) -> [String; 9] {
    let task = &summary.task;
    let last = task.statuses.last();
    [
        task.info.id.to_string(),
        task.framework_id.to_string(),
        task.state.to_string(),
        summary.hostname.clone(),
        address(summary).unwrap_or_default(),
        task.info.resources.cpus().to_string(),
        task.info.resources.mem().to_string(),
        last.map(|status| span(now.since(status.timestamp)))
            .unwrap_or_default(),
        last.map(
            |status| match (first_line(&status.message), status.healthy) {
                (line, Some(false)) if line.is_empty() => "not healthy".to_owned(),
                (line, Some(true)) if line.is_empty() => "healthy".to_owned(),
                (line, _) => line,
            },
        )
        .unwrap_or_default(),
    ]
}

/// Its own, where it is not in its machine's network.
fn address(summary: &TaskSummary) -> Option<String> {
    let mut statuses = summary.task.statuses.iter().rev();
    let status = statuses.find_map(|status| status.container_status.as_ref())?;
    status.address().map(|address| address.to_string())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
