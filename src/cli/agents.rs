//! `tepui agents`: the agents of a cluster, what they have and what of it is used.

use std::process::ExitCode;

use clap::Args;
use tepui_protocol::messages::operator::{AgentStanding, AgentSummary, GetAgents};

use crate::{
    cli::View,
    client,
    output::{Listing, of_total, span},
};

const EXAMPLES: &str = "\
Examples:
  tepui agents
  tepui agents --master 10.0.0.1:5050 --json

CPUS and MEM (MiB) are used/total; OFFERED cpus are held by offers at the moment.";

/// List the agents and what they have
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    client::ask_and_show(&arguments.view, GetAgents {}, |agents, now| {
        let headings = [
            "AGENT", "HOST", "STANDING", ">TASKS", ">CPUS", ">MEM", ">OFFERED", "UP", "ADDRESS",
        ];
        let mut table = Listing::new(&headings, "no agents");
        for agent in agents {
            table.row(row(agent, now.since(agent.registered)));
        }
        table
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

fn row(agent: &AgentSummary, up: std::time::Duration) -> [String; 9] {
    let total = &agent.info.resources;
    [
        agent
            .info
            .id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        agent.info.hostname.clone(),
        standing(agent.standing).to_owned(),
        agent.tasks.to_string(),
        of_total(agent.used.cpus(), total.cpus()),
        of_total(agent.used.mem(), total.mem()),
        agent.offered.cpus().to_string(),
        span(up),
        agent
            .pid
            .as_ref()
            .map(|pid| pid.node().to_string())
            .unwrap_or_default(),
    ]
}

fn standing(standing: AgentStanding) -> &'static str {
    match standing {
        AgentStanding::Recovered => "recovered",
        AgentStanding::Active => "active",
        AgentStanding::Disconnected => "disconnected",
        AgentStanding::Unreachable => "unreachable",
    }
}
