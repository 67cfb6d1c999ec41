//! Reading a task's sandbox from afar: which agent has it, and piece by piece what is in it.
//!
//! The master tells where a task runs or ran. What a master before this one knew is not lost: the
//! agents are asked, too, when the framework is named.

use anyhow::{anyhow, bail};
use tepui_protocol::{
    ExecutorId, FrameworkId,
    messages::operator::{GetAgents, ReadSandbox, SandboxPiece, TaskSummary},
};
use tepui_runtime::AnyPid;

use crate::{cli::arguments::TaskName, client::Client};

/// Bytes asked for at once.
const PIECE: u32 = 256 * 1024;

/// The task that is meant, of those that have its id; none if there is none.
///
/// # Errors
/// When there are several.
pub(crate) fn the_one(
    name: &TaskName,
    mut tasks: Vec<TaskSummary>,
) -> anyhow::Result<Option<TaskSummary>> {
    if tasks.len() <= 1 {
        return Ok(tasks.pop());
    }
    let names = tasks
        .iter()
        .map(|t| format!("{}/{}", t.task.framework_id, name.task));
    let names: Vec<String> = names.collect();
    bail!(
        "several frameworks have a task {name}; name one of: {}",
        names.join(" ")
    )
}

/// A sandbox on an agent.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    agent: AnyPid,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    /// The place of the task's own files in it; empty unless it is one of a group.
    directory: String,
    /// Whether its task had ended when it was looked for: then its files are complete.
    pub(crate) is_complete: bool,
}

impl Sandbox {
    /// The sandbox of the one task of that name.
    ///
    /// # Errors
    /// When there is no such task or there are several, its agent is away, or nobody answers.
    pub(crate) async fn find(client: &Client, name: &TaskName) -> anyhow::Result<Self> {
        let tasks = client
            .tasks(name.framework.clone(), Some(name.task.clone()))
            .await?;
        match the_one(name, tasks)? {
            Some(task) => Self::of(name, task),
            None => Self::search(client, name).await,
        }
    }

    fn of(name: &TaskName, task: TaskSummary) -> anyhow::Result<Self> {
        let away = || {
            anyhow!(
                "the agent of task {name} is not connected, so its sandbox cannot be read; see \
                 `tepui agents`"
            )
        };
        Ok(Self {
            agent: task.agent_pid.ok_or_else(away)?,
            executor_id: task.task.info.executor_id(),
            directory: task.task.info.sandbox_path(""),
            is_complete: task.task.state.is_terminal(),
            framework_id: task.task.framework_id,
        })
    }

    /// Asks all agents for a command task that the master does not know.
    async fn search(client: &Client, name: &TaskName) -> anyhow::Result<Self> {
        let unknown = || anyhow!("no task {name}; `tepui tasks` lists those that the master knows");
        let framework_id = name.framework.clone().ok_or_else(unknown)?;
        for agent in client
            .ask(GetAgents {})
            .await?
            .into_iter()
            .filter_map(|agent| agent.pid)
        {
            let executor_id = ExecutorId::of_command_task(&name.task);
            let framework_id = framework_id.clone();
            let sandbox = Self {
                agent,
                framework_id,
                executor_id,
                directory: String::new(),
                is_complete: true,
            };
            if sandbox.piece(client, "stdout", 0).await.is_ok() {
                return Ok(sandbox);
            }
        }
        Err(unknown())
    }

    /// A piece of a file from `offset` on; empty at its end.
    ///
    /// # Errors
    /// When there is no such file, or the agent does not answer.
    pub(crate) async fn piece(
        &self,
        client: &Client,
        file: &str,
        offset: u64,
    ) -> anyhow::Result<Vec<u8>> {
        Ok(self.ask(client, file, offset).await?.data)
    }

    /// How large a file is now.
    ///
    /// # Errors
    /// As [`Sandbox::piece`].
    pub(crate) async fn size(&self, client: &Client, file: &str) -> anyhow::Result<u64> {
        Ok(self.ask(client, file, 0).await?.size)
    }

    async fn ask(&self, client: &Client, file: &str, offset: u64) -> anyhow::Result<SandboxPiece> {
        let question = ReadSandbox {
            framework_id: self.framework_id.clone(),
            executor_id: self.executor_id.clone(),
            path: format!("{}{file}", self.directory),
            offset,
            length: PIECE,
        };
        let piece = client.ask_agent(&self.agent, question).await?;
        let name = &self.executor_id;
        piece.map_err(|refusal| anyhow!("{file} of {name}: {refusal}"))
    }

    /// A whole file as it is now.
    ///
    /// # Errors
    /// As [`Sandbox::piece`].
    pub(crate) async fn read(&self, client: &Client, file: &str) -> anyhow::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let piece = self.piece(client, file, all.len() as u64).await?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend(piece);
        }
    }
}
