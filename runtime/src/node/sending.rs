//! Sending by PID, wherever the receiver lives.

use std::{cell::Cell, sync::Arc};

use futures_util::future::BoxFuture;

use super::Node;
use crate::{
    AnyPid, Message, Overflow, TellError, Undeliverable,
    cell::AnyCell,
    links::{Outlet, Refused},
    rt::envelope::{Letter, Reply},
    trace,
};

impl Node {
    /// Sends `message` to `pid` without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message: the receiver is gone or does not accept it, or the mailbox
    /// or the link is full. A message to another node may still be lost after it left.
    pub fn tell<M: Message>(&self, pid: &AnyPid, message: M) -> Result<(), TellError<M>> {
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        self.post(pid, letter)
            .or_else(|(reason, letter)| self.undelivered(pid, reason, letter.message))
    }

    /// What a teller is told of a message that was not taken.
    fn undelivered<M: Message>(
        &self,
        pid: &AnyPid,
        reason: Undeliverable,
        message: M,
    ) -> Result<(), TellError<M>> {
        let drops = |cell: Arc<dyn AnyCell>| cell.overflow() == Overflow::DropNewest;
        let full = reason == Undeliverable::MailboxFull;
        let dropped = full && self.cell(pid).is_some_and(drops);
        if dropped || reason == Undeliverable::NoSuchActor {
            self.dead_letter(pid, M::NAME, &reason);
        }
        if dropped {
            return Ok(());
        }
        Err(TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    pub(super) fn post<M: Message>(
        &self,
        pid: &AnyPid,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)> {
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(pid, letter) else {
            return Ok(());
        };
        if pid.node() == self.addr() {
            let Some(cell) = self.cell(pid) else {
                return Err((Undeliverable::NoSuchActor, letter));
            };
            let mut letter = Some(letter);
            return match (cell.post_any(&mut letter), letter) {
                (Err(reason), Some(letter)) => Err((reason, letter)),
                _ => Ok(()),
            };
        }
        let outlet = self.inner.links.outlet(pid.clone());
        match post_afar(&outlet, &letter.message, None) {
            Ok(()) => Ok(()),
            Err(reason) => Err((reason, letter)),
        }
    }

    /// As [`Node::tell`], to another node by a way that is known already.
    pub(crate) fn tell_afar<M: Message>(
        &self,
        pid: &AnyPid,
        outlet: &Outlet,
        message: M,
    ) -> Result<(), TellError<M>> {
        #[cfg(feature = "testkit")]
        let Some(message) = self.filter_tell(pid, message) else {
            return Ok(());
        };
        post_afar(outlet, &message, None).map_err(|reason| TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    /// As [`Node::tell_wait`], to another node by a way that is known already.
    pub(crate) async fn tell_wait_afar<M: Message>(
        &self,
        pid: &AnyPid,
        outlet: &Outlet,
        message: M,
    ) -> Result<(), TellError<M>> {
        #[cfg(feature = "testkit")]
        let Some(message) = self.filter_tell(pid, message) else {
            return Ok(());
        };
        let waiting = post_afar_wait(outlet, &message, None);
        let sent = match waiting {
            Ok(None) => return Ok(()),
            Ok(Some(waiting)) => waiting.await.map_err(refusal),
            Err(reason) => Err(reason),
        };
        sent.map_err(|reason| TellError {
            pid: pid.clone(),
            reason,
            message,
        })
    }

    #[cfg(feature = "testkit")]
    fn filter_tell<M: Message>(&self, pid: &AnyPid, message: M) -> Option<M> {
        let reply = Reply::Nowhere;
        let letter = self.filter(pid, Letter { message, reply })?;
        Some(letter.message)
    }

    /// The way to an actor of another node; `None` for one of this.
    pub(crate) fn outlet(&self, pid: &AnyPid) -> Option<Outlet> {
        (pid.node() != self.addr()).then(|| self.inner.links.outlet(pid.clone()))
    }

    #[cfg(feature = "testkit")]
    pub(super) fn filter<M: Message>(&self, pid: &AnyPid, letter: Letter<M>) -> Option<Letter<M>> {
        match &self.inner.filters {
            Some(filters) => filters.pass(pid, letter),
            None => Some(letter),
        }
    }

    /// Sends `message` to `pid`, waiting for room in the mailbox or on the link.
    ///
    /// # Errors
    /// As [`Node::tell`], but never because something is full on this node.
    pub async fn tell_wait<M: Message>(
        &self,
        pid: &AnyPid,
        message: M,
    ) -> Result<(), TellError<M>> {
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        #[cfg(feature = "testkit")]
        let Some(letter) = self.filter(pid, letter) else {
            return Ok(());
        };
        self.post_wait(pid, letter)
            .await
            .or_else(|(reason, letter)| self.undelivered(pid, reason, letter.message))
    }

    pub(super) async fn post_wait<M: Message>(
        &self,
        pid: &AnyPid,
        letter: Letter<M>,
    ) -> Result<(), (Undeliverable, Letter<M>)> {
        if pid.node() == self.addr() {
            let Some(cell) = self.cell(pid) else {
                return Err((Undeliverable::NoSuchActor, letter));
            };
            let mut letter = Some(letter);
            return match (cell.post_any_wait(&mut letter).await, letter) {
                (Err(reason), Some(letter)) => Err((reason, letter)),
                _ => Ok(()),
            };
        }
        let outlet = self.inner.links.outlet(pid.clone());
        match post_afar_wait(&outlet, &letter.message, None) {
            Ok(None) => Ok(()),
            Ok(Some(waiting)) => waiting.await.map_err(|refused| (refusal(refused), letter)),
            Err(reason) => Err((reason, letter)),
        }
    }
}

thread_local! {
    /// Where messages to other nodes are encoded before they go into the link's memory: no code of
    /// theirs runs while the link is locked.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
/// A scratch buffer that a large message has stretched beyond this is not kept.
const SCRATCH_BYTES_MAX: usize = 128 * 1024;

/// Runs `post` with the encoded message.
pub(super) fn encoded<M: Message, T>(
    message: &M,
    post: impl FnOnce(&mut Vec<u8>) -> Result<T, Undeliverable>,
) -> Result<T, Undeliverable> {
    let mut body = SCRATCH.take();
    let encoded = message.encode_to(&mut body).map_err(Undeliverable::from);
    let posted = encoded.and_then(|()| post(&mut body));
    if body.capacity() <= SCRATCH_BYTES_MAX {
        body.clear();
        SCRATCH.set(body);
    }
    posted
}

/// Queues `message` for another node; `ask`: the question's number.
pub(super) fn post_afar<M: Message>(
    outlet: &Outlet,
    message: &M,
    ask: Option<u64>,
) -> Result<(), Undeliverable> {
    encoded(message, |body| {
        let trace = trace::current();
        let posted = outlet.post(M::NAME, M::VERSION, ask, trace, body);
        posted.map_err(refusal)
    })
}

type Waiting = BoxFuture<'static, Result<(), Refused>>;

/// As [`post_afar`]; the future, if any, is done when there is room.
pub(super) fn post_afar_wait<M: Message>(
    outlet: &Outlet,
    message: &M,
    ask: Option<u64>,
) -> Result<Option<Waiting>, Undeliverable> {
    encoded(message, |body| {
        let trace = trace::current();
        Ok(outlet.post_wait(M::NAME, M::VERSION, ask, trace, body))
    })
}

pub(super) fn refusal(refused: Refused) -> Undeliverable {
    match refused {
        Refused::Full => Undeliverable::LinkFull,
        Refused::Held => Undeliverable::MailboxFull,
        Refused::TooLarge { bytes, limit } => Undeliverable::TooLarge { bytes, limit },
        Refused::Stopped => Undeliverable::NodeStopped,
    }
}
