//! The incremental tree against the rule of hierarchical DRF as it stands in the paper, in rationals,
//! computed anew for every question.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use proptest::prelude::*;
use tepui_allocator::{
    Weight,
    order::{NodeId, Rule, ShareTree},
};

const L: usize = 3;
const CAPACITY: [u64; L] = [40, 100, 7];

type Vector = [BigRational; L];

/// A node as the rule sees it; nodes come before their children.
struct Plain {
    parent: usize,
    weight: u64,
    /// Demand, tasks, and whether it is blocked; none for inner nodes.
    leaf: Option<([u64; L], u64, bool)>,
}

fn whole(n: u64) -> BigRational {
    BigRational::from_integer(BigInt::from(n))
}

fn share(vector: &Vector, saturated: [bool; L]) -> BigRational {
    let open = vector
        .iter()
        .zip(saturated)
        .filter(|(_, saturated)| !saturated);
    open.map(|(part, _)| part.clone())
        .max()
        .unwrap_or_else(BigRational::zero)
}

/// A node's vector, and whether it is live.
fn vector(nodes: &[Plain], at: usize, saturated: [bool; L]) -> (Vector, bool) {
    if let Some((demand, tasks, blocked)) = nodes[at].leaf {
        let part = |j: usize| whole(demand[j] * tasks) / whole(CAPACITY[j]);
        return (std::array::from_fn(part), !blocked);
    }
    let children: Vec<usize> = (1..nodes.len())
        .filter(|&n| nodes[n].parent == at)
        .collect();
    let below: Vec<_> = children
        .iter()
        .map(|&child| vector(nodes, child, saturated))
        .collect();
    let key = |n: usize| share(&below[n].0, saturated) / whole(nodes[children[n]].weight);
    let live = (0..children.len()).filter(|&n| below[n].1);
    let lo = live.map(key).min();
    let mut sum: Vector = std::array::from_fn(|_| BigRational::zero());
    for (n, (vector, live)) in below.iter().enumerate() {
        let own = key(n);
        let factor = match (&lo, live) {
            (Some(_), true) if own.is_zero() => BigRational::zero(),
            (Some(lo), true) => lo / own,
            _ => BigRational::one(),
        };
        for (sum, part) in sum.iter_mut().zip(vector) {
            *sum += part * &factor;
        }
    }
    (sum, lo.is_some())
}

/// The keys of a node's live children.
fn keys(nodes: &[Plain], at: usize, saturated: [bool; L]) -> Vec<(BigRational, usize)> {
    let children = (1..nodes.len()).filter(|&n| nodes[n].parent == at);
    let live = children.filter_map(|n| {
        let (vector, live) = vector(nodes, n, saturated);
        live.then(|| (share(&vector, saturated) / whole(nodes[n].weight), n))
    });
    live.collect()
}

#[derive(Clone, Debug)]
enum Change {
    Give(usize),
    Take(usize),
    Block(usize, bool),
    Saturate([bool; L]),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => any::<usize>().prop_map(Change::Give),
        2 => any::<usize>().prop_map(Change::Take),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(leaf, is)| Change::Block(leaf, is)),
        1 => any::<[bool; L]>().prop_map(Change::Saturate),
    ]
}

/// A node: which earlier inner node is above it, its weight, and its demand if it is a leaf.
type Shape = (usize, u64, Option<[u64; L]>);

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let demand = prop::option::weighted(0.7, [0..4_u64, 0..9_u64, 0..2_u64]);
    prop::collection::vec((any::<usize>(), 1..4_u64, demand), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_tree_follows_the_rule(
        shapes in shapes(),
        changes in prop::collection::vec(change(), 1..40),
    ) {
        let mut tree = ShareTree::<L>::new(CAPACITY, Rule::Hierarchical);
        let mut plain = vec![Plain { parent: 0, weight: 1, leaf: None }];
        let mut ids = vec![NodeId::ROOT];
        for (above, weight, demand) in shapes {
            let inner: Vec<usize> = (0..plain.len()).filter(|&n| plain[n].leaf.is_none()).collect();
            let parent = inner[above % inner.len()];
            let own = Weight::from_milli(weight * 1000).unwrap();
            let label = u32::try_from(plain.len()).unwrap();
            ids.push(match demand {
                Some(_) => tree.add_leaf(ids[parent], own, label),
                None => tree.add_inner(ids[parent], own, label),
            });
            plain.push(Plain { parent, weight, leaf: demand.map(|demand| (demand, 0, false)) });
        }
        let leaves: Vec<usize> = (0..plain.len()).filter(|&n| plain[n].leaf.is_some()).collect();
        prop_assume!(!leaves.is_empty());
        let mut saturated = [false; L];
        for change in changes {
            let pick = |n: usize| leaves[n % leaves.len()];
            match change {
                Change::Give(n) => {
                    let (demand, tasks, _) = plain[pick(n)].leaf.as_mut().unwrap();
                    *tasks += 1;
                    tree.hold(ids[pick(n)], demand);
                }
                Change::Take(n) => {
                    let (demand, tasks, _) = plain[pick(n)].leaf.as_mut().unwrap();
                    if *tasks > 0 {
                        *tasks -= 1;
                        tree.release(ids[pick(n)], demand);
                    }
                }
                Change::Block(n, is) => {
                    tree.block(ids[pick(n)], is);
                    plain[pick(n)].leaf.as_mut().unwrap().2 = is;
                }
                Change::Saturate(now) => {
                    tree.set_saturated(now);
                    saturated = now;
                }
            }
            // From the root down, whom the tree chose is the least by the rule, or as good as that.
            let chosen = tree.next().map(|id| ids.iter().position(|other| *other == id).unwrap());
            let expected = keys(&plain, 0, saturated);
            prop_assert_eq!(chosen.is_some(), !expected.is_empty());
            let Some(mut at) = chosen else { continue };
            while at != 0 {
                let rivals = keys(&plain, plain[at].parent, saturated);
                let least = rivals.iter().map(|rival| rival.0.clone()).min().unwrap();
                let own = rivals.iter().find(|rival| rival.1 == at).expect("it is live").0.clone();
                let behind = (own - &least).to_f64().unwrap();
                prop_assert!(behind < 1e-8, "{at} is {behind} behind {least}");
                at = plain[at].parent;
            }
        }
    }
}
