//! The tree of shares: inner nodes with weights, what is held at the leaves, and who is served next.
//!
//! ```text
//!                root
//!               /    \
//!          inner a   inner b       each inner node: a tournament of its live children's keys
//!          /    \        \
//!       leaf    leaf     leaf      each leaf: what it holds, live or blocked
//! ```
//! A change at a leaf touches the nodes above it only: O(depth × (log children + L)). What a node holds is
//! the sum of what is below it, in exact integers; what was added is subtracted again to the last bit,
//! and nothing drifts. How a node's key comes from that is a [`Rule`]; its arithmetic is `node.rs`.
//!
//! It does not own capacities in use: who calls [`ShareTree::block`] knows what still fits (see
//! [`crate::filling`] and [`crate::engine`]).
//
//= hdrf-2013 §3

mod node;

use self::node::{Inner, NONE, Node};
use super::{ABSENT, Key, reciprocal::Reciprocal};
use crate::{share::Weight, sparing};

/// How inner nodes count what is below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Hierarchical DRF: live children are rescaled to the least of them, blocked ones are not.
    #[default]
    Hierarchical,
    /// The sum of what is below, as Mesos sorts: ties go to who has had fewer allocations.
    //= mesos, sorter: siblings by share, past allocations, path
    Sum,
}

/// Names a node of one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The root, which has neither weight nor siblings.
    pub const ROOT: NodeId = NodeId(0);

    /// Its number; numbers are small, and used again after the node was removed.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Amounts, `amounts[j]` of resource `j` in the units of the capacity.
pub type Amounts<const L: usize> = [u64; L];

/// The tree. See the module.
#[derive(Clone, Debug)]
pub struct ShareTree<const L: usize> {
    capacity: Amounts<L>,
    /// One over the capacity; zero where there is none, so that it counts for no share.
    parts: [Reciprocal; L],
    saturated: [bool; L],
    rule: Rule,
    nodes: Vec<Node<L>>,
    inners: Vec<Inner<L>>,
    free_nodes: Vec<NodeId>,
    free_inners: Vec<u32>,
}

impl<const L: usize> ShareTree<L> {
    /// A tree without leaves over this capacity. Resources with a capacity of zero count for nothing.
    pub fn new(capacity: Amounts<L>, rule: Rule) -> Self {
        let root = Node::new(NodeId::ROOT, 0, Weight::ONE, 0, 0);
        Self {
            capacity,
            parts: capacity.map(|amount| Reciprocal::of(1, amount)),
            saturated: [false; L],
            rule,
            nodes: vec![root],
            inners: vec![Inner::new()],
            free_nodes: Vec::new(),
            free_inners: Vec::new(),
        }
    }

    /// Adds an inner node. Where shares tie, the smaller label is served first, then the earlier place.
    ///
    /// # Panics
    /// When `parent` is a leaf, or after 2^32 nodes.
    pub fn add_inner(&mut self, parent: NodeId, weight: Weight, label: u32) -> NodeId {
        let inner = match self.free_inners.pop() {
            Some(inner) => inner,
            None => {
                sparing::push(&mut self.inners, Inner::new());
                number(self.inners.len() - 1)
            }
        };
        self.add(parent, weight, label, inner)
    }

    /// Adds a leaf that holds nothing and is not blocked. Labels: [`ShareTree::add_inner`].
    ///
    /// # Panics
    /// As [`ShareTree::add_inner`].
    pub fn add_leaf(&mut self, parent: NodeId, weight: Weight, label: u32) -> NodeId {
        let id = self.add(parent, weight, label, NONE);
        self.nodes[id.index()].live = true;
        self.refresh(id);
        id
    }

    fn add(&mut self, parent: NodeId, weight: Weight, label: u32, inner: u32) -> NodeId {
        let id = self
            .free_nodes
            .pop()
            .unwrap_or_else(|| NodeId(number(self.nodes.len())));
        let place = self.inner_mut(parent).adopt(id);
        let node = Node::new(parent, place, weight, label, inner);
        match self.nodes.get_mut(id.index()) {
            Some(slot) => *slot = node,
            None => sparing::push(&mut self.nodes, node),
        }
        id
    }

    /// Removes a leaf with what it holds, or an inner node without children.
    ///
    /// # Panics
    /// For the root and for a node with children.
    pub fn remove(&mut self, id: NodeId) {
        assert!(id != NodeId::ROOT, "the root stays");
        assert!(!self.has_children(id), "a node with children stays");
        let inner = self.nodes[id.index()].inner;
        let held = self.nodes[id.index()].held;
        self.release(id, &held);
        self.nodes[id.index()].live = false;
        self.refresh(id);
        if inner != NONE {
            self.inners[inner as usize] = Inner::new();
            self.free_inners.push(inner);
        }
        let node = &mut self.nodes[id.index()];
        let (parent, place, given) = (node.parent, node.place, std::mem::take(&mut node.given));
        self.inner_mut(parent).forget(place, &given);
        self.free_nodes.push(id);
        self.refresh(parent);
    }

    /// The leaf to serve next: from the root down, the live child of the least key. None if all are
    /// blocked.
    pub fn next(&self) -> Option<NodeId> {
        let mut at = NodeId::ROOT;
        loop {
            let inner = self.nodes[at.index()].inner;
            if inner == NONE {
                return Some(at);
            }
            let inner = &self.inners[inner as usize];
            at = inner.child(inner.order.top()?);
        }
    }

    /// The live children of an inner node, the next to be served first.
    ///
    /// # Panics
    /// For a leaf.
    pub fn in_order(&self, parent: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let inner = &self.inners[self.nodes[parent.index()].inner as usize];
        inner.order.ascending().map(|place| inner.child(place))
    }

    /// Whether `a` would be served before `b`, were both leaves live and all else as it is.
    pub fn precedes(&self, mut a: NodeId, mut b: NodeId) -> bool {
        let (mut depth_a, mut depth_b) = (self.depth(a), self.depth(b));
        while a != b {
            let (parent_a, parent_b) = (self.parent(a), self.parent(b));
            if parent_a == parent_b {
                let rank = |id: NodeId| (self.rank(id), self.nodes[id.index()].place);
                return rank(a) < rank(b);
            }
            if depth_a >= depth_b {
                (a, depth_a) = (parent_a, depth_a - 1);
            } else {
                (b, depth_b) = (parent_b, depth_b - 1);
            }
        }
        false
    }

    /// The leaf holds so much more; one allocation more for it and all above it.
    pub fn hold(&mut self, leaf: NodeId, amounts: &Amounts<L>) {
        let mut at = leaf;
        loop {
            let node = &mut self.nodes[at.index()];
            node.count = node.count.saturating_add(1);
            for (held, more) in node.held.iter_mut().zip(amounts) {
                *held = held.checked_add(*more).expect("a cluster's amounts fit");
            }
            if at == NodeId::ROOT {
                return;
            }
            self.update(at);
            at = self.parent(at);
        }
    }

    /// The leaf holds so much less.
    ///
    /// # Panics
    /// When it holds less than that.
    pub fn release(&mut self, leaf: NodeId, amounts: &Amounts<L>) {
        let mut at = leaf;
        loop {
            let node = &mut self.nodes[at.index()];
            for (held, less) in node.held.iter_mut().zip(amounts) {
                *held = held.checked_sub(*less).expect("what is released was held");
            }
            if at == NodeId::ROOT {
                return;
            }
            self.update(at);
            at = self.parent(at);
        }
    }

    /// Serves the leaf no more (it wants nothing, or its next task does not fit), or again.
    pub fn block(&mut self, leaf: NodeId, blocked: bool) {
        let node = &mut self.nodes[leaf.index()];
        if node.inner == NONE && node.live == blocked {
            node.live = !blocked;
            self.refresh(leaf);
        }
    }

    /// Weighs a node against its siblings.
    pub fn set_weight(&mut self, id: NodeId, weight: Weight) {
        self.nodes[id.index()].set_weight(weight);
        self.refresh(id);
    }

    /// Changes by what ties are broken.
    pub fn set_label(&mut self, id: NodeId, label: u32) {
        self.nodes[id.index()].label = label;
        self.refresh(id);
    }

    /// Replaces the capacity, and with it all shares. O(nodes).
    pub fn set_capacity(&mut self, capacity: Amounts<L>) {
        if self.capacity != capacity {
            self.capacity = capacity;
            self.parts = capacity.map(|amount| Reciprocal::of(1, amount));
            self.recompute();
        }
    }

    /// Says of which resources nothing can be given any more; they count for no share, unless the rule is
    /// the sum. O(nodes) when that has changed.
    pub fn set_saturated(&mut self, saturated: [bool; L]) {
        if self.saturated != saturated && self.rule != Rule::Sum {
            self.saturated = saturated;
            self.recompute();
        }
    }

    /// What is held at and below a node.
    pub fn held(&self, id: NodeId) -> &Amounts<L> {
        &self.nodes[id.index()].held
    }

    /// Whether the node is a leaf that is not blocked, or has such leaves below it.
    pub fn is_live(&self, id: NodeId) -> bool {
        let node = &self.nodes[id.index()];
        match node.inner {
            NONE => node.live,
            inner => self.inners[inner as usize].order.top().is_some(),
        }
    }

    /// The rule that it goes by.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Whether there is anything below the node.
    pub fn has_children(&self, id: NodeId) -> bool {
        let inner = self.nodes[id.index()].inner;
        inner != NONE && !self.inners[inner as usize].is_empty()
    }

    /// The weighted share by which a node competes with its siblings, in 2^-40.
    pub fn key(&self, id: NodeId) -> u64 {
        self.nodes[id.index()].key
    }

    /// The parent of a node; the root is its own.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.nodes[id.index()].parent
    }

    /// The memory it uses, in bytes.
    pub fn bytes(&self) -> usize {
        let inners: usize = self.inners.iter().map(Inner::bytes).sum();
        inners + self.nodes.capacity() * size_of::<Node<L>>()
    }

    fn depth(&self, mut id: NodeId) -> u32 {
        let mut depth = 0;
        while id != NodeId::ROOT {
            (id, depth) = (self.parent(id), depth + 1);
        }
        depth
    }

    fn inner_mut(&mut self, id: NodeId) -> &mut Inner<L> {
        let inner = self.nodes[id.index()].inner;
        assert!(inner != NONE, "a leaf has no children");
        &mut self.inners[inner as usize]
    }

    /// Computes everything anew, children before parents; each order is made at once.
    fn recompute(&mut self) {
        let mut order = vec![NodeId::ROOT];
        let mut next = 0;
        while let Some(&id) = order.get(next) {
            next += 1;
            self.nodes[id.index()].given = Default::default();
            if self.nodes[id.index()].inner != NONE {
                let inner = self.inner_mut(id);
                inner.reset();
                order.extend(inner.children());
            }
        }
        for id in order.into_iter().rev() {
            if self.nodes[id.index()].inner != NONE {
                self.order_anew(id);
            }
            if id != NodeId::ROOT {
                self.compute(id);
            }
        }
    }

    /// Makes the order of an inner node whose children are up to date.
    fn order_anew(&mut self, id: NodeId) {
        let at = self.nodes[id.index()].inner as usize;
        let mut inner = std::mem::replace(&mut self.inners[at], Inner::new());
        let rank = |&child: &u32| match NodeId(child) {
            child if child.0 != NONE && self.nodes[child.index()].live => self.rank(child),
            _ => Key::NONE,
        };
        inner.order.set_all(inner.children.iter().map(rank));
        self.inners[at] = inner;
    }

    /// Brings a node and those above it up to date.
    fn refresh(&mut self, mut id: NodeId) {
        while id != NodeId::ROOT {
            self.update(id);
            id = self.parent(id);
        }
    }

    /// Computes a node's key, and hands it and what it gives to its parent.
    fn update(&mut self, id: NodeId) {
        self.compute(id);
        let node = &self.nodes[id.index()];
        let (parent, place) = (node.parent, node.place);
        let rank = if node.live { self.rank(id) } else { Key::NONE };
        self.inner_mut(parent).order.set(place, rank);
    }

    /// Computes a node's key, and hands what it gives to its parent.
    fn compute(&mut self, id: NodeId) {
        let (key, vector) = self.evaluate(id);
        let live = self.is_live(id);
        let node = &mut self.nodes[id.index()];
        (node.key, node.live) = (key, live);
        if self.rule == Rule::Hierarchical {
            let before = node.given;
            node.give(&vector);
            let (parent, after) = (node.parent, node.given);
            self.inner_mut(parent).replace(&before, &after);
        }
    }

    /// By what a node is ordered among its siblings.
    pub(crate) fn rank(&self, id: NodeId) -> Key {
        let node = &self.nodes[id.index()];
        let label = node.label;
        let (share, count) = match self.rule {
            Rule::Sum => (node.key, node.count),
            Rule::Hierarchical => (node::blurred(node.key), 0),
        };
        let share = share.min(ABSENT - 1);
        Key {
            share,
            count,
            label,
        }
    }

    /// A node's key and, under H-DRF, its vector.
    fn evaluate(&self, id: NodeId) -> (u64, [u64; L]) {
        let node = &self.nodes[id.index()];
        if self.rule == Rule::Sum || node.inner == NONE {
            let part = |j: usize| self.parts[j].times(node.held[j], node::FINE);
            let vector = std::array::from_fn(part);
            let key = node.weighted(self.largest_open(&vector), node::FINE);
            return (key, vector.map(node::coarse));
        }
        let inner = &self.inners[node.inner as usize];
        let lo = inner.order.top().map(|place| inner.child(place));
        let lo = lo.map_or(0, |child| self.nodes[child.index()].key);
        let vector = inner.vector(lo);
        let share = self.largest_open(&vector);
        (node.weighted(share, node::BITS), vector)
    }

    /// The largest part of a resource that is not saturated.
    fn largest_open(&self, vector: &[u64; L]) -> u64 {
        let open = vector.iter().zip(self.saturated);
        let open = open.filter(|(_, saturated)| !saturated);
        open.map(|(part, _)| *part).max().unwrap_or_default()
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n)
        .ok()
        .filter(|&n| n != NONE)
        .expect("fewer than 2^32 nodes")
}
