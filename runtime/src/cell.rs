//! A cell: what the rest of the world holds of an actor. Its PID, mailbox, routes and watchers;
//! the actor itself lives in `rt::life`.

use std::{
    any::Any,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use futures_util::future::BoxFuture;

use crate::{
    AnyPid, Exited, Message, Node, Overflow, TellError, Undeliverable, ambient,
    http::{HttpReply, HttpRequest, RouteInfo},
    links::Arriving,
    node::{
        ActorInfo, SpawnOptions,
        monitors::{Watcher, table::Watchers},
        remote::RemoteReply,
    },
    rt::{
        ActixActor, Actor, Context, Handler,
        envelope::{Envelope, HttpLetter, Letter, Routes},
        life::panic_text,
        raw::{
            mailbox::{Mailbox, signal},
            place::{Filled, Place, made},
            queue::Rejected,
        },
        vitals::Vitals,
    },
    trace,
};

const STOP: u8 = 1;
const KILL: u8 = 2;
const SUPERVISED: u8 = 4;
const LIVES_AGAIN: u8 = 8;

/// What an actor was told, and by whom it is looked after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) stop: bool,
    pub(crate) kill: bool,
    /// It is a supervisor's child.
    pub(crate) by_supervisor: bool,
}

pub(crate) struct Cell<A: ActixActor<Context = Context<A>>> {
    pub(crate) pid: AnyPid,
    pub(crate) mailbox: Mailbox<Envelope<A>>,
    routes: Arc<Routes<A>>,
    pub(crate) handled: AtomicU64,
    pub(crate) vitals: Vitals,
    /// A panicking handler does not end the actor.
    pub(crate) resumes: bool,
    /// What it was told, as in [`Asked`].
    asked: AtomicU8,
    overflow: Overflow,
    watchers: Watchers<Watcher>,
    #[cfg(feature = "testkit")]
    filters: Option<crate::filter::Filters>,
}

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
    fn stop(&self);
    fn kill(&self);
    /// What becomes of messages that find the mailbox full.
    fn overflow(&self) -> Overflow;
    fn asked(&self) -> Asked;
    /// Closes the mailbox; `lost` is called with the name of each message in it. Returns the
    /// watchers that are to be told.
    fn close(&self, lost: &mut dyn FnMut(&'static str)) -> Vec<Watcher>;
}

impl<A: Actor> Cell<A> {
    pub(crate) fn new(
        node: &Node,
        pid: AnyPid,
        options: &SpawnOptions,
        routes: Arc<Routes<A>>,
    ) -> Self {
        let capacity = options.mailbox.unwrap_or(node.inner.mailbox_capacity);
        let overflow = options.overflow;
        Self {
            pid,
            mailbox: Mailbox::new(capacity, overflow == Overflow::DropOldest),
            overflow,
            resumes: options.supervision.resume,
            routes,
            handled: AtomicU64::new(0),
            vitals: Vitals::of(ambient::actor_of(node)),
            asked: AtomicU8::new(0),
            watchers: Watchers::new(),
            #[cfg(feature = "testkit")]
            filters: None,
        }
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn with_filters(self, filters: Option<crate::filter::Filters>) -> Self {
        Self { filters, ..self }
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn trace_handled(&self, envelope: &Envelope<A>) {
        if let Some(filters) = &self.filters {
            filters.handled(&self.pid, envelope.name(), || envelope.body());
        }
    }

    /// It is a supervisor's child.
    pub(crate) fn supervised(&self) {
        self.asked.fetch_or(SUPERVISED, Ordering::AcqRel);
    }

    /// A message of the runtime's own, ahead of others; false when the actor has ended.
    pub(crate) fn post_first<M: Message>(&self, message: M) -> bool
    where
        A: Handler<M>,
    {
        self.mailbox
            .push_system(made(|place| Letter::told(message).seal(place)))
    }

    /// It may live again: between two lives it does not hear what it is told.
    pub(crate) fn lives_again(&self) {
        self.asked.fetch_or(LIVES_AGAIN, Ordering::SeqCst);
    }

    /// As [`Node::stop`].
    pub(crate) fn order_stop(&self) {
        self.stop();
        self.wake_between_lives();
    }

    /// As [`Node::kill`].
    pub(crate) fn order_kill(&self) {
        self.kill();
        self.wake_between_lives();
    }

    fn wake_between_lives(&self) {
        if self.asked.load(Ordering::SeqCst) & LIVES_AGAIN != 0
            && let Some(node) = self.routes.node()
        {
            node.inner.pausing.wake(&self.pid);
        }
    }

    /// Another life begins: orders to stop that came before are void.
    pub(crate) fn refresh(&self) {
        self.asked.fetch_and(!(STOP | KILL), Ordering::AcqRel);
        self.mailbox.clear_signals();
    }

    /// A handler panicked, and the actor goes on.
    pub(crate) fn resumed(&self, message: &str, panic: Box<dyn Any + Send>) {
        let why = panic_text(panic);
        tracing::warn!(pid = %self.pid, message, why, "handler panicked; actor resumed");
    }

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
    fn admit<S>(
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

fn why<S>(rejected: Rejected<S>) -> (Undeliverable, S) {
    match rejected {
        Rejected::Full(back) => (Undeliverable::MailboxFull, back),
        Rejected::Closed(back) => (Undeliverable::NoSuchActor, back),
    }
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
    }

    fn kill(&self) {
        self.asked.fetch_or(KILL, Ordering::SeqCst);
        self.mailbox.signal(signal::KILL);
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
