//! A store in memory, for tests and simulations: it survives its component, not the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt, future::BoxFuture};

use crate::{Contents, StateStore, StoreError, Write, apply};

/// A map that all clones share. A batch counts once its future has run to the end: when the
/// component is torn down before that, it is lost, as after a crash.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    contents: Contents,
    commits: u64,
    failure: Option<String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many batches have become durable.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Makes every commit from now on fail for this reason, as a full disk does.
    pub fn fail(&self, problem: impl Into<String>) {
        self.lock().failure = Some(problem.into());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(problem) = inner.failure.clone() {
            return Err(StoreError::Io {
                path: "memory".into(),
                problem,
            });
        }
        apply(&mut inner.contents, batch);
        inner.commits += 1;
        Ok(())
    }
}

impl StateStore for MemoryStore {
    fn load(&self) -> Result<Contents, StoreError> {
        Ok(self.lock().contents.clone())
    }

    fn commit(&self, batch: Vec<Write>) -> BoxFuture<'static, Result<(), StoreError>> {
        let store = self.clone();
        async move {
            // A real disk takes time: others get their turn before the batch is durable.
            tokio::task::yield_now().await;
            store.write(batch)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put;

    #[tokio::test]
    async fn an_unfinished_commit_is_lost_and_a_finished_one_is_not() {
        let store = MemoryStore::new();
        store.commit(vec![put("a", &1)]).await.unwrap();
        drop(store.commit(vec![put("b", &2)]));
        let contents = store.clone().load().unwrap();
        assert_eq!(contents.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(store.commits(), 1);
    }

    #[tokio::test]
    async fn a_failed_commit_changes_nothing() {
        let store = MemoryStore::new();
        store.fail("no space left on device");
        let error = store
            .commit(vec![put("a", &1)])
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("no space left"), "{error}");
        assert!(store.load().unwrap().is_empty());
    }
}
