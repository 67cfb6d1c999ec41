//! The tables of watchers, where registering races with the end that is watched for.
//!
//! Whoever takes a watcher out tells it, and nobody tells one that is still in: that is what makes
//! a notice arrive exactly once. What must reach another node in the order of the table is sent
//! under its lock. Checked with loom in `runtime/models`.

use std::collections::BTreeMap;

use crate::sync::{Mutex, MutexGuard};

/// The watchers of one actor of this node.
pub(crate) struct Watchers<W>(Mutex<Option<Vec<W>>>);

impl<W> Watchers<W> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Adds a watcher, unless there is one that is the `same`; back when the actor has ended.
    pub(crate) fn add(&self, watcher: W, same: impl Fn(&W, &W) -> bool) -> Result<(), W> {
        match &mut *self.lock() {
            Some(watchers) => {
                if !watchers.iter().any(|other| same(other, &watcher)) {
                    watchers.push(watcher);
                }
                Ok(())
            }
            None => Err(watcher),
        }
    }

    /// Removes the watchers that `gone` names.
    pub(crate) fn remove(&self, gone: impl Fn(&W) -> bool) {
        if let Some(watchers) = &mut *self.lock() {
            watchers.retain(|watcher| !gone(watcher));
        }
    }

    /// The actor has ended: those to be told. None can be added from now on.
    pub(crate) fn close(&self) -> Vec<W> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<W>>> {
        self.0.lock().expect("no panic while watchers are held")
    }
}

/// The watchers of things elsewhere, by what they watch.
pub(crate) struct Table<K, W>(Mutex<BTreeMap<K, Vec<W>>>);

impl<K: Ord + Clone, W> Table<K, W> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Adds a watcher, unless there is one that is the `same`. The first of a key has `register`
    /// called; if that fails the watchers come back, to be told so.
    pub(crate) fn add(
        &self,
        key: &K,
        watcher: W,
        same: impl Fn(&W, &W) -> bool,
        register: impl FnOnce() -> bool,
    ) -> Vec<W> {
        let mut table = self.lock();
        let watchers = table.entry(key.clone()).or_default();
        let first = watchers.is_empty();
        if !watchers.iter().any(|other| same(other, &watcher)) {
            watchers.push(watcher);
        }
        if first && !register() {
            return table.remove(key).unwrap_or_default();
        }
        Vec::new()
    }

    /// Takes the watchers of `key` out.
    pub(crate) fn take(&self, key: &K) -> Vec<W> {
        self.lock().remove(key).unwrap_or_default()
    }

    /// Removes the watchers of `key` that `gone` names; after the last, `deregister` is called.
    pub(crate) fn remove(&self, key: &K, gone: impl Fn(&W) -> bool, deregister: impl FnOnce()) {
        let mut table = self.lock();
        let Some(watchers) = table.get_mut(key) else {
            return;
        };
        watchers.retain(|watcher| !gone(watcher));
        if watchers.is_empty() {
            table.remove(key);
            deregister();
        }
    }

    /// Takes out all whose key is `meant`.
    pub(crate) fn take_all(&self, meant: impl Fn(&K) -> bool) -> Vec<(K, Vec<W>)> {
        self.lock().extract_if(.., |key, _| meant(key)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Vec<W>>> {
        self.0.lock().expect("no panic while monitors are held")
    }
}
