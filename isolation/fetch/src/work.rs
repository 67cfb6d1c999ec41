//! One job of fetching as others see it: how far it is, and that it is to be given up.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::error::{Problem, size};

/// A handle that the one who fetches and those who watch share.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_cancelled: AtomicBool,
    cancelled: Notify,
    stage: Mutex<String>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Work {
    /// Has it given up as soon as possible.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Release);
        self.0.cancelled.notify_one();
    }

    /// How far it is, for people: `fetching http://host/file: 3 of 10 MiB`. None before it begins.
    pub fn progress(&self) -> Option<String> {
        let stage = self.stage().clone();
        if stage.is_empty() {
            return None;
        }
        let (done, total) = (&self.0.done, &self.0.total);
        Some(
            match (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed)) {
                (0, _) => stage,
                (done, 0) => format!("{stage}: {}", size(done)),
                (done, total) => format!("{stage}: {} of {}", size(done), size(total)),
            },
        )
    }

    fn stage(&self) -> std::sync::MutexGuard<'_, String> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something new begins.
    pub(crate) fn begin(&self, stage: String) {
        *self.stage() = stage;
        self.0.done.store(0, Ordering::Relaxed);
        self.expect(0);
    }

    /// It will be so many bytes; 0: nobody knows.
    pub(crate) fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// So many bytes more are done.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An error when it is to be given up.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        match self.0.is_cancelled.load(Ordering::Acquire) {
            true => Err(Problem::Cancelled),
            false => Ok(()),
        }
    }

    /// Does something, unless it is to be given up meanwhile.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        doing: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        self.check()?;
        tokio::select! {
            done = doing => done,
            // A permit is kept for who comes later, so that no notice is lost.
            () = self.0.cancelled.notified() => Err(Problem::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_as_far_as_it_is_known() {
        let work = Work::default();
        assert_eq!(work.progress(), None);
        work.begin("fetching x".to_owned());
        assert_eq!(work.progress().unwrap(), "fetching x");
        work.add(3 << 20);
        assert_eq!(work.progress().unwrap(), "fetching x: 3 MiB");
        work.expect(10 << 20);
        assert_eq!(work.progress().unwrap(), "fetching x: 3 MiB of 10 MiB");
        work.begin("extracting x".to_owned());
        assert_eq!(work.progress().unwrap(), "extracting x");
    }

    #[test]
    fn work_that_is_given_up_ends() {
        let work = Work::default();
        assert!(work.check().is_ok());
        work.cancel();
        assert!(matches!(work.check(), Err(Problem::Cancelled)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let never = std::future::pending::<Result<(), Problem>>();
        let ended = runtime.block_on(work.unless_cancelled(never));
        assert!(matches!(ended, Err(Problem::Cancelled)));
    }
}
