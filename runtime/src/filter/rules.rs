//! The words in which a test sets filters.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Filters,
    action::{Action, OnReply, Predicate, Rule, Stage},
    lock,
    seen::{Awaited, Observed, Watcher},
};
use crate::{AnyPid, Message};

/// Sets filters for messages to one receiver, or to all.
#[derive(Clone, Debug)]
pub struct Rules {
    filters: Filters,
    to: Option<AnyPid>,
}

/// A filter that was set. It stays in force until it has seen the messages it is for, or is lifted;
/// dropping the handle changes nothing, see [`FilterHandle::scoped`].
#[derive(Clone)]
pub struct FilterHandle {
    filters: Filters,
    id: u64,
    hits: Arc<Mutex<usize>>,
}

/// Lifts its filter when it is dropped.
#[derive(Debug)]
#[must_use = "the filter is lifted when this is dropped"]
pub struct Scoped(FilterHandle);

impl fmt::Debug for FilterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterHandle({}, {} hits)", self.id, self.hits())
    }
}

impl FilterHandle {
    /// Ends the filter.
    pub fn lift(&self) {
        lock(&self.filters.0).rules.remove(&self.id);
    }

    /// How many messages (or replies) the filter was applied to.
    pub fn hits(&self) -> usize {
        Rule::hits(&self.hits)
    }

    /// Has the filter end with the scope that holds the result.
    pub fn scoped(self) -> Scoped {
        Scoped(self)
    }
}

impl Scoped {
    /// How many messages (or replies) the filter was applied to.
    pub fn hits(&self) -> usize {
        self.0.hits()
    }
}

impl Drop for Scoped {
    fn drop(&mut self) {
        self.0.lift();
    }
}

impl Rules {
    pub(super) fn new(filters: Filters, to: Option<AnyPid>) -> Self {
        Self { filters, to }
    }

    /// Drops all messages of type `M` from now on. Who asked waits for its deadline.
    pub fn drop_all<M: Message>(&self) -> FilterHandle {
        self.set(Action::<M>::Drop, None, usize::MAX)
    }

    /// Drops the next `count` messages of type `M`.
    pub fn drop_next<M: Message>(&self, count: usize) -> FilterHandle {
        self.set(Action::<M>::Drop, None, count)
    }

    /// Drops the messages of type `M` that `which` says.
    pub fn drop_if<M: Message>(
        &self,
        which: impl Fn(&M) -> bool + Send + Sync + 'static,
    ) -> FilterHandle {
        self.set(Action::Drop, Some(Arc::new(which)), usize::MAX)
    }

    /// Holds messages of type `M` back for a while; those sent later may overtake them.
    pub fn delay<M: Message>(&self, by: Duration) -> FilterHandle {
        self.set(Action::<M>::Delay(by), None, usize::MAX)
    }

    /// Holds the next `count` messages of type `M` back for a while.
    pub fn delay_next<M: Message>(&self, count: usize, by: Duration) -> FilterHandle {
        self.set(Action::<M>::Delay(by), None, count)
    }

    /// Delivers the next `count` messages of type `M` twice; only one of the two is answered.
    pub fn duplicate<M: Message>(&self, count: usize) -> FilterHandle {
        self.set(Action::<M>::Duplicate, None, count)
    }

    /// Delivers what `by` makes of messages of type `M` in their place.
    pub fn replace<M: Message>(&self, by: impl Fn(M) -> M + Send + Sync + 'static) -> FilterHandle {
        self.set(Action::Replace(Arc::new(by)), None, usize::MAX)
    }

    /// Answers questions of type `M` in the receiver's place, which does not see them; what was told
    /// and not asked is dropped.
    pub fn answer<M: Message>(
        &self,
        answer: impl Fn(M) -> M::Reply + Send + Sync + 'static,
    ) -> FilterHandle {
        self.set(Action::Answer(Arc::new(answer)), None, usize::MAX)
    }

    /// Drops the replies to the next `count` questions of type `M`: they were handled, but who asked
    /// waits for its deadline.
    pub fn drop_replies<M: Message>(&self, count: usize) -> FilterHandle {
        self.set_on_replies(OnReply::<M>::Drop, count)
    }

    /// Holds replies to questions of type `M` back for a while.
    pub fn delay_replies<M: Message>(&self, by: Duration) -> FilterHandle {
        self.set_on_replies(OnReply::<M>::Delay(by), usize::MAX)
    }

    /// Gives those who ask what `by` makes of replies to questions of type `M`.
    pub fn replace_replies<M: Message>(
        &self,
        by: impl Fn(M::Reply) -> M::Reply + Send + Sync + 'static,
    ) -> FilterHandle {
        self.set_on_replies(OnReply::<M>::Replace(Arc::new(by)), usize::MAX)
    }

    /// Collects messages of type `M` as they are sent; they are delivered all the same.
    pub fn observe<M: Message>(&self) -> Observed<M> {
        self.observe_at(Stage::Send)
    }

    /// Collects messages of type `M` as they are handled.
    pub fn observe_handled<M: Message>(&self) -> Observed<M> {
        self.observe_at(Stage::Handle)
    }

    /// Ends a filter, as [`FilterHandle::lift`].
    pub fn lift(&self, handle: FilterHandle) {
        handle.lift();
    }

    fn observe_at<M: Message>(&self, stage: Stage) -> Observed<M> {
        let bodies = Arc::default();
        let kept = Arc::clone(&bodies);
        self.watch::<M>(
            stage,
            Box::new(move |body| {
                lock::<Vec<_>>(&kept).push(body.clone());
                true
            }),
        );
        Observed::new(bodies)
    }

    /// Resolves with the next message of type `M` that is sent from now on (and not from when the
    /// future is awaited).
    pub fn await_sent<M: Message>(&self) -> Awaited<M> {
        self.await_at(Stage::Send)
    }

    /// Resolves with the next message of type `M` that is handled from now on, when its handler is
    /// about to be called.
    pub fn await_handled<M: Message>(&self) -> Awaited<M> {
        self.await_at(Stage::Handle)
    }

    fn await_at<M: Message>(&self, stage: Stage) -> Awaited<M> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        self.watch::<M>(
            stage,
            Box::new(move |body| {
                if let Some(sender) = sender.take() {
                    let _ = sender.send(body.clone());
                }
                false
            }),
        );
        let whom = match &self.to {
            Some(pid) => pid.to_string(),
            None => "anybody".to_owned(),
        };
        Awaited::new(receiver, whom, stage)
    }

    fn watch<M: Message>(&self, stage: Stage, show: super::seen::Show) {
        let mut state = lock(&self.filters.0);
        let id = state.next;
        state.next += 1;
        let watcher = Watcher::new(stage, M::NAME, self.to.clone(), show);
        state.watchers.insert(id, watcher);
    }

    fn set<M: Message>(
        &self,
        action: Action<M>,
        only: Option<Predicate<M>>,
        left: usize,
    ) -> FilterHandle {
        self.insert(|id, to| Rule::on_send(id, to, action, only, left))
    }

    fn set_on_replies<M: Message>(&self, action: OnReply<M>, left: usize) -> FilterHandle {
        self.insert(|id, to| Rule::on_replies(id, to, action, left))
    }

    fn insert(&self, rule: impl FnOnce(u64, Option<AnyPid>) -> Rule) -> FilterHandle {
        let mut state = lock(&self.filters.0);
        let id = state.next;
        state.next += 1;
        let rule = rule(id, self.to.clone());
        let hits = rule.hits.clone();
        if rule.left > 0 {
            state.rules.insert(id, rule);
        }
        let filters = self.filters.clone();
        FilterHandle { filters, id, hits }
    }
}
