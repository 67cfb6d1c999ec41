//! The line between a child's life and its supervisor: events up, verdicts down.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
};

use futures_util::task::AtomicWaker;

use super::{
    keeper::{End, Keeper, Next},
    tree::ChildId,
};
use crate::ExitReason;

/// What a child tells.
pub(crate) enum Event {
    Started,
    Ended(End),
}

/// Takes what children tell.
pub(crate) trait Events: Send + Sync {
    /// False when the supervisor has ended. `life` is the one of its lives that the child belongs
    /// to.
    fn event(&self, life: u64, child: ChildId, event: Event) -> bool;
}

#[derive(Clone, Copy)]
enum Verdict {
    Live,
    Bury,
}

/// What the supervisor holds of a child.
#[derive(Default)]
pub(crate) struct Slot {
    verdict: Mutex<Option<Verdict>>,
    waker: AtomicWaker,
}

impl Slot {
    /// The child is to live again.
    pub(crate) fn live(&self) {
        self.decide(Verdict::Live);
    }

    /// The child is to be buried, now or as soon as it has ended.
    pub(crate) fn bury(&self) {
        self.decide(Verdict::Bury);
    }

    fn decide(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        self.waker.wake();
    }

    fn take(&self) -> Option<Verdict> {
        self.verdict
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The keeper of a supervisor's child.
pub(crate) struct ChildKeeper {
    life: u64,
    id: ChildId,
    events: Arc<dyn Events>,
    slot: Arc<Slot>,
    ended: Option<ExitReason>,
}

impl ChildKeeper {
    pub(crate) fn new(life: u64, id: ChildId, events: Arc<dyn Events>, slot: Arc<Slot>) -> Self {
        let ended = None;
        Self {
            life,
            id,
            events,
            slot,
            ended,
        }
    }
}

impl Keeper for ChildKeeper {
    fn started(&mut self) {
        self.events.event(self.life, self.id, Event::Started);
    }

    fn ended(&mut self, end: End) {
        self.ended = Some(end.reason.clone());
        if !self.events.event(self.life, self.id, Event::Ended(end)) {
            self.slot.bury();
        }
    }

    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Next> {
        self.slot.waker.register(cx.waker());
        match self.slot.take() {
            None => Poll::Pending,
            Some(Verdict::Live) => Poll::Ready(Next::FreshLife),
            Some(Verdict::Bury) => {
                let reason = self.ended.take().unwrap_or(ExitReason::Stopped);
                Poll::Ready(Next::Burial(reason))
            }
        }
    }
}
