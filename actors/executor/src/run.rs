//! The process `tepui executor`: a node with one actor on it, until that ends.

use std::{sync::Arc, time::Duration};

use tepui_isolation::{
    Containerizer,
    launch::{Ahead, Program},
};
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

/// How often the link to the agent is looked after, and how long it may be silent. The agent pings more
/// often; when it ends, the system says so at once. A machine has a thousand executors that wake for it.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));

/// Runs an executor in this process until all its tasks are over, or its agent is gone for too
/// long. The process must have no other children: what tasks leave behind is killed. The first task is launched
/// by the launcher that the process has forked ahead, if it has.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: ExecutorConfig, ahead: Option<Ahead>) -> Result<(), RunError> {
    let processes = processes(&config, ahead);
    let addr = config.listen.clone();
    let (every, lost_after) = HEARTBEAT;
    let node = Node::builder(addr.clone()).workers(1);
    let mut node = node.heartbeat(every, lost_after);
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

fn processes(config: &ExecutorConfig, ahead: Option<Ahead>) -> SystemProcesses {
    let processes = SystemProcesses::owning_descendants();
    let Some(isolation) = config.isolation.clone() else {
        return processes;
    };
    let containerizer = match Containerizer::new(isolation, Program::this()) {
        Ok((containerizer, _)) => containerizer,
        // Of an executor that just ended, nobody would hear why.
        Err(error) => return processes.refusing(format!("cannot isolate the task: {error}")),
    };
    if let Some(ahead) = ahead {
        containerizer.use_first(ahead);
    }
    processes.contained(Containers {
        containerizer: Arc::new(containerizer),
        name: config.place.run.clone(),
        user: config.task_user.clone(),
        gpus: config.gpus.clone(),
        image: config.image.clone(),
    })
}
