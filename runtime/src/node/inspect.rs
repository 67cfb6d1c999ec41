//! What a node shows of its actors: for people, metrics and tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::Node;
use crate::cell::AnyCell;

/// An actor, seen from outside at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorInfo {
    /// Its PID.
    pub pid: String,
    /// Its name on the node.
    pub name: String,
    /// Its Rust type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the actor that spawned it; `None`: it was spawned from outside of actors.
    pub parent: Option<String>,
    /// Messages that wait in its mailbox.
    pub waiting: usize,
    /// At most how many may.
    pub capacity: usize,
    /// Messages that it has handled.
    pub handled: u64,
    /// Microseconds in handlers: the first turns are timed, then one in sixteen for all.
    pub busy_micros: u64,
    /// How often it was made anew after a crash.
    pub restarts: u32,
    /// How its last life ended, if it had one before.
    pub last_exit: Option<String>,
}

/// What the actors of a type that have ended did.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    count: AtomicU64,
    handled: AtomicU64,
    busy_micros: AtomicU64,
}

/// [`Ended`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndedCounts {
    pub(crate) count: u64,
    pub(crate) handled: u64,
    pub(crate) busy_micros: u64,
}

impl Ended {
    pub(crate) fn add(&self, handled: u64, busy_micros: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        for (total, of_one) in [(&self.handled, handled), (&self.busy_micros, busy_micros)] {
            if of_one > 0 {
                total.fetch_add(of_one, Ordering::Relaxed);
            }
        }
    }

    fn counts(&self) -> EndedCounts {
        EndedCounts {
            count: self.count.load(Ordering::Relaxed),
            handled: self.handled.load(Ordering::Relaxed),
            busy_micros: self.busy_micros.load(Ordering::Relaxed),
        }
    }
}

impl Node {
    /// The actors of this node, in order of name.
    pub fn inspect(&self) -> Vec<ActorInfo> {
        let cells = self.cells();
        let names: BTreeMap<u64, &str> = cells
            .iter()
            .map(|cell| (cell.pid().incarnation(), cell.pid().name()))
            .collect();
        let info = |cell: &Arc<dyn AnyCell>| ActorInfo {
            parent: cell
                .parent()
                .and_then(|parent| names.get(&parent))
                .map(|name| (*name).to_owned()),
            ..cell.info()
        };
        cells.iter().map(info).collect()
    }

    pub(super) fn note_type(&self, name: &'static str, ended: &Arc<Ended>) {
        let types = self.inner.ended.lock();
        let mut types = types.expect("no panic while the counts are held");
        types.insert(name, ended.clone());
    }

    /// What the actors that have ended did, by type.
    pub(crate) fn ended_by_type(&self) -> Vec<(&'static str, EndedCounts)> {
        let ended = self.inner.ended.lock();
        let ended = ended.expect("no panic while the counts are held");
        ended
            .iter()
            .map(|(name, ended)| (*name, ended.counts()))
            .collect()
    }
}

/// The actors with their depth, each below the one that spawned it.
pub fn tree(infos: &[ActorInfo]) -> Vec<(usize, &ActorInfo)> {
    let mut children: BTreeMap<&str, Vec<&ActorInfo>> = BTreeMap::new();
    let there: BTreeMap<&str, ()> = infos.iter().map(|info| (&*info.name, ())).collect();
    for info in infos {
        let parent = info.parent.as_deref();
        let parent = parent.filter(|name| *name != info.name && there.contains_key(name));
        children.entry(parent.unwrap_or("")).or_default().push(info);
    }
    let mut open: Vec<(usize, &ActorInfo)> = Vec::new();
    let mut ordered = Vec::new();
    let push = |open: &mut Vec<_>, depth: usize, list: Vec<_>| {
        open.extend(list.into_iter().rev().map(|info| (depth, info)));
    };
    push(&mut open, 0, children.remove("").unwrap_or_default());
    while let Some((depth, info)) = open.pop() {
        ordered.push((depth, info));
        push(
            &mut open,
            depth + 1,
            children.remove(&*info.name).unwrap_or_default(),
        );
    }
    // Names can be taken over in a circle; nobody is left out.
    for info in children.into_values().flatten() {
        ordered.push((0, info));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, parent: Option<&str>) -> ActorInfo {
        ActorInfo {
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            ..ActorInfo::default()
        }
    }

    #[test]
    fn children_follow_their_parents_and_nobody_is_left_out() {
        let infos = [
            info("a", None),
            info("b", Some("c")),
            info("c", Some("a")),
            info("d", Some("gone")),
            info("x", Some("y")),
            info("y", Some("x")),
        ];
        let tree: Vec<_> = tree(&infos)
            .into_iter()
            .map(|(d, i)| (d, &*i.name))
            .collect();
        let expected = [(0, "a"), (1, "c"), (2, "b"), (0, "d"), (0, "y"), (0, "x")];
        assert_eq!(tree, expected);
    }
}
