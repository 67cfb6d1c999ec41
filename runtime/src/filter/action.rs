//! What a filter does, and to which messages.

use std::{
    any::{Any, TypeId},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::lock;
use crate::{AnyPid, Message};

/// Where on its way a message is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being sent.
    Send,
    /// Its handler is about to be called.
    Handle,
    /// Its reply has come back.
    Reply,
}

/// What becomes of a message.
pub(super) enum Action<M: Message> {
    Drop,
    Delay(Duration),
    Duplicate,
    Replace(Arc<dyn Fn(M) -> M + Send + Sync>),
    /// The receiver never sees it; an asker gets this.
    Answer(Arc<dyn Fn(M) -> M::Reply + Send + Sync>),
}

impl<M: Message> Clone for Action<M> {
    fn clone(&self) -> Self {
        match self {
            Action::Drop => Action::Drop,
            Action::Delay(by) => Action::Delay(*by),
            Action::Duplicate => Action::Duplicate,
            Action::Replace(by) => Action::Replace(by.clone()),
            Action::Answer(answer) => Action::Answer(answer.clone()),
        }
    }
}

/// What becomes of a reply.
pub(super) enum OnReply<M: Message> {
    Drop,
    Delay(Duration),
    Replace(Arc<dyn Fn(M::Reply) -> M::Reply + Send + Sync>),
}

impl<M: Message> Clone for OnReply<M> {
    fn clone(&self) -> Self {
        match self {
            OnReply::Drop => OnReply::Drop,
            OnReply::Delay(by) => OnReply::Delay(*by),
            OnReply::Replace(by) => OnReply::Replace(by.clone()),
        }
    }
}

/// Which messages of its type are meant; all, without one.
pub(super) type Predicate<M> = Arc<dyn Fn(&M) -> bool + Send + Sync>;

/// A filter in force, its message's type erased.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) id: u64,
    stage: Stage,
    message: TypeId,
    to: Option<AnyPid>,
    /// Messages that it is still for.
    pub(super) left: usize,
    /// Messages that it was for.
    pub(super) hits: Arc<Mutex<usize>>,
    /// `Action<M>` or `OnReply<M>`.
    action: Arc<dyn Any + Send + Sync>,
    /// `Predicate<M>`.
    only: Option<Arc<dyn Any + Send + Sync>>,
}

impl Rule {
    pub(super) fn on_send<M: Message>(
        id: u64,
        to: Option<AnyPid>,
        action: Action<M>,
        only: Option<Predicate<M>>,
        left: usize,
    ) -> Self {
        Self {
            id,
            stage: Stage::Send,
            message: TypeId::of::<M>(),
            to,
            left,
            hits: Arc::default(),
            action: Arc::new(action),
            only: only.map(|only| Arc::new(only) as _),
        }
    }

    pub(super) fn on_replies<M: Message>(
        id: u64,
        to: Option<AnyPid>,
        action: OnReply<M>,
        left: usize,
    ) -> Self {
        Self {
            id,
            stage: Stage::Reply,
            message: TypeId::of::<M>(),
            to,
            left,
            hits: Arc::default(),
            action: Arc::new(action),
            only: None,
        }
    }

    /// Whether it is for messages of that type to `to`.
    pub(super) fn is_for(&self, message: TypeId, stage: Stage, to: &AnyPid) -> bool {
        let receiver = self.to.as_ref();
        self.stage == stage
            && self.message == message
            && receiver.is_none_or(|pid| *pid == to.any_incarnation())
    }

    /// Whether it is for this message of its type.
    pub(super) fn wants<M: Message>(&self, message: &M) -> bool {
        let Some(only) = &self.only else { return true };
        let only = only.downcast_ref::<Predicate<M>>();
        only.expect("a rule's predicate is of its message's type")(message)
    }

    pub(super) fn action<M: Message>(&self) -> Action<M> {
        let action = self.action.downcast_ref::<Action<M>>();
        action
            .expect("a rule's action is of its message's type")
            .clone()
    }

    pub(super) fn on_reply<M: Message>(&self) -> OnReply<M> {
        let action = self.action.downcast_ref::<OnReply<M>>();
        action
            .expect("a rule's action is of its message's type")
            .clone()
    }

    pub(super) fn hits(hits: &Mutex<usize>) -> usize {
        *lock(hits)
    }
}

/// Lets `span` pass on the test's clock.
pub(super) async fn pause(span: Duration) {
    sleep_until(Instant::now() + span).await;
}
