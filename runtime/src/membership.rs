//! Membership: which nodes there are, what each says of itself, cluster-wide names, and groups.
//!
//! Nodes find each other through seeds and watch each other by SWIM (the crate `foca`: it has no
//! I/O and takes its randomness from the node, so that it is simulated like everything else; all
//! packets are messages over the node's links). Each node writes one record, its metadata, names
//! and groups, which the others copy: there are no conflicts but of names.
//!
//! What is known here is eventually that of all nodes that can reach each other; see
//! `docs/SEMANTICS.md`. `swim` is the protocol, `view` the copies, both pure; `member` the actor.

mod groups;
mod member;
mod swim;
mod view;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use groups::{Group, SendError};
use member::{Changed, MemberActor, Watch};
use serde::{Deserialize, Serialize};
use swim::NodeId;
use tokio::sync::mpsc::{self, error::TrySendError};
use view::View;

use crate::{
    AnyPid, Context, Message, Node, NodeAddr, Pid, SpawnError,
    cell::Cell,
    rt::{Actor, Handler},
};

/// The name of the actor that keeps a node's membership.
const NAME: &str = "$members";

/// How a node takes part.
#[derive(Clone, Debug)]
pub struct MembershipConfig {
    /// Nodes to ask for the others; one that answers is enough.
    pub seeds: Vec<NodeAddr>,
    /// What the others are to know of this node.
    pub metadata: BTreeMap<String, String>,
    /// How often another node is probed; default 1 s.
    pub probe_every: Duration,
    /// How long a node that does not answer is suspected before it counts as down; default 4 s.
    pub suspect_for: Duration,
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            seeds: Vec::new(),
            metadata: BTreeMap::new(),
            probe_every: Duration::from_secs(1),
            suspect_for: Duration::from_secs(4),
        }
    }
}

impl MembershipConfig {
    /// Asks `seeds` for the other nodes.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = NodeAddr>) -> Self {
        self.seeds = seeds.into_iter().collect();
        self
    }

    /// Has the other nodes know `key` of this one.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// A node that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is reached.
    pub node: NodeAddr,
    /// What it says of itself, as far as it has been heard.
    pub metadata: BTreeMap<String, String>,
}

/// A node came or went. For each life of a node `Up` and then `Down`, once; what is down may only be
/// cut off, and comes up again when it is heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.NodeEvent")]
#[non_exhaustive]
pub enum NodeEvent {
    /// It is there.
    Up {
        /// Which.
        node: NodeAddr,
    },
    /// It left, ended, or was silent for too long.
    Down {
        /// Which.
        node: NodeAddr,
    },
}

type Listener = Box<dyn Fn(&NodeEvent) -> bool + Send + Sync>;

/// What the handle and the actor share.
struct Shared {
    view: Mutex<View>,
    /// The actor has been told that the own record changed, and did not come to it yet.
    dirty: AtomicBool,
    listeners: Mutex<Vec<Listener>>,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clean(&self) {
        self.dirty.store(false, Ordering::Release);
    }

    fn tell(&self, event: &NodeEvent) {
        tracing::info!(?event, "membership");
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener(event));
    }

    fn listen(&self, listener: Listener) {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }
}

/// A node's part in a cluster of nodes; clones are the same.
///
/// ```
/// # use std::time::Duration;
/// # use tepui_runtime::{membership::{Membership, MembershipConfig}, testkit};
/// # testkit::run(async |kit| {
/// # let (first, second) = (kit.node("first").await, kit.node("second").await);
/// let there = Membership::join(&first, MembershipConfig::default()).unwrap();
/// let config = MembershipConfig::default().seeds([first.addr().clone()]);
/// let here = Membership::join(&second, config.metadata("zone", "eu-1")).unwrap();
/// # kit.advance(Duration::from_secs(3)).await;
/// assert_eq!(there.nodes()[1].metadata["zone"], "eu-1");
/// # assert_eq!(here.nodes().len(), 2);
/// # });
/// ```
#[derive(Clone)]
pub struct Membership {
    node: Node,
    shared: Arc<Shared>,
    actor: Pid<MemberActor>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Membership({})", self.node.addr())
    }
}

impl Membership {
    /// Takes part from now on, until [`Membership::leave`] or the end of the node.
    ///
    /// # Errors
    /// [`SpawnError`]: the node takes part already, or is shut down.
    pub fn join(node: &Node, config: MembershipConfig) -> Result<Self, SpawnError> {
        let id = NodeId {
            addr: node.addr().clone(),
            life: node.unique(),
            returns: 0,
        };
        let view = View::new(id.addr.clone(), id.life, config.metadata.clone());
        let shared = Arc::new(Shared {
            view: Mutex::new(view),
            dirty: AtomicBool::new(false),
            listeners: Mutex::default(),
        });
        let kept = shared.clone();
        let actor = node.spawn_with(NAME, move || MemberActor::new(kept, config, id))?;
        Ok(Self {
            node: node.clone(),
            shared,
            actor,
        })
    }

    /// Takes leave: the others are told, and see this node as down.
    pub async fn leave(&self) {
        self.node.stop(self.actor.as_any());
        self.node.monitor(self.actor.as_any()).await;
    }

    /// The node that takes part.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The nodes that are up, this one among them, in order of address.
    pub fn nodes(&self) -> Vec<Member> {
        let view = self.shared.view();
        let own = self.node.addr();
        let mut nodes: Vec<&NodeAddr> = view.live.keys().chain([own]).collect();
        nodes.sort();
        let member = |node: &NodeAddr| Member {
            node: node.clone(),
            metadata: view.metadata(node),
        };
        nodes.into_iter().map(member).collect()
    }

    /// The nodes that come and go from now on. At most `capacity` events wait to be read; those that
    /// come while there is no room are missed, and counted.
    pub fn watch(&self, capacity: usize) -> NodeEvents {
        let (sender, events) = mpsc::channel(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let count = missed.clone();
        self.shared.listen(Box::new(move |event| {
            match sender.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Closed(_)) => false,
            }
        }));
        NodeEvents { events, missed }
    }

    /// Has the others know `key` of this node, or nothing of it any more.
    pub fn set_metadata(&self, key: &str, value: Option<&str>) {
        self.change(|view| {
            let metadata = &mut view.own.metadata;
            match value {
                Some(value) => metadata.insert(key.to_owned(), value.to_owned()),
                None => metadata.remove(key),
            };
        });
    }

    /// Claims a name of the whole cluster for `pid`, an actor of this node, until it ends. If others
    /// claim it too, the first bears it, once all know of all; [`Membership::whereis`] says who.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn register(&self, name: &str, pid: &AnyPid) -> Result<(), NotHere> {
        let (pid, at) = (self.own(pid)?, self.node.now());
        self.change(|view| drop(view.own.names.insert(name.to_owned(), (at, pid.clone()))));
        self.watch_end(pid);
        Ok(())
    }

    /// Gives a claim of this node up.
    pub fn unregister(&self, name: &str) {
        self.change(|view| drop(view.own.names.remove(name)));
    }

    /// Who bears a name of the cluster, as far as this node knows.
    pub fn whereis(&self, name: &str) -> Option<AnyPid> {
        self.shared.view().whereis(name)
    }

    /// The group of that name; it exists when somebody is in it.
    pub fn group(&self, name: &str) -> Group {
        Group::new(self.clone(), name)
    }

    fn own(&self, pid: &AnyPid) -> Result<AnyPid, NotHere> {
        let here = pid.node() == self.node.addr();
        let cell = here.then(|| self.node.cell(pid)).flatten();
        let not_here = || NotHere { pid: pid.clone() };
        cell.map(|cell| cell.pid().clone()).ok_or_else(not_here)
    }

    fn watch_end(&self, pid: AnyPid) {
        let _ = self.actor.tell(Watch(pid));
    }

    /// Changes the own record, and has the others told.
    fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.shared.view());
        if !self.shared.dirty.swap(true, Ordering::AcqRel) {
            let _ = self.actor.tell(Changed);
        }
    }
}

impl<A: Actor + Handler<NodeEvent>> Context<A> {
    /// Has this actor told which nodes come and go from now on.
    pub fn watch_nodes(&self, membership: &Membership) {
        let cell: Arc<Cell<A>> = self.cell().clone();
        let listener = move |event: &NodeEvent| cell.post_first(event.clone());
        membership.shared.listen(Box::new(listener));
    }
}

/// Only an actor that lives on the node itself can be registered there or join a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pid} is no actor of this node; register it on the node where it lives")]
pub struct NotHere {
    /// Who.
    pub pid: AnyPid,
}

/// Nodes that come and go; see [`Membership::watch`].
#[derive(Debug)]
pub struct NodeEvents {
    events: mpsc::Receiver<NodeEvent>,
    missed: Arc<AtomicU64>,
}

impl NodeEvents {
    /// The next one; `None` once the membership is gone.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        self.events.recv().await
    }

    /// The next one, if it is there.
    pub fn try_next(&mut self) -> Option<NodeEvent> {
        self.events.try_recv().ok()
    }

    /// How many came while there was no room.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
