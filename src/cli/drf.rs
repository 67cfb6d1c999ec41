//! `tepui drf solve`: textbook cases, answered by the allocator's own order or by exact solvers.

use std::{fs::File, io::Read, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use tepui_allocator::solve::{Policy, solve};

use crate::{cli::bad_input, output};

const EXAMPLES: &str = "\
Examples:
  tepui drf solve cases.json
  tepui drf solve --explain --policy mesos cases.json
  tepui drf solve --policy tsf cases.json
  echo '{\"cases\":[{\"id\":\"paper\",\"kind\":\"flat-tasks\",\"capacity\":[9,18],
    \"users\":[{\"demand\":[1,4]},{\"demand\":[3,1]}]}]}' | tepui drf solve -

Kinds: flat-divisible, flat-tasks, tree-tasks, tree-churn, servers-divisible, dynamic-arrivals;
docs/allocator.md has an example of each.";

/// A document larger than this is no collection of textbook cases.
const BYTES_MAX: u64 = 64 << 20;

/// Dominant resource fairness by the book
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Answer the cases of a JSON document
    #[command(after_help = EXAMPLES)]
    Solve {
        /// Who is served next in cases of whole tasks, and which shares are filled over servers
        #[arg(long, value_enum, default_value_t)]
        policy: Order,
        /// Print each decision on stderr
        #[arg(long)]
        explain: bool,
        /// The document; `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Order {
    /// Hierarchical DRF
    #[default]
    Hdrf,
    /// DRF over the leaves, with the weights on the way multiplied
    Drf,
    /// Each node by the sum of what is below it, as Mesos sorts
    Mesos,
    /// DRF; over several servers by global dominant shares
    Drfh,
    /// Task share fairness: the part of the tasks that each could run alone
    Tsf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let What::Solve {
        policy,
        explain,
        file,
    } = &arguments.what;
    let shown = file.display();
    let text = read(file).with_context(|| format!("{shown}: cannot be read"));
    let text = text.map_err(bad_input)?;
    let document: Value = serde_json::from_str(&text).map_err(|error| {
        bad_input(anyhow!(
            "{shown}:{}:{}: {error}",
            error.line(),
            error.column()
        ))
    })?;
    let policy = match policy {
        Order::Hdrf => Policy::Hdrf,
        Order::Drf | Order::Drfh => Policy::Drf,
        Order::Tsf => Policy::Tsf,
        Order::Mesos => Policy::Mesos,
    };
    let mut tell = |line: &str| {
        if *explain {
            output::note(line);
        }
    };
    let answers = solve(&document, policy, &mut tell)
        .map_err(|problem| bad_input(anyhow!("{shown}: {problem}")))?;
    output::print(&serde_json::to_string_pretty(&answers)?)?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    let input: Box<dyn Read> = match file.as_os_str().to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(File::open(file)?),
    };
    input.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(anyhow!("it has more than {} MiB", BYTES_MAX >> 20));
    }
    Ok(text)
}
