//! `tepui roles`: weights and quotas of roles, and their dominant shares.

use std::process::ExitCode;

use clap::Args;
use tepui_protocol::messages::operator::GetRoles;

use crate::{
    cli::View,
    client,
    output::{Listing, brief, percent},
};

const EXAMPLES: &str = "\
Examples:
  tepui roles
  tepui weights analytics=2     change a weight
  tepui quota                   what is consumed of quotas

SHARE is the dominant share of the cluster, before it is divided by the weight.";

/// List the roles, their weights, shares and quotas
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    client::ask_and_show(&arguments.view, GetRoles {}, |roles, _| {
        let headings = [
            "ROLE",
            ">WEIGHT",
            ">SHARE",
            ">FRAMEWORKS",
            "ALLOCATED",
            "GUARANTEE",
            "LIMIT",
        ];
        let mut table = Listing::new(&headings, "no roles in use");
        for role in roles {
            table.row([
                role.role.to_string(),
                role.weight.to_string(),
                percent(role.dominant_share),
                role.frameworks.len().to_string(),
                brief(&role.allocated),
                role.quota.guarantees.to_string(),
                role.quota.limits.to_string(),
            ]);
        }
        table
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
