//! `tepui offers`: what is offered to whom at the moment.

use std::process::ExitCode;

use clap::Args;
use tepui_protocol::messages::operator::GetOffers;

use crate::{
    cli::View,
    client,
    output::{Listing, brief},
};

const EXAMPLES: &str = "\
Examples:
  tepui offers
  tepui offers --json

An offer stays until its framework accepts or declines it, or the master rescinds it.";

/// List the outstanding offers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    view: View,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    client::ask_and_show(&arguments.view, GetOffers {}, |offers, _| {
        let headings = ["OFFER", "FRAMEWORK", "ROLE", "HOST", "RESOURCES"];
        let mut table = Listing::new(&headings, "no outstanding offers");
        for offer in offers {
            table.row([
                offer.id.to_string(),
                offer.framework_id.to_string(),
                offer.role.to_string(),
                offer.hostname.clone(),
                brief(&offer.resources),
            ]);
        }
        table
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}
