//! `tepui quota`: what roles are guaranteed, and what they may not go beyond.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;
use tepui_protocol::{
    Limits, Quantities, Quota, Role,
    messages::operator::{GetRoles, RoleSummary, UpdateQuota},
};

use crate::{
    cli::{View, arguments::MasterAddress, bad_input},
    client::Client,
    output::{self, Listing},
};

const EXAMPLES: &str = "\
Examples:
  tepui quota                                              all quotas, and what is consumed of them
  tepui quota set analytics --guarantee 'cpus:4;mem:1024'  held free for it, it may get more
  tepui quota set eng --guarantee cpus:8 --limit 'cpus:16;gpus:0'
  tepui quota set eng/web --guarantee cpus:2               a part of what eng is guaranteed
  tepui quota remove analytics

CONSUMED is what is reserved to the role and the roles below it, or used there by tasks.";

/// Show the quotas of roles; set and remove them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show only the quota of this role
    role: Option<Role>,
    #[command(flatten)]
    view: View,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replace a role's quota; the master remembers it
    Set(Set),
    /// Take a role's quota away
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Set {
    /// Whose; its quota is for the roles below it, too
    role: Role,
    #[command(flatten)]
    bounds: Bounds,
    /// Even if the cluster cannot keep all guarantees, or the role has more than the limit already
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    master: MasterAddress,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Bounds {
    /// What is held free for the role; nothing unless given
    #[arg(long, value_name = "AMOUNTS")]
    guarantee: Option<Quantities>,
    /// What the role may not go beyond; what is not named is not limited
    #[arg(long, value_name = "AMOUNTS")]
    limit: Option<Limits>,
}

#[derive(Debug, Args)]
struct Remove {
    /// Whose
    role: Role,
    #[command(flatten)]
    master: MasterAddress,
}

/// What scripts get of a role.
#[derive(Debug, Serialize)]
struct Row {
    role: Role,
    #[serde(flatten)]
    quota: Quota,
    consumed: Quantities,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None => show(&arguments.view, arguments.role.as_ref()).await?,
        Some(Command::Set(set)) => {
            let quota = Quota {
                guarantees: set.bounds.guarantee.unwrap_or_default(),
                limits: set.bounds.limit.unwrap_or_default(),
            };
            let checked = quota.validate();
            let of = || format!("quota of role {}", set.role);
            checked.with_context(of).map_err(bad_input)?;
            if quota.is_default() {
                let role = &set.role;
                return Err(bad_input(anyhow!(
                    "quota of role {role}: guarantees and limits nothing; name an amount above 0, or \
                     take it away with `tepui quota remove {role}`"
                )));
            }
            update(&set.master, set.role, quota, set.force).await?;
        }
        Some(Command::Remove(remove)) => {
            update(&remove.master, remove.role, Quota::default(), false).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn update(
    master: &MasterAddress,
    role: Role,
    quota: Quota,
    force: bool,
) -> anyhow::Result<()> {
    let client = Client::of(master).await?;
    let answer = client.ask(UpdateQuota { role, quota, force }).await;
    client.close().await;
    answer?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))
}

async fn show(view: &View, only: Option<&Role>) -> anyhow::Result<()> {
    let client = Client::of(view.master()).await?;
    let answer = client.ask(GetRoles {}).await;
    client.close().await;
    let wanted =
        |role: &RoleSummary| !role.quota.is_default() && only.is_none_or(|only| *only == role.role);
    let rows: Vec<Row> = answer?.into_iter().filter(wanted).map(row).collect();
    output::show(view.json, &rows, |rows| {
        let headings = ["ROLE", "GUARANTEE", "LIMIT", "CONSUMED"];
        let mut table = Listing::new(&headings, "no quota; set one with `tepui quota set`");
        for row in rows {
            table.row([
                row.role.to_string(),
                row.quota.guarantees.to_string(),
                row.quota.limits.to_string(),
                row.consumed.to_string(),
            ]);
        }
        table
    })
}

fn row(role: RoleSummary) -> Row {
    Row {
        role: role.role,
        quota: role.quota,
        consumed: role.consumed,
    }
}
