//! Message filters for tests: await, drop, delay, duplicate, replace or answer messages by type and
//! receiver.
//!
//! A filter sees a message where it is sent with its type known, before mailbox and network, and a
//! reply where the asker takes it. The runtime's own [`Exited`](crate::Exited) is a message like any
//! other, seen where it would enter its receiver's mailbox. All that only watches sees every message;
//! of the filters that change something, the oldest in force applies. A trace ([`Filters::trace`])
//! sees all messages, and again where they are handled.
//!
//! ```text
//!  tell, ask --> watchers(sent) --> rule? --> mailbox or network --> watchers(handled) --> handler
//!                                                                                            |
//!      asker <------------------------------ rule on replies? <------------------------------+
//! ```
//! The words of tests are in `filter/rules.rs`, what they do in `filter/action.rs`, what comes of
//! watching in `filter/seen.rs`.

mod action;
mod exits;
mod rules;
mod seen;

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

pub use rules::{FilterHandle, Rules, Scoped};
pub use seen::{Awaited, Observed};

use self::{
    action::{Action, OnReply, Rule, Stage},
    seen::Watcher,
};
use crate::{
    AnyPid, Exited, Message, Node, NodeAddr, ambient,
    node::{Inner, monitors::Watcher as ExitWatcher, remote::RemoteReply, spawn_task},
    reliable::Reliable,
    rt::envelope::Letter,
};

/// The filters of one test; clones are the same ones.
#[derive(Clone, Default)]
pub struct Filters(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rules: BTreeMap<u64, Rule>,
    watchers: BTreeMap<u64, Watcher>,
    next: u64,
    nodes: BTreeMap<NodeAddr, Weak<Inner>>,
    trace: Option<Trace>,
    spawned: Spawned,
    /// Messages that a filter could not deliver later, in words.
    lost: Vec<String>,
}

/// Entries of [`Spawned`] from which on it looks for the dead.
const SPAWNED_MIN: usize = 4_096;

/// Where actors were spawned; the dead are forgotten now and then.
#[derive(Default)]
struct Spawned {
    at: BTreeMap<AnyPid, &'static Location<'static>>,
    prune_at: usize,
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

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({} in force)", lock(&self.0).rules.len())
    }
}

impl Filters {
    /// Filters for messages to anybody.
    pub fn any(&self) -> Rules {
        Rules::new(self.clone(), None)
    }

    /// Filters for messages to `pid`, whichever incarnation.
    pub fn to(&self, pid: &AnyPid) -> Rules {
        Rules::new(self.clone(), Some(pid.any_incarnation()))
    }

    /// Has `trace` called with everything that happens to messages from now on. It must not send any.
    pub fn trace(&self, trace: Trace) {
        lock(&self.0).trace = Some(trace);
    }

    /// Ends all filters. Those who await a message wait on.
    pub fn lift_all(&self) {
        lock(&self.0).rules.clear();
    }

    fn tracing(&self) -> Option<Trace> {
        lock(&self.0).trace.clone()
    }

    /// A node that these filters are for.
    pub(crate) fn know(&self, node: &Node) {
        let weak = Arc::downgrade(&node.inner);
        lock(&self.0).nodes.insert(node.addr().clone(), weak);
    }

    /// The nodes that these filters are for, as far as they live, in order of address.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let nodes: Vec<_> = lock(&self.0).nodes.values().cloned().collect();
        let alive = nodes.into_iter().filter_map(|node| node.upgrade());
        alive.map(|inner| Node { inner }).collect()
    }

    /// An actor was spawned by the code at `at`.
    pub(crate) fn spawned(&self, pid: &AnyPid, at: &'static Location<'static>) {
        let full = {
            let spawned = &lock(&self.0).spawned;
            spawned.at.len() > spawned.prune_at.max(SPAWNED_MIN)
        };
        if full {
            let nodes = self.nodes();
            let alive = |pid: &AnyPid| nodes.iter().any(|node| node.cell(pid).is_some());
            let mut state = lock(&self.0);
            state.spawned.at.retain(|pid, _| alive(pid));
            state.spawned.prune_at = 2 * state.spawned.at.len();
        }
        lock(&self.0).spawned.at.insert(pid.clone(), at);
    }

    /// Where `pid` was spawned.
    pub(crate) fn spawned_at(&self, pid: &AnyPid) -> Option<&'static Location<'static>> {
        lock(&self.0).spawned.at.get(pid).copied()
    }

    /// What filters were to deliver later, and could not.
    pub(crate) fn lost(&self) -> Vec<String> {
        lock(&self.0).lost.clone()
    }

    /// The handler of `by` is called.
    pub(crate) fn handled(
        &self,
        by: &AnyPid,
        name: &'static str,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        let trace = self.tracing();
        if trace.is_none() && lock(&self.0).watchers.is_empty() {
            return;
        }
        let body = body();
        if let Some(trace) = trace {
            let body = body.as_deref();
            trace(&Traced::Handled { by, name, body });
        }
        self.show(Stage::Handle, name, by, || body.clone());
    }

    fn sent<M: Message>(&self, to: &AnyPid, message: &M) {
        if let Some(trace) = self.tracing() {
            let (node, body) = (ambient::current(), message.encode().ok());
            let from = node.as_ref().map(Node::addr);
            let (name, body) = (M::NAME, body.as_deref());
            trace(&Traced::Sent {
                from,
                to,
                name,
                body,
            });
        }
        self.show(Stage::Send, M::NAME, to, || message.encode().ok());
    }

    /// Shows a message to those who watch for it.
    fn show(&self, stage: Stage, name: &str, to: &AnyPid, body: impl FnOnce() -> Option<Vec<u8>>) {
        let mut state = lock(&self.0);
        let meant = |watcher: &Watcher| watcher.wants(stage, name, to);
        if state.watchers.values().any(meant) {
            let body = body();
            state
                .watchers
                .retain(|_, watcher| !watcher.wants(stage, name, to) || watcher.take(&body));
        }
    }

    /// What is to become of a message, if not the ordinary; counts down the rule.
    fn decide<M: Message>(&self, stage: Stage, to: &AnyPid, message: &M) -> Option<Action<M>> {
        let candidates: Vec<_> = {
            let state = lock(&self.0);
            let meant = |rule: &&Rule| rule.is_for(TypeId::of::<M>(), stage, to);
            state.rules.values().filter(meant).cloned().collect()
        };
        // Predicates are the test's own code: not called while the filters are locked.
        let rule = candidates.into_iter().find(|rule| rule.wants(message))?;
        let action = rule.action::<M>();
        let mut state = lock(&self.0);
        let kept = state.rules.get_mut(&rule.id)?;
        kept.left = kept.left.saturating_sub(1);
        *lock(&kept.hits) += 1;
        if kept.left == 0 {
            state.rules.remove(&rule.id);
        }
        Some(action)
    }

    /// The letter, unless a filter keeps it.
    pub(crate) fn pass<M: Message>(&self, to: &AnyPid, mut letter: Letter<M>) -> Option<Letter<M>> {
        self.sent(to, &letter.message);
        let Some(action) = self.decide::<M>(Stage::Send, to, &letter.message) else {
            return Some(letter);
        };
        match action {
            Action::Drop => {
                // An asker waits for its deadline, as if the network had lost the question.
                std::mem::forget(letter.reply);
                None
            }
            Action::Replace(by) => {
                letter.message = by(letter.message);
                Some(letter)
            }
            Action::Answer(answer) => {
                let reply = answer(letter.message);
                letter.reply.give::<M>(reply);
                None
            }
            Action::Duplicate => {
                self.redeliver(to, Letter::told(copy(&letter.message)));
                Some(letter)
            }
            Action::Delay(by) => {
                let (filters, to) = (self.clone(), to.clone());
                spawn_task(async move {
                    action::pause(by).await;
                    filters.redeliver(&to, letter);
                });
                None
            }
        }
    }

    /// Puts a letter straight into the receiver's mailbox.
    fn redeliver<M: Message>(&self, to: &AnyPid, letter: Letter<M>) {
        let node = lock(&self.0).nodes.get(to.node()).and_then(Weak::upgrade);
        let mut letter = Some(letter);
        let any: &mut (dyn Any + Send) = &mut letter;
        if let Some(reliable) = any.downcast_mut::<Option<Letter<Reliable>>>() {
            let node = node.map(|inner| Node { inner });
            let nobody = RemoteReply::then(|_| ());
            let room = node
                .zip(reliable.take())
                .and_then(|(node, reliable)| node.take_reliable(reliable.message, nobody));
            if let Some(room) = room {
                spawn_task(room);
            }
            return;
        }
        let cell = node.and_then(|inner| Node { inner }.cell(to));
        // A receiver that has ended is what a late message may find.
        let Some(cell) = cell else { return };
        if let Err(reason) = cell.post_any(&mut letter) {
            let name = M::NAME;
            let lost = format!("a filter could not deliver {name} to {to} later: {reason}");
            lock(&self.0).lost.push(lost);
        }
    }

    /// The reply of `of` to a question of type `M`, as the asker is to get it; `None`: never.
    pub(crate) async fn reply<M: Message>(&self, of: &AnyPid, reply: M::Reply) -> Option<M::Reply> {
        let on_reply = {
            let mut state = lock(&self.0);
            let meant = |rule: &Rule| rule.is_for(TypeId::of::<M>(), Stage::Reply, of);
            let found = state.rules.iter_mut().find(|(_, rule)| meant(rule));
            let Some((&id, rule)) = found else {
                return Some(reply);
            };
            let on_reply = rule.on_reply::<M>();
            rule.left = rule.left.saturating_sub(1);
            *lock(&rule.hits) += 1;
            if rule.left == 0 {
                state.rules.remove(&id);
            }
            on_reply
        };
        match on_reply {
            OnReply::Drop => None,
            OnReply::Replace(by) => Some(by(reply)),
            OnReply::Delay(by) => {
                action::pause(by).await;
                Some(reply)
            }
        }
    }

    /// The watcher of an exit and the notice for it, unless a filter keeps them.
    pub(crate) fn exit(
        &self,
        node: &Node,
        watcher: ExitWatcher,
        exited: Exited,
    ) -> Option<(ExitWatcher, Exited)> {
        let Some(to) = exits::receiver(&watcher) else {
            return Some((watcher, exited));
        };
        self.show(Stage::Send, Exited::NAME, &to, || exited.encode().ok());
        match self.decide::<Exited>(Stage::Send, &to, &exited) {
            None | Some(Action::Answer(_)) => Some((watcher, exited)),
            Some(Action::Drop) => None,
            Some(Action::Replace(by)) => Some((watcher, by(exited))),
            Some(Action::Duplicate) => {
                exits::tell(&watcher, exited.clone());
                Some((watcher, exited))
            }
            Some(Action::Delay(by)) => {
                // Keeps the node, as a notice under way does.
                let node = node.clone();
                spawn_task(async move {
                    action::pause(by).await;
                    exits::tell(&watcher, exited);
                    drop(node);
                });
                None
            }
        }
    }
}

/// A copy by way of the wire.
fn copy<M: Message>(message: &M) -> M {
    let body = message.encode();
    let body = body.unwrap_or_else(|error| panic!("{} cannot be duplicated: {error}", M::NAME));
    M::decode(&body).expect("a message decodes")
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
