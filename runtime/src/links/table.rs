//! The tables of names of a link's sending side: what was said once is a number from then on.
//!
//! The entries travel as numbered frames among the messages, so both ends have the same table at
//! each point of the stream, whichever connection carries it. A full table begins anew when nothing
//! waits to be written; until then newcomers travel by name.

use std::{collections::BTreeMap, sync::Arc};

use bytes::BytesMut;

use crate::{
    frame::{encode_actor, encode_type, wire},
    pid::AnyPid,
};

/// Slots of the cache of types, by the address of the name.
const CACHED: usize = 64;

/// The name and incarnation of an actor.
type Actor = (Arc<str>, u64);
/// The name and version of a type.
type Kind = (Arc<str>, u16);

/// The tables.
pub(super) struct Tables {
    ids: BTreeMap<(Arc<str>, u64), u32>,
    actors: Vec<(Arc<str>, u64)>,
    kind_ids: BTreeMap<(Arc<str>, u16), u32>,
    kinds: Vec<(Arc<str>, u16)>,
    cache: Box<[(usize, u16, u32); CACHED]>,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            ids: BTreeMap::new(),
            actors: Vec::new(),
            kind_ids: BTreeMap::new(),
            kinds: Vec::new(),
            cache: Box::new([(0, 0, 0); CACHED]),
        }
    }

    /// The number of `to`, after its entry in `out` when it is new. `None`: the table is full.
    pub(super) fn actor(
        &mut self,
        to: &AnyPid,
        out: &mut BytesMut,
        added: &mut u64,
    ) -> Option<u32> {
        let key = (to.shared_name().clone(), to.incarnation());
        if let Some(id) = self.ids.get(&key) {
            return Some(*id);
        }
        if self.actors.len() >= wire::ACTORS_MAX {
            return None;
        }
        let id = u32::try_from(self.actors.len()).expect("the bound is smaller");
        encode_actor(id, key.1, &key.0, out);
        *added += 1;
        self.actors.push(key.clone());
        self.ids.insert(key, id);
        Some(id)
    }

    /// As [`Tables::actor`], of a message type.
    pub(super) fn kind(
        &mut self,
        name: &str,
        version: u16,
        out: &mut BytesMut,
        added: &mut u64,
    ) -> Option<u32> {
        let id = self.kind_by_name(name, version, out, added)?;
        let at = name.as_ptr().addr();
        self.cache[slot(at)] = (at, version, id);
        Some(id)
    }

    /// The number of a type that was used before, if it comes to mind.
    pub(super) fn recall(&self, name: &str, version: u16) -> Option<u32> {
        let at = name.as_ptr().addr();
        let (cached, of, id) = self.cache[slot(at)];
        let same = cached == at && of == version && &*self.kinds[id as usize].0 == name;
        same.then_some(id)
    }

    fn kind_by_name(
        &mut self,
        name: &str,
        version: u16,
        out: &mut BytesMut,
        added: &mut u64,
    ) -> Option<u32> {
        let key = (Arc::from(name), version);
        if let Some(id) = self.kind_ids.get(&key) {
            return Some(*id);
        }
        if self.kinds.len() >= wire::TYPES_MAX {
            return None;
        }
        let id = u32::try_from(self.kinds.len()).expect("the bound is smaller");
        encode_type(id, version, name, out);
        *added += 1;
        self.kinds.push(key.clone());
        self.kind_ids.insert(key, id);
        Some(id)
    }

    /// What the numbers of a message mean.
    pub(super) fn names(&self, actor: u32, kind: u32) -> Option<(&Actor, &Kind)> {
        Some((
            self.actors.get(actor as usize)?,
            self.kinds.get(kind as usize)?,
        ))
    }
}

fn slot(at: usize) -> usize {
    (at >> 3) % CACHED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_one_number_and_a_full_table_gives_none() {
        let (mut tables, mut out, mut added) = (Tables::new(), BytesMut::new(), 0);
        let pid = |n: usize| -> AnyPid { format!("a{n}@h:1").parse().unwrap() };
        for n in 0..wire::ACTORS_MAX {
            assert_eq!(tables.actor(&pid(n), &mut out, &mut added), Some(n as u32));
        }
        assert_eq!(tables.actor(&pid(7), &mut out, &mut added), Some(7));
        assert_eq!(added, wire::ACTORS_MAX as u64);
        assert_eq!(
            tables.actor(&pid(wire::ACTORS_MAX), &mut out, &mut added),
            None
        );
        assert_eq!(tables.kind("m.A", 1, &mut out, &mut added), Some(0));
        assert_eq!(tables.kind("m.A", 2, &mut out, &mut added), Some(1));
        assert_eq!(
            tables.kind(&String::from("m.A"), 1, &mut out, &mut added),
            Some(0)
        );
        assert_eq!(&*tables.names(7, 1).unwrap().0.0, "a7");
    }
}
