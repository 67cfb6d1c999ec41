//! Files that are kept for the next task that wants them, by user and URI.
//!
//! ```text
//! <work dir>/fetch/index.json    what there is, and when it was used (written anew, synced, renamed)
//!                 /files/<key>   the files; key: sha256 of user and URI
//!                 /tmp/          what is being fetched
//! ```
//! What the index does not know is removed at the start, so that a crash leaves nothing. Whoever has a
//! file open reads on when it has to go.

mod index;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{digest, error::Problem};
use index::Index;

/// The cache of one agent.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    fetching: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    made: AtomicU64,
}

/// A file that is removed unless it is kept.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    pub(crate) file: File,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone when it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    /// The cache in `dir`, which is made.
    pub(crate) fn open(dir: &Path, limit: u64) -> Result<Self, Problem> {
        let tmp = dir.join("tmp");
        let _ = fs::remove_dir_all(&tmp);
        for dir in [&tmp, &dir.join("files")] {
            fs::create_dir_all(dir).map_err(Problem::file("make", dir))?;
        }
        let text = fs::read(dir.join("index.json")).unwrap_or_default();
        // An index that cannot be read is as good as none: files are fetched again.
        let mut index: Index = serde_json::from_slice(&text).unwrap_or_default();
        let cache = Self {
            dir: dir.to_owned(),
            limit,
            index: Mutex::default(),
            fetching: Mutex::default(),
            made: AtomicU64::new(0),
        };
        let has = |key: &str, bytes| {
            fs::metadata(cache.path(key)).is_ok_and(|about| about.is_file() && about.len() == bytes)
        };
        index.entries.retain(|key, entry| has(key, entry.bytes));
        let files = cache.dir.join("files");
        for entry in fs::read_dir(&files).map_err(Problem::file("read", &files))? {
            let entry = entry.map_err(Problem::file("read", &files))?;
            let name = entry.file_name();
            if !name
                .to_str()
                .is_some_and(|key| index.entries.contains_key(key))
            {
                let _ = fs::remove_file(entry.path());
            }
        }
        *cache.index() = index;
        Ok(cache)
    }

    /// By what a file is found: tasks of other users have their own.
    pub(crate) fn key(user: &str, uri: &str) -> String {
        digest::of(format!("{user}\0{uri}").as_bytes())
    }

    /// Waits until nobody else fetches the same, so that it is fetched once.
    pub(crate) async fn alone(&self, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut all = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, lock| lock.strong_count() > 0);
            let known = all.get(key).and_then(Weak::upgrade);
            let lock = known.unwrap_or_default();
            all.insert(key.to_owned(), Arc::downgrade(&lock));
            lock
        };
        lock.lock_owned().await
    }

    /// The file of that key, if its sha256 is what is wanted.
    pub(crate) fn find(&self, key: &str, wanted: Option<&str>) -> Option<File> {
        let mut index = self.index();
        let entry = index.find(key)?;
        if wanted.is_some_and(|wanted| wanted != entry.sha256) {
            return None;
        }
        let file = File::open(self.path(key)).ok()?;
        // That it was used is not worth more than a try.
        let _ = self.write(&index);
        Some(file)
    }

    /// Keeps a file, and removes others for it if need be. One that is too large is not kept.
    pub(crate) fn keep(
        &self,
        key: &str,
        (uri, bytes, sha256): (&str, u64, String),
        from: &Temporary,
    ) -> io::Result<()> {
        from.file.sync_all()?;
        let mut index = self.index();
        let about = (uri.to_owned(), bytes, sha256);
        let Some(gone) = index.add(key, about, self.limit) else {
            return Ok(());
        };
        for old in gone {
            let _ = fs::remove_file(self.path(&old));
        }
        fs::rename(&from.path, self.path(key))?;
        self.write(&index)
    }

    /// A file of its own that nobody else sees.
    pub(crate) fn temporary(&self) -> Result<Temporary, Problem> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("tmp").join(number.to_string());
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).write(true).create_new(true).open(&path);
        let file = opened.map_err(Problem::file("make", &path))?;
        Ok(Temporary { path, file })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join("files").join(key)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, index: &Index) -> io::Result<()> {
        write_whole(&self.dir.join("index.json"), &serde_json::to_vec(index)?)
    }
}

/// Writes a file so that after a crash it is either the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn keep(cache: &Cache, key: &str, text: &str) {
        let mut from = cache.temporary().unwrap();
        from.file.write_all(text.as_bytes()).unwrap();
        let sha = digest::of(text.as_bytes());
        cache
            .keep(key, (key, text.len() as u64, sha), &from)
            .unwrap();
    }

    fn text(cache: &Cache, key: &str) -> Option<String> {
        let mut text = String::new();
        cache.find(key, None)?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn what_is_kept_survives_and_the_rest_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 10).unwrap();
        keep(&cache, "a", "1234");
        keep(&cache, "b", "5678");
        assert_eq!(text(&cache, "a").unwrap(), "1234");
        drop(cache);
        // As after a crash: files that the index does not know, and one that is not whole.
        fs::write(dir.path().join("files/x"), "x").unwrap();
        fs::write(dir.path().join("tmp/0"), "x").unwrap();
        fs::write(dir.path().join("files/b"), "5").unwrap();
        let cache = Cache::open(dir.path(), 10).unwrap();
        assert_eq!(text(&cache, "a").unwrap(), "1234");
        assert_eq!(text(&cache, "b"), None);
        assert!(cache.find("a", Some("another digest")).is_none());
        let names = fs::read_dir(dir.path().join("files")).unwrap().count();
        assert_eq!(
            (names, fs::read_dir(dir.path().join("tmp")).unwrap().count()),
            (1, 0)
        );
    }

    #[test]
    fn the_cache_holds_no_more_than_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 10).unwrap();
        keep(&cache, "a", "1234");
        keep(&cache, "b", "5678");
        let held = cache.find("a", None).unwrap();
        keep(&cache, "c", "123456789");
        keep(&cache, "d", "more than ten");
        assert_eq!(
            [text(&cache, "a"), text(&cache, "b"), text(&cache, "d")],
            [None, None, None]
        );
        assert_eq!(text(&cache, "c").unwrap(), "123456789");
        // Whoever has it open reads on.
        assert_eq!(io::read_to_string(held).unwrap(), "1234");
        assert_ne!(Cache::key("a", "u"), Cache::key("b", "u"));
    }
}
