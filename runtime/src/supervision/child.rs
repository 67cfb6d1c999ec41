//! Children: what a supervisor is told of each.

use std::{fmt, sync::Arc, time::Duration};

use super::{Supervisor, keeper::Keeper};
use crate::{AnyPid, ExitReason, Node, SpawnError, SpawnOptions, cell::AnyCell, rt::Actor};

/// Whether a child is made anew when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// Always, also when it stopped; [`Context::stop_for_good`](crate::Context::stop_for_good) is
    /// how it can end.
    Permanent,
    /// When it crashed, failed or was killed, but not when it stopped.
    Transient,
    /// Never.
    Temporary,
}

type Started = Result<Arc<dyn AnyCell>, SpawnError>;

type Start = dyn Fn(&Node, &str, SpawnOptions, Box<dyn Keeper>) -> Started + Send + Sync;

/// A child to be: its name on the node, how it is made, and when again.
#[derive(Clone)]
pub struct Child {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ChildKind,
    pub(crate) stop_within: Duration,
    options: SpawnOptions,
    start: Arc<Start>,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({}, {:?})", self.name, self.kind)
    }
}

impl Child {
    /// A child that is always made anew.
    pub fn permanent<A: Actor>(
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, ChildKind::Permanent, factory)
    }

    /// A child that is made anew unless it stopped.
    pub fn transient<A: Actor>(
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, ChildKind::Transient, factory)
    }

    /// A child that is never made anew.
    pub fn temporary<A: Actor>(
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, ChildKind::Temporary, factory)
    }

    /// A child of that kind. `factory` runs on the thread where the child will live.
    pub fn new<A: Actor>(
        name: &str,
        kind: ChildKind,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        let factory = Arc::new(factory);
        let start = move |node: &Node, name: &str, options, keeper| {
            let factory = factory.clone();
            node.start_kept::<A>(name, options, keeper, move || factory())
        };
        Self {
            name: name.into(),
            kind,
            stop_within: Duration::from_secs(5),
            options: SpawnOptions::default(),
            start: Arc::new(start),
        }
    }

    /// A supervisor as a permanent child: when it fails because its restart intensity is exceeded,
    /// this is where that is dealt with. It may take as long to stop as its children need.
    pub fn supervisor(name: &str, supervisor: Supervisor) -> Self {
        let make = move || supervisor.clone().into_actor();
        Self::new(name, ChildKind::Permanent, make).stop_within(Duration::MAX)
    }

    /// How long it may take to stop before it is killed; default 5 s.
    pub fn stop_within(self, span: Duration) -> Self {
        Self {
            stop_within: span,
            ..self
        }
    }

    /// How it is spawned; the `supervision` in it counts only where it resumes.
    pub fn options(self, options: SpawnOptions) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn start(&self, node: &Node, keeper: Box<dyn Keeper>) -> Started {
        (self.start)(node, &self.name, self.options, keeper)
    }
}

/// A child as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its name.
    pub name: String,
    /// Its PID, unless it was never started.
    pub pid: Option<AnyPid>,
    /// When it is made anew.
    pub kind: ChildKind,
    /// Whether it runs; otherwise it is on its way up or down, or waits for a restart.
    pub up: bool,
    /// How often it was made anew.
    pub restarts: u64,
}

/// Why a child was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartChildError {
    /// It ended before it was up, or could not be spawned.
    #[error("the child {name:?} did not start: {reason}")]
    Failed {
        /// Its name.
        name: String,
        /// How it ended.
        reason: ExitReason,
    },
    /// The supervisor has ended or is about to.
    #[error("the supervisor is ending")]
    Ending,
}
