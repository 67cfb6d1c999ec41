//! Supervision: what becomes of an actor that crashes, and trees of supervisors.
//!
//! A single actor is made anew by [`Supervision`]. Several that depend on each other, or are many,
//! go under a [`Supervisor`]: an actor that starts its children in order, makes them anew by its
//! strategy, stops them in reverse, and fails itself when that is not enough, so that its own
//! supervisor decides. In both cases the PID and the mailbox outlive a crash.
//!
//! Read on in `tree` (the decisions, pure), `supervisor` (the actor), `keeper` (how a life asks
//! whether there is another).

mod child;
mod intensity;
pub(crate) mod keeper;
mod slot;
mod supervisor;
mod tree;

use std::time::Duration;

pub use child::{Child, ChildInfo, ChildKind, StartChildError};
pub(crate) use intensity::micros;
pub use supervisor::{Supervisor, SupervisorActor, SupervisorPid};

/// How often, and how fast, a crashed actor is made anew. Its PID and mailbox stay; the message
/// that it crashed on is gone, and its asker is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    pub(crate) max_restarts: usize,
    pub(crate) within: Duration,
    pub(crate) pause_min: Duration,
    pub(crate) pause_max: Duration,
    pub(crate) resume: bool,
}

impl Supervision {
    /// No second life: a crash ends the actor.
    pub const fn stop() -> Self {
        Self {
            max_restarts: 0,
            within: Duration::ZERO,
            pause_min: Duration::ZERO,
            pause_max: Duration::ZERO,
            resume: false,
        }
    }

    /// Made anew at once, at most `max_restarts` times `within` a span; one more ends it.
    pub const fn restart(max_restarts: usize, within: Duration) -> Self {
        Self {
            max_restarts,
            within,
            ..Self::stop()
        }
    }

    /// A handler's panic drops that message only; the actor goes on with the state it has.
    pub const fn resume() -> Self {
        Self {
            resume: true,
            ..Self::stop()
        }
    }

    /// Waits before a restart: `min`, doubled with each restart within the span, at most `max`.
    pub const fn back_off(self, min: Duration, max: Duration) -> Self {
        Self {
            pause_min: min,
            pause_max: max,
            ..self
        }
    }

    /// Whether a crash is followed by anything but the end.
    pub(crate) fn restarts(&self) -> bool {
        self.max_restarts > 0
    }
}
