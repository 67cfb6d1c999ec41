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
    rt::{
        Actor,
        envelope::Routes,
        life::{Life, Source},
    },
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

type AnyRoutes = Arc<dyn Any + Send + Sync>;

thread_local! {
    /// What the last spawn on this thread used: the next is often of the same type.
    static LAST_ROUTES: std::cell::RefCell<Option<AnyRoutes>> = const { std::cell::RefCell::new(None) };
    /// Where names are put together.
    static NAME: std::cell::Cell<String> = const { std::cell::Cell::new(String::new()) };
}

fn checked(name: &str) -> Result<Arc<str>, SpawnError> {
    if is_name(name) {
        return Ok(name.into());
    }
    Err(bad_name(name))
}

#[cold]
fn bad_name(name: &str) -> SpawnError {
    SpawnError::BadName {
        name: name.to_owned(),
    }
}

impl Node {
    /// Starts `actor` under `name`.
    ///
    /// # Errors
    /// [`SpawnError`]: the name is taken or bad, or the node is shut down.
    #[track_caller]
    pub fn spawn<A: Actor + Send>(&self, name: &str, actor: A) -> Result<Pid<A>, SpawnError> {
        let options = SpawnOptions::default();
        let cell = self.register(checked(name)?, &options)?;
        Ok(self.give_life(cell, &options, actor))
    }

    /// Starts `actor` under a name that nobody bears, `prefix(n)`.
    ///
    /// # Errors
    /// [`SpawnError`]: `prefix` cannot be part of a name, or the node is shut down.
    #[track_caller]
    pub fn spawn_unique<A: Actor + Send>(
        &self,
        prefix: &str,
        actor: A,
    ) -> Result<Pid<A>, SpawnError> {
        let options = SpawnOptions::default();
        if !is_name(prefix) {
            return Err(bad_name(prefix));
        }
        loop {
            match self.register(self.numbered(prefix), &options) {
                Ok(cell) => return Ok(self.give_life(cell, &options, actor)),
                Err(SpawnError::NameTaken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn give_life<A: Actor + Send>(
        &self,
        cell: Arc<Cell<A>>,
        options: &SpawnOptions,
        actor: A,
    ) -> Pid<A> {
        let given = move || Source::Given(Some(actor));
        self.place(options.place, cell.clone(), None, given);
        Pid::local(cell)
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
            let name = self.numbered(prefix);
            if !self.inner.registry.contains_key(&name) {
                return name.as_ref().to_owned();
            }
        }
    }

    /// `prefix(n)`, with a number that no other call returns.
    fn numbered(&self, prefix: &str) -> Arc<str> {
        let n = self.inner.next_name.fetch_add(1, Ordering::Relaxed);
        let mut name = NAME.take();
        name.clear();
        for part in [prefix, "(", itoa::Buffer::new().format(n), ")"] {
            name.push_str(part);
        }
        let numbered = Arc::from(name.as_str());
        NAME.set(name);
        numbered
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
        let cell = self.register(checked(name)?, &options)?;
        let supervision = options.supervision;
        let keeper = supervision.restarts().then(|| {
            cell.lives_again();
            let keeper = Own::new(self.clone(), cell.clone(), supervision);
            Box::new(keeper) as Box<dyn Keeper>
        });
        let made = move || Source::Made(Box::new(factory));
        self.place(options.place, cell.clone(), keeper, made);
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
        let cell = self.register::<A>(checked(name)?, &options)?;
        cell.supervised();
        cell.lives_again();
        let made = move || Source::Made(Box::new(factory));
        self.place(options.place, cell.clone(), Some(keeper), made);
        Ok(cell)
    }

    fn place<A: Actor>(
        &self,
        place: Place,
        cell: Arc<Cell<A>>,
        keeper: Option<Box<dyn Keeper>>,
        source: impl FnOnce() -> Source<A> + Send + 'static,
    ) {
        let node = self.clone();
        self.inner.placement.run(place, move || {
            tokio::task::spawn_local(Life::new(node, cell, source(), keeper));
        });
    }

    #[track_caller]
    fn register<A: Actor>(
        &self,
        name: Arc<str>,
        options: &SpawnOptions,
    ) -> Result<Arc<Cell<A>>, SpawnError> {
        if self.inner.stopped.load(Ordering::Acquire) {
            return Err(SpawnError::NodeStopped);
        }
        let incarnation = self.unique();
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
        if let Some(routes) = LAST_ROUTES.with_borrow(|last| Self::known(self, last)) {
            return routes;
        }
        let build = || {
            let mut routes = Routes::new(self);
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
        LAST_ROUTES.set(Some(routes.clone()));
        routes
            .downcast()
            .expect("routes are keyed by the actor's type")
    }

    /// The routes in `last`, if they are those of `A` on this node.
    fn known<A: Actor>(&self, last: &Option<AnyRoutes>) -> Option<Arc<Routes<A>>> {
        let last = last.as_ref()?;
        let ours = last.downcast_ref::<Routes<A>>()?.is_of(self);
        ours.then(|| last.clone().downcast().ok())?
    }
}
