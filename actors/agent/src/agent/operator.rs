//! What operators ask of an agent.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use tepui_protocol::{
    Timestamp, Usage,
    messages::operator::{AgentState, ExecutorSummary, ReadSandbox, RunUsage},
};

use super::Agent;
use crate::{
    config::AgentConfig,
    launcher::{ExecutorRun, RunInUse},
};

impl Agent {
    /// The agent's own view of itself, as process `os_pid`.
    pub fn summary(&self, os_pid: u32) -> AgentState {
        let executors = self.runs().into_iter().filter_map(|run| {
            let process = self.executor(&run)?.process?;
            Some(ExecutorSummary {
                os_pid: process.pid,
                sandbox: self.sandbox(&run).display().to_string(),
                framework_id: run.framework_id,
                executor_id: run.executor_id,
            })
        });
        AgentState {
            agent_id: self.info.id.clone(),
            work_dir: self.config.work_dir.display().to_string(),
            os_pid,
            executors: executors.collect(),
        }
    }

    /// Its settings.
    pub(crate) fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// The names of all runs.
    pub(crate) fn live_runs(&self) -> BTreeSet<String> {
        self.runs().into_iter().map(|run| run.run).collect()
    }

    /// How often runs are to be looked at; never if zero.
    pub fn look_interval(&self) -> Duration {
        self.config.look_interval
    }

    /// The runs with live tasks, to be asked what they use.
    pub fn runs_in_use(&self) -> Vec<RunInUse> {
        let runs = self.runs().into_iter();
        let live = runs.filter(|run| !self.live_tasks(run).is_empty());
        live.map(|run| RunInUse {
            sandbox: self.sandbox(&run),
            gpus: self.gpus_of(&run),
            members: self.members_of(&run),
            run,
        })
        .collect()
    }

    /// What a run has used by `now`, for people.
    pub fn usage_of(&self, now: Timestamp, run: ExecutorRun, usage: Usage) -> RunUsage {
        let executor = self.executor(&run);
        let info = executor.and_then(|executor| executor.info.as_ref());
        RunUsage {
            executor_name: info.map(|info| info.name.clone()).unwrap_or_default(),
            container_id: run.run.clone(),
            os_pid: executor
                .and_then(|executor| executor.process)
                .map(|process| process.pid),
            tasks: self.live_tasks(&run),
            resources: self.resources_of(&run),
            gpus: self.gpus_of(&run),
            framework_id: run.framework_id,
            executor_id: run.executor_id,
            timestamp: now,
            usage,
        }
    }

    /// The sandbox that a question is about, and how many bytes are read at most. It may be one of
    /// an executor that has ended.
    pub fn sandbox_of(&self, question: &ReadSandbox) -> (PathBuf, usize) {
        let (framework, executor) = (
            question.framework_id.as_str(),
            question.executor_id.as_str(),
        );
        let sandbox = tepui_isolation::sandbox::latest(&self.config.work_dir, framework, executor);
        (
            sandbox,
            question.length.min(self.config.sandbox_piece_max) as usize,
        )
    }
}
