//! Roles with a quota as a tree, what each has consumed, and what follows from it.
//!
//! ```text
//!   cluster          required = what the guarantees at the top still lack
//!    +-- a           lacks    = max(guarantee - consumed, what its children lack)
//!    |   +-- a/b     a role without a quota stands on the account of the nearest role above that has one
//!    +-- c
//! ```
//! Only names that some quota names are counted, as lanes of arrays. All sums are exact integers, so that
//! what is charged is refunded to the last bit.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{Quota, Resources, Role};

use super::is_counted;

/// So many different resources may be named by all quotas together.
pub const NAMES: usize = 8;

/// Thousandths, by lane.
pub(crate) type Amounts = [u64; NAMES];

/// No bound.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// A role with a quota.
#[derive(Clone, Debug)]
struct Node {
    parent: Option<u32>,
    guarantee: Amounts,
    limit: Amounts,
    consumed: Amounts,
    /// What the children's guarantees lack.
    below: Amounts,
}

impl Node {
    /// What is missing of its own guarantee.
    fn unmet(&self) -> Amounts {
        minus(&self.guarantee, &self.consumed)
    }

    /// What must be held back for it and those below.
    fn lacks(&self) -> Amounts {
        let unmet = self.unmet();
        std::array::from_fn(|j| unmet[j].max(self.below[j]))
    }
}

/// The names that some quota names, by lane.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Vec<String>);

impl Lanes {
    fn of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The part of `resources` that is counted when held.
    pub(crate) fn counted(&self, resources: &Resources) -> Amounts {
        let mut sum = [0; NAMES];
        for entry in resources.iter().filter(|entry| is_counted(entry)) {
            if let (Some(lane), Some(amount)) = (self.of(&entry.name), entry.amount()) {
                sum[lane] += amount.milli().unsigned_abs();
            }
        }
        sum
    }
}

/// All roles with a quota, and what they consume.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    lanes: Lanes,
    nodes: Vec<Node>,
    accounts: BTreeMap<Box<str>, u32>,
    required: Amounts,
}

impl Tree {
    /// The tree of these quotas, with nothing consumed yet.
    ///
    /// # Panics
    /// When they name more than [`NAMES`] resources.
    pub(crate) fn new(quotas: &BTreeMap<Role, Quota>) -> Self {
        let names = |quota: &Quota| {
            let guaranteed = quota.guarantees.iter().map(|(name, _)| name.to_owned());
            let limited = quota.limits.iter().map(|(name, _)| name.to_owned());
            guaranteed.chain(limited).collect::<Vec<_>>()
        };
        let names: BTreeSet<String> = quotas.values().flat_map(names).collect();
        assert!(names.len() <= NAMES, "quotas name few resources");
        let mut tree = Self {
            lanes: Lanes(names.into_iter().collect()),
            nodes: Vec::with_capacity(quotas.len()),
            accounts: BTreeMap::new(),
            required: [0; NAMES],
        };
        // A role sorts before those below it.
        for (role, quota) in quotas {
            tree.add(role, quota);
        }
        for at in (0..tree.nodes.len()).rev() {
            let lacks = tree.nodes[at].lacks();
            let above = tree.nodes[at].parent;
            let sum = above.map_or(&mut tree.required, |at| &mut tree.nodes[at as usize].below);
            *sum = plus(sum, &lacks);
        }
        tree
    }

    fn add(&mut self, role: &Role, quota: &Quota) {
        let lanes = |amount: &dyn Fn(&str) -> u64| {
            let mut lanes = [0; NAMES];
            for (lane, name) in lanes.iter_mut().zip(&self.lanes.0) {
                *lane = amount(name);
            }
            lanes
        };
        let milli = |amount: tepui_protocol::Scalar| amount.milli().unsigned_abs();
        let node = Node {
            parent: self.account(role),
            guarantee: lanes(&|name| milli(quota.guarantees.get(name))),
            limit: lanes(&|name| quota.limits.get(name).map_or(UNLIMITED, milli)),
            consumed: [0; NAMES],
            below: [0; NAMES],
        };
        let number = u32::try_from(self.nodes.len()).expect("fewer than 2^32 quotas");
        self.accounts.insert(role.as_str().into(), number);
        self.nodes.push(node);
    }

    /// On whose account a role consumes: its own, or that of the nearest role above with a quota.
    pub(crate) fn account(&self, role: &Role) -> Option<u32> {
        let mut path = role.as_str();
        loop {
            if let Some(&number) = self.accounts.get(path) {
                return Some(number);
            }
            path = &path[..path.rfind('/')?];
        }
    }

    /// The roles with a quota, but none above them.
    pub(crate) fn tops(&self) -> impl Iterator<Item = (&str, u32)> {
        let all = self.accounts.iter();
        let top = all.filter(|(_, at)| self.nodes[**at as usize].parent.is_none());
        top.map(|(path, at)| (&**path, *at))
    }

    /// Whether a role with a quota, or one below it, lacks something of its guarantee.
    pub(crate) fn is_lacking(&self, account: u32) -> bool {
        self.nodes[account as usize].lacks() != [0; NAMES]
    }

    /// The names that it counts.
    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Which lane counts `name`; none if no quota names it.
    pub(super) fn lane(&self, name: &str) -> Option<usize> {
        self.lanes.of(name)
    }

    /// The part of `resources` that is counted when held.
    pub(crate) fn counted(&self, resources: &Resources) -> Amounts {
        self.lanes.counted(resources)
    }

    /// A role holds `part` (allocated or not) from now on.
    pub(crate) fn hold(&mut self, role: &Role, part: &Resources) {
        if let Some(account) = self.account(role) {
            let counted = self.counted(part);
            self.charge(account, &counted);
        }
    }

    /// A role holds `part` no longer.
    pub(crate) fn release(&mut self, role: &Role, part: &Resources) {
        if let Some(account) = self.account(role) {
            let counted = self.counted(part);
            self.refund(account, &counted);
        }
    }

    /// An agent comes, or has this from now on: what is reserved of it is consumed.
    pub(crate) fn reserve(&mut self, total: &Resources) {
        for (account, amounts) in self.reserved(total) {
            self.charge(account, &amounts);
        }
    }

    /// An agent goes, or has this no longer.
    pub(crate) fn unreserve(&mut self, total: &Resources) {
        for (account, amounts) in self.reserved(total) {
            self.refund(account, &amounts);
        }
    }

    fn reserved(&self, total: &Resources) -> Vec<(u32, Amounts)> {
        let reserved = total.iter().filter(|entry| !entry.revocable);
        let amounts = reserved.filter_map(|entry| {
            let account = self.account(entry.reserved_to()?)?;
            let mut amounts = [0; NAMES];
            amounts[self.lane(&entry.name)?] = entry.amount()?.milli().unsigned_abs();
            Some((account, amounts))
        });
        amounts.collect()
    }

    fn charge(&mut self, account: u32, amounts: &Amounts) {
        self.consume(account, |consumed| *consumed = plus(consumed, amounts));
    }

    fn refund(&mut self, account: u32, amounts: &Amounts) {
        self.consume(account, |consumed| {
            debug_assert!(
                consumed.iter().zip(amounts).all(|(a, b)| a >= b),
                "was charged"
            );
            *consumed = minus(consumed, amounts);
        });
    }

    /// Changes what a role and all above it consume, and what they lack.
    fn consume(&mut self, account: u32, change: impl Fn(&mut Amounts)) {
        let mut child = ([0; NAMES], [0; NAMES]);
        let mut next = Some(account);
        while let Some(at) = next {
            let node = &mut self.nodes[at as usize];
            let before = node.lacks();
            change(&mut node.consumed);
            node.below = plus(&minus(&node.below, &child.0), &child.1);
            child = (before, node.lacks());
            next = node.parent;
        }
        self.required = plus(&minus(&self.required, &child.0), &child.1);
    }

    /// How much a role may be given in the first stage: what is missing of its guarantee and of those
    /// above it, without what is for other roles there, and within the limits.
    pub(crate) fn guaranteed(&self, account: u32) -> Amounts {
        let (mut sum, mut most) = ([0; NAMES], [UNLIMITED; NAMES]);
        for node in self.lineage(account) {
            sum = plus(&sum, &minus(&node.unmet(), &node.below));
            most = least(&most, &left(node));
        }
        least(&sum, &most)
    }

    /// How much a role may be given for no guarantee, when `free` is what the whole cluster has free; both
    /// after it was given `given`.
    pub(super) fn room(&self, account: Option<u32>, free: &Amounts, given: &Amounts) -> Amounts {
        let mut room = [UNLIMITED; NAMES];
        let mut child = ([0; NAMES], [0; NAMES]);
        for node in account
            .into_iter()
            .flat_map(|account| self.lineage(account))
        {
            let after = Node {
                consumed: plus(&node.consumed, given),
                below: plus(&minus(&node.below, &child.0), &child.1),
                ..node.clone()
            };
            let left = left(&after);
            for j in (0..NAMES).filter(|&j| left[j] != UNLIMITED) {
                room[j] = room[j].min(left[j].saturating_sub(after.below[j]));
            }
            child = (node.lacks(), after.lacks());
        }
        let required = plus(&minus(&self.required, &child.0), &child.1);
        let surplus = minus(&minus(free, given), &required);
        for j in (0..NAMES).filter(|&j| required[j] > 0) {
            room[j] = room[j].min(surplus[j]);
        }
        room
    }

    fn lineage(&self, account: u32) -> impl Iterator<Item = &Node> {
        std::iter::successors(Some(&self.nodes[account as usize]), |node| {
            node.parent.map(|at| &self.nodes[at as usize])
        })
    }
}

/// What the node's limits leave.
fn left(node: &Node) -> Amounts {
    std::array::from_fn(|j| match node.limit[j] {
        UNLIMITED => UNLIMITED,
        limit => limit.saturating_sub(node.consumed[j]),
    })
}

pub(crate) fn plus(a: &Amounts, b: &Amounts) -> Amounts {
    std::array::from_fn(|j| a[j] + b[j])
}

/// Floors at zero.
pub(crate) fn minus(a: &Amounts, b: &Amounts) -> Amounts {
    std::array::from_fn(|j| a[j].saturating_sub(b[j]))
}

fn least(a: &Amounts, b: &Amounts) -> Amounts {
    std::array::from_fn(|j| a[j].min(b[j]))
}
