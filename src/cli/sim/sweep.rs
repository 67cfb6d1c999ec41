//! `tepui sim sweep`: policies, placements, loads and seeds against each other, over all cores.

use std::{fmt::Write as _, fs, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tepui_sim::{
    Placement, Summary, engine, summary,
    sweep::{self, Estimate},
};

use super::{
    policies::Choice,
    setup::{Setup, factor, placement},
};
use crate::{cli::bad_input, output};

const EXAMPLES: &str = "\
Examples:
  tepui sim sweep --trace nasa.swf.gz --policy fifo,easy,drf --loads 1,1.5,2 --seeds 10 --jitter 1h
  tepui sim sweep --trace pods.csv.gz --nodes nodes.csv.gz --placement best-fit,fgd --forever --jitter 400d --seeds 20 --out results";

/// Compare policies over seeds, with confidence intervals
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Policies, with commas between them
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "fifo"
    )]
    policy: Vec<String>,
    /// Placements, with commas between them
    #[arg(long, value_delimiter = ',', value_parser = placement, value_name = "NAMES", default_value = "first-fit")]
    placement: Vec<Placement>,
    /// Submissions so many times as fast, with commas between them [default: that of --load]
    #[arg(long, value_delimiter = ',', value_parser = factor, value_name = "FACTORS")]
    loads: Vec<f64>,
    /// How many seeds each combination is run with, from --seed on
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Write runs.csv, sweep.csv and sweep.json into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the estimates as JSON
    #[arg(long)]
    json: bool,
}

/// One run.
#[derive(Clone, Debug)]
struct Case {
    policy: (String, Choice),
    placement: Placement,
    load: f64,
    seed: u64,
}

/// The runs of a combination.
#[derive(Debug, Serialize)]
struct Combination {
    policy: String,
    placement: String,
    load: f64,
    seeds: usize,
    estimates: std::collections::BTreeMap<&'static str, Estimate>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let cases = cases(arguments)?;
    if let Some(dir) = &arguments.out {
        let made =
            fs::create_dir_all(dir).with_context(|| format!("{}: cannot be made", dir.display()));
        made.map_err(bad_input)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores);
    let results = sweep::each(cases.len(), threads, |at| {
        simulate(&arguments.setup, &cases[at])
    });
    let summaries = results
        .into_iter()
        .collect::<anyhow::Result<Vec<Summary>>>()?;
    let combinations = combine(&cases, &summaries, arguments.seeds as usize);
    if let Some(dir) = &arguments.out {
        fs::write(dir.join("runs.csv"), runs_csv(&cases, &summaries))?;
        fs::write(dir.join("sweep.csv"), sweep_csv(&combinations))?;
        let mut text = serde_json::to_string_pretty(&combinations)?;
        text.push('\n');
        fs::write(dir.join("sweep.json"), text)?;
    }
    if arguments.json {
        output::print(&serde_json::to_string_pretty(&combinations)?)?;
    } else {
        output::print(&table(&combinations))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All combinations, the seeds of each one after the other.
fn cases(arguments: &Arguments) -> anyhow::Result<Vec<Case>> {
    let loads = if arguments.loads.is_empty() {
        vec![arguments.setup.load]
    } else {
        arguments.loads.clone()
    };
    let mut cases = Vec::new();
    for name in &arguments.policy {
        let policy = (name.clone(), Choice::parse(name)?);
        for &placement in &arguments.placement {
            for &load in &loads {
                for seed in (0..arguments.seeds).map(|nth| arguments.seed.wrapping_add(nth)) {
                    cases.push(Case {
                        policy: policy.clone(),
                        placement,
                        load,
                        seed,
                    });
                }
            }
        }
    }
    Ok(cases)
}

fn simulate(setup: &Setup, case: &Case) -> anyhow::Result<Summary> {
    let setup = Setup {
        load: case.load,
        ..setup.clone()
    };
    let (workload, nodes) = setup.read(case.seed)?;
    let settings = setup.settings()?;
    let world = engine::world(Arc::new(workload), nodes);
    let mut policy = case.policy.1.make(&world, case.seed, &settings)?;
    let options = setup.options(case.placement, case.seed);
    let outcome = engine::run(world, policy.as_mut(), options, &mut |_| {})?;
    let placement = case.placement.to_string();
    Ok(summary::summarise(
        &outcome,
        &setup.trace_name(),
        &case.policy.0,
        &placement,
        case.seed,
    ))
}

fn combine(cases: &[Case], summaries: &[Summary], seeds: usize) -> Vec<Combination> {
    let groups = cases.chunks(seeds).zip(summaries.chunks(seeds));
    let combination = |(cases, summaries): (&[Case], &[Summary])| Combination {
        policy: cases[0].policy.0.clone(),
        placement: cases[0].placement.to_string(),
        load: cases[0].load,
        seeds: cases.len(),
        estimates: sweep::estimates(&summaries.iter().collect::<Vec<_>>()),
    };
    groups.map(combination).collect()
}

fn runs_csv(cases: &[Case], summaries: &[Summary]) -> String {
    let mut text = "policy,placement,load,seed,measure,value\n".to_owned();
    for (case, summary) in cases.iter().zip(summaries) {
        for (name, value) in sweep::measures(summary) {
            let _ = writeln!(
                text,
                "{},{},{},{},{name},{value}",
                case.policy.0, case.placement, case.load, case.seed
            );
        }
    }
    text
}

fn sweep_csv(combinations: &[Combination]) -> String {
    let mut text = "policy,placement,load,seeds,measure,mean,ci95\n".to_owned();
    for of in combinations {
        for (name, estimate) in &of.estimates {
            let half = estimate
                .ci95
                .map(|half| half.to_string())
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "{},{},{},{},{name},{},{half}",
                of.policy, of.placement, of.load, of.seeds, estimate.mean
            );
        }
    }
    text
}

fn table(combinations: &[Combination]) -> String {
    let shown = [
        "wait_mean_s",
        "slowdown_mean",
        "utilisation_cpus",
        "largest_key_gap",
        "gpu_at_first_failure",
    ];
    let present = |name: &&&str| {
        combinations
            .iter()
            .any(|of| of.estimates.contains_key(**name))
    };
    let shown: Vec<&&str> = shown.iter().filter(present).collect();
    let mut head = vec!["POLICY", "PLACEMENT", "LOAD", "SEEDS"];
    head.extend(shown.iter().map(|name| **name));
    let mut listing = output::Listing::new(&head, "no runs");
    for of in combinations {
        let mut row = vec![
            of.policy.clone(),
            of.placement.clone(),
            of.load.to_string(),
            of.seeds.to_string(),
        ];
        for name in &shown {
            let cell = of.estimates.get(**name).map(|estimate| {
                let half = estimate
                    .ci95
                    .map_or(String::new(), |half| format!(" ±{half:.3}"));
                format!("{:.3}{half}", estimate.mean)
            });
            row.push(cell.unwrap_or_default());
        }
        listing.row(row);
    }
    listing.render()
}
