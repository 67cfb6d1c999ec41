//! `tepui sim policies`: what there is to choose from.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tepui_sim::{BuiltIn, Placement};

use crate::output;

const EXAMPLES: &str = "\
Examples:
  tepui sim policies
  tepui sim policies --json";

/// List policies and placements
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policies = BuiltIn::ALL.map(|(name, _, what)| (name, what));
    let placements = Placement::ALL.map(|(name, _, what)| (name, what));
    if arguments.json {
        let list = |entries: &[(&str, &str)]| -> Vec<serde_json::Value> {
            entries
                .iter()
                .map(|(name, what)| json!({"name": name, "what": what}))
                .collect()
        };
        let all = json!({"policies": list(&policies), "placements": list(&placements)});
        output::print(&serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (title, entries) in [
        ("--policy", policies.as_slice()),
        ("--placement", placements.as_slice()),
    ] {
        output::print(title)?;
        for (name, what) in entries {
            output::print(&format!("  {name:<12} {what}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
