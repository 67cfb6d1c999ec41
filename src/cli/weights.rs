//! `tepui weights role=2`: how the cluster is divided between roles.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use tepui_protocol::{Role, messages::operator::UpdateWeights};

use crate::{
    cli::arguments::{MasterAddress, parse_weight},
    client::Client,
};

const EXAMPLES: &str = "\
Examples:
  tepui weights analytics=2              twice the share of a role with weight 1
  tepui weights eng/web=3 eng/batch=1    below a parent, weights divide its share";

/// Set the weights of roles; the master remembers them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Roles and their weights, positive numbers
    #[arg(required = true, value_name = "ROLE=WEIGHT", value_parser = parse_weight)]
    weights: Vec<(Role, f64)>,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(&arguments.master).await?;
    let weights = arguments.weights.into_iter().collect();
    let answer = client.ask(UpdateWeights { weights }).await;
    client.close().await;
    answer?.map_err(|refusal| anyhow!("the master refuses: {refusal}"))?;
    Ok(ExitCode::SUCCESS)
}
