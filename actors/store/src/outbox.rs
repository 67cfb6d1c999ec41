//! Effects in order, held back until the writes queued before them are durable.
//!
//! ```text
//!            push                      step: Carry(e)
//!  [e1 e2 w1 e3 w2 e4] ---> e1, e2 leave at once
//!     w1, w2 --step: Commit([w1, w2])--> store --committed()--> e3, e4 leave
//! ```
//! Writes travel ahead of effects: everything queued when a commit starts is in that commit
//! (group commit), so that a burst costs one sync. Effects keep their order among themselves.
//! Nothing here knows the store or the actor; a shell drives it (see [`Outbox::step`]).

use std::collections::VecDeque;

use crate::Write;

/// An effect that may be a write.
pub trait Outgoing: Sized {
    /// Ok: it is a write. Err: it is to be carried out.
    ///
    /// # Errors
    /// The effect itself, when it is no write.
    fn into_write(self) -> Result<Write, Self>;
}

/// What a shell has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Carry out this effect.
    Carry(E),
    /// Make these writes durable, then call [`Outbox::committed`].
    Commit(Vec<Write>),
    /// Nothing, until something is pushed or a commit ends.
    Idle,
}

/// The queue between a state machine and the world.
#[derive(Clone, Debug)]
pub struct Outbox<E> {
    /// Effects, each with the number of writes that must be durable before it leaves.
    effects: VecDeque<(u64, E)>,
    /// Writes not yet handed to the store.
    writes: Vec<Write>,
    /// Writes pushed, ever.
    pushed: u64,
    /// Writes durable, ever.
    durable: u64,
    /// `pushed` when the commit under way was started.
    committing: Option<u64>,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self {
            effects: VecDeque::new(),
            writes: Vec::new(),
            pushed: 0,
            durable: 0,
            committing: None,
        }
    }
}

impl<E: Outgoing> Outbox<E> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues `effect` behind all that were pushed before.
    pub fn push(&mut self, effect: E) {
        match effect.into_write() {
            Ok(write) => {
                self.writes.push(write);
                self.pushed += 1;
            }
            Err(effect) => self.effects.push_back((self.pushed, effect)),
        }
    }

    /// What to do next. To be called until it says [`Step::Idle`], after every push and commit.
    /// At most one commit is under way at a time.
    pub fn step(&mut self) -> Step<E> {
        if self
            .effects
            .front()
            .is_some_and(|(needs, _)| *needs <= self.durable)
            && let Some((_, effect)) = self.effects.pop_front()
        {
            return Step::Carry(effect);
        }
        if self.committing.is_none() && !self.writes.is_empty() {
            self.committing = Some(self.pushed);
            return Step::Commit(std::mem::take(&mut self.writes));
        }
        Step::Idle
    }

    /// The commit under way is durable.
    pub fn committed(&mut self) {
        self.durable = self.committing.take().expect("a commit is under way");
    }

    /// Effects that wait, and writes that are not handed over yet.
    pub fn len(&self) -> usize {
        self.effects.len() + self.writes.len()
    }

    /// Whether nothing waits and no commit is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.committing.is_none()
    }
}

impl<E: Outgoing> Extend<E> for Outbox<E> {
    fn extend<I: IntoIterator<Item = E>>(&mut self, effects: I) {
        effects.into_iter().for_each(|effect| self.push(effect));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Effect {
        Write(u32),
        Tell(u32),
    }

    impl Outgoing for Effect {
        fn into_write(self) -> Result<Write, Self> {
            match self {
                Effect::Write(n) => Ok(Write::delete(n.to_string())),
                tell => Err(tell),
            }
        }
    }

    fn number(write: &Write) -> u32 {
        write.key().parse().unwrap()
    }

    #[test]
    fn effects_without_writes_leave_at_once() {
        let mut outbox = Outbox::new();
        outbox.extend([Effect::Tell(1), Effect::Tell(2)]);
        assert_eq!(outbox.step(), Step::Carry(Effect::Tell(1)));
        assert_eq!(outbox.step(), Step::Carry(Effect::Tell(2)));
        assert_eq!(outbox.step(), Step::Idle);
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_effect_waits_for_the_write_before_it() {
        let mut outbox = Outbox::new();
        outbox.extend([Effect::Write(1), Effect::Tell(2)]);
        assert_eq!(outbox.step(), Step::Commit(vec![Write::delete("1")]));
        assert_eq!(outbox.step(), Step::Idle);
        outbox.committed();
        assert_eq!(outbox.step(), Step::Carry(Effect::Tell(2)));
        assert!(outbox.is_empty());
    }

    #[test]
    fn writes_pushed_during_a_commit_go_together_in_the_next() {
        let mut outbox = Outbox::new();
        outbox.push(Effect::Write(1));
        assert!(matches!(outbox.step(), Step::Commit(_)));
        outbox.extend((2..10).map(Effect::Write));
        assert_eq!(outbox.step(), Step::Idle);
        outbox.committed();
        let Step::Commit(batch) = outbox.step() else {
            panic!("the rest is one batch")
        };
        assert_eq!(
            batch.iter().map(number).collect::<Vec<_>>(),
            (2..10).collect::<Vec<_>>()
        );
    }

    #[derive(Clone, Debug)]
    enum Event {
        Push(bool),
        Drain,
        Committed,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => any::<bool>().prop_map(Event::Push),
            3 => Just(Event::Drain),
            2 => Just(Event::Committed),
        ]
    }

    /// What left the outbox, checked as it leaves.
    #[derive(Default)]
    struct World {
        outbox: Outbox<Effect>,
        durable: Vec<u32>,
        under_way: Option<Vec<u32>>,
        carried: Vec<u32>,
    }

    impl World {
        fn drain(&mut self, pushed: &[Effect]) {
            loop {
                match self.outbox.step() {
                    Step::Carry(Effect::Tell(n)) => {
                        let before = &pushed[..n as usize];
                        let writes = before.iter().filter(|e| matches!(e, Effect::Write(_)));
                        assert!(self.durable.len() >= writes.count(), "{n} left too early");
                        self.carried.push(n);
                    }
                    Step::Carry(write) => panic!("{write:?} is not to be carried out"),
                    Step::Commit(batch) => {
                        assert!(self.under_way.is_none(), "two commits at a time");
                        self.under_way = Some(batch.iter().map(number).collect());
                    }
                    Step::Idle => return,
                }
            }
        }

        fn committed(&mut self) {
            if let Some(batch) = self.under_way.take() {
                self.durable.extend(batch);
                self.outbox.committed();
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_leaves_before_the_writes_queued_before_it(
            events in prop::collection::vec(event(), 0..60),
        ) {
            let (mut world, mut pushed) = (World::default(), Vec::new());
            for event in events {
                match event {
                    Event::Push(write) => {
                        let n = pushed.len() as u32;
                        let effect = if write { Effect::Write(n) } else { Effect::Tell(n) };
                        pushed.push(effect.clone());
                        world.outbox.push(effect);
                    }
                    Event::Drain => world.drain(&pushed),
                    Event::Committed => world.committed(),
                }
            }
            for _ in 0..3 {
                world.drain(&pushed);
                world.committed();
            }
            prop_assert!(world.outbox.is_empty());
            let (mut writes, mut tells) = (Vec::new(), Vec::new());
            for effect in &pushed {
                match effect {
                    Effect::Write(n) => writes.push(*n),
                    Effect::Tell(n) => tells.push(*n),
                }
            }
            prop_assert_eq!(world.durable, writes);
            prop_assert_eq!(world.carried, tells);
        }
    }
}
