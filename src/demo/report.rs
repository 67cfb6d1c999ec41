//! How the demo ended: the result and its check, where the tasks ran, how the cluster was shared.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use tepui_batch::JobOutcome;

use super::{
    ROLES, chart,
    display::History,
    jobs::{self, SHARDS},
    record::Record,
    trace::Answer,
    view::View,
};
use crate::{
    cli::arguments::TaskName,
    client::Client,
    output::{self, Listing},
    sandbox::Sandbox,
};

/// Samples of shares on a line.
const WIDTH: usize = 48;

/// All that the demo found out.
pub(super) struct Findings {
    pub(super) view: View,
    pub(super) record: Record,
    pub(super) history: History,
    /// What the tasks computed.
    pub(super) computed: Answer,
    /// What this process computed.
    pub(super) direct: Answer,
    /// Tasks that did not end as they should have.
    pub(super) problems: Vec<String>,
    pub(super) dir: PathBuf,
    /// From the start of the frameworks to the end of the job.
    pub(super) took: Duration,
    pub(super) master: String,
}

impl Findings {
    /// Why the demo failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        let difference = self.computed.difference(&self.direct);
        let difference = difference.map(|what| format!("the tasks' result is wrong: {what}"));
        difference.or_else(|| self.problems.first().cloned())
    }
}

/// What the reduce task wrote, from its sandbox.
///
/// # Errors
/// When there is no such task, or its agent does not answer.
pub(super) async fn fetch(client: &Client, outcome: &JobOutcome) -> anyhow::Result<Answer> {
    let reduce = outcome
        .tasks
        .get(jobs::REDUCE)
        .and_then(|tasks| tasks.first());
    let task = reduce.context("no reduce task has finished")?.clone();
    let name = TaskName {
        framework: outcome.framework_id.clone(),
        task,
    };
    let text = Sandbox::find(client, &name)
        .await?
        .read(client, "stdout")
        .await?;
    ensure!(!text.is_empty(), "the reduce task wrote nothing");
    Answer::parse(&String::from_utf8(text)?)
}

/// Prints everything.
///
/// # Errors
/// When stdout is closed.
pub(super) fn tell(findings: &Findings) -> anyhow::Result<()> {
    let seconds = findings.took.as_secs_f64();
    let stream = findings.record.count(jobs::STREAM, None);
    output::print(&format!(
        "\ndone in {seconds:.1} s: {SHARDS} map tasks and 1 reduce task; {} background tasks meanwhile",
        stream.finished
    ))?;
    let parts = [
        ("Placement: finished tasks by agent", placement(findings)),
        (
            "Dominant share of each role while both wanted more, over time",
            shares(findings),
        ),
        ("Top ten users by node-seconds", top(findings)),
        (
            "Use by hour of the day, midnight to midnight",
            hours(findings),
        ),
    ];
    for (title, text) in parts {
        output::print(&format!("\n{title}\n{}", indent(&text)))?;
    }
    output::print(&verdict(findings))?;
    let dir = findings.dir.display();
    output::print(&format!(
        "logs       {dir}/logs\nsandboxes  {dir}/agent-*/sandboxes"
    ))
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn placement(findings: &Findings) -> String {
    let headings = [
        "AGENT",
        ">CPUS",
        ">MAP",
        ">REDUCE",
        ">BACKGROUND",
        ">LOST OR KILLED",
    ];
    let mut table = Listing::new(&headings, "no agents");
    for agent in &findings.view.agents {
        let count = |group| agent.count(&findings.record, group);
        let groups = [jobs::MAP, jobs::REDUCE, jobs::STREAM];
        let lost: usize = groups.map(|group| count(group).lost).iter().sum();
        let finished = |group| count(group).finished.to_string();
        table.row([
            agent.name.clone(),
            agent.cpus.to_string(),
            finished(jobs::MAP),
            finished(jobs::REDUCE),
            finished(jobs::STREAM),
            lost.to_string(),
        ]);
    }
    table.render()
}

fn shares(findings: &Findings) -> String {
    let lines = ROLES.map(|(role, weight)| {
        let samples = findings.history.get(role).map_or(&[][..], Vec::as_slice);
        let chart = chart::sparkline(&chart::shrink(samples, WIDTH), 1.0);
        let mean = chart::mean(samples) * 100.0;
        format!("{role:11} weight {weight}  mean {mean:3.0}%  {chart}")
    });
    lines.join("\n")
}

fn top(findings: &Findings) -> String {
    let mut table = Listing::new(&[">USER", ">JOBS", ">NODE-SECONDS", ">SHARE"], "no users");
    let all = findings.computed.node_seconds();
    for (user, usage) in findings.computed.top().into_iter().take(10) {
        table.row([
            user.to_string(),
            chart::grouped(usage.jobs),
            chart::grouped(usage.node_seconds),
            output::percent(usage.node_seconds as f64 / all as f64),
        ]);
    }
    table.render()
}

fn hours(findings: &Findings) -> String {
    let hours = findings.computed.hours.map(|seconds| seconds as f64);
    let top = hours.iter().copied().fold(0.0, f64::max);
    let twice: Vec<f64> = hours.iter().flat_map(|hour| [*hour, *hour]).collect();
    format!(
        "{}\n0     3     6     9     12    15    18    21",
        chart::sparkline(&twice, top)
    )
}

fn verdict(findings: &Findings) -> String {
    let users = findings.direct.users.len();
    match findings.failure() {
        None => format!(
            "\nchecked    equal to a direct computation in this process: {users} users, 24 hours"
        ),
        Some(failure) => format!("\nWRONG      {failure}"),
    }
}
