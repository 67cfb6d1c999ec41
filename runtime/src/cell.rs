//! A cell: what the rest of the world holds of an actor. Its PID, mailbox, routes and watchers;
//! the actor itself lives in `rt::life`.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use futures_util::future::BoxFuture;

use crate::{
    AnyPid, Exited, Message, TellError, Undeliverable,
    http::{HttpReply, HttpRequest, RouteInfo},
    links::Arriving,
    node::{
        ActorInfo,
        monitors::{Watcher, table::Watchers},
        remote::RemoteReply,
    },
    rt::{
        ActixActor, Actor, Context, Handler,
        envelope::{Envelope, HttpLetter, Letter, Reply, Routes},
        mailbox::{Mailbox, Rejected},
        vitals::Vitals,
    },
};

/// What the runtime asks of an actor, ahead of ordinary messages.
pub(crate) enum Order<A: ActixActor> {
    Stop,
    Kill,
    Open(Box<dyn Envelope<A>>),
}

const STOP: u8 = 1;
const KILL: u8 = 2;
const SUPERVISED: u8 = 4;

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
    pub(crate) mailbox: Mailbox<Order<A>, Box<dyn Envelope<A>>>,
    routes: Arc<Routes<A>>,
    pub(crate) handled: AtomicU64,
    pub(crate) vitals: Vitals,
    /// A panicking handler does not end the actor.
    pub(crate) resumes: bool,
    /// What it was told, as in [`Asked`].
    asked: AtomicU8,
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
    /// What is to be seen of it.
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
    /// Takes a `Letter` of a type that the actor accepts, or hands it back.
    fn post_any(&self, letter: Box<dyn Any + Send>) -> Result<(), Returned>;
    /// The same, waiting for room.
    fn post_any_wait(
        self: Arc<Self>,
        letter: Box<dyn Any + Send>,
    ) -> BoxFuture<'static, Result<(), Returned>>;
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
    fn asked(&self) -> Asked;
    /// Closes the mailbox; `lost` is called with the name of each message in it. Returns the
    /// watchers that are to be told.
    fn close(&self, lost: &mut dyn FnMut(&'static str)) -> Vec<Watcher>;
}

/// An undelivered letter and why.
pub(crate) type Returned = (Undeliverable, Box<dyn Any + Send>);

impl<A: Actor> Cell<A> {
    pub(crate) fn new(pid: AnyPid, capacity: usize, routes: Arc<Routes<A>>, resumes: bool) -> Self {
        Self {
            pid,
            mailbox: Mailbox::new(capacity),
            routes,
            handled: AtomicU64::new(0),
            vitals: Vitals::default(),
            resumes,
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
    pub(crate) fn trace_handled(&self, envelope: &dyn Envelope<A>) {
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
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        self.mailbox.push_system(Order::Open(Box::new(letter)))
    }

    /// Another life begins: orders to stop that came before are void.
    pub(crate) fn refresh(&self) {
        self.asked.fetch_and(!(STOP | KILL), Ordering::AcqRel);
        let mut kept = Vec::new();
        while let Some(order) = self.mailbox.pop_system() {
            if matches!(order, Order::Open(_)) {
                kept.push(order);
            }
        }
        for order in kept {
            self.mailbox.push_system(order);
        }
    }

    /// Sends without waiting.
    pub(crate) fn tell<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        let letter = Letter {
            message,
            reply: Reply::Nowhere,
        };
        self.post(letter)
            .map_err(|(reason, letter)| self.failed(reason, letter))
    }

    pub(crate) fn failed<M: Message>(
        &self,
        reason: Undeliverable,
        letter: Letter<M>,
    ) -> TellError<M> {
        TellError {
            pid: self.pid.clone(),
            reason,
            message: letter.message,
        }
    }

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
        self.mailbox.push(Box::new(letter)).map_err(returned)
    }

    /// Sends, waiting for room.
    pub(crate) async fn post_wait<M: Message>(
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
        let envelope: Box<dyn Envelope<A>> = Box::new(letter);
        self.mailbox.push_wait(envelope).await.map_err(returned)
    }

    /// The reply to an asker here, as a test's filters let it through; waits for ever if they keep it.
    pub(crate) async fn filter_reply<M: Message>(&self, reply: M::Reply) -> M::Reply {
        #[cfg(feature = "testkit")]
        if let Some(filters) = &self.filters {
            return match filters.reply::<M>(&self.pid, reply).await {
                Some(reply) => reply,
                None => std::future::pending().await,
            };
        }
        reply
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

fn returned<A, M>(rejected: Rejected<Box<dyn Envelope<A>>>) -> (Undeliverable, Letter<M>)
where
    A: ActixActor<Context = Context<A>>,
    M: Message,
{
    let (reason, envelope) = why(rejected);
    let letter = envelope
        .into_any()
        .downcast()
        .expect("what was pushed comes back");
    (reason, *letter)
}

fn why<E>(rejected: Rejected<E>) -> (Undeliverable, E) {
    match rejected {
        Rejected::Full(back) => (Undeliverable::MailboxFull, back),
        Rejected::Closed(back) => (Undeliverable::NoSuchActor, back),
    }
}

fn returned_any<A>(rejected: Rejected<Box<dyn Envelope<A>>>) -> Returned
where
    A: ActixActor<Context = Context<A>>,
{
    let (reason, envelope) = why(rejected);
    (reason, envelope.into_any())
}

impl<A: Actor> Cell<A> {
    fn retype(&self, letter: Box<dyn Any + Send>) -> Result<Box<dyn Envelope<A>>, Returned> {
        self.routes.retype(letter).map_err(|letter| {
            let name = "this message through an untyped PID".to_owned();
            (Undeliverable::NotAccepted { name }, letter)
        })
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
        };
        let posted = self.mailbox.push(Box::new(letter));
        posted.map_err(|rejected| why(rejected).0)
    }

    fn post_any(&self, letter: Box<dyn Any + Send>) -> Result<(), Returned> {
        self.mailbox
            .push(self.retype(letter)?)
            .map_err(returned_any)
    }

    fn post_any_wait(
        self: Arc<Self>,
        letter: Box<dyn Any + Send>,
    ) -> BoxFuture<'static, Result<(), Returned>> {
        Box::pin(async move {
            let envelope = self.retype(letter)?;
            self.mailbox.push_wait(envelope).await.map_err(returned_any)
        })
    }

    fn post_parcel(
        self: Arc<Self>,
        parcel: Arriving<'_>,
        reply: Option<RemoteReply>,
    ) -> Result<Option<BoxFuture<'static, ()>>, Undeliverable> {
        let envelope = self
            .routes
            .decode(parcel.name, parcel.version, parcel.body, reply)?;
        match self.mailbox.push(envelope) {
            Ok(()) => Ok(None),
            Err(Rejected::Closed(_)) => Err(Undeliverable::NoSuchActor),
            Err(Rejected::Full(envelope)) => {
                Ok(Some(Box::pin(async move {
                    // Closed while waiting: the envelope's own drop tells an asker.
                    let _ = self.mailbox.push_wait(envelope).await;
                })))
            }
        }
    }

    fn notify(&self, exited: Exited) {
        let letter = Box::new(Letter {
            message: exited,
            reply: Reply::Nowhere,
        });
        match self.routes.retype(letter) {
            Ok(envelope) => {
                self.mailbox.push_system(Order::Open(envelope));
            }
            Err(_) => tracing::debug!(pid = %self.pid, "linked, but does not accept Exited"),
        }
    }

    fn watch(&self, watcher: Watcher) -> Result<(), Watcher> {
        self.watchers.add(watcher, Watcher::same)
    }

    fn unwatch(&self, gone: &dyn Fn(&Watcher) -> bool) {
        self.watchers.remove(gone);
    }

    fn stop(&self) {
        self.asked.fetch_or(STOP, Ordering::AcqRel);
        self.mailbox.push_system(Order::Stop);
    }

    fn kill(&self) {
        self.asked.fetch_or(KILL, Ordering::AcqRel);
        self.mailbox.push_system(Order::Kill);
    }

    fn asked(&self) -> Asked {
        let asked = self.asked.load(Ordering::Acquire);
        Asked {
            stop: asked & STOP != 0,
            kill: asked & KILL != 0,
            by_supervisor: asked & SUPERVISED != 0,
        }
    }

    fn close(&self, lost: &mut dyn FnMut(&'static str)) -> Vec<Watcher> {
        self.mailbox.close();
        while let Some(envelope) = self.mailbox.pop() {
            lost(envelope.name());
            discard(&self.pid, envelope);
        }
        while let Some(order) = self.mailbox.pop_system() {
            discard(&self.pid, order);
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
