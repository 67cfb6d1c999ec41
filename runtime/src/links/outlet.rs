//! The way to one actor of another node, found once and kept with its PID.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use futures_util::future::{BoxFuture, FutureExt, ready};

use super::{
    Refused,
    core::Core,
    outbox::{Waited, owned},
    outgoing::Letter,
    peer::Peer,
    settled,
};
use crate::{pid::AnyPid, trace::TraceContext};

/// What the header of a message takes on the wire at most, beside its names.
const HEAD: usize = 96;

/// See the module.
pub(crate) struct Outlet {
    core: Arc<Core>,
    to: AnyPid,
    peer: RwLock<Option<Arc<Peer>>>,
    /// The actor's number in the link's table, and which table.
    known: AtomicU64,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outlet({})", self.to)
    }
}

impl Outlet {
    pub(super) fn new(core: Arc<Core>, to: AnyPid) -> Self {
        Self {
            core,
            to,
            peer: RwLock::new(None),
            known: AtomicU64::new(0),
        }
    }

    /// Queues a message, and never blocks; a large `body` is taken out. `ask`: the question's number.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn post(
        &self,
        name: &str,
        version: u16,
        ask: Option<u64>,
        trace: Option<TraceContext>,
        body: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        self.weigh(name, body)?;
        loop {
            let done = self.with_peer(|peer| {
                let known = Some(&self.known);
                let letter = Letter {
                    to: &self.to,
                    name,
                    version,
                    ask,
                    trace,
                    body,
                    known,
                };
                settled(peer.outbox.post(letter))
            })?;
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// As [`Outlet::post`], and waits for room; the message's place in line is taken by the call. It
    /// is withdrawn if the future is dropped before that.
    ///
    /// # Errors
    /// [`Refused`], but for [`Refused::Full`] and [`Refused::Held`].
    pub(crate) fn post_wait(
        &self,
        name: &str,
        version: u16,
        ask: Option<u64>,
        trace: Option<TraceContext>,
        body: &mut Vec<u8>,
    ) -> Option<BoxFuture<'static, Result<(), Refused>>> {
        match self.post(name, version, ask, trace, body) {
            Ok(()) => return None,
            Err(Refused::Full | Refused::Held) => {}
            Err(refused) => return Some(ready(Err(refused)).boxed()),
        }
        let letter = Letter {
            to: &self.to,
            name,
            version,
            ask,
            trace,
            body,
            known: None,
        };
        let frame = owned(letter);
        loop {
            let waited = self.with_peer(|peer| match peer.outbox.push_or_wait(frame.clone()) {
                Waited::Later(later) => {
                    let wait = async { later.await.map_err(|_| Refused::Stopped) };
                    Some(Some(wait.boxed()))
                }
                Waited::Now(pushed) => settled(pushed).map(|done| Some(ready(done).boxed())),
            });
            match waited {
                Ok(Some(wait)) => return wait,
                Ok(None) => {}
                Err(refused) => return Some(ready(Err(refused)).boxed()),
            }
        }
    }

    fn weigh(&self, name: &str, body: &[u8]) -> Result<(), Refused> {
        let bytes = HEAD + self.to.name().len() + name.len() + body.len();
        let limit = self.core.config.max_frame;
        if bytes > limit || name.len() > crate::frame::wire::NAME_BYTES_MAX {
            return Err(Refused::TooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Has `offer` use the peer's record; one that is an old one, for which that gives `None`, is
    /// forgotten.
    fn with_peer<T>(&self, offer: impl FnOnce(&Peer) -> Option<T>) -> Result<Option<T>, Refused> {
        if self.core.is_stopped() {
            return Err(Refused::Stopped);
        }
        let kept = self.peer.read().unwrap_or_else(PoisonError::into_inner);
        let offered = match &*kept {
            Some(peer) => offer(peer),
            None => {
                drop(kept);
                let peer = self.core.peer(self.to.node()).ok_or(Refused::Stopped)?;
                let offered = offer(&peer);
                self.keep(offered.is_some().then_some(peer));
                return Ok(offered);
            }
        };
        drop(kept);
        if offered.is_none() {
            self.keep(None);
        }
        Ok(offered)
    }

    fn keep(&self, peer: Option<Arc<Peer>>) {
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = peer;
    }
}
