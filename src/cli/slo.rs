//! `tepui slo`: what roles that come in bursts can count on, and whether it is kept.

use std::{process::ExitCode, time::Duration};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use tepui_batch::parse_duration;
use tepui_protocol::{
    Quantities, Role,
    messages::operator::{GetServiceLevels, UpdateServiceLevel},
    service::{ServiceClass, ServiceLevel, ServiceSummary},
};

use crate::{
    cli::{View, arguments::MasterAddress},
    client::Client,
    output::{self, Listing, span},
};

const EXAMPLES: &str = "\
Examples:
  tepui slo                                                 who asked for what, what it got and why
  tepui slo set queries --tasks 20 --each 'cpus:1;mem:512' --length 5m --period 1h
  tepui slo set queries --class soft --tasks 20 --each cpus:1 --length 5m --period 1h --within 2s --percent 95
  tepui slo remove queries

hard: the room of the burst is held free for the role. soft: the burst, spread over its period, is within the role's fair
share. elastic: its fair share, no more. WAITED is how long the given percentage of frameworks waited at most for their first offer.";

/// Show the service levels of roles; ask for one, and take it away
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    view: View,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask for a level; says which class the role gets, and why. The master remembers it
    Set(Set),
    /// Take a role's level away
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Set {
    /// Whose; `*` can have none
    role: Role,
    /// The class to ask for: hard, soft or elastic
    #[arg(long, default_value = "hard", value_parser = parse_class)]
    class: ServiceClass,
    /// Tasks of the burst
    #[arg(long, value_name = "N")]
    tasks: u32,
    /// What each of them takes
    #[arg(long, value_name = "AMOUNTS")]
    each: Quantities,
    /// How long the burst lasts
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    length: Duration,
    /// How often it comes
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    period: Duration,
    /// A first offer is to come within this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    within: Duration,
    /// In so many of a hundred cases
    #[arg(long, value_name = "N", default_value_t = 99, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Remove {
    /// Whose
    role: Role,
    #[command(flatten)]
    master: MasterAddress,
}

fn parse_class(text: &str) -> Result<ServiceClass, String> {
    match text {
        "hard" => Ok(ServiceClass::Hard),
        "soft" => Ok(ServiceClass::Soft),
        "elastic" => Ok(ServiceClass::Elastic),
        _ => Err("write hard, soft or elastic".to_owned()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None => show(&arguments.view).await?,
        Some(Command::Set(set)) => {
            let level = ServiceLevel {
                class: set.class,
                each: set.each,
                tasks: set.tasks,
                length: set.length,
                period: set.period,
                within: set.within,
                percent: set.percent,
            };
            ask(&set.master, set.role, level).await?;
        }
        Some(Command::Remove(remove)) => {
            let client = Client::of(&remove.master).await?;
            let (role, level) = (remove.role, None);
            let answer = client.ask(UpdateServiceLevel { role, level }).await;
            client.close().await;
            answer?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(master: &MasterAddress, role: Role, level: ServiceLevel) -> anyhow::Result<()> {
    let client = Client::of(master).await?;
    let call = UpdateServiceLevel {
        role: role.clone(),
        level: Some(level),
    };
    let answer = match client.ask(call).await {
        Ok(Ok(())) => client.ask(GetServiceLevels {}).await,
        Ok(Err(refusal)) => Err(anyhow!("the master refuses: {refusal}")),
        Err(error) => Err(error),
    };
    client.close().await;
    let levels = answer?;
    let got = levels.iter().find(|summary| summary.role == role);
    let got = got.ok_or_else(|| anyhow!("the level of role {role} was taken away at once"))?;
    output::print(&format!("role {role} is {}: {}", got.class, got.reason))
}

async fn show(view: &View) -> anyhow::Result<()> {
    let client = Client::of(view.master()).await?;
    let answer = client.ask(GetServiceLevels {}).await;
    client.close().await;
    output::show(view.json, &answer?, |levels: &Vec<ServiceSummary>| {
        let headings = [
            "ROLE", "ASKED", "CLASS", "BURST", "LENGTH", "PERIOD", "PROMISED", "WAITED", ">KEPT",
            "REASON",
        ];
        let mut table = Listing::new(
            &headings,
            "no service level; ask for one with `tepui slo set`",
        );
        for summary in levels {
            table.row(row(summary));
        }
        table
    })
}

fn row(summary: &ServiceSummary) -> [String; 10] {
    let level = &summary.level;
    let waited = summary.waited_secs.map(|secs| format!("{:.3}s", secs));
    [
        summary.role.to_string(),
        level.class.to_string(),
        match summary.spent {
            true => format!("{}, spent", summary.class),
            false => summary.class.to_string(),
        },
        level.burst().to_string(),
        span(level.length),
        span(level.period),
        format!("{}% in {}", level.percent, span(level.within)),
        waited.unwrap_or_default(),
        format!("{}/{}", summary.kept, summary.periods),
        summary.reason.clone(),
    ]
}
