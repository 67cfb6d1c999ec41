//! Message filters for tests: observe, drop, delay or duplicate messages by type and receiver.
//!
//! A filter sees a message where it is sent with its type known, before mailbox and network. A trace
//! ([`Filters::trace`]) sees all of them, and again where they are handled.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    AnyPid, Message, Node, NodeAddr, ambient,
    node::{Inner, remote::RemoteReply, spawn_task},
    reliable::Reliable,
    rt::envelope::{Letter, Reply},
};

/// The filters of one test; clones are the same ones.
#[derive(Clone, Default)]
pub struct Filters(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rules: BTreeMap<u64, Rule>,
    next: u64,
    nodes: BTreeMap<NodeAddr, Weak<Inner>>,
    trace: Option<Trace>,
}

/// Called with everything that happens to messages, in order.
pub type Trace = Arc<dyn Fn(&Traced<'_>) + Send + Sync>;

/// What happened to a message.
#[derive(Clone, Copy, Debug)]
pub enum Traced<'a> {
    /// It was sent; it may still be lost.
    Sent {
        /// The sender's node, unless it was sent from outside of actors.
        from: Option<&'a NodeAddr>,
        /// To whom.
        to: &'a AnyPid,
        /// The message's name.
        name: &'static str,
        /// The message's body; absent for messages that cannot travel.
        body: Option<&'a [u8]>,
    },
    /// Its handler is called.
    Handled {
        /// By whom.
        by: &'a AnyPid,
        /// The message's name.
        name: &'static str,
        /// The message's body; absent for messages that cannot travel.
        body: Option<&'a [u8]>,
    },
}

struct Rule {
    name: &'static str,
    to: Option<AnyPid>,
    action: Action,
    left: usize,
}

#[derive(Clone)]
enum Action {
    Drop,
    Delay(Duration),
    Duplicate,
    Observe(Arc<Mutex<Vec<Vec<u8>>>>),
}

/// A filter in force; [`Rules::lift`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterHandle(u64);

/// Messages of type `M` that a filter saw.
pub struct Observed<M> {
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    messages: PhantomData<M>,
}

impl<M: Message> Observed<M> {
    /// The messages so far, oldest first.
    ///
    /// # Panics
    /// When `M` does not survive its own encoding.
    pub fn messages(&self) -> Vec<M> {
        let bodies = lock(&self.bodies);
        bodies
            .iter()
            .map(|body| M::decode(body).expect("a message decodes"))
            .collect()
    }

    /// How many so far.
    pub fn count(&self) -> usize {
        lock(&self.bodies).len()
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({} in force)", lock(&self.0).rules.len())
    }
}

/// Sets filters for messages to one receiver, or to all.
#[derive(Clone, Debug)]
pub struct Rules {
    filters: Filters,
    to: Option<AnyPid>,
}

impl Filters {
    /// Filters for messages to anybody.
    pub fn any(&self) -> Rules {
        Rules {
            filters: self.clone(),
            to: None,
        }
    }

    /// Filters for messages to `pid`, whichever incarnation.
    pub fn to(&self, pid: &AnyPid) -> Rules {
        Rules {
            filters: self.clone(),
            to: Some(pid.any_incarnation()),
        }
    }

    /// Has `trace` called with everything that happens to messages from now on. It must not send any.
    pub fn trace(&self, trace: Trace) {
        lock(&self.0).trace = Some(trace);
    }

    fn tracing(&self) -> Option<Trace> {
        lock(&self.0).trace.clone()
    }

    /// The handler of `by` is called.
    pub(crate) fn handled(
        &self,
        by: &AnyPid,
        name: &'static str,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        if let Some(trace) = self.tracing() {
            let body = body();
            trace(&Traced::Handled {
                by,
                name,
                body: body.as_deref(),
            });
        }
    }

    fn sent<M: Message>(&self, to: &AnyPid, message: &M) {
        let Some(trace) = self.tracing() else { return };
        let (node, body) = (ambient::current(), message.encode().ok());
        let from = node.as_ref().map(Node::addr);
        trace(&Traced::Sent {
            from,
            to,
            name: M::NAME,
            body: body.as_deref(),
        });
    }

    pub(crate) fn know(&self, node: &Node) {
        lock(&self.0)
            .nodes
            .insert(node.addr().clone(), Arc::downgrade(&node.inner));
    }

    /// The letter, unless a filter keeps it.
    pub(crate) fn pass<M: Message>(&self, to: &AnyPid, letter: Letter<M>) -> Option<Letter<M>> {
        self.sent(to, &letter.message);
        match self.decide(M::NAME, to) {
            None => Some(letter),
            Some(Action::Drop) => {
                // An asker waits for its deadline, as if the network had lost the question.
                std::mem::forget(letter.reply);
                None
            }
            Some(Action::Observe(bodies)) => {
                let body = letter
                    .message
                    .encode()
                    .expect("an observed message encodes");
                lock(&bodies).push(body);
                Some(letter)
            }
            Some(Action::Duplicate) => {
                let body = letter
                    .message
                    .encode()
                    .expect("a duplicated message encodes");
                let message = M::decode(&body).expect("a message decodes");
                self.redeliver(
                    to,
                    Box::new(Letter {
                        message,
                        reply: Reply::Nowhere,
                    }),
                );
                Some(letter)
            }
            Some(Action::Delay(by)) => {
                let (filters, to) = (self.clone(), to.clone());
                let at = Instant::now() + by;
                spawn_task(async move {
                    sleep_until(at).await;
                    filters.redeliver(&to, Box::new(letter));
                });
                None
            }
        }
    }

    fn decide(&self, name: &str, to: &AnyPid) -> Option<Action> {
        let mut state = lock(&self.0);
        let meant = |rule: &Rule| {
            let receiver = rule.to.as_ref();
            rule.name == name && receiver.is_none_or(|pid| *pid == to.any_incarnation())
        };
        let (&id, rule) = state.rules.iter_mut().find(|(_, rule)| meant(rule))?;
        let action = rule.action.clone();
        rule.left = rule.left.saturating_sub(1);
        if rule.left == 0 {
            state.rules.remove(&id);
        }
        Some(action)
    }

    /// Puts a letter straight into the receiver's mailbox.
    fn redeliver(&self, to: &AnyPid, letter: Box<dyn Any + Send>) {
        let node = lock(&self.0).nodes.get(to.node()).and_then(Weak::upgrade);
        let letter = match letter.downcast::<Letter<Reliable>>() {
            Ok(reliable) => {
                let node = node.map(|inner| Node { inner });
                let nobody = RemoteReply::then(|_| ());
                let room = node.and_then(|node| node.take_reliable(reliable.message, nobody));
                if let Some(room) = room {
                    spawn_task(room);
                }
                return;
            }
            Err(letter) => letter,
        };
        let cell = node.and_then(|inner| Node { inner }.cell(to));
        if let Some(cell) = cell {
            let _ = cell.post_any(letter);
        }
    }
}

impl Rules {
    /// Drops all messages of type `M` from now on.
    pub fn drop_all<M: Message>(&self) -> FilterHandle {
        self.set::<M>(Action::Drop, usize::MAX)
    }

    /// Drops the next `count` messages of type `M`.
    pub fn drop_next<M: Message>(&self, count: usize) -> FilterHandle {
        self.set::<M>(Action::Drop, count)
    }

    /// Holds messages of type `M` back for a while; those sent later may overtake them.
    pub fn delay<M: Message>(&self, by: Duration) -> FilterHandle {
        self.set::<M>(Action::Delay(by), usize::MAX)
    }

    /// Delivers the next `count` messages of type `M` twice.
    pub fn duplicate<M: Message>(&self, count: usize) -> FilterHandle {
        self.set::<M>(Action::Duplicate, count)
    }

    /// Collects messages of type `M`, which are delivered all the same.
    pub fn observe<M: Message>(&self) -> Observed<M> {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        self.set::<M>(Action::Observe(bodies.clone()), usize::MAX);
        Observed {
            bodies,
            messages: PhantomData,
        }
    }

    /// Ends a filter.
    pub fn lift(&self, handle: FilterHandle) {
        lock(&self.filters.0).rules.remove(&handle.0);
    }

    fn set<M: Message>(&self, action: Action, left: usize) -> FilterHandle {
        let mut state = lock(&self.filters.0);
        let id = state.next;
        state.next += 1;
        state.rules.insert(
            id,
            Rule {
                name: M::NAME,
                to: self.to.clone(),
                action,
                left,
            },
        );
        FilterHandle(id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
