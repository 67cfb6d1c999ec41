//! `tepui stats`: what live tasks use, as their agents count it.
//!
//! Agents tell totals; what is used at the moment is the difference of two of their answers.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::Args;
use serde::Serialize;
use tepui_protocol::messages::operator::{GetAgents, GetUsage, RunUsage};
use tepui_runtime::AnyPid;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cli::{View, arguments::TaskName},
    client::Client,
    output::{self, Listing},
};

const EXAMPLES: &str = "\
Examples:
  tepui stats                     all live tasks, over one second
  tepui stats -f sum.map.0.0      one task, every second until Ctrl-C
  tepui stats --json              totals and rates, for scripts

CPU is processors in use/owned, MEM is MiB now/owned, PEAK the most it ever was; READ and WRITTEN are
MiB of disks in all; GPU and GPUMEM (MiB) are there where a task has GPUs. A dash: the agent does not count that; see docs/isolation.md.";

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// Show what tasks use
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only this task: its id, or FRAMEWORK/TASK
    task: Option<TaskName>,
    /// Go on, every second
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    view: View,
}

/// The use of a run between two looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    host: String,
    /// Processors in use; absent for a run that has just begun or is not counted.
    cpus: Option<f64>,
    #[serde(flatten)]
    total: RunUsage,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(arguments.view.master()).await?;
    let watched = watch(&client, &arguments).await;
    client.close().await;
    watched?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    period.tick().await;
    let mut last = look(client, arguments.task.as_ref()).await?;
    loop {
        period.tick().await;
        let now = look(client, arguments.task.as_ref()).await?;
        let rows = compare(&last, &now);
        output::show(arguments.view.json, &rows, |rows| table(rows))?;
        if !arguments.follow {
            return Ok(());
        }
        last = now;
    }
}

type Look = Vec<(String, RunUsage)>;

/// Asks all agents; those that do not answer have nothing to show.
async fn look(client: &Client, task: Option<&TaskName>) -> anyhow::Result<Look> {
    let agents = client.ask(GetAgents {}).await?;
    let present = agents
        .into_iter()
        .filter_map(|agent| Some((agent.info.hostname, agent.pid?)));
    let mut look = Vec::new();
    for (host, pid) in present {
        look.extend(
            of_agent(client, &pid)
                .await
                .into_iter()
                .map(|usage| (host.clone(), usage)),
        );
    }
    look.retain(|(_, usage)| task.is_none_or(|task| is_of(task, usage)));
    Ok(look)
}

async fn of_agent(client: &Client, agent: &AnyPid) -> Vec<RunUsage> {
    match client.ask_agent(agent, GetUsage {}).await {
        Ok(usages) => usages,
        Err(error) => {
            output::note(&output::chain(&error));
            Vec::new()
        }
    }
}

fn is_of(task: &TaskName, usage: &RunUsage) -> bool {
    let framework = task.framework.as_ref();
    framework.is_none_or(|framework| *framework == usage.framework_id)
        && usage.tasks.contains(&task.task)
}

fn compare(last: &Look, now: &Look) -> Vec<Row> {
    let key = |usage: &RunUsage| (usage.framework_id.clone(), usage.executor_id.clone());
    let before: BTreeMap<_, _> = last.iter().map(|(_, usage)| (key(usage), usage)).collect();
    let row = |(host, total): &(String, RunUsage)| Row {
        host: host.clone(),
        cpus: before.get(&key(total)).and_then(|last| rate(last, total)),
        total: total.clone(),
    };
    now.iter().map(row).collect()
}

/// Processors in use between two counts; none if a new run has taken the place of the old one.
fn rate(last: &RunUsage, now: &RunUsage) -> Option<f64> {
    let used = now.usage.cpu_us?.checked_sub(last.usage.cpu_us?)?;
    let span = now.timestamp.since(last.timestamp).as_micros();
    (span > 0).then(|| used as f64 / span as f64)
}

fn table(rows: &[Row]) -> Listing {
    let headings = [
        "TASK",
        "FRAMEWORK",
        "HOST",
        ">CPU",
        ">MEM",
        ">PEAK",
        ">PIDS",
        ">READ",
        ">WRITTEN",
    ];
    let has_gpus = rows.iter().any(|row| !row.total.resources.gpus().is_zero());
    let with_gpus = [&headings[..], &[">GPU", ">GPUMEM"]].concat();
    let headings = if has_gpus { &with_gpus[..] } else { &headings };
    let mut table = Listing::new(headings, "no live tasks");
    for row in rows {
        let (total, usage) = (&row.total, &row.total.usage);
        let tasks: Vec<String> = total.tasks.iter().map(ToString::to_string).collect();
        let mebibytes = |bytes: Option<u64>| bytes.map(|bytes| (bytes / MIB).to_string());
        let of = |used: Option<String>, owned: String| used.map(|used| format!("{used}/{owned}"));
        let cells = [
            of(
                row.cpus.map(|c| format!("{c:.2}")),
                total.resources.cpus().to_string(),
            ),
            of(mebibytes(usage.memory), total.resources.mem().to_string()),
            mebibytes(usage.memory_peak),
            usage.pids.map(|pids| pids.to_string()),
            mebibytes(usage.io_read),
            mebibytes(usage.io_written),
            of(
                usage
                    .gpu_milli
                    .map(|milli| format!("{:.2}", milli as f64 / 1e3)),
                total.resources.gpus().to_string(),
            ),
            mebibytes(usage.gpu_memory),
        ];
        let [cpu, memory, peak, pids, read, written, gpu, gpu_memory] =
            cells.map(Option::unwrap_or_default);
        let framework = total.framework_id.to_string();
        let host = row.host.clone();
        let cells = [
            tasks.join(" "),
            framework,
            host,
            cpu,
            memory,
            peak,
            pids,
            read,
            written,
            gpu,
            gpu_memory,
        ];
        table.row(cells.into_iter().take(headings.len()));
    }
    table
}

#[cfg(test)]
mod tests {
    use tepui_protocol::{Timestamp, Usage};

    use super::*;

    fn usage(at_us: u64, cpu_us: Option<u64>) -> RunUsage {
        RunUsage {
            framework_id: "f".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            tasks: vec!["t".parse().unwrap()],
            resources: "cpus:1;mem:64".parse().unwrap(),
            executor_name: String::new(),
            container_id: String::new(),
            os_pid: None,
            gpus: Vec::new(),
            timestamp: Timestamp(at_us),
            usage: Usage {
                cpu_us,
                memory: Some(5 * MIB),
                ..Usage::default()
            },
        }
    }

    #[test]
    fn rates_are_differences_of_two_looks() {
        let (first, second) = (
            usage(1_000_000, Some(100)),
            usage(3_000_000, Some(1_000_100)),
        );
        assert_eq!(rate(&first, &second), Some(0.5));
        assert_eq!(rate(&second, &first), None);
        assert_eq!(rate(&first, &first), None);
        assert_eq!(rate(&first, &usage(2_000_000, None)), None);
        let look = |usage: &RunUsage| vec![("h".to_owned(), usage.clone())];
        let rendered = table(&compare(&look(&first), &look(&second))).render();
        assert!(
            rendered.contains("0.50/1") && rendered.contains("5/64"),
            "{rendered}"
        );
        let rendered = table(&compare(&vec![], &look(&second))).render();
        assert!(!rendered.contains("0.50"), "{rendered}");
    }

    #[test]
    fn gpus_are_shown_where_tasks_have_some() {
        let mut total = usage(1, None);
        let row = |total: &RunUsage| Row {
            host: "h".to_owned(),
            cpus: None,
            total: total.clone(),
        };
        assert!(!table(&[row(&total)]).render().contains("GPU"));
        total.resources = "cpus:1;gpus:2".parse().unwrap();
        total.usage.gpu_milli = Some(1420);
        total.usage.gpu_memory = Some(7 * MIB);
        let rendered = table(&[row(&total)]).render();
        assert!(
            rendered.contains("GPUMEM") && rendered.contains("1.42/2"),
            "{rendered}"
        );
    }

    #[test]
    fn a_task_is_named_with_its_framework_or_without() {
        let usage = usage(1, None);
        for (name, is_meant) in [("t", true), ("f/t", true), ("g/t", false), ("u", false)] {
            assert_eq!(is_of(&name.parse().unwrap(), &usage), is_meant, "{name}");
        }
    }
}
