//! Blocking work: where it may go, and how it is found out where it may not.
//!
//! A worker thread runs all of its actors; whoever blocks it stops them all. Blocking work goes to
//! [`Node::blocking`]. In debug builds [`check`] refuses it on the thread of an actor, and a handler
//! that held its worker for long is reported with actor and message.

use std::{panic::AssertUnwindSafe, time::Duration};

use tokio::{sync::Semaphore, time::Instant};

use crate::{AnyPid, Node, ambient, rt::life::panic_text};

/// How long a handler may hold its worker before debug builds report it.
pub const HANDLER_LIMIT: Duration = Duration::from_millis(250);

/// Pieces of blocking work of a node at a time; more wait.
pub(crate) const AT_ONCE: usize = 64;

/// Why blocking work gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// It panicked.
    #[error("blocking work panicked: {text}")]
    Panicked {
        /// What the panic said.
        text: String,
    },
    /// The thread pool is shut down.
    #[error("the runtime is shut down")]
    Stopped,
}

/// To be called where something is about to block.
///
/// # Panics
/// In debug builds, on the thread of an actor while it runs.
#[track_caller]
pub fn check(what: &str) {
    if cfg!(debug_assertions) && ambient::is_set() {
        panic!("{what} would block an actor's thread; use node.blocking(..)");
    }
}

/// Reports a handler that held its worker for long.
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn stop(self, actor: &AnyPid, message: &str) {
        let held = self.0.elapsed();
        if held > HANDLER_LIMIT {
            tracing::warn!(%actor, message, ?held, "handler held its worker; use node.blocking(..)");
        }
    }
}

impl Node {
    /// Runs `work` on a thread where it may block, and waits for its result. At most 64 pieces of a
    /// node run at a time; more wait their turn.
    ///
    /// # Errors
    /// [`BlockingError`]: the work panicked, or the runtime is shut down.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let pool: &Semaphore = &self.inner.blocking;
        let _turn = pool.acquire().await.map_err(|_| BlockingError::Stopped)?;
        let caught = move || {
            std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
                let text = panic_text(panic);
                BlockingError::Panicked { text }
            })
        };
        let done = tokio::task::spawn_blocking(caught).await;
        done.map_err(|_| BlockingError::Stopped)?
    }
}
