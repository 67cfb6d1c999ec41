//! What became of every task, as its framework was told: read from what `tepui run --json` writes.
//!
//! A master that is started again knows nothing of tasks that ended before; the frameworks do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::Context as _;
use tepui_batch::JobOutcome;
use tepui_protocol::{AgentId, TaskId, TaskState, TaskStatus};

use super::jobs::{self, SHARDS};
use crate::cli::News;

/// Live and ended tasks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Running, or about to.
    pub(super) live: usize,
    /// Ended well.
    pub(super) finished: usize,
    /// Ended otherwise.
    pub(super) lost: usize,
}

#[derive(Debug)]
struct Task {
    group: &'static str,
    agent: Option<AgentId>,
    state: TaskState,
    /// All terminal states it was said to be in; one at most, if all is well.
    ends: BTreeSet<TaskState>,
}

/// All tasks.
#[derive(Debug, Default)]
pub(super) struct Record {
    tasks: BTreeMap<TaskId, Task>,
    outcomes: Vec<JobOutcome>,
    /// How far each file has been read.
    offsets: BTreeMap<String, u64>,
}

impl Record {
    /// Takes in what was written since the last time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn catch_up(&mut self, file: &Path) -> anyhow::Result<()> {
        let name = file.display().to_string();
        let offset = self.offsets.entry(name.clone()).or_default();
        let mut new = Vec::new();
        let mut open = File::open(file).with_context(|| name.clone())?;
        open.seek(SeekFrom::Start(*offset))
            .and_then(|_| open.read_to_end(&mut new))
            .context(name)?;
        // The last line may still be in the writing.
        let whole = new
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        *offset += whole as u64;
        for line in new[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            // A line that was cut off by the death of its writer says nothing.
            match serde_json::from_slice(line) {
                Ok(News::Status(status)) => self.add(&status),
                Ok(News::Outcome(outcome)) => self.outcomes.push(*outcome),
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, status: &TaskStatus) {
        let Some(group) = jobs::group_of(status.task_id.as_str()) else {
            return;
        };
        let new = || Task {
            group,
            agent: None,
            state: status.state,
            ends: BTreeSet::new(),
        };
        let task = self.tasks.entry(status.task_id.clone()).or_insert_with(new);
        if status.state.is_terminal() {
            task.ends.insert(status.state);
        }
        task.agent = status.agent_id.clone().or_else(|| task.agent.take());
        if task.ends.is_empty() || status.state.is_terminal() {
            task.state = status.state;
        }
    }

    /// The tasks of a group, on one agent or on all.
    pub(super) fn count(&self, group: &str, agent: Option<&AgentId>) -> Count {
        let mut count = Count::default();
        let here = |task: &&Task| agent.is_none() || task.agent.as_ref() == agent;
        for task in self
            .tasks
            .values()
            .filter(|task| task.group == group)
            .filter(here)
        {
            match task.state {
                TaskState::Finished => count.finished += 1,
                state if state.is_terminal() => count.lost += 1,
                _ => count.live += 1,
            }
        }
        count
    }

    /// How the job of that name ended.
    pub(super) fn outcome(&self, job: &str) -> Option<&JobOutcome> {
        self.outcomes
            .iter()
            .find(|outcome| outcome.progress.job == job)
    }

    /// Tasks of the job that ended twice, are not over, or are missing; and those of others that
    /// ended twice.
    pub(super) fn problems(&self, outcome: &JobOutcome) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, task) in &self.tasks {
            if task.ends.len() > 1 {
                problems.push(format!(
                    "task {id} has several terminal states: {:?}",
                    task.ends
                ));
            } else if task.ends.is_empty() && task.group != jobs::STREAM {
                problems.push(format!("task {id} was left {}", task.state));
            }
        }
        for (group, expected) in [(jobs::MAP, SHARDS), (jobs::REDUCE, 1)] {
            let finals = outcome.tasks.get(group).map_or(&[][..], Vec::as_slice);
            let finished = |id: &&TaskId| {
                self.tasks
                    .get(*id)
                    .is_none_or(|task| task.state == TaskState::Finished)
            };
            let finished = finals.iter().filter(finished).count();
            if finished != expected {
                problems.push(format!("{finished} of {expected} {group} tasks finished"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tepui_batch::{JobProgress, JobResult};
    use tepui_protocol::{Source, Timestamp};

    use super::*;

    fn status(id: &str, state: TaskState) -> News {
        let id = id.parse().unwrap();
        let status = TaskStatus::new(id, state, Source::Executor, Timestamp(1));
        News::Status(TaskStatus {
            agent_id: Some("m-S1".parse().unwrap()),
            ..status
        })
    }

    fn outcome() -> JobOutcome {
        let ids = |group: &str, count: usize| -> (String, Vec<TaskId>) {
            let ids = (0..count).map(|n| format!("analytics.{group}.{n}.0").parse().unwrap());
            (group.to_owned(), ids.collect())
        };
        JobOutcome {
            framework_id: None,
            result: JobResult::Succeeded,
            tasks: BTreeMap::from([ids("map", SHARDS), ids("reduce", 1)]),
            progress: JobProgress {
                job: "analytics".to_owned(),
                ..JobProgress::default()
            },
        }
    }

    fn record(lines: &[News]) -> Record {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut record = Record::default();
        for news in lines {
            let line = serde_json::to_string(news).unwrap();
            let (one, two) = line.split_at(line.len() / 2);
            write!(file, "{one}").unwrap();
            record.catch_up(file.path()).unwrap();
            writeln!(file, "{two}\nnoise").unwrap();
            record.catch_up(file.path()).unwrap();
        }
        record
    }

    #[test]
    fn lines_are_read_once_and_whole() {
        let id = "analytics.map.0.0";
        let all = [
            status(id, TaskState::Running),
            status(id, TaskState::Finished),
        ];
        let record = record(&all);
        let expected = Count {
            finished: 1,
            ..Count::default()
        };
        assert_eq!(record.count("map", None), expected);
        assert_eq!(
            record.count("map", Some(&"m-S1".parse().unwrap())),
            expected
        );
        assert_eq!(
            record.count("map", Some(&"m-S2".parse().unwrap())),
            Count::default()
        );
    }

    #[test]
    fn a_task_must_end_once_and_none_may_be_missing() {
        let mut lines = vec![News::Outcome(Box::new(outcome()))];
        let whole = record(&lines);
        assert_eq!(
            whole.problems(whole.outcome("analytics").unwrap()),
            Vec::<String>::new()
        );
        lines.extend([
            status("analytics.map.0.0", TaskState::Failed),
            status("analytics.map.1.0", TaskState::Finished),
            status("analytics.map.1.0", TaskState::Gone),
            status("analytics.reduce.0.1", TaskState::Running),
            status("background.compress.0.0", TaskState::Running),
        ]);
        let broken = record(&lines);
        let problems = broken.problems(&outcome()).join("; ");
        assert!(problems.contains("task analytics.map.1.0 has several terminal states"));
        assert!(problems.contains("task analytics.reduce.0.1 was left TASK_RUNNING"));
        assert!(
            problems.contains("22 of 24 map tasks finished"),
            "{problems}"
        );
    }
}
