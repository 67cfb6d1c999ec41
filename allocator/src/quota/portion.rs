//! Which part of what an agent has free a framework may be offered.
//!
//! Scalars are chopped to what quota leaves; resources that are taken entirely or not
//! at all ([`Resource::is_whole`]) are taken first, where they fit.

use std::collections::{BTreeMap, btree_map::Entry};

use tepui_protocol::{AgentId, FrameworkId, Resource, Resources, Role, Scalar, resources::Value};

use super::{
    is_counted,
    tree::{Amounts, NAMES, Tree},
};
use crate::allocator::Allocation;

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// For what is missing of a guarantee.
    Guarantees,
    /// For a fair share.
    FairShare,
}

/// What becomes of names that no quota names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unnamed {
    Keep,
    Drop,
}

/// A role's view of the quotas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion<'a> {
    pub(crate) tree: &'a Tree,
    /// What the whole cluster has free that counts.
    pub(crate) free: &'a Amounts,
    pub(crate) role: &'a Role,
    pub(crate) account: Option<u32>,
}

impl Portion<'_> {
    /// The part of `usable` (free, allocatable to the role and understood) to be offered; nothing in the
    /// first stage if none of it is for a guarantee.
    pub(crate) fn of(&self, stage: Stage, usable: &Resources) -> Resources {
        match stage {
            Stage::Guarantees => self.guaranteed(usable),
            Stage::FairShare => self.fair(usable),
        }
    }

    /// Whether nothing of `available` may be for a fair share, whatever of it is usable.
    pub(crate) fn is_barred(&self, available: &Resources) -> bool {
        let room = self.tree.room(self.account, self.free, &[0; NAMES]);
        let barred = |entry: &Resource| {
            is_counted(entry)
                && self
                    .tree
                    .lane(&entry.name)
                    .is_some_and(|lane| room[lane] == 0)
        };
        available.iter().all(barred)
    }

    /// What is missing, and with it what is reserved to the role itself, what is not counted, and as much
    /// beyond the guarantee as a fair share could be.
    fn guaranteed(&self, usable: &Resources) -> Resources {
        let Some(account) = self.account else {
            return Resources::new();
        };
        let counted = usable.filter(is_counted);
        let most = self.tree.guaranteed(account);
        let mut part = self.chop(&counted, most, Unnamed::Drop);
        if part.is_empty() {
            return part;
        }
        let given = self.tree.counted(&part);
        let room = self.tree.room(self.account, self.free, &given);
        part += &self.chop(&(&counted - &part), room, Unnamed::Keep);
        let with_it = |entry: &&Resource| {
            !is_counted(entry) && entry.reserved_to().is_none_or(|owner| owner == self.role)
        };
        usable
            .iter()
            .filter(with_it)
            .for_each(|entry| part.add_resource(entry.clone()));
        part
    }

    /// All that is reserved or not counted, and the rest as far as limits and headroom go.
    fn fair(&self, usable: &Resources) -> Resources {
        let room = self.tree.room(self.account, self.free, &[0; NAMES]);
        self.chop(usable, room, Unnamed::Keep)
    }

    /// Takes of each name at most so much; what is not counted is kept.
    fn chop(&self, resources: &Resources, mut most: Amounts, unnamed: Unnamed) -> Resources {
        let mut part = Resources::new();
        let (whole, rest): (Vec<&Resource>, Vec<&Resource>) = resources
            .iter()
            .partition(|entry| is_counted(entry) && entry.is_whole());
        for entry in whole.into_iter().chain(rest) {
            let lane = is_counted(entry).then(|| self.tree.lane(&entry.name));
            let taken = match (lane, entry.amount()) {
                (Some(Some(lane)), Some(amount)) => take(entry, amount, &mut most[lane]),
                (Some(None), _) if unnamed == Unnamed::Drop => None,
                _ => Some(entry.clone()),
            };
            taken.into_iter().for_each(|taken| part.add_resource(taken));
        }
        part
    }
}

/// The part of an entry that is within `most`, which becomes less by it.
fn take(entry: &Resource, amount: Scalar, most: &mut u64) -> Option<Resource> {
    let wanted = amount.milli().unsigned_abs();
    let taken = match wanted.min(*most) {
        part if part < wanted && entry.is_whole() => 0,
        part => part,
    };
    *most -= taken;
    let taken = Scalar::from_milli(i64::try_from(taken).unwrap_or(i64::MAX));
    (!taken.is_zero()).then(|| Resource {
        value: Value::Scalar(taken),
        ..entry.clone()
    })
}

/// What both stages gave to a framework of one agent in one role is one allocation.
pub(crate) fn merge(allocations: Vec<Allocation>) -> Vec<Allocation> {
    let mut places = BTreeMap::<(FrameworkId, Role, AgentId), usize>::new();
    let mut merged: Vec<Allocation> = Vec::with_capacity(allocations.len());
    for allocation in allocations {
        let Allocation {
            framework,
            role,
            agent,
            ..
        } = allocation.clone();
        match places.entry((framework, role, agent)) {
            Entry::Occupied(place) => merged[*place.get()].resources += &allocation.resources,
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(allocation);
            }
        }
    }
    merged
}
