//! The table of free amounts: claims, releases, and gangs that are claimed whole or not at all.
//!
//! ```text
//!   claim:  read -> does it fit? -no-> conflict (nothing changed)
//!             ^        | yes
//!             |        v
//!             +-lost- compare-and-swap -won-> claimed
//!   gang:   claim each, by agent; at the first that does not fit, give back those taken
//! ```
//! A lost swap means that another thread's claim or release went through, so that somebody always gets on.
//! A gang waits for nobody and holds nothing while it fails, so that two half-held gangs cannot block each
//! other; both may fail, and then both look again.

use super::{
    sync::{AtomicU64, Ordering},
    word::{Packed, Word},
};

/// An atomic of a word.
pub trait Atomic: Send + Sync {
    /// What it holds.
    type Word: Word;

    /// An atomic that holds `word`.
    fn new(word: Self::Word) -> Self;

    /// What it holds now.
    fn load(&self) -> Self::Word;

    /// Replaces `old` by `new`; if it holds something else, that.
    ///
    /// # Errors
    /// What it holds instead of `old`; this may come without reason, when it is `old` after all.
    fn swap_if(&self, old: Self::Word, new: Self::Word) -> Result<(), Self::Word>;
}

macro_rules! atomic {
    ($atomic:ty, $word:ty) => {
        impl Atomic for $atomic {
            type Word = $word;

            fn new(word: $word) -> Self {
                <$atomic>::new(word)
            }

            #[inline]
            fn load(&self) -> $word {
                <$atomic>::load(self, Ordering::Acquire)
            }

            #[inline]
            fn swap_if(&self, old: $word, new: $word) -> Result<(), $word> {
                self.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
                    .map(|_| ())
            }
        }
    };
}

atomic!(AtomicU64, u64);
#[cfg(not(loom))]
atomic!(portable_atomic::AtomicU128, u128);

/// It does not fit; nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent} has no room for it")]
pub struct Conflict {
    /// The first agent without room.
    pub agent: u32,
}

/// What each agent has free, by number.
#[derive(Debug)]
pub struct FreeTable<A: Atomic> {
    agents: Box<[A]>,
}

impl<A: Atomic> FreeTable<A> {
    /// A table of agents with these amounts free.
    pub fn new(free: impl IntoIterator<Item = Packed<A::Word>>) -> Self {
        let agents = free.into_iter().map(|free| A::new(free.0)).collect();
        Self { agents }
    }

    /// How many agents there are.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// What an agent has free at this moment.
    ///
    /// # Panics
    /// For an agent that is not in the table, as all functions here.
    #[inline]
    pub fn free(&self, agent: u32) -> A::Word {
        self.agents[agent as usize].load()
    }

    /// Takes `need` from what an agent has free.
    ///
    /// # Errors
    /// [`Conflict`] if it does not fit.
    #[inline]
    pub fn claim(&self, agent: u32, need: Packed<A::Word>) -> Result<(), Conflict> {
        let claimed = self.claim_seen(agent, self.free(agent), need);
        claimed.map(|_| ()).map_err(|_| Conflict { agent })
    }

    /// As [`FreeTable::claim`] by who has `seen` so much free there, now or some time ago; then the word need not
    /// be read before. Answers with what is left.
    ///
    /// # Errors
    /// What is free, if it does not fit.
    #[inline]
    pub fn claim_seen(
        &self,
        agent: u32,
        seen: A::Word,
        need: Packed<A::Word>,
    ) -> Result<A::Word, A::Word> {
        let cell = &self.agents[agent as usize];
        let mut free = seen;
        loop {
            if !free.fits(need.0) {
                return Err(free);
            }
            let left = free.without(need.0);
            match cell.swap_if(free, left) {
                Ok(()) => return Ok(left),
                Err(now) => free = now,
            }
        }
    }

    /// Gives back what was claimed.
    #[inline]
    pub fn release(&self, agent: u32, need: Packed<A::Word>) {
        self.release_seen(agent, self.free(agent), need);
    }

    /// As [`FreeTable::release`] by who has `seen` so much free there; answers with what is free now.
    #[inline]
    pub fn release_seen(&self, agent: u32, seen: A::Word, need: Packed<A::Word>) -> A::Word {
        let cell = &self.agents[agent as usize];
        let mut free = seen;
        loop {
            let more = free.with(need.0);
            match cell.swap_if(free, more) {
                Ok(()) => return more,
                Err(now) => free = now,
            }
        }
    }

    /// Claims for a whole gang or for none of it. Sorts `members` by agent, so that rivals meet at the
    /// first agent that they share. Who lists gangs for others to see adds this one after it is claimed.
    ///
    /// # Errors
    /// [`Conflict`] if one does not fit; what had been claimed for the others is given back.
    pub fn claim_gang(&self, members: &mut [(u32, Packed<A::Word>)]) -> Result<(), Conflict> {
        members.sort_by_key(|&(agent, _)| agent);
        for at in 0..members.len() {
            let (agent, need) = members[at];
            if let Err(conflict) = self.claim(agent, need) {
                let taken = members[..at].iter().rev();
                taken.for_each(|&(agent, need)| self.release(agent, need));
                return Err(conflict);
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use portable_atomic::AtomicU128;

    use super::{super::word::Units, *};

    #[test]
    fn a_gang_is_claimed_whole_or_not_at_all() {
        let units = Units::for_agents_up_to::<u128>([4, 0, 0, 0]);
        let free = [4, 4, 1].map(|cpus| units.capacity([cpus, 0, 0, 0]));
        let table = FreeTable::<AtomicU128>::new(free);
        let two = units.demand([2, 0, 0, 0]).unwrap();
        let amounts = || {
            (0..3)
                .map(|agent| table.free(agent).unpack()[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(
            table.claim_gang(&mut [(2, two), (0, two), (1, two)]),
            Err(Conflict { agent: 2 })
        );
        assert_eq!(amounts(), [4, 4, 1]);
        assert_eq!(
            table.claim_gang(&mut [(1, two), (0, two), (1, two)]),
            Ok(())
        );
        assert_eq!(amounts(), [2, 0, 1]);
        table.release(1, two);
        assert_eq!(amounts(), [2, 2, 1]);
    }
}
