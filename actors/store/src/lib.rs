//! What a component must not forget: a small durable map, and the outbox that lets nothing leave
//! before what was written ahead of it is durable.
//!
//! Owns the [`StateStore`] trait, its two implementations ([`RedbStore`] on disk, [`MemoryStore`]
//! for tests and simulations), the [`Outbox`] and the encoding of values ([`put`], [`get`]). It
//! does not own what is kept: each component defines its own keys and records.
//!
//! ```text
//!  state machine --effects--> Outbox --Commit(batch)--> StateStore
//!                               |  ^                        |
//!                               |  +------ committed -------+
//!                               +--Carry(effect)--> the world
//! ```
//! Read next: `outbox.rs`.

pub mod codec;
mod error;
mod memory;
mod outbox;
mod redb;

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

pub use crate::{
    codec::{get, put},
    error::StoreError,
    memory::MemoryStore,
    outbox::{Outbox, Outgoing, Step},
    redb::RedbStore,
};

/// Everything a store holds, by key.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// One change of the stored map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets `key` to `value`.
    Put {
        /// Under which key.
        key: String,
        /// What is kept.
        value: Vec<u8>,
    },
    /// Removes `key`; nothing happens if it is not there.
    Delete {
        /// Which key.
        key: String,
    },
}

impl Write {
    /// Removes `key`.
    pub fn delete(key: impl Into<String>) -> Self {
        Write::Delete { key: key.into() }
    }

    /// The key that is changed.
    pub fn key(&self) -> &str {
        match self {
            Write::Put { key, .. } | Write::Delete { key } => key,
        }
    }
}

/// A durable map of short keys to small values, with one owner.
pub trait StateStore: Send + 'static {
    /// Reads everything, once, when the component starts. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    fn load(&self) -> Result<Contents, StoreError>;

    /// Applies `batch` in order, all or nothing; durable when the future resolves. A batch handed
    /// over after another is applied after it.
    fn commit(&self, batch: Vec<Write>) -> BoxFuture<'static, Result<(), StoreError>>;
}

impl StateStore for Box<dyn StateStore> {
    fn load(&self) -> Result<Contents, StoreError> {
        self.as_ref().load()
    }

    fn commit(&self, batch: Vec<Write>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.as_ref().commit(batch)
    }
}

fn apply(contents: &mut Contents, batch: Vec<Write>) {
    for write in batch {
        match write {
            Write::Put { key, value } => contents.insert(key, value),
            Write::Delete { key } => contents.remove(&key),
        };
    }
}
