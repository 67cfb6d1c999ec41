//! `tepui sim`: traces in virtual time, allocated by the production allocator or by others.

mod policies;
mod report;
mod run;
mod setup;
mod sweep;

use std::process::ExitCode;

use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  tepui sim run --trace nasa.swf.gz --nodes 128xcpus:1 --policy easy
  tepui sim run --trace jobs.jsonl --nodes '100xcpus:64;mem:256GiB;gpus:8' --policy drf --out results
  tepui sim sweep --trace nasa.swf.gz --policy fifo,easy,drf --seeds 10 --jitter 1h
  tepui sim report results/fifo results/drf
  tepui sim policies                          what --policy and --placement can be

docs/simulator.md describes traces, policies and results.";

/// Simulate an allocator on a trace of jobs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Run(run::Arguments),
    Sweep(sweep::Arguments),
    Report(report::Arguments),
    Policies(policies::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        What::Run(arguments) => run::run(arguments),
        What::Sweep(arguments) => sweep::run(arguments),
        What::Report(arguments) => report::run(arguments),
        What::Policies(arguments) => policies::run(arguments),
    }
}
