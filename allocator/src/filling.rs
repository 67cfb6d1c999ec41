//! Progressive filling: one pool of resources, leaves that want tasks, one task at a time to who is next.
//!
//! Owns what is free, what still fits and what is saturated, and tells the [`ShareTree`], which owns the
//! order. Whether a leaf is blocked is settled for all leaves after each change, O(leaves × L): this
//! is the exact rule on small clusters, for teaching and for checking faster code.
//!
//! | blocked | a leaf that wants no more, or whose next task does not fit |
//! |---|---|
//! | saturated | a resource of which nothing is left, or of which no leaf that wants more could take its part |

use crate::{
    order::{Amounts, NodeId, Rule, ShareTree},
    share::Weight,
};

#[derive(Clone, Debug)]
struct Leaf<const L: usize> {
    id: NodeId,
    demand: Amounts<L>,
    /// What a task counts in the tree.
    counts: Amounts<L>,
    wants: Option<u64>,
    tasks: u64,
}

/// A pool and its leaves. See the module.
#[derive(Clone, Debug)]
pub struct Filling<const L: usize> {
    tree: ShareTree<L>,
    free: [u64; L],
    leaves: Vec<Leaf<L>>,
    labels: u32,
    /// The pool, if tasks count as parts of those that fit into it and not by their resources.
    alone: Option<Alone<L>>,
}

#[derive(Clone, Copy, Debug)]
struct Alone<const L: usize> {
    pool: Amounts<L>,
    /// As much as all tasks that a leaf could have alone count.
    unit: u64,
}

/// How many tasks of `demand` the pool has room for, at least 1 so that shares exist.
fn tasks_alone<const L: usize>(pool: &Amounts<L>, demand: &Amounts<L>) -> u64 {
    let counts = (0..L).filter(|&j| demand[j] > 0);
    let most = counts.map(|j| pool[j] / demand[j]).min();
    most.unwrap_or(1).max(1)
}

/// Why a leaf cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLeaf {
    /// It would get tasks for ever.
    #[error("a task takes nothing of any resource, and the number of tasks has no limit")]
    Insatiable,
}

impl<const L: usize> Filling<L> {
    /// An empty pool of this capacity.
    pub fn new(capacity: [u64; L], rule: Rule) -> Self {
        Self {
            tree: ShareTree::new(capacity, rule),
            free: capacity,
            leaves: Vec::new(),
            labels: 0,
            alone: None,
        }
    }

    /// An empty pool whose leaves are served by the part that they have of the tasks they could run alone: task share fairness.
    /// `demands` are those of the leaves to come; more of them make shares less exact, not wrong.
    //= tsf-2016, task share fairness
    pub fn by_tasks(capacity: [u64; L], demands: &[Amounts<L>]) -> Self {
        // A number that all of theirs divide, so that equal shares are equal.
        let divisible = demands.iter().try_fold(1_u64, |unit, demand| {
            let tasks = tasks_alone(&capacity, demand);
            let unit = (unit / gcd(unit, tasks)).checked_mul(tasks)?;
            (unit < 1 << 60).then_some(unit)
        });
        let unit = divisible.unwrap_or(1 << 59);
        let mut one = [0; L];
        if let Some(first) = one.first_mut() {
            *first = unit;
        }
        Self {
            tree: ShareTree::new(one, Rule::Hierarchical),
            alone: Some(Alone {
                pool: capacity,
                unit,
            }),
            ..Self::new(capacity, Rule::Hierarchical)
        }
    }

    /// Adds an inner node.
    pub fn add_inner(&mut self, parent: NodeId, weight: Weight) -> NodeId {
        let label = self.next_label();
        self.tree.add_inner(parent, weight, label)
    }

    /// Adds a leaf that wants so many tasks; without a number, as many as it can get.
    ///
    /// # Errors
    /// [`BadLeaf`].
    pub fn add_leaf(
        &mut self,
        parent: NodeId,
        weight: Weight,
        demand: Amounts<L>,
        wants: Option<u64>,
    ) -> Result<NodeId, BadLeaf> {
        if wants.is_none() && demand.iter().all(|&each| each == 0) {
            return Err(BadLeaf::Insatiable);
        }
        let label = self.next_label();
        let id = self.tree.add_leaf(parent, weight, label);
        let tasks = 0;
        let counts = match &self.alone {
            None => demand,
            Some(alone) => {
                let mut counts = [0; L];
                if let Some(first) = counts.first_mut() {
                    *first = alone.unit / tasks_alone(&alone.pool, &demand);
                }
                counts
            }
        };
        self.leaves.push(Leaf {
            id,
            demand,
            counts,
            wants,
            tasks,
        });
        self.settle();
        Ok(id)
    }

    /// Gives one task to who is next; none if nobody can take one.
    pub fn step(&mut self) -> Option<NodeId> {
        let next = self.tree.next()?;
        let leaf = self.leaves.iter_mut().find(|leaf| leaf.id == next);
        let leaf = leaf.expect("the tree's leaves are ours");
        leaf.tasks += 1;
        for (free, each) in self.free.iter_mut().zip(leaf.demand) {
            *free -= each;
        }
        self.tree.hold(next, &leaf.counts);
        self.settle();
        Some(next)
    }

    /// Ends a task of a leaf. False if it has none.
    pub fn end(&mut self, leaf: NodeId) -> bool {
        let found = self.leaves.iter_mut().find(|other| other.id == leaf);
        let Some(found) = found.filter(|leaf| leaf.tasks > 0) else {
            return false;
        };
        found.tasks -= 1;
        for (free, each) in self.free.iter_mut().zip(found.demand) {
            *free += each;
        }
        self.tree.release(leaf, &found.counts);
        self.settle();
        true
    }

    /// A leaf's tasks.
    pub fn tasks(&self, leaf: NodeId) -> u64 {
        let found = self.leaves.iter().find(|other| other.id == leaf);
        found.map_or(0, |leaf| leaf.tasks)
    }

    /// The weighted share by which a node competes with its siblings, in 2^-40.
    pub fn key(&self, node: NodeId) -> u64 {
        self.tree.key(node)
    }

    /// Ties go to the earlier declared.
    fn next_label(&mut self) -> u32 {
        self.labels += 1;
        self.labels
    }

    /// Settles who is blocked and what is saturated.
    fn settle(&mut self) {
        let mut takers = [false; L];
        for leaf in &self.leaves {
            let wants = leaf.wants.is_none_or(|wants| leaf.tasks < wants);
            let fits = (0..L).all(|j| leaf.demand[j] <= self.free[j]);
            self.tree.block(leaf.id, !(wants && fits));
            for (j, taker) in takers.iter_mut().enumerate() {
                *taker |= wants && leaf.demand[j] > 0 && leaf.demand[j] <= self.free[j];
            }
        }
        if self.alone.is_none() {
            let saturated = std::array::from_fn(|j| self.free[j] == 0 || !takers[j]);
            self.tree.set_saturated(saturated);
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    type Leaves = Vec<NodeId>;

    fn fill<const L: usize>(filling: &mut Filling<L>) {
        while filling.step().is_some() {}
    }

    fn tasks<const L: usize>(filling: &Filling<L>, leaves: &Leaves) -> Vec<u64> {
        leaves.iter().map(|&leaf| filling.tasks(leaf)).collect()
    }

    fn leaf<const L: usize>(filling: &mut Filling<L>, parent: NodeId, demand: [u64; L]) -> NodeId {
        filling.add_leaf(parent, Weight::ONE, demand, None).unwrap()
    }

    //= drf-2011 §4.1
    #[test]
    fn the_papers_example_is_picked_in_turns() {
        let mut filling = Filling::new([9, 18], Rule::Hierarchical);
        let a = leaf(&mut filling, NodeId::ROOT, [1, 4]);
        let b = leaf(&mut filling, NodeId::ROOT, [3, 1]);
        let picks: Vec<NodeId> = std::iter::from_fn(|| filling.step()).collect();
        assert_eq!(picks, [a, b, a, b, a]);
    }

    //= hdrf-2013 §3
    #[test]
    fn a_group_gets_its_half_although_its_weights_are_spread() {
        let mut filling = Filling::new([480, 480], Rule::Hierarchical);
        let n1 = leaf(&mut filling, NodeId::ROOT, [1, 1]);
        let n2 = filling.add_inner(NodeId::ROOT, Weight::ONE);
        let n21 = leaf(&mut filling, n2, [1, 0]);
        let n22 = leaf(&mut filling, n2, [0, 1]);
        fill(&mut filling);
        assert_eq!(tasks(&filling, &vec![n1, n21, n22]), [240, 240, 240]);
    }

    /// GPU tasks end in turn: with plain sums the CPU of the group starves its GPU leaf.
    //= hdrf-2013 §3
    #[test]
    fn churn_starves_a_leaf_without_rescaling_only() {
        let run = |rule| {
            let mut filling = Filling::new([10, 10], rule);
            let n1 = leaf(&mut filling, NodeId::ROOT, [0, 1]);
            let n2 = filling.add_inner(NodeId::ROOT, Weight::ONE);
            let n21 = leaf(&mut filling, n2, [1, 0]);
            let n22 = leaf(&mut filling, n2, [0, 1]);
            fill(&mut filling);
            for turn in 0..40 {
                filling.end(if turn % 2 == 0 { n22 } else { n1 });
                fill(&mut filling);
            }
            tasks(&filling, &vec![n1, n21, n22])
        };
        assert_eq!(run(Rule::Hierarchical), [5, 10, 5]);
        assert_eq!(run(Rule::Sum), [10, 10, 0]);
    }

    //= hdrf-2013 §3
    #[test]
    fn blocked_nodes_are_not_rescaled() {
        let mut filling = Filling::new([60, 60], Rule::Hierarchical);
        let n1 = leaf(&mut filling, NodeId::ROOT, [1, 0]);
        let n2 = leaf(&mut filling, NodeId::ROOT, [1, 0]);
        let n3 = filling.add_inner(NodeId::ROOT, Weight::ONE);
        let n31 = leaf(&mut filling, n3, [1, 0]);
        let n32 = leaf(&mut filling, n3, [0, 1]);
        let n4 = leaf(&mut filling, NodeId::ROOT, [0, 1]);
        fill(&mut filling);
        assert_eq!(
            tasks(&filling, &vec![n1, n2, n31, n32, n4]),
            [20, 20, 20, 30, 30]
        );
    }

    /// Alone, the one could have 10 tasks and the other 5: by tasks both get half of theirs, by resources they would not.
    //= tsf-2016, task share fairness
    #[test]
    fn by_tasks_everybody_has_the_same_part_of_what_it_could_have_alone() {
        let demands = [[1, 0], [1, 2]];
        let capacity = [10, 10];
        let mut filling = Filling::by_tasks(capacity, &demands);
        let leaves: Leaves = demands
            .iter()
            .map(|&demand| leaf(&mut filling, NodeId::ROOT, demand))
            .collect();
        let picks: Vec<usize> = std::iter::from_fn(|| filling.step())
            .map(|id| leaves.iter().position(|leaf| *leaf == id).unwrap())
            .collect();
        assert_eq!(picks, [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]);
        assert_eq!(tasks(&filling, &leaves), [7, 3]);
    }

    #[test]
    fn a_leaf_that_takes_nothing_needs_a_limit() {
        let mut filling = Filling::new([1], Rule::Hierarchical);
        let add = |filling: &mut Filling<1>, wants| {
            filling.add_leaf(NodeId::ROOT, Weight::ONE, [0], wants)
        };
        assert_eq!(add(&mut filling, None), Err(BadLeaf::Insatiable));
        let leaf = add(&mut filling, Some(3)).unwrap();
        fill(&mut filling);
        assert_eq!(filling.tasks(leaf), 3);
        assert!(filling.end(leaf));
        assert!(!filling.end(NodeId::ROOT));
    }
}
