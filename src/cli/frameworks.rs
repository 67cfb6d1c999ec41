//! `tepui frameworks`: who uses the cluster, and how much of it.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use tepui_protocol::{
    TaskState,
    messages::operator::{FrameworkStanding, FrameworkSummary, GetFrameworks},
};

use crate::{
    cli::View,
    client,
    output::{Listing, brief, percent},
};

const EXAMPLES: &str = "\
Examples:
  tepui frameworks
  tepui frameworks --json

TASKS is live/ended; SHARE is the dominant share of the cluster.";

/// List the frameworks and what they use
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    client::ask_and_show(&arguments.view, GetFrameworks {}, |frameworks, _| {
        let headings = [
            "FRAMEWORK",
            "NAME",
            "ROLES",
            "STANDING",
            ">TASKS",
            ">SHARE",
            "USED",
        ];
        let mut table = Listing::new(&headings, "no frameworks");
        frameworks
            .iter()
            .for_each(|framework| table.row(row(framework)));
        table
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

fn row(framework: &FrameworkSummary) -> [String; 7] {
    let roles: Vec<&str> = framework
        .info
        .roles
        .iter()
        .map(|role| role.as_str())
        .collect();
    [
        framework
            .info
            .id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        framework.info.name.clone(),
        roles.join(","),
        standing(framework.standing).to_owned(),
        live_and_ended(&framework.tasks),
        percent(framework.dominant_share),
        brief(&framework.used),
    ]
}

fn live_and_ended(tasks: &BTreeMap<TaskState, usize>) -> String {
    let count = |terminal: bool| -> usize {
        let of_kind = tasks
            .iter()
            .filter(|(state, _)| state.is_terminal() == terminal);
        of_kind.map(|(_, count)| count).sum()
    };
    format!("{}/{}", count(false), count(true))
}

fn standing(standing: FrameworkStanding) -> &'static str {
    match standing {
        FrameworkStanding::Recovered => "recovered",
        FrameworkStanding::Active => "active",
        FrameworkStanding::Disconnected => "disconnected",
        FrameworkStanding::Completed => "completed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_by_whether_they_have_ended() {
        let tasks = BTreeMap::from([
            (TaskState::Running, 2),
            (TaskState::Staging, 1),
            (TaskState::Finished, 5),
            (TaskState::Failed, 1),
        ]);
        assert_eq!(live_and_ended(&tasks), "3/6");
    }
}
