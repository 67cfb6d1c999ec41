//! Processes of the operating system: one group each, watched by a thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tepui_isolation::{
    Ended, LaunchSpec, Launched, ProcessIdentity, Signal,
    process::{chain, family},
};
use tepui_protocol::TaskId;
use tokio::sync::oneshot;

use super::{Processes, StartProcess, Started};

/// A watching thread only waits; it needs next to no stack.
const WATCHER_STACK: usize = 128 * 1024;

/// Real processes, through `tepui-isolation`.
#[derive(Debug, Default)]
pub struct SystemProcesses {
    groups: BTreeMap<TaskId, ProcessIdentity>,
    live: Arc<AtomicUsize>,
    owns_descendants: bool,
}

impl SystemProcesses {
    /// Processes of a program that has children of other origin, whose orphans are left alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Processes of a program that has no other children: what tasks leave behind falls to it, and
    /// is killed when the last of them ends.
    pub fn owning_descendants() -> Self {
        // Where the kernel cannot do this, the agent still finds leftovers by their environment.
        let owns_descendants = family::adopt_orphans().is_ok();
        Self {
            owns_descendants,
            ..Self::default()
        }
    }

    fn watch(&self, launched: Launched) -> Result<oneshot::Receiver<Ended>, std::io::Error> {
        let (sender, receiver) = oneshot::channel();
        let (live, owns_descendants) = (self.live.clone(), self.owns_descendants);
        live.fetch_add(1, Ordering::AcqRel);
        let watch = move || {
            let ended = launched.wait().unwrap_or(Ended::Unseen);
            if live.fetch_sub(1, Ordering::AcqRel) == 1 && owns_descendants {
                // Survivors belong to another user or hang in the kernel; the agent looks again.
                let _ = family::kill_descendants();
            }
            let _ = sender.send(ended);
        };
        let thread = std::thread::Builder::new().name("watch".to_owned());
        thread
            .stack_size(WATCHER_STACK)
            .spawn(watch)
            .map(|_| receiver)
    }
}

impl Processes for SystemProcesses {
    fn start(&mut self, start: &StartProcess) -> Result<Started, String> {
        let launched = spec(start).launch().map_err(|error| chain(&error))?;
        let identity = launched.identity();
        let ended = self.watch(launched).map_err(|error| {
            let _ = identity.signal_group(Signal::Kill);
            format!("cannot watch process {}: {error}", identity.pid)
        })?;
        self.groups.insert(start.task_id.clone(), identity);
        let ended = Box::pin(async move { ended.await.unwrap_or(Ended::Unseen) });
        Ok(Started {
            os_pid: identity.pid,
            ended,
        })
    }

    fn signal(&mut self, task: &TaskId, signal: Signal) {
        if let Some(group) = self.groups.get(task)
            && let Err(error) = group.signal_group(signal)
        {
            tracing::debug!(%task, %error, "signal not sent");
        }
    }
}

fn spec(start: &StartProcess) -> LaunchSpec {
    LaunchSpec::command(
        &start.command,
        start.environment.clone(),
        start.sandbox.clone(),
    )
}
