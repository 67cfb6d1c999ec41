//! `tepui maintenance`: machines that are to be taken down, and agents that are drained.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use tepui_batch::parse_duration;
use tepui_protocol::{
    AgentId, Timestamp, Unavailability,
    maintenance::{Answer, Mode, Schedule, Window, json::ScheduleJson},
    messages::operator::{
        DrainAgent, GetMaintenance, MachineSummary, MaintenanceSummary, ReactivateAgent,
        StartMaintenance, StopMaintenance, UpdateMaintenanceSchedule,
    },
};

use crate::{
    cli::{View, arguments::MasterAddress, bad_input},
    client::Client,
    output::{self, Listing, span},
};

const EXAMPLES: &str = "\
Examples:
  tepui maintenance                              what is planned, and what frameworks say to it
  tepui maintenance schedule rack1-a rack1-b --in 1h --for 30m
  tepui maintenance schedule --file plan.json    all of it, as Mesos writes schedules
  tepui maintenance down rack1-a                 its agents end, with all that runs there
  tepui maintenance up rack1-a                   start its agents again after this
  tepui maintenance cancel rack1-b
  tepui maintenance drain AGENT --grace 1m       its tasks end, and it is offered to nobody
  tepui maintenance reactivate AGENT

Machines are named by host names, as `tepui agents` shows them. Offers say when their machine will
be taken down, and frameworks that use it are asked to leave. The master remembers all this. See
docs/maintenance.md.";

/// Plan the maintenance of machines, take them down and up; drain agents
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
    /// Show what is planned and where it stands
    Status(View),
    /// Put machines into the schedule, in place of what was planned for them
    Schedule(Plan),
    /// Take machines out of the schedule
    Cancel(Machines),
    /// Take machines of the schedule down
    Down(Machines),
    /// Machines that were taken down are back
    Up(Machines),
    /// End the tasks of an agent, and offer nothing of it
    Drain(Drain),
    /// Offer a drained agent again
    Reactivate(Reactivate),
}

#[derive(Debug, Args)]
struct Plan {
    /// Their host names
    #[arg(required_unless_present = "file")]
    machines: Vec<String>,
    /// From now until they are taken down [default: 0s]
    #[arg(long = "in", value_name = "TIME", value_parser = parse_duration, conflicts_with = "file")]
    after: Option<Duration>,
    /// How long they will be away; until further notice unless given
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, conflicts_with = "file")]
    duration: Option<Duration>,
    /// Replace the whole schedule by this file: JSON of Mesos's form, {"windows": [..]}
    #[arg(long, value_name = "FILE", conflicts_with = "machines")]
    file: Option<PathBuf>,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Machines {
    /// Their host names
    #[arg(required = true)]
    machines: Vec<String>,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Drain {
    /// Which; see `tepui agents`
    agent: AgentId,
    /// The longest time that tasks have to end
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
struct Reactivate {
    /// Which
    agent: AgentId,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let outcome = match arguments.command {
        None => return show(&arguments.view).await,
        Some(Command::Status(view)) => return show(&view).await,
        Some(Command::Schedule(plan)) => schedule(plan).await?,
        Some(Command::Cancel(named)) => cancel(named).await?,
        Some(Command::Down(named)) => {
            let machines = named.machines.into_iter().collect();
            tell(&named.master, StartMaintenance { machines }).await?
        }
        Some(Command::Up(named)) => {
            let machines = named.machines.into_iter().collect();
            tell(&named.master, StopMaintenance { machines }).await?
        }
        Some(Command::Drain(drain)) => {
            let call = DrainAgent {
                agent_id: drain.agent,
                max_grace_period: drain.grace,
            };
            tell(&drain.master, call).await?
        }
        Some(Command::Reactivate(back)) => {
            let agent_id = back.agent;
            tell(&back.master, ReactivateAgent { agent_id }).await?
        }
    };
    outcome.map_err(|refusal| anyhow!("the master refuses: {refusal}"))?;
    Ok(ExitCode::SUCCESS)
}

type Outcome = Result<(), String>;

async fn tell<M>(master: &MasterAddress, call: M) -> anyhow::Result<Outcome>
where
    M: tepui_runtime::Message<Reply = Outcome>,
{
    let client = Client::of(master).await?;
    let answer = client.ask(call).await;
    client.close().await;
    answer
}

async fn schedule(plan: Plan) -> anyhow::Result<Outcome> {
    if let Some(file) = &plan.file {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"));
        let json = serde_json::from_str::<ScheduleJson>(&text.map_err(bad_input)?);
        let mut schedule: Schedule = json
            .with_context(|| name.to_string())
            .map_err(bad_input)?
            .into();
        let checked = schedule.validate();
        checked.map_err(|problem| bad_input(anyhow!("{name}: {problem}")))?;
        return tell(&plan.master, UpdateMaintenanceSchedule { schedule }).await;
    }
    let machines = lower(&plan.machines);
    change(&plan.master, |now, schedule| {
        let mut schedule = schedule.without(&machines);
        schedule.windows.push(Window {
            machines: machines.clone(),
            unavailability: Unavailability {
                start: now + plan.after.unwrap_or_default(),
                duration: plan.duration,
            },
        });
        Ok(schedule)
    })
    .await
}

async fn cancel(named: Machines) -> anyhow::Result<Outcome> {
    let machines = lower(&named.machines);
    change(&named.master, |_, schedule| {
        match machines.iter().find(|name| schedule.of(name).is_none()) {
            Some(name) => Err(anyhow!("machine {name} is not in the schedule")),
            None => Ok(schedule.without(&machines)),
        }
    })
    .await
}

/// Replaces the schedule by one that is made of it.
async fn change(
    master: &MasterAddress,
    make: impl FnOnce(Timestamp, &Schedule) -> anyhow::Result<Schedule>,
) -> anyhow::Result<Outcome> {
    let client = Client::of(master).await?;
    let answer = async {
        let summary = client.ask(GetMaintenance {}).await?;
        let schedule = make(client.now(), &summary.schedule)?;
        client.ask(UpdateMaintenanceSchedule { schedule }).await
    }
    .await;
    client.close().await;
    answer
}

fn lower(machines: &[String]) -> BTreeSet<String> {
    let names = machines.iter().map(|name| name.trim().to_ascii_lowercase());
    names.collect()
}

async fn show(view: &View) -> anyhow::Result<ExitCode> {
    let client = Client::of(view.master()).await?;
    let (answer, now) = (client.ask(GetMaintenance {}).await, client.now());
    client.close().await;
    output::show(view.json, &answer?, |summary| table(summary, now))?;
    Ok(ExitCode::SUCCESS)
}

fn table(summary: &MaintenanceSummary, now: Timestamp) -> Listing {
    let headings = [
        "MACHINE", "MODE", "STARTS", "FOR", "AGENTS", ">TASKS", "ANSWERS",
    ];
    let mut table = Listing::new(
        &headings,
        "no maintenance is planned, and no agent is drained",
    );
    for machine in &summary.machines {
        let when = machine.unavailability;
        let agents: Vec<String> = machine.agents.keys().map(ToString::to_string).collect();
        table.row([
            machine.hostname.clone(),
            mode(machine.mode).to_owned(),
            when.map(|when| starts(when.start, now)).unwrap_or_default(),
            when.and_then(|when| when.duration)
                .map(span)
                .unwrap_or_default(),
            agents.join(","),
            machine.agents.values().sum::<usize>().to_string(),
            answers(machine),
        ]);
    }
    for (agent, tasks) in &summary.drained {
        let mode = if *tasks == 0 { "drained" } else { "draining" };
        let none = String::new;
        table.row([
            none(),
            mode.to_owned(),
            none(),
            none(),
            agent.to_string(),
            tasks.to_string(),
            none(),
        ]);
    }
    table
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Up => "up",
        Mode::Draining => "planned",
        Mode::Down => "down",
    }
}

fn starts(at: Timestamp, now: Timestamp) -> String {
    match at > now {
        true => format!("in {}", span(at.since(now))),
        false => format!("{} ago", span(now.since(at))),
    }
}

fn answers(machine: &MachineSummary) -> String {
    let count = |wanted: Answer| {
        machine
            .answers
            .iter()
            .filter(|said| said.answer == wanted)
            .count()
    };
    let counts = [
        (count(Answer::Accept), "will leave"),
        (count(Answer::Decline), "cannot"),
        (count(Answer::Unknown), "asked"),
    ];
    let told = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"));
    told.collect::<Vec<_>>().join(", ")
}
