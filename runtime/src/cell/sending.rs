//! Messages into a cell's mailbox, and what becomes of those that it does not take.

use std::sync::atomic::Ordering;

use super::{Cell, KILL};
use crate::{
    Message, Overflow, TellError, Undeliverable,
    rt::{
        Actor, Handler,
        envelope::{Envelope, Letter},
        raw::{
            mailbox::signal,
            place::{Filled, Place},
            queue::Rejected,
        },
    },
};

impl<A: Actor> Cell<A> {
    /// Sends without waiting.
    #[inline]
    pub(crate) fn tell<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.post(Letter::told(message))
            .or_else(|(reason, letter)| self.undelivered(reason, letter.message))
    }

    /// Sends, waiting for room where the policy is to wait.
    pub(crate) async fn tell_wait<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        match self.post(Letter::told(message)) {
            Err((Undeliverable::MailboxFull, letter)) if self.waits() => {
                self.post_when_room(letter).await
            }
            done => done,
        }
        .or_else(|(reason, letter)| self.undelivered(reason, letter.message))
    }

    /// Sends if there is room, whatever the policy; what is refused is no dead letter.
    pub(crate) fn offer<M: Message>(&self, message: M) -> Result<(), Undeliverable>
    where
        A: Handler<M>,
    {
        let letter = Letter::told(message);
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(letter) else {
            return Ok(());
        };
        let pushed = self.mailbox.push_with(letter, Letter::seal);
        pushed.map_err(|rejected| why(rejected).0)
    }

    /// Sends as many as there is room for and wakes the actor once; the first that is refused comes
    /// back, and those after it are not taken.
    pub(crate) fn tell_many<M: Message>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, TellError<M>>
    where
        A: Handler<M>,
    {
        let mut messages = messages.into_iter();
        #[cfg(feature = "testkit")]
        let filtered = self.filters.is_some();
        #[cfg(not(feature = "testkit"))]
        let filtered = false;
        let mut count = 0;
        if filtered || !matches!(self.overflow, Overflow::Wait | Overflow::Fail) {
            for message in messages {
                self.tell(message)?;
                count += 1;
            }
            return Ok(count);
        }
        let told = |message, place: Place<'_, _>| Letter::told(message).seal(place);
        self.mailbox
            .push_many(&mut messages, told)
            .or_else(|rejected| {
                let (reason, message) = why(rejected);
                self.undelivered(reason, message).map(|()| 0)
            })
    }

    /// What a teller is told of a message that was not taken.
    #[cold]
    fn undelivered<M: Message>(
        &self,
        reason: Undeliverable,
        message: M,
    ) -> Result<(), TellError<M>> {
        let dropped = reason == Undeliverable::MailboxFull && self.overflow == Overflow::DropNewest;
        if dropped || reason == Undeliverable::NoSuchActor {
            self.dead_letter(M::NAME, &reason);
        }
        if dropped {
            return Ok(());
        }
        Err(TellError {
            pid: self.pid.clone(),
            reason,
            message,
        })
    }

    fn dead_letter(&self, name: &str, reason: &Undeliverable) {
        if let Some(node) = self.routes.node() {
            node.dead_letter(&self.pid, name, reason);
        }
    }

    /// Whether senders that can wait are to wait for room.
    pub(crate) fn waits(&self) -> bool {
        self.overflow == Overflow::Wait
    }

    /// Puts a letter into the mailbox, which may drop another or end the actor, by its policy.
    #[inline]
    pub(crate) fn post<M: Message>(
        &self,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)>
    where
        A: Handler<M>,
    {
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(letter) else {
            return Ok(());
        };
        self.admit(letter, Letter::seal)
    }

    #[inline]
    pub(super) fn admit<S>(
        &self,
        source: S,
        seal: impl Fn(S, Place<'_, Envelope<A>>) -> Filled,
    ) -> Result<(), (Undeliverable, S)> {
        match self.mailbox.push_with(source, &seal) {
            Ok(()) => Ok(()),
            Err(Rejected::Full(back)) => self.overflowed(back, seal),
            Err(Rejected::Closed(back)) => Err((Undeliverable::NoSuchActor, back)),
        }
    }

    #[cold]
    fn overflowed<S>(
        &self,
        mut source: S,
        seal: impl Fn(S, Place<'_, Envelope<A>>) -> Filled,
    ) -> Result<(), (Undeliverable, S)> {
        match self.overflow {
            Overflow::Wait | Overflow::Fail | Overflow::DropNewest => {}
            Overflow::StopActor => {
                self.asked.fetch_or(KILL, Ordering::AcqRel);
                self.mailbox.signal(signal::OVERFLOW);
            }
            Overflow::DropOldest => loop {
                if let Some(oldest) = self.mailbox.evict() {
                    self.dead_letter(oldest.name(), &Undeliverable::MailboxFull);
                }
                match self.mailbox.push_with(source, &seal) {
                    Err(Rejected::Full(back)) => source = back,
                    done => return done.map_err(why),
                }
            },
        }
        Err((Undeliverable::MailboxFull, source))
    }

    /// Puts a letter that has passed the filters into the mailbox when there is room.
    pub(crate) async fn post_when_room<M: Message>(
        &self,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)>
    where
        A: Handler<M>,
    {
        self.mailbox
            .push_wait(letter, Letter::seal)
            .await
            .map_err(why)
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn filters(&self) -> Option<&crate::filter::Filters> {
        self.filters.as_ref()
    }

    #[cfg(feature = "testkit")]
    fn filter<M: Message>(&self, letter: Letter<M>) -> Option<Letter<M>>
    where
        A: Handler<M>,
    {
        match &self.filters {
            Some(filters) => filters.pass(&self.pid, letter),
            None => Some(letter),
        }
    }
}

pub(super) fn why<S>(rejected: Rejected<S>) -> (Undeliverable, S) {
    match rejected {
        Rejected::Full(back) => (Undeliverable::MailboxFull, back),
        Rejected::Closed(back) => (Undeliverable::NoSuchActor, back),
    }
}
