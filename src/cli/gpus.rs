//! `tepui gpus`: the NVIDIA GPUs of this machine, as an agent on it would see them.

use std::process::ExitCode;

use clap::Args;
use tepui_isolation::gpu::{Gpu, discover};

use crate::output::{self, Listing};

const EXAMPLES: &str = "\
Examples:
  tepui gpus
  tepui gpus --json

Asks the driver of this machine, not the cluster. A GPU that is divided (MIG) is followed by its parts.";

/// List the NVIDIA GPUs of this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let found = discover(None)?;
    if arguments.json {
        output::print(&serde_json::to_string_pretty(&found)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let headings = ["GPU", "UUID", "MODEL", ">MEM", ">USED", ">BUSY"];
    let mut table = Listing::new(&headings, "no GPUs");
    for gpu in &found.gpus {
        table.row(row(gpu));
        for part in gpu.instances.iter().flatten() {
            let name = format!("{}/{}", gpu.index, part.index);
            let (memory, none) = (part.memory_mib.to_string(), "-".to_owned());
            table.row([
                name,
                part.uuid.clone(),
                "a part".to_owned(),
                memory,
                none.clone(),
                none,
            ]);
        }
    }
    output::print(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

fn row(gpu: &Gpu) -> [String; 6] {
    let busy = gpu
        .busy_percent
        .map_or("-".to_owned(), |busy| format!("{busy}%"));
    [
        gpu.index.to_string(),
        gpu.uuid.clone(),
        gpu.model.clone(),
        gpu.memory_mib.to_string(),
        gpu.used_mib.to_string(),
        busy,
    ]
}
