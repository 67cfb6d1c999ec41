//! An optimistic scheduler: it decides on a view of its own, which may be old, and claims on the shared table.
//!
//! ```text
//!   look in the view, from the cursor --> claim --ok--> the view knows of it
//!                        ^                  | conflict: read the agent anew, count it
//!                        +------------------+
//! ```
//! After a round in vain the whole view is read anew, once; then there is no room.

use std::sync::Arc;

use super::{
    table::{Atomic, Conflict, FreeTable},
    word::{Packed, Word},
};

/// What a scheduler did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Claims that went through.
    pub claims: u64,
    /// Claims that failed because the view was too old.
    pub conflicts: u64,
}

/// A scheduler on its own view of a shared table. One a thread.
#[derive(Debug)]
pub struct Optimistic<A: Atomic> {
    table: Arc<FreeTable<A>>,
    view: Vec<A::Word>,
    cursor: usize,
    tally: Tally,
}

impl<A: Atomic> Optimistic<A> {
    /// A scheduler that begins to look at this agent; several do best to begin far from each other.
    pub fn new(table: Arc<FreeTable<A>>, start: u32) -> Self {
        let mut scheduler = Self {
            view: vec![A::Word::ZERO; table.len()],
            cursor: start as usize,
            table,
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
        self.table.release(agent, need);
        self.view[agent as usize] = self.table.free(agent);
    }

    /// What it did so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn place_by_view(&mut self, need: Packed<A::Word>) -> Option<u32> {
        let count = self.view.len();
        for ahead in 0..count {
            let at = (self.cursor + ahead) % count;
            if !self.view[at].fits(need.0) {
                continue;
            }
            let agent = u32::try_from(at).expect("agents are numbered with 32 bits");
            let claimed = self.table.claim(agent, need);
            self.view[at] = self.table.free(agent);
            match claimed {
                Ok(()) => {
                    self.tally.claims += 1;
                    self.cursor = at;
                    return Some(agent);
                }
                Err(Conflict { .. }) => self.tally.conflicts += 1,
            }
        }
        None
    }

    fn look_anew(&mut self) {
        for (agent, view) in (0..).zip(&mut self.view) {
            *view = self.table.free(agent);
        }
    }
}
