//! Agents: what each has, what its tasks hold, and what is free of it.
//!
//! ```text
//!            add           close            remove (nothing runs)
//!   (none) ------> open <--------> closed --------------------> (none)
//!                        open
//! ```
//! A closed agent keeps its tasks and gets no more. An agent may shrink below what its tasks hold; then
//! nothing of that resource is free until enough of them have ended.

use super::{Engine, Refused, slots::Slot};
use crate::sparing;

/// An agent's standing. What it has is beside it, so that searches read little.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agent {
    pub(super) running: u32,
    /// Whether it is in the list of agents where something came free.
    pub(super) pending: bool,
}

/// What an agent has, and what its tasks hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ledger<const L: usize> {
    total: [u64; L],
    used: [u64; L],
    open: bool,
}

impl<const L: usize> Ledger<L> {
    const NONE: Self = Self {
        total: [0; L],
        used: [0; L],
        open: false,
    };

    /// What can be given of it.
    #[inline]
    pub(super) fn free(&self) -> [u64; L] {
        if !self.open {
            return [0; L];
        }
        std::array::from_fn(|j| self.total[j].saturating_sub(self.used[j]))
    }

    #[inline]
    pub(super) fn has_room(&self, demand: &[u64; L]) -> bool {
        let fits = |j: usize| demand[j] <= self.total[j].saturating_sub(self.used[j]);
        self.open && (0..L).all(fits)
    }

    #[inline]
    pub(super) fn take(&mut self, demand: &[u64; L]) {
        debug_assert!(self.has_room(demand), "AL-1 offered <= available");
        for (used, more) in self.used.iter_mut().zip(demand) {
            *used += more;
        }
    }

    #[inline]
    pub(super) fn give_back(&mut self, demand: &[u64; L]) {
        for (used, less) in self.used.iter_mut().zip(demand) {
            *used -= less;
        }
    }
}

impl<const L: usize> Engine<L> {
    /// Adds an open agent.
    ///
    /// # Errors
    /// [`Refused::TooLarge`].
    pub fn add_agent(&mut self, total: [u64; L]) -> Result<Slot<Agent>, Refused> {
        self.check_sum([0; L], total)?;
        let slot = self.agents.add(Agent {
            running: 0,
            pending: false,
        });
        if slot.index() >= self.ledgers.len() {
            sparing::resize(&mut self.ledgers, slot.index() + 1, Ledger::NONE);
            self.capacity.grow(number(slot));
        }
        self.ledgers[slot.index()] = Ledger {
            open: true,
            ..Ledger::NONE
        };
        self.resize(slot, total);
        Ok(slot)
    }

    /// Replaces what an agent has.
    ///
    /// # Errors
    /// [`Refused::TooLarge`], [`Refused::Unknown`].
    pub fn resize_agent(&mut self, slot: Slot<Agent>, total: [u64; L]) -> Result<(), Refused> {
        self.agents.get(slot).ok_or(Refused::Unknown)?;
        self.check_sum(self.ledgers[slot.index()].total, total)?;
        self.resize(slot, total);
        Ok(())
    }

    /// Offers nothing more of an agent.
    pub fn close_agent(&mut self, slot: Slot<Agent>) {
        self.set_open(slot, false);
    }

    /// Offers of a closed agent again.
    pub fn open_agent(&mut self, slot: Slot<Agent>) {
        self.set_open(slot, true);
    }

    /// Forgets an agent on which nothing runs.
    ///
    /// # Errors
    /// [`Refused::InUse`], [`Refused::Unknown`].
    pub fn remove_agent(&mut self, slot: Slot<Agent>) -> Result<(), Refused> {
        let running = self.agents.get(slot).ok_or(Refused::Unknown)?.running;
        if running > 0 {
            return Err(Refused::InUse { running });
        }
        self.set_open(slot, false);
        self.resize(slot, [0; L]);
        for refusals in &mut self.refusals {
            refusals.remove(number(slot));
        }
        self.agents.remove(slot);
        Ok(())
    }

    /// What an agent has, and what of it can be given.
    pub fn agent(&self, slot: Slot<Agent>) -> Option<([u64; L], [u64; L])> {
        self.agents.get(slot)?;
        let ledger = &self.ledgers[slot.index()];
        Some((ledger.total, ledger.free()))
    }

    fn check_sum(&self, gone: [u64; L], come: [u64; L]) -> Result<(), Refused> {
        let fits = |j: usize| {
            let sum = (self.total[j] - gone[j]).checked_add(come[j]);
            sum.is_some_and(|sum| sum <= 1 << 62)
        };
        match (0..L).find(|&resource| !fits(resource)) {
            Some(resource) => Err(Refused::TooLarge { resource }),
            None => Ok(()),
        }
    }

    fn resize(&mut self, slot: Slot<Agent>, total: [u64; L]) {
        self.change(slot, |ledger| ledger.total = total);
        self.resized = true;
    }

    fn set_open(&mut self, slot: Slot<Agent>, open: bool) {
        if self.agents.get(slot).is_some() {
            self.change(slot, |ledger| ledger.open = open);
        }
    }

    /// Changes an agent's ledger, and what the rest knows of it.
    fn change(&mut self, slot: Slot<Agent>, change: impl FnOnce(&mut Ledger<L>)) {
        let ledger = &mut self.ledgers[slot.index()];
        let (total, free) = (ledger.total, ledger.free());
        change(ledger);
        let (now, left) = (ledger.total, ledger.free());
        for j in 0..L {
            self.total[j] = self.total[j] - total[j] + now[j];
            self.free[j] = self.free[j] - free[j] + left[j];
        }
        if self.capacity.admit(&now) {
            self.classes.repack(self.capacity.packing());
            for (agent, ledger) in (0..).zip(&self.ledgers) {
                self.capacity.set(agent, &ledger.free());
            }
        }
        self.room_changed(number(slot));
    }
}

fn number(slot: Slot<Agent>) -> u32 {
    u32::try_from(slot.index()).expect("slots are numbered with 32 bits")
}
