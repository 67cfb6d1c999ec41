//! `tepui executor`: started by agents, to run tasks; its place comes from the environment.

use std::process::ExitCode;

use clap::Args;
use tepui_executor::ExecutorConfig;

use crate::cli::bad_input;

/// Run tasks for an agent (started by agents)
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(Arguments {}: Arguments) -> anyhow::Result<ExitCode> {
    let config = ExecutorConfig::from_env().map_err(bad_input)?;
    tepui_executor::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
