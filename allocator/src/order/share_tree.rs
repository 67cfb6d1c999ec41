//! The tree of shares: inner nodes with weights, tasks at the leaves, and who is served next.
//!
//! Hierarchical DRF, incrementally. With `lo` the least weighted share of a node's live children, the
//! node's vector is what its subtree would hold if all live children were rescaled to `lo`, and blocked
//! ones kept all that they have:
//!
//! ```text
//!   vector = lo * Σ_live vector_c * w_c / share_c  +  Σ_blocked vector_c        per resource
//!   share  = the largest part of a resource that is not saturated;  key = share / w
//! ```
//! Both sums are kept, and a tournament of the live children's keys, so that a change touches the nodes
//! above it only: O(depth × (log children + L)). Sums are integers: what was added is subtracted
//! again to the last bit, and nothing drifts. A change in what is saturated recomputes the tree.
//!
//! Numbers are fixed point: parts of the capacity and keys in 2^-40; keys are compared in 2^-32, so that
//! roundings on different ways to the same share leave it the same.
//!
//! It does not own capacities in use: who calls [`ShareTree::block`] knows what still fits (see
//! [`crate::filling`]).
//
//= hdrf-2013 §3

use super::{ABSENT, Tournament};
use crate::share::Weight;

/// Fraction bits of parts and keys.
const BITS: u32 = 40;
/// Low bits of a key that are left out of comparisons.
const BLUR: u32 = 8;

/// How inner nodes count what is below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rescaling {
    /// Hierarchical DRF: live children are rescaled to the least of them, blocked ones are not.
    #[default]
    Hierarchical,
    /// The sum of what is below, as Mesos sorts.
    None,
}

/// Names a node of one tree; parents have lower numbers than their children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The root, which has neither weight nor siblings.
    pub const ROOT: NodeId = NodeId(0);

    fn at(self) -> usize {
        self.0 as usize
    }
}

/// What one task of a leaf takes, `demand[j]` of resource `j` in the units of the capacity.
pub type Demand<const L: usize> = [u64; L];

#[derive(Clone, Debug)]
enum Kind<const L: usize> {
    Leaf {
        demand: Demand<L>,
        tasks: u64,
        blocked: bool,
    },
    Inner {
        children: Vec<NodeId>,
        order: Tournament,
        live: u32,
        /// `Σ vector * w / share` of live children, in 2^-40.
        live_sum: [u128; L],
        /// `Σ vector` of blocked ones; of all of them without rescaling.
        whole_sum: [u128; L],
    },
}

#[derive(Clone, Debug)]
struct Node<const L: usize> {
    parent: NodeId,
    /// Among its siblings.
    place: u32,
    weight: Weight,
    kind: Kind<L>,
    vector: [u64; L],
    key: u64,
    live: bool,
    /// What it adds to its parent's sums now: as a live child, and as a whole.
    given: ([u128; L], [u128; L]),
}

/// The tree. See the module.
#[derive(Clone, Debug)]
pub struct ShareTree<const L: usize> {
    capacity: [u64; L],
    saturated: [bool; L],
    rescaling: Rescaling,
    nodes: Vec<Node<L>>,
}

impl<const L: usize> ShareTree<L> {
    /// A tree without leaves over this capacity. Resources with a capacity of zero count for nothing.
    pub fn new(capacity: [u64; L], rescaling: Rescaling) -> Self {
        let root = Node {
            parent: NodeId::ROOT,
            place: 0,
            weight: Weight::ONE,
            kind: inner(),
            vector: [0; L],
            key: 0,
            live: false,
            given: ([0; L], [0; L]),
        };
        Self {
            capacity,
            saturated: [false; L],
            rescaling,
            nodes: vec![root],
        }
    }

    /// Adds an inner node.
    ///
    /// # Panics
    /// When `parent` is a leaf, or after 2^32 nodes.
    pub fn add_inner(&mut self, parent: NodeId, weight: Weight) -> NodeId {
        self.add(parent, weight, inner())
    }

    /// Adds a leaf without tasks, which is not blocked.
    ///
    /// # Panics
    /// As [`ShareTree::add_inner`].
    pub fn add_leaf(&mut self, parent: NodeId, weight: Weight, demand: Demand<L>) -> NodeId {
        let kind = Kind::Leaf {
            demand,
            tasks: 0,
            blocked: false,
        };
        let id = self.add(parent, weight, kind);
        self.refresh(id);
        id
    }

    fn add(&mut self, parent: NodeId, weight: Weight, kind: Kind<L>) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        let Kind::Inner { children, .. } = &mut self.nodes[parent.at()].kind else {
            panic!("a leaf has no children");
        };
        let place = u32::try_from(children.len()).expect("fewer than 2^32 children");
        children.push(id);
        self.nodes.push(Node {
            parent,
            place,
            weight,
            kind,
            vector: [0; L],
            key: 0,
            live: false,
            given: ([0; L], [0; L]),
        });
        id
    }

    /// The leaf to serve next: from the root down, the live child of the least key, the earlier added
    /// of equals. None if all are blocked.
    pub fn next(&self) -> Option<NodeId> {
        let mut at = NodeId::ROOT;
        loop {
            match &self.nodes[at.at()].kind {
                Kind::Leaf { .. } => return Some(at),
                Kind::Inner {
                    children, order, ..
                } => at = children[order.top()?.1 as usize],
            }
        }
    }

    /// The leaf has one more task.
    pub fn give(&mut self, leaf: NodeId) {
        if let Kind::Leaf { tasks, .. } = &mut self.nodes[leaf.at()].kind {
            *tasks += 1;
        }
        self.refresh(leaf);
    }

    /// A task of the leaf has ended.
    ///
    /// # Panics
    /// When it has none.
    pub fn take(&mut self, leaf: NodeId) {
        if let Kind::Leaf { tasks, .. } = &mut self.nodes[leaf.at()].kind {
            *tasks = tasks.checked_sub(1).expect("a task ends once");
        }
        self.refresh(leaf);
    }

    /// Serves the leaf no more (it wants nothing, or its next task does not fit), or again.
    pub fn block(&mut self, leaf: NodeId, is_blocked: bool) {
        match &mut self.nodes[leaf.at()].kind {
            Kind::Leaf { blocked, .. } if *blocked != is_blocked => *blocked = is_blocked,
            _ => return,
        }
        self.refresh(leaf);
    }

    /// Says of which resources nothing can be given any more; they count for no share, unless nothing
    /// is rescaled. O(nodes) when that has changed.
    pub fn set_saturated(&mut self, saturated: [bool; L]) {
        if self.saturated == saturated || self.rescaling == Rescaling::None {
            return;
        }
        self.saturated = saturated;
        self.recompute();
    }

    /// The leaf's tasks.
    pub fn tasks(&self, leaf: NodeId) -> u64 {
        match &self.nodes[leaf.at()].kind {
            Kind::Leaf { tasks, .. } => *tasks,
            Kind::Inner { .. } => 0,
        }
    }

    /// The weighted share by which a node competes with its siblings, in 2^-40.
    pub fn key(&self, node: NodeId) -> u64 {
        self.nodes[node.at()].key
    }

    /// Computes everything anew, children before parents.
    fn recompute(&mut self) {
        for node in &mut self.nodes {
            node.given = ([0; L], [0; L]);
            if let Kind::Inner {
                order,
                live,
                live_sum,
                whole_sum,
                ..
            } = &mut node.kind
            {
                (*order, *live) = (Tournament::new(), 0);
                (*live_sum, *whole_sum) = ([0; L], [0; L]);
            }
            node.live = false;
        }
        for at in (1..self.nodes.len()).rev() {
            let id = NodeId(u32::try_from(at).expect("numbered with 32 bits"));
            self.evaluate(id);
            self.hand_up(id);
        }
    }

    /// Brings a node and those above it up to date.
    fn refresh(&mut self, node: NodeId) {
        let mut at = node;
        while at != NodeId::ROOT {
            let changed = self.evaluate(at);
            if !changed {
                return;
            }
            self.hand_up(at);
            at = self.nodes[at.at()].parent;
        }
    }

    /// Computes a node's vector, key and life from its tasks or sums; whether any differs.
    fn evaluate(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id.at()];
        let (vector, key, live) = match &node.kind {
            Kind::Leaf {
                demand,
                tasks,
                blocked,
            } => {
                let held = demand.map(|each| u128::from(each) * u128::from(*tasks));
                let part = |j: usize, weight: u64| part(held[j], self.capacity[j], weight);
                let vector = std::array::from_fn(|j| part(j, 1000));
                let parts = (0..L).map(|j| part(j, node.weight.milli()));
                (vector, self.largest(parts), !*blocked)
            }
            Kind::Inner {
                children,
                order,
                live,
                live_sum,
                whole_sum,
            } => {
                let lo = order
                    .top()
                    .map(|(_, place)| self.nodes[children[place as usize].at()].key);
                let lo = u128::from(lo.unwrap_or_default());
                let vector: [u64; L] = std::array::from_fn(|j| {
                    let scaled = (lo * live_sum[j] + (1 << (BITS - 1))) >> BITS;
                    narrow(scaled + whole_sum[j])
                });
                let weighted = |part: &u64| {
                    let weight = u128::from(node.weight.milli());
                    narrow((u128::from(*part) * 1000 + weight / 2) / weight)
                };
                (vector, self.largest(vector.iter().map(weighted)), *live > 0)
            }
        };
        let node = &mut self.nodes[id.at()];
        let changed = (node.vector, node.key, node.live) != (vector, key, live)
            || node.given == ([0; L], [0; L]);
        (node.vector, node.key, node.live) = (vector, key, live);
        changed
    }

    fn largest(&self, parts: impl Iterator<Item = u64>) -> u64 {
        let open = parts
            .zip(self.saturated)
            .filter(|(_, saturated)| !saturated);
        open.map(|(part, _)| part).max().unwrap_or_default()
    }

    /// Replaces what a node adds to its parent's sums and order.
    fn hand_up(&mut self, id: NodeId) {
        let node = &self.nodes[id.at()];
        let (parent, place, before) = (node.parent, node.place, node.given);
        let whole = node.vector.map(u128::from);
        let after = match (self.rescaling, node.live) {
            (Rescaling::None, _) | (_, false) => ([0; L], whole),
            // Without a share it is rescaled to nothing: so is `lo`, as it is the least of all.
            (_, true) if node.key == 0 => ([0; L], [0; L]),
            (_, true) => {
                let key = u128::from(node.key);
                (whole.map(|part| ((part << BITS) + key / 2) / key), [0; L])
            }
        };
        let blurred = (node.key >> BLUR) + ((node.key >> (BLUR - 1)) & 1);
        let entry = if node.live { blurred } else { ABSENT };
        self.nodes[id.at()].given = after;
        let Kind::Inner {
            order,
            live,
            live_sum,
            whole_sum,
            ..
        } = &mut self.nodes[parent.at()].kind
        else {
            unreachable!("parents are inner nodes");
        };
        let was_live = order.key(place) != ABSENT;
        *live = *live + u32::from(entry != ABSENT) - u32::from(was_live);
        order.set(place, entry);
        for j in 0..L {
            live_sum[j] = live_sum[j] - before.0[j] + after.0[j];
            whole_sum[j] = whole_sum[j] - before.1[j] + after.1[j];
        }
    }
}

fn inner<const L: usize>() -> Kind<L> {
    Kind::Inner {
        children: Vec::new(),
        order: Tournament::new(),
        live: 0,
        live_sum: [0; L],
        whole_sum: [0; L],
    }
}

/// `held / capacity / weight` in 2^-40, the weight in thousandths; rounded to the nearest, so that equal
/// fractions are equal numbers.
fn part(held: u128, capacity: u64, weight_milli: u64) -> u64 {
    if capacity == 0 {
        return 0;
    }
    let (above, below) = (
        held.saturating_mul(1000),
        u128::from(capacity) * u128::from(weight_milli),
    );
    // What does not fit into 128 bits is far beyond any capacity.
    let scaled = above.saturating_mul(1 << BITS);
    narrow(scaled.saturating_add(below / 2) / below)
}

fn narrow(wide: u128) -> u64 {
    // One below ABSENT after blurring, whatever happens.
    u64::try_from(wide).unwrap_or(u64::MAX - 1)
}
