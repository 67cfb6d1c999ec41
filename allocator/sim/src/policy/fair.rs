//! Fair orders: the production tree of shares decides which role is next, its jobs go first in, first out.
//!
//! A role is blocked while the class of its first job does not fit. To find out costs a look at the cluster for each class, not for
//! each role, and only after something came free; while no class fits, the tree is left alone.

mod classes;

use tepui_allocator::order::{NodeId as TreeId, Rule, ShareTree};
use tepui_protocol::Role;

use self::classes::Classes;
use super::{Event, Policy, PolicyError, Stage};
use crate::{amounts::LANES, trace::JobId, world::World};

/// How many classes are looked at after each start.
const HOPELESS_MAX: usize = 16;

/// The policies `drf`, `hdrf` and `tree-sums`.
#[derive(Debug)]
pub(super) struct Fair {
    tree: ShareTree<LANES>,
    leaves: Vec<TreeId>,
    /// The role of a leaf, by its number in the tree.
    role_of: Vec<u32>,
    /// The first waiting job of each role.
    heads: Vec<Option<JobId>>,
    classes: Classes,
    something_is_free: bool,
    ignores_saturated: bool,
}

impl Fair {
    /// DRF over all roles, weights multiplied down the tree.
    pub(super) fn flat(world: &World) -> Self {
        let mut tree = ShareTree::new(world.cluster().capacity(), Rule::Hierarchical);
        let roles = &world.workload().roles;
        let weight =
            |role| tepui_allocator::Weight::try_from(roles.weight(role)).unwrap_or_default();
        let leaves =
            (0..roles.len() as u32).map(|role| tree.add_leaf(TreeId::ROOT, weight(role), role));
        let leaves = leaves.collect();
        Self::new(world, tree, leaves, false)
    }

    /// Hierarchical DRF.
    pub(super) fn hierarchical(world: &World) -> Self {
        let (tree, leaves) = tree(world, Rule::Hierarchical);
        Self::new(world, tree, leaves, true)
    }

    /// The tree by plain sums.
    pub(super) fn sums(world: &World) -> Self {
        let (tree, leaves) = tree(world, Rule::Sum);
        Self::new(world, tree, leaves, false)
    }

    fn new(
        world: &World,
        mut tree: ShareTree<LANES>,
        leaves: Vec<TreeId>,
        ignores_saturated: bool,
    ) -> Self {
        let last = leaves.iter().map(|leaf| leaf.index()).max().unwrap_or(0);
        let mut role_of = vec![u32::MAX; last + 1];
        for (leaf, role) in leaves.iter().zip(0..) {
            role_of[leaf.index()] = role;
            tree.block(*leaf, true);
        }
        Self {
            tree,
            role_of,
            heads: vec![None; leaves.len()],
            classes: Classes::new(world.workload().classes as usize),
            leaves,
            something_is_free: false,
            ignores_saturated,
        }
    }

    /// Makes a role's first waiting job its head.
    fn advance(&mut self, world: &World, role: u32) {
        let head = world.pending_of(role).next();
        let before = std::mem::replace(&mut self.heads[role as usize], head);
        if before == head {
            return;
        }
        let class = |job: JobId| world.job(job).class;
        if let Some(before) = before {
            self.classes.leave(class(before), role);
        }
        let is_open = head.is_some_and(|head| self.classes.join(class(head), role));
        self.tree.block(self.leaves[role as usize], !is_open);
    }

    /// Opens the classes that fit again.
    fn reopen(&mut self, stage: &mut Stage<'_>) {
        for class in self.classes.closed() {
            let Some(role) = self.classes.roles(class).first().copied() else {
                continue;
            };
            let Some(head) = self.heads[role as usize] else {
                continue;
            };
            if stage.would_fit(head) {
                self.classes.open(class);
                for &role in self.classes.roles(class) {
                    self.tree.block(self.leaves[role as usize], false);
                }
            }
        }
    }

    /// Closes classes for which too little is left in all: the tree need not be asked to find that out.
    fn close_hopeless(&mut self, stage: &Stage<'_>) {
        let opened: Vec<u32> = self.classes.opened().take(HOPELESS_MAX).collect();
        for class in opened {
            let Some(&role) = self.classes.roles(class).first() else {
                continue;
            };
            if self.heads[role as usize].is_some_and(|head| !stage.may_fit(head)) {
                self.classes.close(class);
            }
        }
    }

    /// Resources of which nothing is left, or that no role that can be served uses.
    fn mark_saturated(&mut self, stage: &Stage<'_>) {
        let free = stage.world().cluster().free_sum();
        let mut used = [false; LANES];
        for class in self.classes.opened() {
            let Some(&role) = self.classes.roles(class).first() else {
                continue;
            };
            let Some(head) = self.heads[role as usize] else {
                continue;
            };
            let demand = stage.ask(head).demand;
            for (lane, used) in used.iter_mut().enumerate() {
                *used |= demand.lane(lane) > 0;
            }
        }
        self.tree
            .set_saturated(std::array::from_fn(|lane| free[lane] == 0 || !used[lane]));
    }
}

impl Policy for Fair {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => self.advance(world, world.job(job).role),
            Event::Ended(job) => {
                let (of, role) = (world.job(job), world.job(job).role);
                self.tree
                    .release(self.leaves[role as usize], &amounts(world, job, of.tasks));
                self.something_is_free = true;
            }
            Event::NodeUp(_) => self.something_is_free = true,
            Event::NodeDown(_) | Event::Woke => {}
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        if std::mem::take(&mut self.something_is_free) {
            self.reopen(stage);
        }
        self.close_hopeless(stage);
        while self.classes.any_open() {
            if self.ignores_saturated {
                self.mark_saturated(stage);
            }
            for class in self.classes.take_to_block() {
                for &role in self.classes.roles(class) {
                    self.tree.block(self.leaves[role as usize], true);
                }
            }
            let Some(leaf) = self.tree.next() else { break };
            let role = self.role_of[leaf.index()];
            let Some(head) = self.heads[role as usize] else {
                break;
            };
            if stage.start(head) {
                let tasks = stage.world().job(head).tasks;
                self.tree.hold(leaf, &amounts(stage.world(), head, tasks));
                self.advance(stage.world(), role);
                self.close_hopeless(stage);
            } else {
                self.classes.close(stage.world().job(head).class);
            }
        }
        Ok(())
    }
}

fn amounts(world: &World, job: JobId, tasks: u32) -> [u64; LANES] {
    let demand = world.cluster().ask(world.job(job)).demand;
    demand
        .lanes()
        .map(|lane| u64::from(lane) * u64::from(tasks))
}

/// The tree of the workload's roles; a role with jobs and roles below it has a leaf of its own among those.
fn tree(world: &World, rule: Rule) -> (ShareTree<LANES>, Vec<TreeId>) {
    use std::collections::BTreeMap;
    let mut tree = ShareTree::new(world.cluster().capacity(), rule);
    let roles = &world.workload().roles;
    let mut inner: BTreeMap<Role, TreeId> = BTreeMap::new();
    let has_below = |role: &Role| roles.names().iter().any(|other| role.is_ancestor_of(other));
    let mut leaves = Vec::new();
    // Ties go to who appeared first.
    for (role, label) in roles.names().iter().zip(0..) {
        let mut parent = TreeId::ROOT;
        let mut above: Vec<Role> = role.ancestors().collect();
        above.sort_by_key(|role| role.components().count());
        for name in above.iter().chain(has_below(role).then_some(role)) {
            parent = *inner
                .entry(name.clone())
                .or_insert_with(|| tree.add_inner(parent, roles.own_weight(name), label));
        }
        let weight = if has_below(role) {
            Default::default()
        } else {
            roles.own_weight(role)
        };
        leaves.push(tree.add_leaf(parent, weight, label));
    }
    (tree, leaves)
}
