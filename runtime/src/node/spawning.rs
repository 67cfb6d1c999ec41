//! Spawning: giving an actor a name, a mailbox and a place to run.

use std::{
    any::{Any, TypeId, type_name},
    sync::{Arc, atomic::Ordering},
};

use dashmap::Entry;

use super::Node;
use crate::{
    AnyPid, Pid, Supervision,
    cell::{AnyCell, Cell},
    pid::is_name,
    rt::{Actor, envelope::Routes, life::Life},
    supervision::keeper::{Keeper, Own},
};

/// Why an actor was not spawned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// Another actor bears the name.
    #[error("the name {name:?} is taken by a running actor; stop it first or choose another")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Not a name.
    #[error("{name:?} cannot name an actor: no blanks, control characters, `@` or `#`")]
    BadName {
        /// The refused name.
        name: String,
    },
    /// The node is shut down.
    #[error("the node is shut down")]
    NodeStopped,
}

/// How an actor is to live.
#[derive(Clone, Copy, Debug)]
pub struct SpawnOptions {
    /// Messages that may wait; one more is refused. `None`: the node's default.
    pub mailbox: Option<usize>,
    /// What becomes of it when it crashes.
    pub supervision: Supervision,
}

impl Default for SpawnOptions {
    fn default() -> Self {
        Self {
            mailbox: None,
            supervision: Supervision::stop(),
        }
    }
}

impl Node {
    /// Starts `actor` under `name`.
    ///
    /// # Errors
    /// [`SpawnError`]: the name is taken or bad, or the node is shut down.
    #[track_caller]
    pub fn spawn<A: Actor + Send>(&self, name: &str, actor: A) -> Result<Pid<A>, SpawnError> {
        let mut actor = Some(actor);
        let once = move || {
            actor
                .take()
                .expect("an actor without supervision is made once")
        };
        self.spawn_as(name, SpawnOptions::default(), once)
    }

    /// Starts the actor that `factory` makes, on the thread where it will live.
    ///
    /// # Errors
    /// As [`Node::spawn`].
    #[track_caller]
    pub fn spawn_with<A: Actor>(
        &self,
        name: &str,
        factory: impl FnOnce() -> A + Send + 'static,
    ) -> Result<Pid<A>, SpawnError> {
        let mut factory = Some(factory);
        let once = move || {
            (factory
                .take()
                .expect("an actor without supervision is made once"))()
        };
        self.spawn_as(name, SpawnOptions::default(), once)
    }

    /// Starts the actor that `factory` makes, and makes it anew when it crashes.
    ///
    /// # Errors
    /// As [`Node::spawn`].
    #[track_caller]
    pub fn supervise<A: Actor>(
        &self,
        name: &str,
        supervision: Supervision,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Result<Pid<A>, SpawnError> {
        self.spawn_as(
            name,
            SpawnOptions {
                supervision,
                ..SpawnOptions::default()
            },
            factory,
        )
    }

    /// A name that nobody bears, `prefix(n)`.
    pub fn unique_name(&self, prefix: &str) -> String {
        loop {
            let n = self.inner.next_name.fetch_add(1, Ordering::Relaxed);
            let name = format!("{prefix}({n})");
            if !self.inner.registry.contains_key(name.as_str()) {
                return name;
            }
        }
    }

    /// Starts the actor that `factory` makes, with all options.
    ///
    /// # Errors
    /// As [`Node::spawn`].
    #[track_caller]
    pub fn spawn_as<A: Actor>(
        &self,
        name: &str,
        options: SpawnOptions,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Result<Pid<A>, SpawnError> {
        let cell = self.register(name, &options)?;
        let supervision = options.supervision;
        let keeper = supervision.restarts().then(|| {
            let keeper = Own::new(self.clone(), cell.clone(), supervision);
            Box::new(keeper) as Box<dyn Keeper>
        });
        self.place(cell.clone(), keeper, factory);
        Ok(Pid::local(cell))
    }

    /// Starts an actor whose next lives `keeper` decides on.
    pub(crate) fn start_kept<A: Actor>(
        &self,
        name: &str,
        options: SpawnOptions,
        keeper: Box<dyn Keeper>,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Result<Arc<dyn AnyCell>, SpawnError> {
        let cell = self.register::<A>(name, &options)?;
        cell.supervised();
        self.place(cell.clone(), Some(keeper), factory);
        Ok(cell)
    }

    fn place<A: Actor>(
        &self,
        cell: Arc<Cell<A>>,
        keeper: Option<Box<dyn Keeper>>,
        factory: impl FnMut() -> A + Send + 'static,
    ) {
        let node = self.clone();
        self.inner.placement.run(Box::new(move || {
            let life = Life::new(node, cell, Box::new(factory), keeper);
            tokio::task::spawn_local(life);
        }));
    }

    #[track_caller]
    fn register<A: Actor>(
        &self,
        name: &str,
        options: &SpawnOptions,
    ) -> Result<Arc<Cell<A>>, SpawnError> {
        if !is_name(name) {
            return Err(SpawnError::BadName {
                name: name.to_owned(),
            });
        }
        if self.inner.stopped.load(Ordering::Acquire) {
            return Err(SpawnError::NodeStopped);
        }
        let incarnation = self.unique();
        let pid = AnyPid::of_incarnation(name.into(), self.addr().clone(), incarnation);
        let capacity = options.mailbox.unwrap_or(self.inner.mailbox_capacity);
        let cell = Cell::new(
            pid,
            capacity,
            self.routes::<A>(),
            options.supervision.resume,
        );
        #[cfg(feature = "testkit")]
        let cell = cell.with_filters(self.inner.filters.clone());
        #[cfg(feature = "testkit")]
        if let Some(filters) = &self.inner.filters {
            filters.spawned(&cell.pid, std::panic::Location::caller());
        }
        let cell = Arc::new(cell);
        match self.inner.registry.entry(name.into()) {
            Entry::Occupied(_) => Err(SpawnError::NameTaken {
                name: name.to_owned(),
            }),
            Entry::Vacant(free) => {
                free.insert(cell.clone() as Arc<dyn AnyCell>);
                Ok(cell)
            }
        }
    }

    fn routes<A: Actor>(&self) -> Arc<Routes<A>> {
        let build = || {
            let mut routes = Routes::new();
            A::accepts(&mut routes);
            self.note_type(type_name::<A>(), &routes.ended);
            Arc::new(routes) as Arc<dyn Any + Send + Sync>
        };
        let routes = self
            .inner
            .routes
            .entry(TypeId::of::<A>())
            .or_insert_with(build)
            .clone();
        routes
            .downcast()
            .expect("routes are keyed by the actor's type")
    }
}
