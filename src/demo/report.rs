//! How the demo ended: the result and its check, where the tasks ran, how the cluster was shared.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use tepui_protocol::{
    TaskState,
    messages::operator::{ReadSandbox, TaskSummary},
};

use super::{
    ROLES, chart,
    display::History,
    jobs::{self, SHARDS},
    trace::Answer,
    view::View,
};
use crate::{
    client::Client,
    output::{self, Listing},
};

/// Samples of shares on a line.
const WIDTH: usize = 48;
/// Bytes read of a file at once.
const PIECE: u32 = 256 * 1024;

/// All that the demo found out.
pub(super) struct Findings {
    pub(super) view: View,
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

/// Tasks that are not over, ended twice, or are missing. (One that was torn down with its framework
/// before it had started is over without a status that says so.)
pub(super) fn problems(tasks: &[TaskSummary]) -> Vec<String> {
    let mut problems = Vec::new();
    for task in tasks.iter().map(|summary| &summary.task) {
        let ends = task
            .statuses
            .iter()
            .filter(|status| status.state.is_terminal())
            .count();
        if !task.state.is_terminal() {
            problems.push(format!("task {} is still {}", task.info.id, task.state));
        } else if ends > 1 {
            problems.push(format!("task {} has {ends} terminal states", task.info.id));
        }
    }
    for (group, expected) in [(jobs::MAP, SHARDS), (jobs::REDUCE, 1)] {
        let finished = tasks.iter().filter(|t| is_finished(t, group)).count();
        if finished != expected {
            problems.push(format!("{finished} of {expected} {group} tasks finished"));
        }
    }
    problems
}

fn is_finished(summary: &TaskSummary, group: &str) -> bool {
    let task = &summary.task;
    task.state == TaskState::Finished && jobs::group_of(task.info.id.as_str()) == Some(group)
}

/// What the reduce task wrote, from its sandbox.
///
/// # Errors
/// When there is no such task, or its agent does not answer.
pub(super) async fn fetch(client: &Client, tasks: &[TaskSummary]) -> anyhow::Result<Answer> {
    let reduce = tasks.iter().find(|task| is_finished(task, jobs::REDUCE));
    let reduce = reduce.context("no reduce task has finished")?;
    let agent = reduce
        .agent_pid
        .as_ref()
        .context("the agent of the reduce task is gone")?;
    let mut text = Vec::new();
    loop {
        let question = ReadSandbox {
            framework_id: reduce.task.framework_id.clone(),
            executor_id: reduce.task.info.executor_id(),
            path: "stdout".to_owned(),
            offset: text.len() as u64,
            length: PIECE,
        };
        let piece = client.ask_agent(agent, question).await?;
        let piece = piece.map_err(|refusal| anyhow!("the reduce task's output: {refusal}"))?;
        if piece.data.is_empty() {
            ensure!(!text.is_empty(), "the reduce task wrote nothing");
            return Answer::parse(&String::from_utf8(text)?);
        }
        text.extend(piece.data);
    }
}

/// Prints everything.
///
/// # Errors
/// When stdout is closed.
pub(super) fn tell(findings: &Findings) -> anyhow::Result<()> {
    let seconds = findings.took.as_secs_f64();
    let stream = findings.view.count(jobs::STREAM);
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
        let finished = |group| {
            agent
                .tasks
                .get(group)
                .map_or(0, |count| count.finished)
                .to_string()
        };
        let lost: usize = agent.tasks.values().map(|count| count.lost).sum();
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

#[cfg(test)]
mod tests {
    use tepui_protocol::{
        CommandInfo, Resources, Source, TaskInfo, TaskStatus, Timestamp, task::Task,
    };

    use super::*;

    fn task(id: &str, states: &[TaskState]) -> TaskSummary {
        let id: tepui_protocol::TaskId = id.parse().unwrap();
        let agent = "m-S0".parse().unwrap();
        let command = CommandInfo::shell("true");
        let info = TaskInfo::command(id.clone(), agent, Resources::default(), command);
        let mut task = Task::staging(info, "m-0000".parse().unwrap());
        for state in states {
            let status = TaskStatus::new(id.clone(), *state, Source::Executor, Timestamp(1));
            task.statuses.push(status);
            task.state = *state;
        }
        TaskSummary {
            task,
            hostname: "agent-1".to_owned(),
            agent_pid: None,
        }
    }

    #[test]
    fn every_task_must_end_once_and_every_shard_be_counted() {
        let finished = [TaskState::Running, TaskState::Finished];
        let map = |n: usize| task(&format!("analytics.map.{n}.0"), &finished);
        let mut tasks: Vec<TaskSummary> = (0..SHARDS).map(map).collect();
        tasks.push(task("analytics.reduce.0.0", &finished));
        assert_eq!(problems(&tasks), Vec::<String>::new());
        tasks.push(task("background.compress.0.0", &[TaskState::Running]));
        tasks.push(task(
            "background.compress.1.0",
            &[TaskState::Finished, TaskState::Killed],
        ));
        tasks.remove(0);
        let expected = [
            "task background.compress.0.0 is still TASK_RUNNING",
            "task background.compress.1.0 has 2 terminal states",
            "23 of 24 map tasks finished",
        ];
        assert_eq!(problems(&tasks), expected);
    }
}
