//! Whole tasks over a tree, by the production order.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive};
use serde_json::{Map, Value, json};

use super::{
    Policy,
    cases::{self, User},
    limits,
    number::{Input, Problem},
};
use crate::{
    filling::Filling,
    order::{NodeId, Rule},
    share::Weight,
};

/// A node of a case's tree.
pub(super) struct Branch<'a> {
    name: String,
    weight: Weight,
    below: Below,
    input: Input<'a>,
}

enum Below {
    Leaf {
        demand: Vec<BigRational>,
        cap: Option<u64>,
    },
    Children(Vec<usize>),
}

impl<'a> Branch<'a> {
    pub(super) fn leaf(input: &Input<'a>, name: String, user: User) -> Result<Self, Problem> {
        let cap = user.cap.map(|cap| cap.floor().to_integer());
        let below = Below::Leaf {
            demand: user.demand,
            cap: cap.map(|cap| cap.to_u64().unwrap_or(u64::MAX)),
        };
        Ok(Self {
            name,
            weight: milli(input, &user.weight)?,
            below,
            input: input.clone(),
        })
    }
}

/// A weight as the allocator has them.
fn milli(input: &Input<'_>, weight: &BigRational) -> Result<Weight, Problem> {
    let milli = weight * BigRational::from_integer(BigInt::from(1000));
    let whole = milli.is_integer().then(|| milli.to_integer().to_u64());
    let weight = whole
        .flatten()
        .and_then(|milli| Weight::from_milli(milli).ok());
    weight.ok_or_else(|| {
        input.problem(
            "the weight of whole tasks must be from 0.001 to 1000000000, with three places",
        )
    })
}

pub(super) fn tasks(
    case: &Input<'_>,
    policy: Policy,
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    answer(case, policy, &[], explain)
}

pub(super) fn churn(
    case: &Input<'_>,
    policy: Policy,
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    let events = case.field("events")?.list(limits::ENTRIES)?;
    let ends: Vec<Input<'_>> = events
        .iter()
        .map(|event| event.field("ends"))
        .collect::<Result<_, _>>()?;
    Ok(json!({ "final": answer(case, policy, &ends, explain)? }))
}

fn answer(
    case: &Input<'_>,
    policy: Policy,
    ends: &[Input<'_>],
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    if policy == Policy::Tsf {
        return Err(case.problem("tsf knows no tree: write flat-tasks, or servers-divisible"));
    }
    let capacity = cases::capacity(case)?;
    let mut branches = Vec::new();
    collect(&case.field("tree")?, capacity.len(), &mut branches)?;
    let filled = fill(case, &capacity, branches, policy, ends, explain)?;
    let tasks = filled
        .into_iter()
        .map(|(name, tasks)| (name, Value::from(tasks)));
    Ok(Value::Object(tasks.collect::<Map<_, _>>()))
}

/// The branches below a node, in the order of the document, each before its children. The root is no branch.
fn collect<'a>(
    root: &Input<'a>,
    resources: usize,
    branches: &mut Vec<Branch<'a>>,
) -> Result<Vec<usize>, Problem> {
    let mut names = BTreeSet::new();
    let children = root.field("children")?.list(limits::ENTRIES)?;
    let mut waiting: Vec<(Input<'a>, Option<usize>)> = children
        .into_iter()
        .rev()
        .map(|child| (child, None))
        .collect();
    let mut top = Vec::new();
    while let Some((node, parent)) = waiting.pop() {
        let field = node.field("name")?;
        let name = field.text()?.to_owned();
        if !names.insert(name.clone()) {
            return Err(field.problem(format!("{name:?} is the name of an earlier node")));
        }
        if names.len() > limits::ENTRIES {
            return Err(node.problem(format!("more than {} nodes", limits::ENTRIES)));
        }
        let at = branches.len();
        match node.optional("children")? {
            Some(children) => {
                let below = Below::Children(Vec::new());
                let weight = milli(&node, &cases::weight(&node)?)?;
                let input = node.clone();
                branches.push(Branch {
                    name,
                    weight,
                    below,
                    input,
                });
                let list = children.list(limits::ENTRIES)?;
                waiting.extend(list.into_iter().rev().map(|child| (child, Some(at))));
            }
            None => branches.push(Branch::leaf(&node, name, cases::user(&node, resources)?)?),
        }
        match parent.map(|parent| &mut branches[parent].below) {
            Some(Below::Children(children)) => children.push(at),
            _ => top.push(at),
        }
    }
    Ok(top)
}

/// Fills a pool, ends the tasks that are to end, and fills it again after each; the leaves' names and tasks.
pub(super) fn fill(
    case: &Input<'_>,
    capacity: &[BigRational],
    branches: Vec<Branch<'_>>,
    policy: Policy,
    ends: &[Input<'_>],
    explain: &mut dyn FnMut(&str),
) -> Result<Vec<(String, u64)>, Problem> {
    match capacity.len() {
        0..=4 => fill_in::<4>(case, capacity, &branches, policy, ends, explain),
        5..=8 => fill_in::<8>(case, capacity, &branches, policy, ends, explain),
        _ => fill_in::<{ limits::RESOURCES }>(case, capacity, &branches, policy, ends, explain),
    }
}

fn fill_in<const L: usize>(
    case: &Input<'_>,
    capacity: &[BigRational],
    branches: &[Branch<'_>],
    policy: Policy,
    ends: &[Input<'_>],
    explain: &mut dyn FnMut(&str),
) -> Result<Vec<(String, u64)>, Problem> {
    let scales = scales(capacity, branches);
    let whole = |numbers: &[BigRational], input: &Input<'_>| -> Result<[u64; L], Problem> {
        let mut amounts = [0; L];
        for (j, number) in numbers.iter().enumerate() {
            // So that parts in 2^-40 of a thousandth fit into 128 bits.
            let amount = (number * &scales[j]).to_integer().to_u64();
            amounts[j] = amount.filter(|amount| *amount < 1 << 60).ok_or_else(|| {
                input.problem(format!("resource {j} has too many digits, or is too large"))
            })?;
        }
        Ok(amounts)
    };
    let rule = match policy {
        Policy::Hdrf | Policy::Drf | Policy::Tsf => Rule::Hierarchical,
        Policy::Mesos => Rule::Sum,
    };
    let pool = whole(capacity, case)?;
    let mut filling = if policy == Policy::Tsf {
        let mut demands = Vec::new();
        for branch in branches {
            if let Below::Leaf { demand, .. } = &branch.below {
                demands.push(whole(demand, &branch.input)?);
            }
        }
        Filling::by_tasks(pool, &demands)
    } else {
        Filling::<L>::new(pool, rule)
    };
    let parents = parents(branches);
    let mut nodes = Vec::new();
    let mut leaves = Vec::new();
    for (at, branch) in branches.iter().enumerate() {
        let flat = matches!(policy, Policy::Drf | Policy::Tsf);
        let parent = match parents[at] {
            Some(parent) if !flat => nodes[parent],
            _ => NodeId::ROOT,
        };
        let node = match &branch.below {
            Below::Children(_) if flat => NodeId::ROOT,
            Below::Children(_) => filling.add_inner(parent, branch.weight),
            Below::Leaf { demand, cap } => {
                let weight = if flat {
                    product(branches, &parents, at)?
                } else {
                    branch.weight
                };
                let demand = whole(demand, &branch.input)?;
                let leaf = filling.add_leaf(parent, weight, demand, *cap);
                let leaf = leaf.map_err(|error| branch.input.problem(error.to_string()))?;
                leaves.push((at, leaf));
                leaf
            }
        };
        nodes.push(node);
    }
    let mut steps = 0;
    let work = limits::WORK / (leaves.len() as u64).max(1);
    let limit = limits::STEPS.min(work);
    let name = |node: NodeId| {
        let found = leaves.iter().find(|(_, leaf)| *leaf == node);
        found.map_or("", |(at, _)| branches[*at].name.as_str())
    };
    let mut run = |filling: &mut Filling<L>, explain: &mut dyn FnMut(&str)| {
        while let Some(leaf) = filling.step() {
            steps += 1;
            if steps > limit {
                let what = format!("takes more than {limit} steps; write larger tasks");
                return Err(case.problem(what));
            }
            let key = filling.key(leaf) as f64 / (1_u64 << 40) as f64;
            explain(&format!(
                "  {} gets a task, its key is {key:.6}",
                name(leaf)
            ));
        }
        Ok(())
    };
    run(&mut filling, explain)?;
    for end in ends {
        let wanted = end.text()?;
        let leaf = leaves.iter().find(|(at, _)| branches[*at].name == wanted);
        let leaf = leaf
            .ok_or_else(|| end.problem(format!("there is no leaf {wanted:?}")))?
            .1;
        if !filling.end(leaf) {
            return Err(end.problem(format!("{wanted:?} has no task that could end")));
        }
        explain(&format!("  a task of {wanted} ends"));
        run(&mut filling, explain)?;
    }
    let tasks = |(at, leaf): &(usize, NodeId)| (branches[*at].name.clone(), filling.tasks(*leaf));
    Ok(leaves.iter().map(tasks).collect())
}

/// By which number each resource is multiplied, so that all amounts of it are whole.
fn scales(capacity: &[BigRational], branches: &[Branch<'_>]) -> Vec<BigRational> {
    let mut scales = vec![BigInt::one(); capacity.len()];
    let mut widen = |numbers: &[BigRational]| {
        for (scale, number) in scales.iter_mut().zip(numbers) {
            *scale = num_integer::lcm(scale.clone(), number.denom().clone());
        }
    };
    widen(capacity);
    for branch in branches {
        if let Below::Leaf { demand, .. } = &branch.below {
            widen(demand);
        }
    }
    scales.into_iter().map(BigRational::from_integer).collect()
}

fn parents(branches: &[Branch<'_>]) -> Vec<Option<usize>> {
    let mut parents = vec![None; branches.len()];
    for (at, branch) in branches.iter().enumerate() {
        if let Below::Children(children) = &branch.below {
            children.iter().for_each(|child| parents[*child] = Some(at));
        }
    }
    parents
}

/// The weights from the root down to a leaf, multiplied.
fn product(
    branches: &[Branch<'_>],
    parents: &[Option<usize>],
    leaf: usize,
) -> Result<Weight, Problem> {
    let above = std::iter::successors(Some(leaf), |at| parents[*at]);
    let thousand = BigInt::from(1000);
    let weight = above.fold(BigRational::one(), |product, at| {
        let milli = BigInt::from(branches[at].weight.milli());
        product * BigRational::new(milli, thousand.clone())
    });
    milli(&branches[leaf].input, &weight)
}
