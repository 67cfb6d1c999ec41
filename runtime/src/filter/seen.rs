//! Messages that a test watches for: collected, or awaited.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{action::Stage, lock};
use crate::{AnyPid, Message};

/// How long, on the test's clock, a message is awaited before the test fails.
const PATIENCE: Duration = Duration::from_secs(600);

/// A message as it travels; `None` if it cannot.
pub(super) type Body = Option<Vec<u8>>;

/// Is shown a message; false when it wants to see no more.
pub(super) type Show = Box<dyn FnMut(&Body) -> bool + Send>;

/// Somebody who watches for messages of one type.
pub(super) struct Watcher {
    stage: Stage,
    name: &'static str,
    to: Option<AnyPid>,
    show: Show,
}

impl Watcher {
    pub(super) fn new(stage: Stage, name: &'static str, to: Option<AnyPid>, show: Show) -> Self {
        Self {
            stage,
            name,
            to,
            show,
        }
    }

    pub(super) fn wants(&self, stage: Stage, name: &str, to: &AnyPid) -> bool {
        let receiver = self.to.as_ref();
        self.stage == stage
            && self.name == name
            && receiver.is_none_or(|pid| *pid == to.any_incarnation())
    }

    pub(super) fn take(&mut self, body: &Body) -> bool {
        (self.show)(body)
    }
}

fn decode<M: Message>(body: &Body) -> M {
    let body = body.as_ref().unwrap_or_else(|| {
        let name = M::NAME;
        panic!("{name} is a local message: it can be counted, but a test cannot have a copy")
    });
    M::decode(body).expect("a message decodes")
}

/// Messages of type `M` that were seen.
pub struct Observed<M> {
    bodies: Arc<Mutex<Vec<Body>>>,
    messages: PhantomData<M>,
}

impl<M: Message> Observed<M> {
    pub(super) fn new(bodies: Arc<Mutex<Vec<Body>>>) -> Self {
        let messages = PhantomData;
        Self { bodies, messages }
    }

    /// The messages so far, oldest first.
    ///
    /// # Panics
    /// When `M` is a local message, or does not survive its own encoding.
    pub fn messages(&self) -> Vec<M> {
        lock(&self.bodies).iter().map(decode).collect()
    }

    /// The newest message.
    ///
    /// # Panics
    /// As [`Observed::messages`].
    pub fn last(&self) -> Option<M> {
        lock(&self.bodies).last().map(decode)
    }

    /// How many so far.
    pub fn count(&self) -> usize {
        lock(&self.bodies).len()
    }
}

impl<M: Message> fmt::Debug for Observed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({} of {})", self.count(), M::NAME)
    }
}

/// A message that is awaited. While a test awaits it, time moves from timer to timer.
///
/// # Panics
/// When none has come within 10 minutes on the test's clock, or `M` is a local message.
#[must_use = "it must be awaited; messages from its making on count"]
pub struct Awaited<M>(Pin<Box<dyn Future<Output = M>>>);

impl<M: Message> Awaited<M> {
    pub(super) fn new(body: oneshot::Receiver<Body>, whom: String, stage: Stage) -> Self {
        Self(Box::pin(async move {
            let until = Instant::now() + PATIENCE;
            let done = match stage {
                Stage::Handle => "handled",
                Stage::Send | Stage::Reply => "sent",
            };
            match timeout_at(until, body).await {
                Ok(body) => decode(&body.expect("filters live as long as their test")),
                Err(_) => panic!("no {} to {whom} was {done} within {PATIENCE:?}", M::NAME),
            }
        }))
    }
}

impl<M> Future for Awaited<M> {
    type Output = M;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<M> {
        self.0.as_mut().poll(context)
    }
}

impl<M: Message> fmt::Debug for Awaited<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Awaited({})", M::NAME)
    }
}
