//! Spawning: giving an actor a name, a mailbox and a place to run.

use std::{
    any::{Any, TypeId, type_name},
    sync::{Arc, atomic::Ordering},
};

use dashmap::Entry;

use super::Node;
use crate::{
    AnyPid, Overflow, Pid, Supervision,
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
    /// The node has fewer workers.
    #[error("there is no worker {worker}: the node has {workers}, counted from 0")]
    NoSuchWorker {
        /// The worker that was asked for.
        worker: usize,
        /// How many the node has.
        workers: usize,
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
    /// What becomes of messages beyond that.
    pub overflow: Overflow,
    /// What becomes of it when it crashes.
    pub supervision: Supervision,
    /// On which worker it lives.
    pub place: Place,
}

/// On which of the node's worker threads an actor lives, for all its life. A node that is
/// [`local`](crate::NodeBuilder::local) has one thread, and places are all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// With the actor that spawns it; from outside of actors, on the next worker in turn. A message
    /// to a neighbour costs a fraction of one to another thread.
    #[default]
    Beside,
    /// On this worker, counted from zero.
    On(usize),
    /// On the next worker in turn.
    Spread,
}

impl Default for SpawnOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SpawnOptions {
    /// The defaults: the node's mailbox bound, senders wait, no restart, beside its parent.
    pub const fn new() -> Self {
        Self {
            mailbox: None,
            overflow: Overflow::Wait,
            supervision: Supervision::stop(),
            place: Place::Beside,
        }
    }

    /// Messages that may wait.
    pub const fn mailbox(self, capacity: usize) -> Self {
        Self {
            mailbox: Some(capacity),
            ..self
        }
    }

    /// What becomes of messages that find the mailbox full.
    pub const fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// What becomes of the actor when it crashes.
    pub const fn supervision(self, supervision: Supervision) -> Self {
        Self {
            supervision,
            ..self
        }
    }

    /// It lives on this worker, counted from zero.
    pub const fn on(self, worker: usize) -> Self {
        Self {
            place: Place::On(worker),
            ..self
        }
    }

    /// It lives on the next worker in turn.
    pub const fn spread(self) -> Self {
        Self {
            place: Place::Spread,
            ..self
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
        let workers = self.inner.placement.count();
        if let (Place::On(worker), Some(workers)) = (options.place, workers)
            && worker >= workers
        {
            return Err(SpawnError::NoSuchWorker { worker, workers });
        }
        let cell = self.register(name, &options)?;
        let supervision = options.supervision;
        let keeper = supervision.restarts().then(|| {
            let keeper = Own::new(self.clone(), cell.clone(), supervision);
            Box::new(keeper) as Box<dyn Keeper>
        });
        self.place(options.place, cell.clone(), keeper, factory);
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
        self.place(options.place, cell.clone(), Some(keeper), factory);
        Ok(cell)
    }

    fn place<A: Actor>(
        &self,
        place: Place,
        cell: Arc<Cell<A>>,
        keeper: Option<Box<dyn Keeper>>,
        factory: impl FnMut() -> A + Send + 'static,
    ) {
        let node = self.clone();
        let job = Box::new(move || {
            let life = Life::new(node, cell, Box::new(factory), keeper);
            tokio::task::spawn_local(life);
        });
        self.inner.placement.run(place, job);
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
        let name: Arc<str> = name.into();
        let pid = AnyPid::of_incarnation(name.clone(), self.addr().clone(), incarnation);
        let cell = Cell::new(self, pid, options, self.routes::<A>());
        #[cfg(feature = "testkit")]
        let cell = cell.with_filters(self.inner.filters.clone());
        #[cfg(feature = "testkit")]
        if let Some(filters) = &self.inner.filters {
            filters.spawned(&cell.pid, std::panic::Location::caller());
        }
        let cell = Arc::new(cell);
        match self.inner.registry.entry(name) {
            Entry::Occupied(taken) => Err(SpawnError::NameTaken {
                name: taken.key().to_string(),
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
