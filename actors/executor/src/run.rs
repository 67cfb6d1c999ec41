//! The process `tepui executor`: a node with one actor on it, until that ends.

use std::sync::Arc;

use tepui_isolation::{Containerizer, launch::Program};
use tepui_runtime::{ExitReason, Node, NodeAddr, SpawnError, node::StartError};

use crate::{Containers, ExecutorActor, ExecutorConfig, SystemProcesses, actor::NAME};

/// Why an executor did not run, or ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its node did not start.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: NodeAddr,
        /// What the runtime says.
        #[source]
        source: StartError,
    },
    /// Its actor did not start.
    #[error("cannot start the executor's actor")]
    Spawn(#[from] SpawnError),
    /// Its actor ended with an error.
    #[error("the executor {reason}")]
    Ended {
        /// How.
        reason: ExitReason,
    },
}

/// Runs an executor in this process until all its tasks are over, or its agent is gone for too
/// long. The process must have no other children: what tasks leave behind is killed.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: ExecutorConfig) -> Result<(), RunError> {
    // Before the node, so that the launcher is there by the time the first task is.
    let processes = processes(&config);
    let addr = config.listen.clone();
    let mut node = Node::builder(addr.clone()).workers(1);
    if let Some(secret) = config.secret.clone() {
        node = node.secret(secret);
    }
    let node = node
        .start()
        .await
        .map_err(|source| RunError::Listen { addr, source })?;
    let rng = node.rng();
    let pid = node.spawn_with(NAME, move || {
        ExecutorActor::new(config, rng, Box::new(processes))
    })?;
    let exited = node.monitor(pid.as_any()).await;
    node.shutdown().await;
    match exited.reason {
        ExitReason::Stopped => Ok(()),
        reason => Err(RunError::Ended { reason }),
    }
}

fn processes(config: &ExecutorConfig) -> SystemProcesses {
    let processes = SystemProcesses::owning_descendants();
    let Some(isolation) = config.isolation.clone() else {
        return processes;
    };
    let containerizer = match Containerizer::new(isolation, Program::this()) {
        Ok((containerizer, _)) => containerizer,
        // Of an executor that just ended, nobody would hear why.
        Err(error) => return processes.refusing(format!("cannot isolate the task: {error}")),
    };
    processes.contained(Containers {
        containerizer: Arc::new(containerizer),
        name: config.place.run.clone(),
        user: config.task_user.clone(),
        gpus: config.gpus.clone(),
        image: config.image.clone(),
    })
}
