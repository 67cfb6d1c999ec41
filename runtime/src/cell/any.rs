//! A cell as those see it who do not know its actor's type.

use std::{
    any::Any,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use futures_util::future::BoxFuture;

use super::{Asked, Cell, KILL, STOP, SUPERVISED, sending::why};
use crate::{
    AnyPid, Exited, Overflow, Undeliverable,
    http::{HttpReply, HttpRequest, RouteInfo},
    links::Arriving,
    node::{ActorInfo, monitors::Watcher, remote::RemoteReply},
    rt::{
        Actor,
        envelope::{Envelope, HttpLetter, Letter},
        raw::{
            mailbox::signal,
            place::{Place, made},
        },
    },
    trace,
};

/// A cell whose actor's type is not known.
pub(crate) trait AnyCell: Send + Sync {
    fn pid(&self) -> &AnyPid;
    /// Messages waiting, and handled so far.
    fn counts(&self) -> (usize, u64);
    /// The actor's Rust type.
    fn type_name(&self) -> &'static str;
    /// The incarnation of the actor that spawned it, if one did.
    fn parent(&self) -> Option<u64>;
    /// What is to be seen of it, but for its parent's name.
    fn info(&self) -> ActorInfo;
    /// Adds what the actor did to the counts of its type, once it has ended.
    fn count_end(&self);
    /// The HTTP requests that it answers.
    fn http_routes(&self) -> &[RouteInfo];
    /// Takes an HTTP request for its route `index`.
    fn post_http(
        &self,
        index: usize,
        request: HttpRequest,
        reply: HttpReply,
    ) -> Result<(), Undeliverable>;
    /// Takes the letter out of `letter`, an `Option<Letter<_>>` of a message that the actor accepts;
    /// leaves it there where it cannot.
    fn post_any(&self, letter: &mut (dyn Any + Send)) -> Result<(), Undeliverable>;
    /// The same, waiting for room.
    fn post_any_wait<'a>(
        &'a self,
        letter: &'a mut (dyn Any + Send),
    ) -> BoxFuture<'a, Result<(), Undeliverable>>;
    /// Takes a message from afar; the future, if any, is to be awaited: there is no room yet.
    fn post_parcel(
        self: Arc<Self>,
        parcel: Arriving<'_>,
        reply: Option<RemoteReply>,
    ) -> Result<Option<BoxFuture<'static, ()>>, Undeliverable>;
    /// Delivers the notice ahead of messages, if the actor accepts it.
    fn notify(&self, exited: Exited);
    /// Adds a watcher, or hands it back because the actor has ended.
    fn watch(&self, watcher: Watcher) -> Result<(), Watcher>;
    /// Removes the watchers that `gone` names.
    fn unwatch(&self, gone: &dyn Fn(&Watcher) -> bool);
    /// Asks it to stop, also between two lives.
    fn stop(&self);
    /// As [`AnyCell::stop`]: ends it as soon as the handler at hand returns.
    fn kill(&self);
    /// What becomes of messages that find the mailbox full.
    fn overflow(&self) -> Overflow;
    fn asked(&self) -> Asked;
    /// Closes the mailbox; `lost` is called with the name of each message in it. Returns the
    /// watchers that are to be told.
    fn close(&self, lost: &mut dyn FnMut(&'static str)) -> Vec<Watcher>;
}

fn not_accepted() -> Undeliverable {
    Undeliverable::NotAccepted {
        name: "this message through an untyped PID".to_owned(),
    }
}

impl<A: Actor> AnyCell for Cell<A> {
    fn pid(&self) -> &AnyPid {
        &self.pid
    }

    fn counts(&self) -> (usize, u64) {
        (self.mailbox.len(), self.handled.load(Ordering::Relaxed))
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<A>()
    }

    fn parent(&self) -> Option<u64> {
        self.vitals.parent.map(NonZeroU64::get)
    }

    fn info(&self) -> ActorInfo {
        ActorInfo {
            pid: self.pid.to_string(),
            name: self.pid.name().to_owned(),
            kind: self.type_name().to_owned(),
            parent: None,
            waiting: self.mailbox.len(),
            capacity: self.mailbox.capacity(),
            handled: self.handled.load(Ordering::Relaxed),
            busy_micros: self.vitals.busy_micros(),
            restarts: self.vitals.restarts(),
            last_exit: self.vitals.last_exit(),
        }
    }

    fn count_end(&self) {
        let handled = self.handled.load(Ordering::Relaxed);
        self.routes.ended.add(handled, self.vitals.busy_micros());
    }

    fn http_routes(&self) -> &[RouteInfo] {
        self.routes.served().infos()
    }

    fn post_http(
        &self,
        index: usize,
        request: HttpRequest,
        reply: HttpReply,
    ) -> Result<(), Undeliverable> {
        let letter = HttpLetter {
            routes: self.routes.clone(),
            index,
            request,
            reply,
            trace: trace::current().map(Box::new),
        };
        self.admit(letter, Envelope::seal)
            .map_err(|(reason, _)| reason)
    }

    fn post_any(&self, letter: &mut (dyn Any + Send)) -> Result<(), Undeliverable> {
        let seal = self.routes.seal(letter).ok_or_else(not_accepted)?;
        self.admit(letter, seal).map_err(|(reason, _)| reason)
    }

    fn post_any_wait<'a>(
        &'a self,
        letter: &'a mut (dyn Any + Send),
    ) -> BoxFuture<'a, Result<(), Undeliverable>> {
        Box::pin(async move {
            let seal = self.routes.seal(letter).ok_or_else(not_accepted)?;
            if !self.waits() {
                return self.admit(letter, seal).map_err(|(reason, _)| reason);
            }
            let posted = self.mailbox.push_wait(letter, seal).await;
            posted.map_err(|rejected| why(rejected).0)
        })
    }

    fn post_parcel(
        self: Arc<Self>,
        parcel: Arriving<'_>,
        reply: Option<RemoteReply>,
    ) -> Result<Option<BoxFuture<'static, ()>>, Undeliverable> {
        let hopeless = matches!(self.overflow, Overflow::Fail | Overflow::DropNewest);
        if hopeless && self.mailbox.is_full() {
            if let Some(reply) = reply {
                reply.refuse(Undeliverable::MailboxFull);
            }
            return Err(Undeliverable::MailboxFull);
        }
        let envelope = self.routes.decode(
            parcel.name,
            parcel.version,
            parcel.body,
            parcel.trace.map(Box::new),
            reply,
        )?;
        match self.admit(envelope, |envelope, place| place.fill(envelope)) {
            Err((Undeliverable::MailboxFull, envelope)) if self.waits() => {
                Ok(Some(Box::pin(async move {
                    // Closed while waiting: the envelope's own drop tells an asker.
                    let fill = |envelope, place: Place<'_, _>| place.fill(envelope);
                    let _ = self.mailbox.push_wait(envelope, fill).await;
                })))
            }
            done => done.map(|()| None).map_err(|(reason, _)| reason),
        }
    }

    fn notify(&self, exited: Exited) {
        let mut letter = Some(Letter::told(exited));
        match self.routes.seal(&letter) {
            Some(seal) => {
                self.mailbox
                    .push_system(made(|place| seal(&mut letter, place)));
            }
            None => tracing::debug!(pid = %self.pid, "linked, but does not accept Exited"),
        }
    }

    fn watch(&self, watcher: Watcher) -> Result<(), Watcher> {
        self.watchers.add(watcher, Watcher::same)
    }

    fn unwatch(&self, gone: &dyn Fn(&Watcher) -> bool) {
        self.watchers.remove(gone);
    }

    fn overflow(&self) -> Overflow {
        self.overflow
    }

    fn stop(&self) {
        self.asked.fetch_or(STOP, Ordering::SeqCst);
        self.mailbox.signal(signal::STOP);
        self.wake_between_lives();
    }

    fn kill(&self) {
        self.asked.fetch_or(KILL, Ordering::SeqCst);
        self.mailbox.signal(signal::KILL);
        self.wake_between_lives();
    }

    fn asked(&self) -> Asked {
        let asked = self.asked.load(Ordering::SeqCst);
        Asked {
            stop: asked & STOP != 0,
            kill: asked & KILL != 0,
            by_supervisor: asked & SUPERVISED != 0,
        }
    }

    fn close(&self, lost: &mut dyn FnMut(&'static str)) -> Vec<Watcher> {
        self.mailbox.close();
        if let Some(mut receiving) = self.mailbox.receive() {
            while let Some(envelope) = receiving.pop() {
                lost(envelope.name());
                discard(&self.pid, envelope);
            }
            while let Some(notice) = receiving.pop_system() {
                discard(&self.pid, notice);
            }
            receiving.forget_waker();
        }
        self.watchers.close()
    }
}

/// Drops what an actor left unread; a panic in its destructor is its own.
fn discard<T>(pid: &AnyPid, unread: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(unread))).is_err() {
        tracing::warn!(%pid, "an unread message panicked while it was dropped");
    }
}
