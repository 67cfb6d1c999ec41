//! Tasks that end with whoever holds them.

use std::future::Future;

use tokio::{runtime::Handle, task::JoinHandle};

/// A running task, aborted when this is dropped.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    /// Runs `future` on `runtime`.
    pub(super) fn spawn(
        runtime: &Handle,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self(runtime.spawn(future))
    }

    /// Whether it has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Ends it, and returns when it has let go of what it held.
    pub(super) async fn end(mut self) {
        self.abort();
        // The error says that it was aborted.
        let _ = (&mut self.0).await;
    }

    /// Ends it.
    pub(super) fn abort(&self) {
        self.0.abort();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort();
    }
}
