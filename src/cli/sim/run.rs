//! `tepui sim run`: one trace, one policy, one seed.

use std::{fs, io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use tepui_sim::{Placement, Progress, Summary, engine, output as results, slo, summary};

use super::{
    policies::Choice,
    setup::{Setup, placement},
};
use crate::{cli::bad_input, output};

const EXAMPLES: &str = "\
Examples:
  tepui sim run --trace nasa.swf.gz --nodes 128xcpus:1 --policy easy --json
  tepui sim run --trace pods.csv.gz --format openb --nodes nodes.csv.gz --roles queue --placement fgd --forever
  tepui sim run --trace jobs.jsonl --nodes 10xcpus:64 --policy hdrf --weight eng=2 --out results
  tepui sim run --trace nasa.swf.gz --policy history --half-life 7d
  tepui sim run --trace nasa.swf.gz --policy drf --revoke --grace 30s
  tepui sim run --trace nasa.swf.gz --policy slo --slo 'user-3=hard,16xcpus:1,10m/1h,p99:0s'
  tepui sim run --trace nasa.swf.gz --mtbf 30d --mttr 2h --latency 10ms --seed 7";

/// Run a trace under one policy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Who runs next: a name of `tepui sim policies`, or exec:COMMAND for a process that decides
    #[arg(long, value_name = "NAME", default_value = "fifo")]
    policy: String,
    /// Where tasks go; `tepui sim policies` lists them
    #[arg(long, value_parser = placement, value_name = "NAME", default_value = "first-fit")]
    placement: Placement,
    /// Decides everything that is left to chance
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Write tables, plots (SVG), a report and the summary into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the plots as PNG, too
    #[arg(long, requires = "out")]
    png: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let choice = Choice::parse(&arguments.policy)?;
    if let Some(dir) = &arguments.out {
        let made =
            fs::create_dir_all(dir).with_context(|| format!("{}: cannot be made", dir.display()));
        made.map_err(bad_input)?;
    }
    let (workload, nodes) = arguments.setup.read(arguments.seed)?;
    for problem in &workload.skipped_first {
        output::note(&format!("skipped: {problem}"));
    }
    if workload.skipped as usize > workload.skipped_first.len() {
        output::note(&format!("skipped: {} lines in all", workload.skipped));
    }
    let bar = bar(workload.jobs.len() as u64);
    let before = cpu_time();
    let settings = arguments.setup.settings()?;
    let world = engine::world(Arc::new(workload), nodes);
    let grants = slo::grants(&world, &settings.slo).map_err(|what| bad_input(anyhow!(what)))?;
    let mut policy = choice.make(&world, arguments.seed, &settings)?;
    let options = arguments.setup.options(arguments.placement, arguments.seed);
    let mut show = |progress: Progress| {
        let rate = progress.events as f64 / (cpu_time() - before).as_secs_f64().max(1e-9);
        bar.set_position(progress.done);
        bar.set_message(format!("{rate:.0} events/s"));
    };
    let outcome = engine::run(world, policy.as_mut(), options, &mut show)?;
    let cpu = cpu_time() - before;
    bar.finish_and_clear();
    let (trace, placement) = (
        arguments.setup.trace_name(),
        arguments.placement.to_string(),
    );
    let mut summary = summary::summarise(
        &outcome,
        &trace,
        &arguments.policy,
        &placement,
        arguments.seed,
    );
    summary.slo = slo::kept(&outcome, &grants, options.latency);
    if let Some(dir) = &arguments.out {
        results::write(
            dir,
            &outcome,
            &summary,
            results::Extras { png: arguments.png },
        )?;
    }
    let rate = summary.events as f64 / cpu.as_secs_f64().max(1e-9);
    if arguments.json {
        let mut document = serde_json::to_value(&summary)?;
        document["events_per_cpu_s"] = json!(rate.round());
        output::print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        output::print(&text(&summary, rate))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bar(jobs: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} jobs  {msg}");
    ProgressBar::new(jobs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map(Duration::from)
        .unwrap_or_default()
}

fn text(summary: &Summary, rate: f64) -> String {
    let jobs = &summary.jobs;
    let used: Vec<String> = summary
        .utilisation
        .iter()
        .map(|(name, part)| format!("{name} {:.1} %", part * 100.0))
        .collect();
    let mut lines = vec![
        format!(
            "{}: {} with {}, seed {}, {} nodes",
            summary.trace, summary.policy, summary.placement, summary.seed, summary.nodes
        ),
        format!(
            "jobs        {} submitted, {} completed, {} rejected, {} unfinished",
            jobs.submitted, jobs.completed, jobs.rejected, jobs.unfinished
        ),
        format!("makespan    {:.0} s", summary.makespan_s),
        format!("used        {}", used.join(", ")),
        format!(
            "wait        mean {:.0} s, p50 {:.0}, p95 {:.0}, max {:.0}",
            summary.wait_s.mean, summary.wait_s.p50, summary.wait_s.p95, summary.wait_s.max
        ),
        format!(
            "slowdown    mean {:.2}, p50 {:.2}, p95 {:.2}, max {:.2}",
            summary.slowdown.mean, summary.slowdown.p50, summary.slowdown.p95, summary.slowdown.max
        ),
        format!(
            "fairness    largest gap of keys {:.3}, violations of the sharing incentive {}, finish-time p50 {:.2}, max {:.2}",
            summary.fairness.largest_key_gap,
            summary.fairness.sharing_incentive_violations,
            summary.fairness.finish_time_fairness.p50,
            summary.fairness.finish_time_fairness.max
        ),
    ];
    if let Some(gpu) = &summary.gpu {
        let first = gpu
            .allocated_at_first_failure
            .map_or("never".to_owned(), |part| {
                format!("at {:.1} %", part * 100.0)
            });
        lines.push(format!(
            "gpus        mean {:.1} %, peak {:.1} % of {}, fragmentation {:.1} %, first failure {first}",
            gpu.allocated_ratio * 100.0, gpu.allocated_peak * 100.0, gpu.total, gpu.fragmentation * 100.0
        ));
    }
    if summary.revoked > 0 {
        lines.push(format!("revoked     {} jobs", summary.revoked));
    }
    for level in &summary.slo {
        let offer = &level.first_offer_s;
        lines.push(format!(
            "slo         {}: {} (asked {}: {}); kept in {} of {} periods, {} jobs, first offer p50 {:.0} s, p99 {:.0}, max {:.0}; {} jobs beyond",
            level.role, level.class, level.asked, level.reason, level.held, level.periods, level.jobs, offer.p50, offer.p99,
            offer.max, level.beyond
        ));
    }
    for (reason, count) in &summary.rejections {
        lines.push(format!("rejected    {count}: {reason}"));
    }
    if summary.skipped_lines > 0 {
        lines.push(format!("skipped     {} lines", summary.skipped_lines));
    }
    lines.push(format!(
        "events      {}, {rate:.0} a CPU second",
        summary.events
    ));
    lines.join("\n")
}
