//! Letters: messages with what becomes of the reply, and the table of those an actor accepts.
//!
//! How a letter lies in a mailbox is `raw::envelope`; how a handler's result becomes a reply is
//! here, in [`Reply::settle`].

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::sync::oneshot;

use super::{
    ActixActor, Actor, Context, Handler, MessageResponse, MessageResult,
    asynchronous::AsyncReply,
    raw::{
        self,
        envelope::Contents,
        place::{Filled, Place, made},
        reply::{Answerer, Asked},
    },
    turn::Body,
};
use crate::{
    Message, Node,
    error::Undeliverable,
    http::{Handle, HttpReply, HttpRequest, HttpRoutes},
    node::{Ended, Inner, remote::RemoteReply},
    trace::{self, Handling, TraceContext},
};

/// A message of any type on its way into the mailbox of an `A`.
pub(crate) type Envelope<A> = raw::envelope::Envelope<Body<A>>;

/// What an asker on this node gets.
pub(crate) enum Answer<R> {
    /// The reply.
    Now(R),
    /// The handler answers later, through this.
    Later(oneshot::Receiver<R>),
}

/// Where a reply goes.
pub(crate) enum Reply<R> {
    /// Nobody asked.
    Nowhere,
    /// To an asker on this node.
    Here(Answerer<Answer<R>>),
    /// To an asker on another node.
    Afar(Box<RemoteReply>),
    /// To one who asked through a plain actix address.
    Channel(oneshot::Sender<R>),
}

impl<R: Send + 'static> Reply<R> {
    /// A reply that arrives at the second of the pair.
    pub(crate) fn here() -> (Self, Asked<Answer<R>>) {
        let (answerer, asked) = raw::reply::slot();
        (Reply::Here(answerer), asked)
    }

    /// Gives the reply.
    #[inline]
    pub(crate) fn give<M: Message<Reply = R>>(self, reply: R) {
        match self {
            Reply::Nowhere => {}
            Reply::Here(answerer) => drop(answerer.answer(Answer::Now(reply))),
            Reply::Afar(remote) => remote.answer::<M>(&reply),
            Reply::Channel(sender) => drop(sender.send(reply)),
        }
    }

    /// Has `respond` give the reply, now or later, through actix's kind of channel.
    fn settle_later<M: Message<Reply = R>>(self, respond: impl FnOnce(Option<oneshot::Sender<R>>)) {
        match self {
            Reply::Nowhere => respond(None),
            Reply::Here(answerer) => {
                let (sender, mut receiver) = oneshot::channel();
                respond(Some(sender));
                let answer = match receiver.try_recv() {
                    Ok(reply) => Answer::Now(reply),
                    Err(_) => Answer::Later(receiver),
                };
                drop(answerer.answer(answer));
            }
            Reply::Afar(remote) => {
                let (sender, receiver) = oneshot::channel();
                respond(Some(sender));
                remote.forward::<M>(receiver);
            }
            Reply::Channel(sender) => respond(Some(sender)),
        }
    }

    /// Makes the reply of what the handler returned. The message's own reply type, actix's
    /// `MessageResult` and an [`AsyncReply`] are known; any other goes its way through actix's
    /// `MessageResponse`.
    #[inline]
    fn settle<A, M>(self, result: <A as Handler<M>>::Result, body: &mut Body<A>)
    where
        A: Actor + Handler<M>,
        M: Message<Reply = R>,
    {
        let mut result = Some(result);
        if let Some(reply) = take_known::<R>(&mut result) {
            self.give::<M>(reply);
        } else if let Some(MessageResult(reply)) = take_known::<MessageResult<M>>(&mut result) {
            self.give::<M>(reply);
        } else if let Some(handler) = take_known::<AsyncReply<A, M>>(&mut result) {
            handler.begin(self, body);
        } else if let (Some(result), Some(core)) = (result, body.get()) {
            self.settle_later::<M>(|sender| result.handle(&mut core.ctx, sender));
        }
    }
}

/// What is in `result`, an `Option<T>` or not.
#[inline]
fn take_known<T: 'static>(result: &mut dyn Any) -> Option<T> {
    result.downcast_mut::<Option<T>>()?.take()
}

/// A message with its reply.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: Reply<M::Reply>,
}

impl<M: Message> Letter<M> {
    /// A message that nobody waits for.
    #[inline]
    pub(crate) fn told(message: M) -> Self {
        Self {
            message,
            reply: Reply::Nowhere,
        }
    }

    /// The letter, written as it lies in a mailbox, in the sender's trace.
    #[inline]
    pub(crate) fn seal<A: Actor + Handler<M>>(self, place: Place<'_, Envelope<A>>) -> Filled {
        match trace::current() {
            None => self.seal_plain(place),
            Some(trace) => self.seal_traced(Box::new(trace), place),
        }
    }

    /// The letter, written as it lies in a mailbox. A trace makes the envelope another kind:
    /// without one, nothing of it is stored or looked at.
    pub(crate) fn seal_in<A: Actor + Handler<M>>(
        self,
        trace: Option<Box<TraceContext>>,
        place: Place<'_, Envelope<A>>,
    ) -> Filled {
        match trace {
            None => self.seal_plain(place),
            Some(trace) => self.seal_traced(trace, place),
        }
    }

    #[inline]
    fn seal_plain<A: Actor + Handler<M>>(self, place: Place<'_, Envelope<A>>) -> Filled {
        match self.reply {
            Reply::Nowhere => Envelope::seal(Told(self.message), place),
            reply => Envelope::seal(Self { reply, ..self }, place),
        }
    }

    #[cold]
    fn seal_traced<A: Actor + Handler<M>>(
        self,
        trace: Box<TraceContext>,
        place: Place<'_, Envelope<A>>,
    ) -> Filled {
        let letter = self;
        Envelope::seal(Traced { trace, letter }, place)
    }
}

/// A letter that belongs to a trace.
struct Traced<M: Message> {
    trace: Box<TraceContext>,
    letter: Letter<M>,
}

impl<A, M> Contents<Body<A>> for Traced<M>
where
    A: Actor + Handler<M>,
    M: Message,
{
    const NAME: &'static str = M::NAME;

    fn open(self, to: &mut Body<A>) {
        let Some(core) = to.get() else { return };
        let ctx = &core.ctx;
        let ids = &ctx.node().inner.trace_ids;
        let handling = Handling::new(&self.trace, ids, ctx.as_any_pid(), M::NAME);
        let _inside = handling.enter();
        self.letter.open(to);
    }

    fn body(&self) -> Option<Vec<u8>> {
        self.letter.message.encode().ok()
    }
}

/// A message without a reply: all of the envelope is for it.
struct Told<M>(M);

impl<A, M> Contents<Body<A>> for Told<M>
where
    A: Actor + Handler<M>,
    M: Message,
{
    const NAME: &'static str = M::NAME;

    #[inline]
    fn open(self, to: &mut Body<A>) {
        let Some(core) = to.get() else { return };
        let result = core.actor.handle(self.0, &mut core.ctx);
        Reply::Nowhere.settle::<A, M>(result, to);
    }

    fn body(&self) -> Option<Vec<u8>> {
        self.0.encode().ok()
    }
}

impl<A, M> Contents<Body<A>> for Letter<M>
where
    A: Actor + Handler<M>,
    M: Message,
{
    const NAME: &'static str = M::NAME;

    #[inline]
    fn open(self, to: &mut Body<A>) {
        let Some(core) = to.get() else { return };
        let result = core.actor.handle(self.message, &mut core.ctx);
        self.reply.settle::<A, M>(result, to);
    }

    fn body(&self) -> Option<Vec<u8>> {
        self.message.encode().ok()
    }
}

/// An HTTP request in a mailbox.
pub(crate) struct HttpLetter<A: ActixActor<Context = Context<A>>> {
    pub(crate) routes: Arc<Routes<A>>,
    pub(crate) index: usize,
    pub(crate) request: HttpRequest,
    pub(crate) reply: HttpReply,
    /// Of the client.
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl<A: Actor> Contents<Body<A>> for HttpLetter<A> {
    const NAME: &'static str = "HTTP request";

    fn open(mut self, to: &mut Body<A>) {
        let Some(core) = to.get() else { return };
        let Some(trace) = self.trace.take() else {
            return self.answer(to);
        };
        let ids = &core.ctx.node().inner.trace_ids;
        let handling = Handling::new(
            &trace,
            ids,
            core.ctx.as_any_pid(),
            &self.request.to_string(),
        );
        let _inside = handling.enter();
        self.answer(to);
    }

    fn body(&self) -> Option<Vec<u8>> {
        None
    }
}

impl<A: Actor> HttpLetter<A> {
    fn answer(self, to: &mut Body<A>) {
        let Self {
            routes,
            index,
            request,
            reply,
            ..
        } = self;
        match (routes.served().handle(index), to.get()) {
            (Handle::Now(handle), Some(core)) => {
                handle(&mut core.actor, request, &mut core.ctx, reply);
            }
            (Handle::Holding(_), Some(_)) => {
                let handling = Handling::current();
                to.lend(|core| {
                    Box::pin(async move {
                        let Handle::Holding(handle) = routes.served().handle(index) else {
                            return;
                        };
                        let answer = handle(&mut core.actor, request, &mut core.ctx);
                        reply.send(match handling {
                            Some(handling) => handling.within(answer).await,
                            None => answer.await,
                        });
                    })
                });
            }
            // An async handler has the actor: nothing is opened meanwhile.
            (_, None) => {}
        }
    }
}

type Decode<A> = fn(&[u8], Option<Box<TraceContext>>, Option<RemoteReply>) -> Decoded<A>;
type Decoded<A> = Result<Envelope<A>, Undeliverable>;

struct Route<A: ActixActor<Context = Context<A>>> {
    version: u16,
    /// Makes an envelope of a parcel's body.
    decode: Decode<A>,
}

/// Seals the letter in an `Option<Letter<M>>`.
pub(crate) type Seal<A> = fn(&mut (dyn Any + Send), Place<'_, Envelope<A>>) -> Filled;

/// What an actor accepts without its type being known: by wire name, and by message type.
pub struct Routes<A: ActixActor<Context = Context<A>>> {
    node: Weak<Inner>,
    by_name: BTreeMap<&'static str, Route<A>>,
    by_type: BTreeMap<TypeId, Seal<A>>,
    http: HttpRoutes<A>,
    /// What the actors of the type that have ended did.
    pub(crate) ended: Arc<Ended>,
}

impl<A: Actor> Routes<A> {
    pub(crate) fn new(node: &Node) -> Self {
        Self {
            node: Arc::downgrade(&node.inner),
            by_name: BTreeMap::new(),
            by_type: BTreeMap::new(),
            http: HttpRoutes::new(),
            ended: Arc::default(),
        }
    }

    /// The node whose actors these are for, while it is there.
    pub(crate) fn node(&self) -> Option<Node> {
        let inner = self.node.upgrade()?;
        Some(Node { inner })
    }

    /// Whether they are for actors of that node.
    pub(crate) fn is_of(&self, node: &Node) -> bool {
        // The weak reference keeps the place from being used again.
        self.node.as_ptr() == Arc::as_ptr(&node.inner)
    }

    /// The HTTP requests that the actor answers.
    pub fn http(&mut self) -> &mut HttpRoutes<A> {
        &mut self.http
    }

    pub(crate) fn served(&self) -> &HttpRoutes<A> {
        &self.http
    }

    /// Accepts `M`.
    ///
    /// # Panics
    /// When another message of the same name is accepted already.
    pub fn message<M: Message>(&mut self)
    where
        A: Handler<M>,
    {
        let route = Route {
            version: M::VERSION,
            decode: decode::<A, M>,
        };
        let double = self.by_name.insert(M::NAME, route).is_some();
        assert!(!double, "an actor accepts two messages named {}", M::NAME);
        self.by_type
            .insert(TypeId::of::<Option<Letter<M>>>(), seal::<A, M>);
    }

    /// The envelope for a parcel from afar.
    pub(crate) fn decode(
        &self,
        name: &str,
        version: u16,
        body: &[u8],
        trace: Option<Box<TraceContext>>,
        reply: Option<RemoteReply>,
    ) -> Decoded<A> {
        let known = self
            .by_name
            .get(name)
            .filter(|r| r.version.abs_diff(version) <= 1);
        match known {
            Some(route) => (route.decode)(body, trace, reply),
            None => {
                let refusal = Undeliverable::NotAccepted {
                    name: format!("{name}/{version}"),
                };
                if let Some(reply) = reply {
                    reply.refuse(refusal.clone());
                }
                Err(refusal)
            }
        }
    }

    /// How to seal the letter in `letter`, an `Option<Letter<_>>` of some message, if it is accepted.
    pub(crate) fn seal(&self, letter: &(dyn Any + Send)) -> Option<Seal<A>> {
        self.by_type.get(&letter.type_id()).copied()
    }
}

fn decode<A, M>(
    body: &[u8],
    trace: Option<Box<TraceContext>>,
    reply: Option<RemoteReply>,
) -> Decoded<A>
where
    A: Actor + Handler<M>,
    M: Message,
{
    match M::decode(body) {
        Ok(message) => {
            let reply = reply.map_or(Reply::Nowhere, |reply| Reply::Afar(Box::new(reply)));
            Ok(made(|place| {
                Letter { message, reply }.seal_in(trace, place)
            }))
        }
        Err(error) => {
            let refusal = Undeliverable::from(error);
            if let Some(reply) = reply {
                reply.refuse(refusal.clone());
            }
            Err(refusal)
        }
    }
}

fn seal<A, M>(letter: &mut (dyn Any + Send), place: Place<'_, Envelope<A>>) -> Filled
where
    A: Actor + Handler<M>,
    M: Message,
{
    let letter = letter.downcast_mut::<Option<Letter<M>>>();
    let letter = letter.and_then(Option::take);
    letter
        .expect("routes are keyed by the letter's type")
        .seal(place)
}
