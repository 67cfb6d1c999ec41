//! What a node knows of the others: each writes a record of its own, and nobody else's. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{AnyPid, NodeAddr};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) node: NodeAddr,
    /// Which life of the node.
    pub(super) life: u64,
    /// Grows with each change.
    pub(super) version: u64,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    /// Names of the whole cluster, with when they were registered, in microseconds.
    #[serde(default)]
    pub(super) names: BTreeMap<String, (u64, AnyPid)>,
    #[serde(default)]
    pub(super) groups: BTreeMap<String, BTreeSet<AnyPid>>,
}

/// A record without its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) node: NodeAddr,
    pub(super) life: u64,
    pub(super) version: u64,
}

/// All that is known.
#[derive(Debug)]
pub(super) struct View {
    pub(super) own: Record,
    /// Nodes that are up, with their lives.
    pub(super) live: BTreeMap<NodeAddr, u64>,
    records: BTreeMap<NodeAddr, Record>,
    /// Messages that wait for members of groups elsewhere, as last heard, and sent since.
    loads: BTreeMap<AnyPid, u64>,
    turns: BTreeMap<String, usize>,
}

impl View {
    pub(super) fn new(node: NodeAddr, life: u64, metadata: BTreeMap<String, String>) -> Self {
        let own = Record {
            node,
            life,
            version: 1,
            metadata,
            names: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        Self {
            own,
            live: BTreeMap::new(),
            records: BTreeMap::new(),
            loads: BTreeMap::new(),
            turns: BTreeMap::new(),
        }
    }

    pub(super) fn up(&mut self, node: NodeAddr, life: u64) {
        self.live.insert(node, life);
    }

    /// True if that life of the node was up.
    pub(super) fn down(&mut self, node: &NodeAddr, life: u64) -> bool {
        let was_up = self.live.get(node) == Some(&life);
        if was_up {
            self.live.remove(node);
            self.records.remove(node);
            self.loads.retain(|pid, _| pid.node() != node);
        }
        was_up
    }

    /// Takes a record, if it is news of a node that is up.
    pub(super) fn take(&mut self, record: Record) {
        let up = self.live.get(&record.node) == Some(&record.life);
        let known = self.records.get(&record.node);
        let news =
            known.is_none_or(|known| (known.life, known.version) < (record.life, record.version));
        if up && news {
            self.records.insert(record.node.clone(), record);
        }
    }

    /// What is known, for others to compare.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let stamp = |record: &Record| Stamp {
            node: record.node.clone(),
            life: record.life,
            version: record.version,
        };
        self.all().map(stamp).collect()
    }

    /// The records that are news to one who has `theirs`, and whether it has news too.
    pub(super) fn compare(&self, theirs: &[Stamp]) -> (Vec<Record>, bool) {
        let newest = |node: &NodeAddr| {
            let mut stamps = theirs.iter().filter(|stamp| stamp.node == *node);
            stamps.next().map(|stamp| (stamp.life, stamp.version))
        };
        let news = |record: &&Record| newest(&record.node) < Some((record.life, record.version));
        let news: Vec<Record> = self.all().filter(news).cloned().collect();
        let behind = theirs.iter().any(|stamp| {
            let mine = self.record(&stamp.node);
            let mine = mine.map(|record| (record.life, record.version));
            self.live.contains_key(&stamp.node) && mine < Some((stamp.life, stamp.version))
        });
        (news, behind)
    }

    fn record(&self, node: &NodeAddr) -> Option<&Record> {
        match *node == self.own.node {
            true => Some(&self.own),
            false => self.records.get(node),
        }
    }

    /// All records, this node's among them, in order of address.
    fn all(&self) -> impl Iterator<Item = &Record> {
        let mut all: Vec<&Record> = self.records.values().chain([&self.own]).collect();
        all.sort_by(|a, b| a.node.cmp(&b.node));
        all.into_iter()
    }

    pub(super) fn metadata(&self, node: &NodeAddr) -> BTreeMap<String, String> {
        let record = self.record(node);
        record.map_or_else(BTreeMap::new, |record| record.metadata.clone())
    }

    /// Who bears the name: of several, who registered first, and at the same moment the lower PID.
    pub(super) fn whereis(&self, name: &str) -> Option<AnyPid> {
        let claims = self.all().filter_map(|record| record.names.get(name));
        claims.min().map(|(_, pid)| pid.clone())
    }

    /// The members of a group, in order.
    pub(super) fn members(&self, group: &str) -> Vec<AnyPid> {
        let of = |record: &'_ Record| record.groups.get(group).cloned().unwrap_or_default();
        let members: BTreeSet<AnyPid> = self.all().flat_map(of).collect();
        members.into_iter().collect()
    }

    /// Takes turns among so many.
    pub(super) fn turn(&mut self, group: &str, among: usize) -> usize {
        let turn = self.turns.entry(group.to_owned()).or_default();
        let now = *turn % among.max(1);
        *turn = now + 1;
        now
    }

    /// An actor of this node is gone: out of all groups and names. True if it was in any.
    pub(super) fn forget(&mut self, pid: &AnyPid) -> bool {
        let before = self.own.clone();
        for members in self.own.groups.values_mut() {
            members.remove(pid);
        }
        self.own.groups.retain(|_, members| !members.is_empty());
        self.own.names.retain(|_, (_, bearer)| bearer != pid);
        before != self.own
    }

    /// Members of groups on this node.
    pub(super) fn own_members(&self) -> BTreeSet<AnyPid> {
        self.own.groups.values().flatten().cloned().collect()
    }

    pub(super) fn set_load(&mut self, pid: AnyPid, waiting: u64) {
        self.loads.insert(pid, waiting);
    }

    pub(super) fn load(&self, pid: &AnyPid) -> u64 {
        self.loads.get(pid).copied().unwrap_or_default()
    }

    /// A message was sent to a member elsewhere: until it is heard of again, it waits there.
    pub(super) fn sent_to(&mut self, pid: &AnyPid) {
        *self.loads.entry(pid.clone()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(name: &str) -> NodeAddr {
        NodeAddr::new(name, 1)
    }

    fn pid(name: &str, node: &str) -> AnyPid {
        AnyPid::new(name, addr(node)).unwrap()
    }

    fn view(node: &str) -> View {
        View::new(addr(node), 5, BTreeMap::new())
    }

    #[test]
    fn records_are_taken_from_nodes_that_are_up_and_forgotten_with_them() {
        let (mut a, mut b) = (view("a"), view("b"));
        let member = pid("x", "b");
        b.own
            .groups
            .entry("g".into())
            .or_default()
            .insert(member.clone());
        b.own.names.insert("n".into(), (7, member.clone()));
        b.own.version += 1;
        let (news, _) = b.compare(&a.stamps());
        assert_eq!(news, [b.own.clone()]);
        a.take(b.own.clone());
        assert!(a.members("g").is_empty(), "not up");
        a.up(addr("b"), 5);
        let (none, behind) = a.compare(&b.stamps());
        assert_eq!((none.len(), behind), (1, true));
        a.take(b.own.clone());
        let mut old = b.own.clone();
        (old.version, old.groups) = (1, BTreeMap::new());
        a.take(old);
        assert_eq!(a.members("g"), std::slice::from_ref(&member));
        assert_eq!(a.whereis("n"), Some(member));
        assert!(!a.down(&addr("b"), 4), "another life");
        assert!(a.down(&addr("b"), 5));
        assert!(a.members("g").is_empty() && a.whereis("n").is_none());
    }

    #[test]
    fn the_first_to_register_a_name_bears_it_everywhere() {
        let (mut a, mut b) = (view("a"), view("b"));
        a.own.names.insert("n".into(), (9, pid("x", "a")));
        b.own.names.insert("n".into(), (8, pid("y", "b")));
        a.up(addr("b"), 5);
        b.up(addr("a"), 5);
        a.take(b.own.clone());
        b.take(a.own.clone());
        assert_eq!(a.whereis("n"), Some(pid("y", "b")));
        assert_eq!(b.whereis("n"), Some(pid("y", "b")));
        assert!(b.forget(&pid("y", "b")) && !b.forget(&pid("y", "b")));
        assert_eq!(b.whereis("n"), Some(pid("x", "a")));
    }
}
