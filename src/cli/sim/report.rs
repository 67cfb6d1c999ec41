//! `tepui sim report`: the results of several runs in one HTML file.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::Args;
use tepui_sim::{
    Summary,
    output::{Section, report},
};

use crate::{cli::bad_input, output};

const EXAMPLES: &str = "\
Examples:
  tepui sim report results/fifo results/drf --out report.html";

/// Put the results of runs side by side into one HTML file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Directories that `tepui sim run --out` has written
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The file to write
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sections = arguments
        .dirs
        .iter()
        .map(section)
        .collect::<anyhow::Result<Vec<_>>>();
    let html = report(&sections.map_err(bad_input)?);
    let shown = arguments.out.display();
    let written =
        fs::write(&arguments.out, html).with_context(|| format!("{shown}: cannot be written"));
    written.map_err(bad_input)?;
    output::print(&format!("{shown}"))?;
    Ok(ExitCode::SUCCESS)
}

fn section(dir: &PathBuf) -> anyhow::Result<Section> {
    let path = dir.join("summary.json");
    let shown = path.display();
    let text = fs::read_to_string(&path).with_context(|| {
        format!("{shown}: cannot be read; was it written by `tepui sim run --out`?")
    })?;
    let summary: Summary =
        serde_json::from_str(&text).map_err(|error| anyhow!("{shown}: {error}"))?;
    let mut drawings: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    drawings.retain(|path| path.extension().is_some_and(|extension| extension == "svg"));
    drawings.sort();
    let read = |path: &PathBuf| {
        fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))
    };
    Ok(Section {
        summary,
        plots: drawings.iter().map(read).collect::<anyhow::Result<_>>()?,
    })
}
