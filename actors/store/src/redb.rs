//! A store in one file, by redb: every commit is one transaction, synced to the disk.

use std::{path::Path, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{Contents, StateStore, StoreError, Write};

const STATE: TableDefinition<&str, &[u8]> = TableDefinition::new("state");
const CACHE_BYTES: usize = 16 << 20;

/// A map in a file that one process at a time has open. Commits run on tokio's blocking pool.
#[derive(Clone)]
pub struct RedbStore {
    path: Arc<Path>,
    database: Arc<Database>,
}

impl RedbStore {
    /// Opens the file at `path`, or creates it with all directories above it. Blocks; repairs what
    /// a crash left behind.
    ///
    /// # Errors
    /// [`StoreError`] when the file is in use, damaged, no such file at all, or out of reach.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let io = |error: std::io::Error| StoreError::at(path, redb::Error::Io(error));
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io)?;
        }
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(path);
        let database = database.map_err(|error| StoreError::at(path, error))?;
        let store = Self {
            path: path.into(),
            database: Arc::new(database),
        };
        store.transact(Vec::new())?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn transact(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        transact(&self.database, batch).map_err(|error| StoreError::at(&self.path, error))
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedbStore({})", self.path.display())
    }
}

fn transact(database: &Database, batch: Vec<Write>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(STATE)?;
        for write in batch {
            match write {
                Write::Put { key, value } => table.insert(key.as_str(), value.as_slice())?,
                Write::Delete { key } => table.remove(key.as_str())?,
            };
        }
    }
    Ok(transaction.commit()?)
}

fn read(database: &Database) -> Result<Contents, redb::Error> {
    let table = database.begin_read()?.open_table(STATE)?;
    let mut contents = Contents::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        contents.insert(key.value().to_owned(), value.value().to_vec());
    }
    Ok(contents)
}

impl StateStore for RedbStore {
    fn load(&self) -> Result<Contents, StoreError> {
        read(&self.database).map_err(|error| StoreError::at(&self.path, error))
    }

    fn commit(&self, batch: Vec<Write>) -> BoxFuture<'static, Result<(), StoreError>> {
        let store = self.clone();
        async move {
            let path = store.path.clone();
            let done = tokio::task::spawn_blocking(move || store.transact(batch)).await;
            done.unwrap_or_else(|error| {
                Err(StoreError::Io {
                    path: path.to_path_buf(),
                    problem: error.to_string(),
                })
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put;

    #[tokio::test]
    async fn a_reopened_store_has_what_was_committed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/state.redb");
        let store = RedbStore::open(&path).unwrap();
        store
            .commit(vec![put("a", &1), put("b", &2), put("c", &3)])
            .await
            .unwrap();
        store
            .commit(vec![Write::delete("a"), put("b", &4)])
            .await
            .unwrap();
        drop(store);
        let contents = RedbStore::open(&path).unwrap().load().unwrap();
        assert_eq!(contents.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(crate::get::<i32>("b", &contents["b"]).unwrap(), 4);
    }

    #[tokio::test]
    async fn a_crash_keeps_what_was_committed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let store = RedbStore::open(&path).unwrap();
        store.commit(vec![put("a", &1)]).await.unwrap();
        let unfinished = store.database.begin_write().unwrap();
        unfinished
            .open_table(STATE)
            .unwrap()
            .insert("b", b"2".as_slice())
            .unwrap();
        // The file as a killed process leaves it: open, with a transaction under way.
        let copy = dir.path().join("copy.redb");
        std::fs::copy(&path, &copy).unwrap();
        let contents = RedbStore::open(&copy).unwrap().load().unwrap();
        assert_eq!(contents.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_file_that_is_in_use_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let _held = RedbStore::open(&path).unwrap();
        let error = RedbStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("state.redb") && text.contains("another process"),
            "{text}"
        );
    }

    #[test]
    fn a_file_of_another_kind_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [b"short".to_vec(), b"not a database ".repeat(1_000)] {
            let path = dir.path().join("state.redb");
            std::fs::write(&path, &bytes).unwrap();
            let error = RedbStore::open(&path).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("state.redb") && !text.contains('\n'),
                "{text}"
            );
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_no_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let store = RedbStore::open(&path).unwrap();
        let batch = (0..200)
            .map(|n| put(format!("key/{n}"), &vec![n; 100]))
            .collect();
        store.commit(batch).await.unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        for cut in [whole.len() / 2, 4096, 320] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let outcome = RedbStore::open(&path).and_then(|store| store.load());
            assert!(outcome.is_err(), "a file cut to {cut} bytes");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = RedbStore::open(dir.path().join("file/state.redb")).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    }
}
