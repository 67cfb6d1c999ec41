//! `tepui sim policies`: what there is to choose from.

use std::{process::ExitCode, time::Duration};

use anyhow::anyhow;
use clap::Args;
use serde_json::json;
use tepui_sim::{BuiltIn, Placement, Policy, Settings, World, policy::External};

use crate::{cli::bad_input, output};

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

/// How long a process may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A policy by its name.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    BuiltIn(BuiltIn),
    External(String),
}

impl Choice {
    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        if let Some(command) = name
            .strip_prefix("exec:")
            .filter(|command| !command.is_empty())
        {
            return Ok(Self::External(command.to_owned()));
        }
        let known = BuiltIn::ALL.iter().find(|(known, ..)| *known == name);
        known
            .map(|(_, policy, _)| Self::BuiltIn(*policy))
            .ok_or_else(|| {
                let names: Vec<&str> = BuiltIn::ALL.iter().map(|(name, ..)| *name).collect();
                let names = names.join(", ");
                bad_input(anyhow!(
                    "--policy {name}: must be one of {names}, or exec:COMMAND"
                ))
            })
    }

    pub(super) fn make(
        &self,
        world: &World,
        seed: u64,
        settings: &Settings,
    ) -> anyhow::Result<Box<dyn Policy>> {
        match self {
            Self::BuiltIn(policy) => {
                let made = policy.make_with(world, seed, settings);
                made.map_err(bad_input)
            }
            Self::External(_) if settings.revoke.is_some() => Err(bad_input(anyhow!(
                "a process cannot revoke; leave out --revoke"
            ))),
            Self::External(command) => Ok(Box::new(External::new(command, world, ANSWER_TIMEOUT)?)),
        }
    }
}
