//! Weighted dominant resource fairness, level by level, as Mesos sorts.
//!
//! Owns shares and the order of siblings: the smaller share first, then fewer past allocations,
//! then the name. Clients are returned in pre-order of the tree (shape: [`super::tree`]).
//!
//! Laziness: an allocation moves a node and its ancestors among their siblings at once, everything
//! else marks the whole order stale and the next [`Sorter::sort`] makes it anew.
//!
//! ```text
//!   fresh --(allocated)--> fresh        fresh --(any other change)--> stale --(sort)--> fresh
//! ```

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use tepui_protocol::{Quantities, Scalar};

use super::{
    Client, Sorter,
    tree::{Kind, Node, NodeId, ROOT, Tree},
};
use crate::share::{Share, Weight};

/// Sorts by weighted dominant share.
///
//= drf-2011 §4.1; mesos, sorter: siblings by share, past allocations, path
#[derive(Clone, Debug)]
pub struct DrfSorter<C> {
    tree: Tree<C>,
    slots: Slots,
    stale: bool,
    /// The active leaves in order, while nothing changed.
    order: Option<Arc<[C]>>,
}

/// The resources of the cluster: `names[s]`, of which it has `total[s]` thousandths.
#[derive(Clone, Debug, Default)]
struct Slots {
    names: Vec<String>,
    total: Vec<u64>,
    excluded: BTreeSet<String>,
    /// The slots that count for shares.
    fair: Vec<usize>,
}

impl Slots {
    fn slot(&mut self, name: &str) -> usize {
        match self.names.iter().position(|known| known == name) {
            Some(slot) => slot,
            None => {
                self.names.push(name.to_owned());
                self.total.push(0);
                self.names.len() - 1
            }
        }
    }

    fn amounts(&mut self, quantities: &Quantities) -> Vec<(usize, u64)> {
        quantities
            .iter()
            .map(|(name, amount)| (self.slot(name), milli(amount)))
            .collect()
    }

    fn set_total(&mut self, total: &Quantities) {
        let amounts = self.amounts(total);
        self.total.fill(0);
        for (slot, amount) in amounts {
            self.total[slot] = amount;
        }
        let counts =
            |&slot: &usize| self.total[slot] > 0 && !self.excluded.contains(&self.names[slot]);
        self.fair = (0..self.names.len()).filter(counts).collect();
    }

    /// The weighted dominant share of `held`.
    fn share(&self, held: &[u64], weight: Weight) -> Share {
        let share = |&slot: &usize| {
            let held = held.get(slot).copied().unwrap_or(0);
            Share::of(held, self.total[slot], weight)
        };
        self.fair.iter().filter_map(share).max().unwrap_or_default()
    }

    fn quantities(&self, held: &[u64]) -> Quantities {
        let named = self
            .names
            .iter()
            .zip(held)
            .filter(|&(_, &amount)| amount > 0);
        named
            .map(|(name, &amount)| (name.clone(), scalar(amount)))
            .collect()
    }
}

impl<C: Client> DrfSorter<C> {
    fn changed(&mut self) {
        self.stale = true;
        self.order = None;
    }

    fn set_active(&mut self, client: &C, wanted: bool) {
        let Some(leaf) = self.tree.leaf(client) else {
            return;
        };
        if let Kind::Leaf { active, .. } = &mut self.tree.node_mut(leaf).kind
            && *active != wanted
        {
            *active = wanted;
            self.changed();
        }
    }

    /// Adds `amounts` to one node and puts it in its new place among its siblings.
    fn hold_and_move(&mut self, id: NodeId, amounts: &[(usize, u64)]) {
        let parent = self.tree.node(id).parent;
        let position = (id != ROOT && !self.stale).then(|| self.position(parent, id));
        let node = self.tree.node_mut(id);
        node.hold(amounts);
        node.share = self.slots.share(&node.held, node.weight);
        if let Some(position) = position {
            self.tree.node_mut(parent).children.remove(position);
            let position = self.position(parent, id);
            self.tree.node_mut(parent).children.insert(position, id);
        }
    }

    /// Where among the ordered children of `parent` the node is, or belongs.
    fn position(&self, parent: NodeId, id: NodeId) -> usize {
        let node = self.tree.node(id);
        let before = |&child: &NodeId| by_rank(self.tree.node(child), node) == Ordering::Less;
        self.tree.node(parent).children.partition_point(before)
    }

    /// Makes all shares and the order of all siblings anew.
    fn refresh(&mut self) {
        for node in self.tree.nodes_mut() {
            node.share = self.slots.share(&node.held, node.weight);
        }
        for id in self.tree.ids() {
            let mut children = std::mem::take(&mut self.tree.node_mut(id).children);
            children.sort_by(|&a, &b| by_rank(self.tree.node(a), self.tree.node(b)));
            self.tree.node_mut(id).children = children;
        }
        self.stale = false;
    }

    /// The active leaves in pre-order.
    fn walk(&self) -> Arc<[C]> {
        let mut clients = Vec::with_capacity(self.tree.len());
        let mut ahead = vec![ROOT];
        while let Some(id) = ahead.pop() {
            let node = self.tree.node(id);
            if let Kind::Leaf {
                client,
                active: true,
            } = &node.kind
            {
                clients.push(client.clone());
            }
            ahead.extend(node.children.iter().rev());
        }
        clients.into()
    }
}

/// The order of siblings: inactive clients last, then share, past allocations and name.
fn by_rank<C>(a: &Node<C>, b: &Node<C>) -> Ordering {
    let inactive = a.is_inactive().cmp(&b.is_inactive());
    inactive
        .then_with(|| a.share.cmp(&b.share))
        .then_with(|| a.count.cmp(&b.count))
        .then_with(|| a.name.cmp(&b.name))
}

impl<C: Client + Send + Sync> Sorter<C> for DrfSorter<C> {
    fn new(excluded: &BTreeSet<String>) -> Self {
        let slots = Slots {
            excluded: excluded.clone(),
            ..Slots::default()
        };
        Self {
            tree: Tree::new(),
            slots,
            stale: false,
            order: None,
        }
    }

    fn add(&mut self, client: &C) {
        if self.tree.add(client) {
            self.changed();
        }
    }

    fn remove(&mut self, client: &C) {
        if self.tree.remove(client) {
            self.changed();
        }
    }

    fn activate(&mut self, client: &C) {
        self.set_active(client, true);
    }

    fn deactivate(&mut self, client: &C) {
        self.set_active(client, false);
    }

    fn set_weight(&mut self, path: &str, weight: Weight) {
        self.tree.set_weight(path, weight);
        self.changed();
    }

    fn set_total(&mut self, total: &Quantities) {
        self.slots.set_total(total);
        self.changed();
    }

    fn allocated(&mut self, client: &C, amounts: &Quantities) {
        let Some(leaf) = self.tree.leaf(client) else {
            return;
        };
        let amounts = self.slots.amounts(amounts);
        let lineage: Vec<NodeId> = self.tree.lineage(leaf).collect();
        for id in lineage {
            self.hold_and_move(id, &amounts);
        }
        self.order = None;
    }

    fn unallocated(&mut self, client: &C, amounts: &Quantities) {
        let Some(leaf) = self.tree.leaf(client) else {
            return;
        };
        let mut amounts = self.slots.amounts(amounts);
        for (slot, amount) in &mut amounts {
            *amount = (*amount).min(self.tree.node(leaf).held.get(*slot).copied().unwrap_or(0));
        }
        let lineage: Vec<NodeId> = self.tree.lineage(leaf).collect();
        for id in lineage {
            self.tree.node_mut(id).release(&amounts);
        }
        self.changed();
    }

    fn sort(&mut self) -> Arc<[C]> {
        if self.stale {
            self.refresh();
        }
        if self.order.is_none() {
            self.order = Some(self.walk());
        }
        self.order.clone().unwrap_or_default()
    }

    fn contains(&self, client: &C) -> bool {
        self.tree.leaf(client).is_some()
    }

    fn len(&self) -> usize {
        self.tree.len()
    }

    fn held(&self, path: &str) -> Quantities {
        let node = self.tree.find(path).map(|id| self.tree.node(id));
        node.map(|node| self.slots.quantities(&node.held))
            .unwrap_or_default()
    }

    fn share(&self, path: &str) -> Share {
        let node = self.tree.find(path).map(|id| self.tree.node(id));
        node.map(|node| self.slots.share(&node.held, node.weight))
            .unwrap_or_default()
    }
}

fn milli(amount: Scalar) -> u64 {
    amount.milli().unsigned_abs()
}

fn scalar(milli: u64) -> Scalar {
    Scalar::from_milli(i64::try_from(milli).unwrap_or(i64::MAX))
}
