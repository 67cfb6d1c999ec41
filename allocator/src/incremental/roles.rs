//! The tree of roles, with the frameworks of each at its leaves, in the order that is kept up.
//!
//! ```text
//!   (root) --- a --- .        the frameworks of role a, which compete with a's child roles as one
//!              |     +-- f1   a seat: framework f1 in role a
//!              +---- b --- . --- f2
//! ```
//! A framework has a *seat* in a role while it is subscribed to it or still holds something in it. A role is
//! here while there is a seat in it or below it; its weight is kept without. All shares are of the whole
//! cluster. Ties go to fewer past allocations, then to the name.

use std::collections::BTreeMap;

use tepui_protocol::{FrameworkId, Role};

use super::{
    labels::Labels,
    names::{Amounts, LANES},
};
use crate::{
    order::{Key, NodeId, Rule, ShareTree},
    share::Weight,
};

/// The name of the group of a role's own frameworks among the child roles.
const GROUP: &str = ".";

/// What a node of the tree stands for.
#[derive(Clone, Debug, Default)]
struct Place {
    name: Box<str>,
    children: BTreeMap<Box<str>, NodeId>,
    labels: Labels,
    /// The seat, for a leaf.
    seat: Option<u32>,
}

/// A framework in a role.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) framework: u32,
    pub(super) role: Role,
    node: NodeId,
    /// The last run in which it was given something; zero for none.
    served_in: u64,
}

/// All roles and seats.
#[derive(Clone, Debug)]
pub(super) struct Roles {
    tree: ShareTree<LANES>,
    /// By number of the tree's node.
    places: Vec<Place>,
    seats: Vec<Option<Seat>>,
    vacant: Vec<u32>,
    weights: BTreeMap<Role, Weight>,
}

impl Roles {
    pub(super) fn new() -> Self {
        Self {
            tree: ShareTree::new([0; LANES], Rule::Sum),
            places: vec![Place::default()],
            seats: Vec::new(),
            vacant: Vec::new(),
            weights: BTreeMap::new(),
        }
    }

    /// Replaces what the whole cluster has, as far as it counts for shares. O(nodes).
    pub(super) fn set_total(&mut self, total: &Amounts) {
        self.tree.set_capacity(*total);
    }

    /// Seats a framework in a role, inactive at first.
    pub(super) fn seat(&mut self, framework: u32, id: &FrameworkId, role: &Role) -> u32 {
        let group = self.group(role);
        let label = self.label(group, id.as_str());
        let node = self.tree.add_leaf(group, Weight::ONE, label);
        self.tree.block(node, true);
        self.enter(group, node, id.as_str());
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.seats.push(None);
            u32::try_from(self.seats.len() - 1).expect("fewer than 2^32 seats")
        });
        let role = role.clone();
        self.seats[number as usize] = Some(Seat {
            framework,
            role,
            node,
            served_in: 0,
        });
        self.places[node.index()].seat = Some(number);
        number
    }

    /// The node of a role's own frameworks, with those that lead to it, which may be new.
    fn group(&mut self, role: &Role) -> NodeId {
        let mut node = NodeId::ROOT;
        let mut above: Vec<Role> = role.ancestors().collect();
        above.reverse();
        for (component, path) in role.components().zip(above.iter().chain([role])) {
            node = self.child(node, component).unwrap_or_else(|| {
                let weight = self.weights.get(path).copied();
                self.add_inner(node, component, weight.unwrap_or_default())
            });
        }
        let group = self.child(node, GROUP);
        group.unwrap_or_else(|| self.add_inner(node, GROUP, Weight::ONE))
    }

    fn add_inner(&mut self, parent: NodeId, name: &str, weight: Weight) -> NodeId {
        let label = self.label(parent, name);
        let node = self.tree.add_inner(parent, weight, label);
        self.enter(parent, node, name);
        node
    }

    fn enter(&mut self, parent: NodeId, node: NodeId, name: &str) {
        if node.index() >= self.places.len() {
            self.places.resize(node.index() + 1, Place::default());
        }
        self.places[node.index()].name = name.into();
        let above = &mut self.places[parent.index()];
        above.children.insert(name.into(), node);
    }

    /// A label that sorts a new child by its name among its siblings.
    fn label(&mut self, parent: NodeId, name: &str) -> u32 {
        let labels = &mut self.places[parent.index()].labels;
        if let Some(label) = labels.insert(name) {
            return label;
        }
        for (sibling, label) in labels.spread() {
            if let Some(child) = self.child(parent, &sibling) {
                self.tree.set_label(child, label);
            }
        }
        self.places[parent.index()].labels.of(name)
    }

    fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.places[parent.index()].children.get(name).copied()
    }

    /// Takes a seat away, with what is held there, and the roles that only led to it.
    pub(super) fn unseat(&mut self, number: u32) {
        let Some(seat) = self.seats[number as usize].take() else {
            return;
        };
        self.vacant.push(number);
        let mut node = seat.node;
        while node != NodeId::ROOT && self.places[node.index()].children.is_empty() {
            let parent = self.tree.parent(node);
            self.tree.remove(node);
            let place = std::mem::take(&mut self.places[node.index()]);
            let above = &mut self.places[parent.index()];
            above.children.remove(&place.name);
            above.labels.remove(&place.name);
            node = parent;
        }
    }

    pub(super) fn get(&self, seat: u32) -> &Seat {
        let seat = self.seats[seat as usize].as_ref();
        seat.expect("seats that are named are taken")
    }

    /// Includes the seat in the order, or leaves it out.
    pub(super) fn set_active(&mut self, seat: u32, active: bool) {
        let node = self.get(seat).node;
        self.tree.block(node, !active);
    }

    /// Notes that a seat was given something in this run.
    pub(super) fn serve(&mut self, seat: u32, run: u64) {
        if let Some(seat) = &mut self.seats[seat as usize] {
            seat.served_in = run;
        }
    }

    /// The last run in which a seat was given something.
    pub(super) fn served_in(&self, seat: u32) -> Option<u64> {
        Some(self.get(seat).served_in).filter(|run| *run > 0)
    }

    /// Books what a seat got, as one allocation.
    pub(super) fn hold(&mut self, seat: u32, amounts: &Amounts) {
        let node = self.get(seat).node;
        self.tree.hold(node, amounts);
    }

    /// Books what a seat gave back.
    pub(super) fn release(&mut self, seat: u32, amounts: &Amounts) {
        let node = self.get(seat).node;
        self.tree.release(node, amounts);
    }

    /// What a seat holds.
    pub(super) fn held(&self, seat: u32) -> &Amounts {
        self.tree.held(self.get(seat).node)
    }

    /// What everything in a role and below it holds; none if there is no such role.
    pub(super) fn held_in(&self, role: &Role) -> Option<&Amounts> {
        self.node(role).map(|node| self.tree.held(node))
    }

    pub(super) fn set_weight(&mut self, role: &Role, weight: Weight) {
        self.weights.insert(role.clone(), weight);
        if let Some(node) = self.node(role) {
            self.tree.set_weight(node, weight);
        }
    }

    pub(super) fn weights(&self) -> &BTreeMap<Role, Weight> {
        &self.weights
    }

    fn node(&self, role: &Role) -> Option<NodeId> {
        let mut components = role.components();
        components.try_fold(NodeId::ROOT, |node, component| self.child(node, component))
    }

    /// All seats.
    pub(super) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().flatten()
    }

    /// A place in the order of roles: the ranks from the top down to the node.
    pub(super) fn path(&self, node: NodeId) -> Vec<Key> {
        let mut path = Vec::new();
        let mut at = node;
        while at != NodeId::ROOT {
            path.push(self.tree.rank(at));
            at = self.tree.parent(at);
        }
        path.reverse();
        path
    }

    /// The groups of active seats in a role (by its path) and below it, with the role of each.
    pub(super) fn groups(&self, path: &str) -> Vec<(NodeId, &Role)> {
        let mut components = path.split('/');
        let top = components.try_fold(NodeId::ROOT, |node, name| self.child(node, name));
        let mut groups = Vec::new();
        let mut ahead: Vec<NodeId> = top.into_iter().collect();
        while let Some(node) = ahead.pop().filter(|node| self.tree.is_live(*node)) {
            let children = &self.places[node.index()].children;
            for &child in children.values().filter(|child| self.tree.is_live(**child)) {
                match self.places[child.index()].seat {
                    Some(seat) => {
                        groups.push((node, &self.get(seat).role));
                        break;
                    }
                    None => ahead.push(child),
                }
            }
        }
        groups
    }

    /// The active seats of a group in the order in which they are served.
    pub(super) fn seats_of(&self, group: NodeId) -> impl Iterator<Item = (u32, &Seat)> {
        let leaves = self.tree.in_order(group);
        leaves.filter_map(|leaf| {
            let number = self.places[leaf.index()].seat?;
            Some((number, self.get(number)))
        })
    }

    /// Asks the active seats in the order in which they are served, until one answers.
    pub(super) fn find<T>(&self, mut wanted: impl FnMut(u32, &Seat) -> Option<T>) -> Option<T> {
        self.find_below(NodeId::ROOT, &mut wanted)
    }

    fn find_below<T>(
        &self,
        node: NodeId,
        wanted: &mut impl FnMut(u32, &Seat) -> Option<T>,
    ) -> Option<T> {
        if let Some(seat) = self.places[node.index()].seat {
            return wanted(seat, self.get(seat));
        }
        let mut children = self.tree.in_order(node);
        children.find_map(|child| self.find_below(child, wanted))
    }
}
