//! An optimistic scheduler: it decides on a view of its own, which may be old, and claims on the shared table.
//!
//! ```text
//!   look in the view: at home, from the cursor; then anywhere --> claim --ok--> the view knows of it
//!                        ^                                          | conflict: the view knows better, count it
//!                        +------------------------------------------+
//! ```
//! Schedulers that look at the same agents take the words from each other's caches, which costs more than all
//! else. So each has a *home*, where it looks first. Homes are no bounds: who finds no room at home looks elsewhere.
//! After a round in vain the whole view is read anew, once; then there is no room.

use std::{ops::Range, sync::Arc};

use super::{
    table::{Atomic, FreeTable},
    word::{Packed, Word},
};

/// Agents in a block, of which a bound is kept.
const BLOCK: usize = 64;

/// What a scheduler did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Claims that went through.
    pub claims: u64,
    /// Claims that failed because the view was too old.
    pub conflicts: u64,
}

/// What was seen free of each agent, with upper bounds of blocks.
#[derive(Debug)]
struct View<W> {
    words: Vec<W>,
    bounds: Vec<W>,
}

/// A scheduler on its own view of a shared table. One a thread; apart from others in memory, too.
#[derive(Debug)]
#[repr(align(128))]
pub struct Optimistic<A: Atomic> {
    table: Arc<FreeTable<A>>,
    view: View<A::Word>,
    home: Range<usize>,
    /// Where it found room last, at home and anywhere.
    cursors: [usize; 2],
    tally: Tally,
}

impl<W: Word> View<W> {
    fn set(&mut self, agent: usize, word: W) {
        self.words[agent] = word;
        let bound = &mut self.bounds[agent / BLOCK];
        *bound = bound.larger(word);
    }

    /// An agent of `part` with room for `need`, from the cursor on.
    fn find(&mut self, part: &Range<usize>, cursor: usize, need: W) -> Option<usize> {
        let ahead = self.look(cursor..part.end, need);
        ahead.or_else(|| self.look(part.start..cursor, need))
    }

    fn look(&mut self, agents: Range<usize>, need: W) -> Option<usize> {
        let mut at = agents.start;
        while at < agents.end {
            let block = at / BLOCK;
            let end = (block * BLOCK + BLOCK).min(self.words.len());
            let seen = at..end.min(agents.end);
            if self.bounds[block].fits(need) {
                let words = &self.words[seen.clone()];
                if let Some(found) = words.iter().position(|word| word.fits(need)) {
                    return Some(at + found);
                }
                if seen == (block * BLOCK..end) {
                    self.bounds[block] =
                        words.iter().fold(W::ZERO, |most, word| most.larger(*word));
                }
            }
            at = seen.end;
        }
        None
    }
}

impl<A: Atomic> Optimistic<A> {
    /// A scheduler that looks first at these agents, from the first of them on.
    ///
    /// # Panics
    /// If there are no such agents.
    pub fn new(table: Arc<FreeTable<A>>, home: Range<u32>) -> Self {
        let home = home.start as usize..home.end as usize;
        assert!(
            home.start < home.end && home.end <= table.len(),
            "agents of the table"
        );
        let view = View {
            words: vec![A::Word::ZERO; table.len()],
            bounds: vec![A::Word::ZERO; table.len().div_ceil(BLOCK)],
        };
        let mut scheduler = Self {
            cursors: [home.start; 2],
            table,
            view,
            home,
            tally: Tally::default(),
        };
        scheduler.look_anew();
        scheduler
    }

    /// Claims `need` on an agent with room for it; none if there is no such agent.
    pub fn place(&mut self, need: Packed<A::Word>) -> Option<u32> {
        if let Some(agent) = self.place_by_view(need) {
            return Some(agent);
        }
        self.look_anew();
        self.place_by_view(need)
    }

    /// Gives back what was claimed.
    pub fn release(&mut self, agent: u32, need: Packed<A::Word>) {
        let seen = self.view.words[agent as usize];
        let free = self.table.release_seen(agent, seen, need);
        self.view.set(agent as usize, free);
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn place_by_view(&mut self, need: Packed<A::Word>) -> Option<u32> {
        let everywhere = 0..self.view.words.len();
        for (cursor, part) in [self.home.clone(), everywhere].into_iter().enumerate() {
            while let Some(at) = self.view.find(&part, self.cursors[cursor], need.0) {
                self.cursors[cursor] = at;
                if let Some(agent) = self.claim(at, need) {
                    return Some(agent);
                }
            }
        }
        None
    }

    fn claim(&mut self, at: usize, need: Packed<A::Word>) -> Option<u32> {
        let agent = u32::try_from(at).expect("agents are numbered with 32 bits");
        let claimed = self.table.claim_seen(agent, self.view.words[at], need);
        match claimed {
            Ok(left) => self.view.set(at, left),
            Err(free) => self.view.set(at, free),
        }
        match claimed {
            Ok(_) => self.tally.claims += 1,
            Err(_) => self.tally.conflicts += 1,
        }
        claimed.ok().map(|_| agent)
    }

    fn look_anew(&mut self) {
        for agent in 0..self.view.words.len() {
            let number = u32::try_from(agent).expect("agents are numbered with 32 bits");
            self.view.set(agent, self.table.free(number));
        }
    }
}
