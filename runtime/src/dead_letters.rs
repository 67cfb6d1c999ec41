//! Dead letters: messages that reached nobody, counted, and told to whoever watches.
//!
//! There is one door, `Node::dead_letter`. A failed send that hands the message back is the
//! sender's to deal with, and a dead letter only where the receiver does not exist. Watchers are
//! bounded: one that does not keep up misses letters, which are counted, and holds nobody up.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    AnyPid, Context, Message, Node, Undeliverable,
    cell::Cell,
    rt::{Actor, Handler},
};

/// A message that reached nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.DeadLetter")]
pub struct DeadLetter {
    /// For whom it was.
    pub to: AnyPid,
    /// The message's name on the wire.
    pub message: String,
    /// Why it was not delivered.
    pub reason: Undeliverable,
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.message, self.to, self.reason)
    }
}

/// The dead letters of a node, as they come; see [`Node::watch_dead_letters`].
#[derive(Debug)]
pub struct DeadLetters {
    letters: mpsc::Receiver<DeadLetter>,
    missed: Arc<AtomicU64>,
}

impl DeadLetters {
    /// The next one; `None` once the node is gone.
    pub async fn next(&mut self) -> Option<DeadLetter> {
        self.letters.recv().await
    }

    /// The next one, if it is there.
    pub fn try_next(&mut self) -> Option<DeadLetter> {
        self.letters.try_recv().ok()
    }

    /// How many came while there was no room, and are not among those returned.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// What became of a letter that was offered.
enum Offer {
    Taken,
    Missed,
    /// The watcher is gone.
    Gone,
}

type Watch = Box<dyn Fn(&DeadLetter) -> Offer + Send + Sync>;

/// The counter, and who watches.
#[derive(Default)]
pub(crate) struct Office {
    count: AtomicU64,
    watching: AtomicUsize,
    watchers: Mutex<Vec<Watch>>,
}

impl Office {
    fn watch(&self, watch: Watch) {
        let mut watchers = self.lock();
        watchers.push(watch);
        self.watching.store(watchers.len(), Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watch>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, letter: &DeadLetter) {
        let mut watchers = self.lock();
        watchers.retain(|watch| !matches!(watch(letter), Offer::Gone));
        self.watching.store(watchers.len(), Ordering::Release);
    }
}

impl Node {
    /// The one door for messages that reach nobody: counts `message` (a wire name) for `to`, and
    /// tells the watchers. Never waits.
    pub(crate) fn dead_letter(&self, to: &AnyPid, message: &str, reason: &Undeliverable) {
        let office = &self.inner.dead_letters;
        office.count.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%to, message, %reason, "dead letter");
        if office.watching.load(Ordering::Acquire) > 0 {
            office.tell(&DeadLetter {
                to: to.clone(),
                message: message.to_owned(),
                reason: reason.clone(),
            });
        }
    }

    /// Messages that reached nobody: their receiver had ended, was never there, or ended before it
    /// came to them.
    pub fn dead_letters(&self) -> u64 {
        self.inner.dead_letters.count.load(Ordering::Relaxed)
    }

    /// The dead letters from now on. At most `capacity` wait to be read; those that come while
    /// there is no room are missed, and counted.
    pub fn watch_dead_letters(&self, capacity: usize) -> DeadLetters {
        let (sender, letters) = mpsc::channel(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let count = missed.clone();
        self.inner.dead_letters.watch(Box::new(move |letter| {
            match sender.try_send(letter.clone()) {
                Ok(()) => Offer::Taken,
                Err(TrySendError::Full(_)) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    Offer::Missed
                }
                Err(TrySendError::Closed(_)) => Offer::Gone,
            }
        }));
        DeadLetters { letters, missed }
    }
}

impl<A: Actor + Handler<DeadLetter>> Context<A> {
    /// Has this actor told of the node's dead letters from now on. What does not fit into its
    /// mailbox it misses.
    pub fn watch_dead_letters(&self) {
        let cell: Arc<Cell<A>> = self.cell().clone();
        let watch = move |letter: &DeadLetter| match cell.offer(letter.clone()) {
            Ok(()) => Offer::Taken,
            Err(Undeliverable::NoSuchActor) => Offer::Gone,
            Err(_) => Offer::Missed,
        };
        self.node().inner.dead_letters.watch(Box::new(watch));
    }
}
