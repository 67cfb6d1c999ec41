//! Envelopes: messages on their way into a mailbox, with what becomes of the reply.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{ActixActor, Context, Handler, MessageResponse};
use crate::{
    Message,
    error::Undeliverable,
    http::{HttpReply, HttpRequest, HttpRoutes},
    node::{Ended, remote::RemoteReply},
};

/// Where a reply goes.
pub(crate) enum Reply<R> {
    /// Nobody asked.
    Nowhere,
    /// To an asker on this node.
    Here(oneshot::Sender<R>),
    /// To an asker on another node.
    Afar(RemoteReply),
}

/// A message of type `M` in a mailbox.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: Reply<M::Reply>,
}

/// A letter, seen from the actor that will open it.
pub(crate) trait Envelope<A: ActixActor>: Send {
    /// Calls the handler.
    fn open(self: Box<Self>, actor: &mut A, ctx: &mut A::Context);

    /// The message's name on the wire.
    fn name(&self) -> &'static str;

    /// The message as it travels, unless it cannot.
    #[cfg(feature = "testkit")]
    fn body(&self) -> Option<Vec<u8>>;

    /// The letter, to hand it back.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl<A, M> Envelope<A> for Letter<M>
where
    A: Handler<M> + ActixActor<Context = Context<A>>,
    M: Message,
{
    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>) {
        let result = actor.handle(self.message, ctx);
        match self.reply {
            Reply::Nowhere => result.handle(ctx, None),
            Reply::Here(sender) => result.handle(ctx, Some(sender)),
            Reply::Afar(remote) => {
                let (sender, receiver) = oneshot::channel();
                result.handle(ctx, Some(sender));
                remote.forward::<M>(receiver);
            }
        }
    }

    fn name(&self) -> &'static str {
        M::NAME
    }

    #[cfg(feature = "testkit")]
    fn body(&self) -> Option<Vec<u8>> {
        self.message.encode().ok()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// An HTTP request in a mailbox.
pub(crate) struct HttpLetter<A: ActixActor<Context = Context<A>>> {
    pub(crate) routes: Arc<Routes<A>>,
    pub(crate) index: usize,
    pub(crate) request: HttpRequest,
    pub(crate) reply: HttpReply,
}

impl<A: ActixActor<Context = Context<A>>> Envelope<A> for HttpLetter<A> {
    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>) {
        let routes = self.routes.served();
        routes.handle(self.index, actor, self.request, ctx, self.reply);
    }

    fn name(&self) -> &'static str {
        "HTTP request"
    }

    #[cfg(feature = "testkit")]
    fn body(&self) -> Option<Vec<u8>> {
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

type Decoded<A> = Result<Box<dyn Envelope<A>>, Undeliverable>;

struct Route<A> {
    version: u16,
    /// Makes an envelope of a parcel's body.
    decode: fn(&[u8], Option<RemoteReply>) -> Decoded<A>,
}

type Retype<A> = fn(Box<dyn Any + Send>) -> Option<Box<dyn Envelope<A>>>;

/// What an actor accepts without its type being known: by wire name, and by message type.
pub struct Routes<A: ActixActor<Context = Context<A>>> {
    by_name: BTreeMap<&'static str, Route<A>>,
    by_type: BTreeMap<TypeId, Retype<A>>,
    http: HttpRoutes<A>,
    /// What the actors of the type that have ended did.
    pub(crate) ended: Arc<Ended>,
}

impl<A: ActixActor<Context = Context<A>>> Routes<A> {
    pub(crate) fn new() -> Self {
        Self {
            by_name: BTreeMap::new(),
            by_type: BTreeMap::new(),
            http: HttpRoutes::new(),
            ended: Arc::default(),
        }
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
            .insert(TypeId::of::<Letter<M>>(), retype::<A, M>);
    }

    /// The envelope for a parcel from afar.
    pub(crate) fn decode(
        &self,
        name: &str,
        version: u16,
        body: &[u8],
        reply: Option<RemoteReply>,
    ) -> Decoded<A> {
        let known = self
            .by_name
            .get(name)
            .filter(|r| r.version.abs_diff(version) <= 1);
        match known {
            Some(route) => (route.decode)(body, reply),
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

    /// The envelope for a letter of unknown type; the letter back if it is not accepted.
    pub(crate) fn retype(
        &self,
        letter: Box<dyn Any + Send>,
    ) -> Result<Box<dyn Envelope<A>>, Box<dyn Any + Send>> {
        match self.by_type.get(&(*letter).type_id()) {
            Some(retype) => Ok(retype(letter).expect("routes are keyed by the letter's type")),
            None => Err(letter),
        }
    }
}

fn decode<A, M>(body: &[u8], reply: Option<RemoteReply>) -> Decoded<A>
where
    A: Handler<M> + ActixActor<Context = Context<A>>,
    M: Message,
{
    match M::decode(body) {
        Ok(message) => {
            let reply = reply.map_or(Reply::Nowhere, Reply::Afar);
            Ok(Box::new(Letter { message, reply }))
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

fn retype<A, M>(letter: Box<dyn Any + Send>) -> Option<Box<dyn Envelope<A>>>
where
    A: Handler<M> + ActixActor<Context = Context<A>>,
    M: Message,
{
    let letter = letter.downcast::<Letter<M>>().ok()?;
    Some(letter)
}
