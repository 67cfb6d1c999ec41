//! What the cache has, and what goes first when room is needed. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is kept of a cache between lives of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Grows with each use.
    uses: u64,
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// A file in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where it came from, for people.
    pub(crate) uri: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Its last use.
    used: u64,
}

impl Index {
    /// An entry that is used now.
    pub(crate) fn find(&mut self, key: &str) -> Option<&Entry> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(entry)
    }

    /// Adds a file; those that have to go for that are returned, the least recently used first. None
    /// when it does not fit into `limit` bytes at all.
    pub(crate) fn add(
        &mut self,
        key: &str,
        (uri, bytes, sha256): (String, u64, String),
        limit: u64,
    ) -> Option<Vec<String>> {
        if bytes > limit {
            return None;
        }
        self.entries.remove(key);
        let mut gone = Vec::new();
        while self.bytes() > limit - bytes {
            let (oldest, _) = self.entries.iter().min_by_key(|(_, entry)| entry.used)?;
            let oldest = oldest.clone();
            self.entries.remove(&oldest);
            gone.push(oldest);
        }
        self.uses += 1;
        let entry = Entry {
            uri,
            bytes,
            sha256,
            used: self.uses,
        };
        self.entries.insert(key.to_owned(), entry);
        Some(gone)
    }

    /// What all files have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(index: &mut Index, key: &str, bytes: u64) -> Option<Vec<String>> {
        index.add(key, (key.to_owned(), bytes, String::new()), 10)
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut index = Index::default();
        assert_eq!(add(&mut index, "a", 4), Some(vec![]));
        assert_eq!(add(&mut index, "b", 4), Some(vec![]));
        assert_eq!(index.find("a").unwrap().bytes, 4);
        assert_eq!(add(&mut index, "c", 3), Some(vec!["b".to_owned()]));
        assert_eq!(
            add(&mut index, "d", 10),
            Some(vec!["a".to_owned(), "c".to_owned()])
        );
        assert_eq!(index.bytes(), 10);
        assert!(index.find("a").is_none());
    }

    #[test]
    fn what_never_fits_takes_nothing_away() {
        let mut index = Index::default();
        add(&mut index, "a", 4);
        assert_eq!(add(&mut index, "b", 11), None);
        assert_eq!(index.bytes(), 4);
    }

    #[test]
    fn a_file_that_comes_anew_takes_the_place_of_the_old_one() {
        let mut index = Index::default();
        add(&mut index, "a", 6);
        assert_eq!(add(&mut index, "a", 7), Some(vec![]));
        assert_eq!(index.bytes(), 7);
    }
}
