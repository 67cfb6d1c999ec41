//! The tree of clients: one node per path component, clients at the leaves.
//!
//! Owns the shape and what each node holds (a node holds the sum of its subtree), not the order of
//! siblings, which is [`super::drf`]'s. A client that has other clients below it is stood in for by
//! a *virtual leaf* named `.`, so that it competes with its own children:
//!
//! ```text
//!  clients a, a/b:   (root) --- a --- .      <- client a
//!                               |
//!                               +---- b      <- client a/b
//! ```
//! Removing the last other child folds the virtual leaf back into its parent.

use std::collections::BTreeMap;

use super::Client;
use crate::share::{Share, Weight};

/// Index of a node; reused after the node is removed.
pub(super) type NodeId = usize;

/// The root, which has neither name nor siblings.
pub(super) const ROOT: NodeId = 0;

const VIRTUAL: &str = ".";

/// What a node stands for.
#[derive(Clone, Debug)]
pub(super) enum Kind<C> {
    /// A path with clients below it.
    Inner,
    /// A client.
    Leaf { client: C, active: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Node<C> {
    pub(super) parent: NodeId,
    pub(super) name: Box<str>,
    pub(super) path: Box<str>,
    pub(super) kind: Kind<C>,
    pub(super) weight: Weight,
    /// `held[s]` thousandths of the resource in slot `s`; slots beyond the end hold nothing.
    pub(super) held: Vec<u64>,
    /// Allocations ever made to the subtree.
    pub(super) count: u64,
    /// Allocations ever made to the client that the node stands for, if it does.
    own: u64,
    pub(super) share: Share,
    pub(super) children: Vec<NodeId>,
}

impl<C> Node<C> {
    /// Whether the node is an inactive client, which sorts behind all others.
    pub(super) fn is_inactive(&self) -> bool {
        matches!(self.kind, Kind::Leaf { active: false, .. })
    }

    /// Adds to what is held, as one allocation.
    pub(super) fn hold(&mut self, amounts: &[(usize, u64)]) {
        self.count += 1;
        if let Kind::Leaf { .. } = self.kind {
            self.own += 1;
        }
        for &(slot, amount) in amounts {
            if self.held.len() <= slot {
                self.held.resize(slot + 1, 0);
            }
            self.held[slot] = self.held[slot].saturating_add(amount);
        }
    }

    /// Takes from what is held, never below zero.
    pub(super) fn release(&mut self, amounts: &[(usize, u64)]) {
        for &(slot, amount) in amounts {
            if let Some(held) = self.held.get_mut(slot) {
                *held = held.saturating_sub(amount);
            }
        }
    }
}

/// Nodes in an arena, found by client and by path.
#[derive(Clone, Debug)]
pub(super) struct Tree<C> {
    nodes: Vec<Option<Node<C>>>,
    free: Vec<NodeId>,
    leaves: BTreeMap<C, NodeId>,
    paths: BTreeMap<Box<str>, NodeId>,
    weights: BTreeMap<Box<str>, Weight>,
}

impl<C: Client> Tree<C> {
    pub(super) fn new() -> Self {
        let root = Node {
            parent: ROOT,
            name: "".into(),
            path: "".into(),
            kind: Kind::Inner,
            weight: Weight::ONE,
            held: Vec::new(),
            count: 0,
            own: 0,
            share: Share::ZERO,
            children: Vec::new(),
        };
        Self {
            nodes: vec![Some(root)],
            free: Vec::new(),
            leaves: BTreeMap::new(),
            paths: BTreeMap::new(),
            weights: BTreeMap::new(),
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node<C> {
        self.nodes[id]
            .as_ref()
            .expect("ids of removed nodes are not kept")
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node<C> {
        self.nodes[id]
            .as_mut()
            .expect("ids of removed nodes are not kept")
    }

    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node<C>> {
        self.nodes.iter_mut().flatten()
    }

    /// Every node's id, in no telling order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<C> {
        let live: Vec<NodeId> = (0..self.nodes.len())
            .filter(|&id| self.nodes[id].is_some())
            .collect();
        live.into_iter()
    }

    pub(super) fn leaf(&self, client: &C) -> Option<NodeId> {
        self.leaves.get(client).copied()
    }

    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        self.paths.get(path).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// The node and those above it, the root last.
    pub(super) fn lineage(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(Some(id), |&id| (id != ROOT).then(|| self.node(id).parent))
    }

    /// Keeps the weight of `path`, whether or not there is such a node now.
    pub(super) fn set_weight(&mut self, path: &str, weight: Weight) {
        self.weights.insert(path.into(), weight);
        if let Some(id) = self.find(path) {
            self.node_mut(id).weight = weight;
        }
    }

    /// Adds an inactive leaf that holds nothing; false if the client is there already.
    pub(super) fn add(&mut self, client: &C) -> bool {
        if self.leaves.contains_key(client) {
            return false;
        }
        let kind = Kind::Leaf {
            client: client.clone(),
            active: false,
        };
        let leaf = match self.find(client.path()) {
            Some(inner) => self.insert(inner, VIRTUAL, kind),
            None => self.insert_path(client.path(), kind),
        };
        self.leaves.insert(client.clone(), leaf);
        true
    }

    /// Inserts the node of a new path and the inner nodes that it lacks.
    fn insert_path(&mut self, path: &str, kind: Kind<C>) -> NodeId {
        let mut parent = ROOT;
        for (end, _) in path.match_indices('/') {
            parent = match self.find(&path[..end]) {
                Some(id) => id,
                None => self.insert(parent, last_component(&path[..end]), Kind::Inner),
            };
            self.open(parent);
        }
        self.insert(parent, last_component(path), kind)
    }

    /// Makes room for children below `id`: a leaf moves into a virtual leaf below itself.
    fn open(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        if matches!(node.kind, Kind::Inner) {
            return;
        }
        let kind = std::mem::replace(&mut node.kind, Kind::Inner);
        let (held, own) = (node.held.clone(), node.own);
        let client = match &kind {
            Kind::Leaf { client, .. } => client.clone(),
            Kind::Inner => unreachable!("inner nodes were returned above"),
        };
        let leaf = self.insert(id, VIRTUAL, kind);
        let node = self.node_mut(leaf);
        (node.held, node.count, node.own) = (held, own, own);
        self.leaves.insert(client, leaf);
    }

    fn insert(&mut self, parent: NodeId, name: &str, kind: Kind<C>) -> NodeId {
        let path: Box<str> = match parent {
            ROOT => name.into(),
            _ => format!("{}/{name}", self.node(parent).path).into(),
        };
        let node = Node {
            parent,
            name: name.into(),
            weight: self.weights.get(&path).copied().unwrap_or_default(),
            path: path.clone(),
            kind,
            held: Vec::new(),
            count: 0,
            own: 0,
            share: Share::ZERO,
            children: Vec::new(),
        };
        let id = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(id) {
            Some(slot) => *slot = Some(node),
            None => self.nodes.push(Some(node)),
        }
        self.paths.insert(path, id);
        self.node_mut(parent).children.push(id);
        id
    }

    /// Removes a client, what it holds, and the inner nodes that only led to it; false if there is
    /// no such client.
    pub(super) fn remove(&mut self, client: &C) -> bool {
        let Some(leaf) = self.leaves.remove(client) else {
            return false;
        };
        let held: Vec<_> = self.node(leaf).held.iter().copied().enumerate().collect();
        let mut id = self.unlink(leaf);
        while id != ROOT {
            self.node_mut(id).release(&held);
            id = if self.node(id).children.is_empty() {
                self.unlink(id)
            } else {
                self.fold(id);
                self.node(id).parent
            };
        }
        self.node_mut(ROOT).release(&held);
        true
    }

    /// Drops a node without children and returns its parent.
    fn unlink(&mut self, id: NodeId) -> NodeId {
        let node = self.nodes[id]
            .take()
            .expect("ids of removed nodes are not kept");
        self.paths.remove(&node.path);
        self.free.push(id);
        self.node_mut(node.parent)
            .children
            .retain(|&child| child != id);
        node.parent
    }

    /// Makes an inner node whose only child is its virtual leaf that leaf itself.
    fn fold(&mut self, id: NodeId) {
        let [child] = self.node(id).children[..] else {
            return;
        };
        if &*self.node(child).name != VIRTUAL {
            return;
        }
        let (kind, own) = (self.node(child).kind.clone(), self.node(child).own);
        self.unlink(child);
        if let Kind::Leaf { client, .. } = &kind {
            self.leaves.insert(client.clone(), id);
        }
        let node = self.node_mut(id);
        (node.kind, node.own) = (kind, own);
    }
}

fn last_component(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}
