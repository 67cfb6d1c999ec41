//! Equivalence classes: seats whose tasks demand the same, so that one answer serves all of them.
//!
//! "Nothing fits" is kept per class with the release at which it was found out, and holds until a later
//! release; seats that wait for room are woken by class. Classes live while a seat or a task refers to them.

use std::collections::BTreeMap;

use super::packing::{Packing, Word};
use crate::sparing;

/// No class, no agent.
pub(super) const NONE: u32 = u32::MAX;
/// Of a node that is neither a framework's nor a role.
pub(super) const GONE: u32 = u32::MAX - 1;

#[derive(Clone, Debug)]
pub(super) struct Class<const L: usize> {
    pub(super) demand: [u64; L],
    pub(super) word: Word,
    /// The release count at which nothing fitted; [`u64::MAX`] if that is not known.
    pub(super) failed_at: u64,
    /// The seats of this class.
    pub(super) members: Vec<u32>,
    /// How many of them wait for room.
    pub(super) parked: u32,
    /// How many of them want tasks.
    pub(super) wanting: u32,
    /// Seats and tasks that refer to it.
    users: u32,
}

/// Some of the classes, with what they need side by side, to look through fast.
#[derive(Clone, Debug, Default)]
struct List {
    classes: Vec<u32>,
    needs: Vec<Word>,
    /// By class, its place in the list, or [`NONE`].
    places: Vec<u32>,
}

impl List {
    fn set(&mut self, class: u32, need: Word, is_in: bool) {
        let at = class as usize;
        if at >= self.places.len() {
            sparing::resize(&mut self.places, at + 1, NONE);
        }
        match (self.places[at], is_in) {
            (NONE, true) => {
                self.places[at] = u32::try_from(self.classes.len()).expect("no more than classes");
                sparing::push(&mut self.classes, class);
                sparing::push(&mut self.needs, need);
            }
            (NONE, false) | (_, true) => {}
            (place, false) => {
                self.places[at] = NONE;
                self.classes.swap_remove(place as usize);
                self.needs.swap_remove(place as usize);
                if let Some(&moved) = self.classes.get(place as usize) {
                    self.places[moved as usize] = place;
                }
            }
        }
    }

    fn matching(&self, wanted: impl Fn(Word) -> bool, out: &mut Vec<u32>) {
        let all = self.needs.iter().zip(&self.classes);
        out.extend(
            all.filter(|(need, _)| wanted(**need))
                .map(|(_, class)| *class),
        );
    }

    fn bytes(&self) -> usize {
        let numbers = self.classes.capacity() + self.places.capacity();
        numbers * size_of::<u32>() + self.needs.capacity() * size_of::<Word>()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Classes<const L: usize> {
    all: Vec<Class<L>>,
    vacant: Vec<u32>,
    by_demand: BTreeMap<[u64; L], u32>,
    /// Classes with parked seats.
    parked: List,
    /// Classes with seats that want tasks and are not parked.
    live: List,
    /// Per resource, how much a task of a wanting class takes of it, if it takes any, and how many classes take
    /// as much; empty where nobody asks.
    taken: [BTreeMap<u64, u32>; L],
    keeps_least: bool,
}

impl<const L: usize> Classes<L> {
    /// No classes; with or without keeping what [`Classes::least`] asks for.
    pub(super) fn new(keeps_least: bool) -> Self {
        Self {
            keeps_least,
            all: Vec::new(),
            vacant: Vec::new(),
            by_demand: BTreeMap::new(),
            parked: List::default(),
            live: List::default(),
            taken: std::array::from_fn(|_| BTreeMap::new()),
        }
    }

    pub(super) fn get(&self, class: u32) -> &Class<L> {
        &self.all[class as usize]
    }

    pub(super) fn get_mut(&mut self, class: u32) -> &mut Class<L> {
        &mut self.all[class as usize]
    }

    /// The class of a demand, with one user more.
    pub(super) fn enter(&mut self, demand: &[u64; L], packing: &Packing) -> u32 {
        if let Some(&class) = self.by_demand.get(demand) {
            self.all[class as usize].users += 1;
            return class;
        }
        let new = Class {
            demand: *demand,
            word: packing.pack(demand),
            failed_at: u64::MAX,
            members: Vec::new(),
            parked: 0,
            wanting: 0,
            users: 1,
        };
        let class = match self.vacant.pop() {
            Some(class) => {
                self.all[class as usize] = new;
                class
            }
            None => {
                sparing::push(&mut self.all, new);
                u32::try_from(self.all.len() - 1).expect("fewer than 2^32 classes")
            }
        };
        self.by_demand.insert(*demand, class);
        class
    }

    /// One user more of a class that is in use.
    pub(super) fn share(&mut self, class: u32) {
        self.all[class as usize].users += 1;
    }

    /// One user less.
    pub(super) fn leave(&mut self, class: u32) {
        let left = &mut self.all[class as usize];
        left.users -= 1;
        if left.users == 0 {
            self.by_demand.remove(&left.demand);
            self.vacant.push(class);
        }
    }

    /// Packs all demands anew.
    pub(super) fn repack(&mut self, packing: &Packing) {
        for class in &mut self.all {
            class.word = packing.pack(&class.demand);
        }
        for list in [&mut self.parked, &mut self.live] {
            for (need, class) in list.needs.iter_mut().zip(&list.classes) {
                *need = self.all[*class as usize].word;
            }
        }
    }

    /// One member more wants tasks, or one less.
    pub(super) fn want(&mut self, class: u32, more: bool) {
        let entry = &mut self.all[class as usize];
        let before = entry.wanting;
        entry.wanting = if more { before + 1 } else { before - 1 };
        if self.keeps_least && (before == 0 || entry.wanting == 0) {
            for (taken, amount) in self.taken.iter_mut().zip(entry.demand) {
                if amount > 0 {
                    let count = taken.entry(amount).or_insert(0);
                    *count = if more { *count + 1 } else { *count - 1 };
                    if *count == 0 {
                        taken.remove(&amount);
                    }
                }
            }
        }
        self.list(class);
    }

    /// Whether a seat wants a task of anything; known where [`Classes::least`] is.
    pub(super) fn is_anything_wanted(&self) -> bool {
        self.taken.iter().any(|taken| !taken.is_empty())
    }

    /// The least that somebody who wants tasks takes of a resource with each; none if nobody uses it.
    pub(super) fn least(&self, resource: usize) -> Option<u64> {
        let (least, _) = self.taken[resource].first_key_value()?;
        Some(*least)
    }

    /// One member more waits for room, or one less.
    pub(super) fn park(&mut self, class: u32, more: bool) {
        let entry = &mut self.all[class as usize];
        entry.parked = if more {
            entry.parked + 1
        } else {
            entry.parked - 1
        };
        self.list(class);
    }

    fn list(&mut self, class: u32) {
        let entry = &self.all[class as usize];
        self.parked.set(class, entry.word, entry.parked > 0);
        self.live
            .set(class, entry.word, entry.wanting > entry.parked);
    }

    /// The classes with parked seats that `free` may have room for, into `out`.
    pub(super) fn waiting_for(&self, free: Word, out: &mut Vec<u32>) {
        self.parked.matching(|need| free.fits(need), out);
    }

    /// The classes with seats that are not parked, though nobody has what they need, into `out`.
    pub(super) fn too_large_for(&self, most: Word, out: &mut Vec<u32>) {
        self.live.matching(|need| !most.fits(need), out);
    }

    /// The memory it uses, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let members: usize = self.all.iter().map(|class| class.members.capacity()).sum();
        let taken: usize = self.taken.iter().map(BTreeMap::len).sum();
        self.all.capacity() * size_of::<Class<L>>()
            + self.by_demand.len() * (size_of::<[u64; L]>() + 8)
            + members * size_of::<u32>()
            + self.parked.bytes()
            + self.live.bytes()
            + taken * (size_of::<(u64, u32)>() + 8)
    }
}
