//! Fair orders: the production tree of shares decides which role is next, its jobs go first in, first out.
//!
//! A role is blocked while the class of its first job does not fit. To find out costs a look at the cluster for each class, not for
//! each role, and only after something came free; while no class fits, the tree is left alone.

mod classes;
mod heads;

use tepui_allocator::order::{NodeId as TreeId, Rule, ShareTree};
use tepui_protocol::Role;

pub(super) use self::heads::Heads;
use super::{Event, Policy, PolicyError, Stage};
use crate::{amounts::LANES, cluster::Placement, trace::JobId, world::World};

/// All tasks that a role could run alone, in the units of task shares: most numbers of tasks divide it, so that equal shares are equal.
const ALONE: u64 = (1 << 16) * 729 * 125 * 49 * 11 * 13 * 17 * 19;

/// What counts as held.
#[derive(Debug)]
enum Measure {
    /// Resources: dominant shares.
    Resources,
    /// Tasks, as a part of those that the cluster would run alone without constraints; of one task, by class, when it is known.
    //= tsf-2016, task share fairness
    Tasks(Vec<Option<u64>>),
}

/// The policies `drf`, `drfh`, `hdrf`, `tree-sums` and `tsf`.
#[derive(Debug)]
pub(super) struct Fair {
    tree: ShareTree<LANES>,
    leaves: Vec<TreeId>,
    /// The role of a leaf, by its number in the tree.
    role_of: Vec<u32>,
    heads: Heads,
    something_is_free: bool,
    ignores_saturated: bool,
    measure: Measure,
    /// Where jobs go, if not where the simulation says.
    placement: Option<Placement>,
}

impl Fair {
    /// DRF over all roles, weights multiplied down the tree.
    pub(super) fn flat(world: &World) -> Self {
        let (tree, leaves) = leaves(world, world.cluster().capacity());
        Self::new(world, tree, leaves, false)
    }

    /// DRF over all roles, each task on the node whose free amounts are nearest in shape.
    //= drfh-2014, best-fit heuristic
    pub(super) fn best_fit(world: &World) -> Self {
        Self {
            placement: Some(Placement::Shape),
            ..Self::flat(world)
        }
    }

    /// Task share fairness over all roles.
    pub(super) fn tasks(world: &World) -> Self {
        let (tree, leaves) = leaves(world, [ALONE, 0, 0, 0]);
        let classes = world.workload().classes as usize;
        Self {
            measure: Measure::Tasks(vec![None; classes]),
            ..Self::new(world, tree, leaves, false)
        }
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
            heads: Heads::new(world),
            leaves,
            something_is_free: false,
            ignores_saturated,
            measure: Measure::Resources,
            placement: None,
        }
    }

    /// Makes a role's first waiting job its head.
    fn advance(&mut self, world: &World, role: u32) {
        if let Some(is_open) = self.heads.advance(world, role) {
            self.tree.block(self.leaves[role as usize], !is_open);
        }
    }

    /// Opens the classes that fit again.
    fn reopen(&mut self, stage: &mut Stage<'_>) {
        for class in self.heads.reopen(stage) {
            for &role in self.heads.classes.roles(class) {
                self.tree.block(self.leaves[role as usize], false);
            }
        }
    }

    /// A job of the role left the queue in another way.
    pub(super) fn left(&mut self, world: &World, role: u32) {
        self.advance(world, role);
    }

    /// A job was started, by this policy or by one that is made of it.
    pub(super) fn started(&mut self, world: &World, job: JobId) {
        let role = world.job(job).role;
        let held = self.amounts(world, job);
        self.tree.hold(self.leaves[role as usize], &held);
        self.advance(world, role);
    }

    /// What a running job counts.
    fn amounts(&mut self, world: &World, job: JobId) -> [u64; LANES] {
        let of = world.job(job);
        let tasks = u64::from(of.tasks);
        match &mut self.measure {
            Measure::Resources => {
                let demand = world.cluster().ask(of).demand;
                demand.lanes().map(|lane| u64::from(lane) * tasks)
            }
            Measure::Tasks(known) => {
                let cluster = world.cluster();
                let each = *known[of.class as usize]
                    .get_or_insert_with(|| ALONE / cluster.alone(&cluster.ask(of)).max(1));
                [each * tasks, 0, 0, 0]
            }
        }
    }

    /// Resources of which nothing is left, or that no role that can be served uses.
    fn mark_saturated(&mut self, stage: &Stage<'_>) {
        let free = stage.world().cluster().free_sum();
        let mut used = [false; LANES];
        for class in self.heads.classes.opened() {
            let Some(head) = self.heads.of_class(class) else {
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
                let (role, held) = (world.job(job).role, self.amounts(world, job));
                self.tree.release(self.leaves[role as usize], &held);
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
        self.heads.close_hopeless(stage);
        while self.heads.classes.any_open() {
            if self.ignores_saturated {
                self.mark_saturated(stage);
            }
            for class in self.heads.classes.take_to_block() {
                for &role in self.heads.classes.roles(class) {
                    self.tree.block(self.leaves[role as usize], true);
                }
            }
            let Some(leaf) = self.tree.next() else { break };
            let role = self.role_of[leaf.index()];
            let Some(head) = self.heads.of(role) else {
                break;
            };
            let placement = self.placement.unwrap_or(stage.placement());
            if stage.start_by(placement, head) {
                self.started(stage.world(), head);
                self.heads.close_hopeless(stage);
            } else {
                self.heads.classes.close(stage.world().job(head).class);
            }
        }
        Ok(())
    }
}

/// A tree without levels, weights multiplied down that of the roles.
fn leaves(world: &World, capacity: [u64; LANES]) -> (ShareTree<LANES>, Vec<TreeId>) {
    let mut tree = ShareTree::new(capacity, Rule::Hierarchical);
    let roles = &world.workload().roles;
    let leaves = (0..roles.len() as u32)
        .map(|role| tree.add_leaf(TreeId::ROOT, roles.flat_weight(role), role));
    let leaves = leaves.collect();
    (tree, leaves)
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
