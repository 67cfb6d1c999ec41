//! An actor's timers: one sleep for all of them, so that many cost no more than one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    pin::Pin,
    task,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Names a pending timer, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerHandle(u64);

/// Pending timers with what they carry, earliest first; equal deadlines in the order of setting.
pub(crate) struct Timers<T> {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    pending: BTreeMap<u64, T>,
    next: u64,
    /// Set since the last poll.
    changed: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self {
            due: BinaryHeap::new(),
            pending: BTreeMap::new(),
            next: 0,
            changed: false,
            sleep: None,
        }
    }

    pub(crate) fn set(&mut self, after: Duration, timer: T) -> TimerHandle {
        let id = self.next;
        self.next += 1;
        self.changed = true;
        let now = Instant::now();
        // A century is for ever.
        let at = now
            .checked_add(after)
            .unwrap_or(now + Duration::from_secs(3_155_760_000));
        self.due.push(Reverse((at, id)));
        self.pending.insert(id, timer);
        TimerHandle(id)
    }

    pub(crate) fn cancel(&mut self, handle: TimerHandle) -> Option<T> {
        self.pending.remove(&handle.0)
    }

    /// Whether a timer was set since the last poll.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The next timer that is due; otherwise arranges for `cx` to be woken when one is.
    pub(crate) fn poll(&mut self, cx: &mut task::Context<'_>) -> Option<T> {
        self.changed = false;
        loop {
            let &Reverse((at, id)) = self.due.peek()?;
            if !self.pending.contains_key(&id) {
                self.due.pop();
            } else if at <= Instant::now() {
                self.due.pop();
                return self.pending.remove(&id);
            } else if self.sleeps_until(at, cx) {
                return None;
            }
        }
    }

    fn sleeps_until(&mut self, at: Instant, cx: &mut task::Context<'_>) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).is_pending()
    }
}
