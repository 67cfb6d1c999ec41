//! [`Pid`]: a typed address that can be sent to, and the same for untyped ones inside of actors.

use std::{
    fmt, hash,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::timeout;

use crate::{
    AnyPid, AskError, Message, Node, TellError, Undeliverable, ambient,
    cell::{AnyCell, Cell},
    links::Outlet,
    node::undeliverable,
    rt::{
        ActixActor, Actor, Context, Handler, asking,
        envelope::{Letter, Reply},
    },
};

/// The address of an actor of type `A`, wherever it lives.
///
/// Equality, order, hash and serialised form are those of its [`AnyPid`]. A PID that came in a
/// message works as it is inside of actors; outside, [`Node::bind`] says which node sends.
pub struct Pid<A: ActixActor<Context = Context<A>>> {
    route: Route<A>,
}

enum Route<A: ActixActor<Context = Context<A>>> {
    Here(Arc<Cell<A>>),
    Via(Arc<Via>),
    Ambient(Arc<AnyPid>),
}

/// An actor that a node reaches by its PID.
struct Via {
    any: AnyPid,
    node: Node,
    /// The way to it, once it was used; `None` inside: it is an actor of the node itself.
    way: OnceLock<Option<Outlet>>,
}

impl Via {
    fn way(&self) -> Option<&Outlet> {
        self.way
            .get_or_init(|| self.node.outlet(&self.any))
            .as_ref()
    }
}

impl<A: ActixActor<Context = Context<A>>> Pid<A> {
    /// The address without its type.
    pub fn any(&self) -> AnyPid {
        self.as_any().clone()
    }

    /// The address without its type.
    pub fn as_any(&self) -> &AnyPid {
        match &self.route {
            Route::Here(cell) => &cell.pid,
            Route::Via(via) => &via.any,
            Route::Ambient(any) => any,
        }
    }
}

impl<A: Actor> Pid<A> {
    pub(crate) fn local(cell: Arc<Cell<A>>) -> Self {
        Self {
            route: Route::Here(cell),
        }
    }

    pub(crate) fn via(node: Node, any: AnyPid) -> Self {
        Self {
            route: Route::Via(Arc::new(Via {
                any,
                node,
                way: OnceLock::new(),
            })),
        }
    }

    /// As [`Node::stop`], for an actor of this process or of the node that runs.
    pub fn stop(&self) {
        match &self.route {
            Route::Here(cell) => cell.stop(),
            Route::Via(..) | Route::Ambient(_) => {
                if let Some(node) = self.node() {
                    node.stop(self.as_any());
                }
            }
        }
    }

    /// As [`Node::kill`], for an actor of this process or of the node that runs.
    pub fn kill(&self) {
        match &self.route {
            Route::Here(cell) => cell.kill(),
            Route::Via(..) | Route::Ambient(_) => {
                if let Some(node) = self.node() {
                    node.kill(self.as_any());
                }
            }
        }
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message, as [`Node::tell`].
    pub fn tell<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        match &self.route {
            Route::Here(cell) => cell.tell(message),
            Route::Via(via) => match via.way() {
                Some(outlet) => via.node.tell_afar(&via.any, outlet, message),
                None => via.node.tell(&via.any, message),
            },
            Route::Ambient(any) => any.tell(message),
        }
    }

    /// Sends, waiting for room.
    ///
    /// # Errors
    /// As [`Node::tell_wait`].
    pub async fn tell_wait<M: Message>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        if let Some((node, outlet)) = self.way() {
            return node.tell_wait_afar(self.as_any(), outlet, message).await;
        }
        let Route::Here(cell) = &self.route else {
            return match self.node() {
                Some(node) => node.tell_wait(self.as_any(), message).await,
                None => self.as_any().tell(message),
            };
        };
        cell.tell_wait(message).await
    }

    /// Sends one after another without waiting, and wakes the actor once: far cheaper than as many
    /// tells. Returns how many were sent.
    ///
    /// # Errors
    /// As [`Pid::tell`], with the first message that was refused. Those after it have not been taken:
    /// given `&mut` iterator, they are still in there.
    pub fn tell_many<M: Message>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, TellError<M>>
    where
        A: Handler<M>,
    {
        if let Route::Here(cell) = &self.route {
            return cell.tell_many(messages);
        }
        let mut count = 0;
        for message in messages {
            self.tell(message)?;
            count += 1;
        }
        Ok(count)
    }

    /// Sends and waits for the reply, at most for `deadline`.
    ///
    /// # Errors
    /// As [`Node::ask`].
    pub async fn ask<M: Message>(
        &self,
        message: M,
        deadline: Duration,
    ) -> Result<M::Reply, AskError>
    where
        A: Handler<M>,
    {
        let late = |_| AskError::Timeout {
            pid: self.any(),
            after: deadline,
        };
        if let Some((node, outlet)) = self.way() {
            let asking = node.ask_afar(self.as_any(), outlet, message);
            return timeout(deadline, asking).await.map_err(late)?;
        }
        let Route::Here(cell) = &self.route else {
            return match self.node() {
                Some(node) => node.ask(self.as_any(), message, deadline).await,
                None => Err(undeliverable(self.as_any(), Undeliverable::Unbound)),
            };
        };
        let (reply, asked) = Reply::here();
        let answer = match cell.post(Letter { message, reply }) {
            Ok(()) => asking::answer_within(deadline, self.as_any(), asked).await,
            Err((Undeliverable::MailboxFull, letter)) if cell.waits() => {
                let posting = cell.post_when_room(letter);
                Box::pin(asking::post_and_answer(
                    deadline,
                    self.as_any(),
                    posting,
                    asked,
                ))
                .await
            }
            Err((reason, _)) => Err(undeliverable(self.as_any(), reason)),
        };
        #[cfg(feature = "testkit")]
        if let Some(filters) = cell.filters() {
            return asking::filter_within::<M>(deadline, self.as_any(), filters, answer?).await;
        }
        answer
    }

    /// The way to an actor of another node.
    fn way(&self) -> Option<(&Node, &Outlet)> {
        let Route::Via(via) = &self.route else {
            return None;
        };
        Some((&via.node, via.way()?))
    }

    fn node(&self) -> Option<Node> {
        match &self.route {
            Route::Via(via) => Some(via.node.clone()),
            Route::Here(_) | Route::Ambient(_) => ambient::current(),
        }
    }
}

impl AnyPid {
    /// Sends without waiting, from the node of the actor that runs at the moment.
    ///
    /// # Errors
    /// [`TellError`] with the message, as [`Node::tell`]; [`Undeliverable::Unbound`] outside of
    /// actors.
    pub fn tell<M: Message>(&self, message: M) -> Result<(), TellError<M>> {
        match ambient::current() {
            Some(node) => node.tell(self, message),
            None => Err(TellError {
                pid: self.clone(),
                reason: Undeliverable::Unbound,
                message,
            }),
        }
    }

    /// Sends and waits for the reply, at most for `deadline`; inside of actors only.
    ///
    /// # Errors
    /// As [`Node::ask`]; [`Undeliverable::Unbound`] outside of actors.
    pub async fn ask<M: Message>(
        &self,
        message: M,
        deadline: Duration,
    ) -> Result<M::Reply, AskError> {
        match ambient::current() {
            Some(node) => node.ask(self, message, deadline).await,
            None => Err(undeliverable(self, Undeliverable::Unbound)),
        }
    }
}

impl<A: ActixActor<Context = Context<A>>> Clone for Pid<A> {
    fn clone(&self) -> Self {
        let route = match &self.route {
            Route::Here(cell) => Route::Here(cell.clone()),
            Route::Via(via) => Route::Via(via.clone()),
            Route::Ambient(any) => Route::Ambient(any.clone()),
        };
        Self { route }
    }
}

impl<A: ActixActor<Context = Context<A>>> PartialEq for Pid<A> {
    fn eq(&self, other: &Self) -> bool {
        self.as_any() == other.as_any()
    }
}

impl<A: ActixActor<Context = Context<A>>> Eq for Pid<A> {}

impl<A: ActixActor<Context = Context<A>>> PartialOrd for Pid<A> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<A: ActixActor<Context = Context<A>>> Ord for Pid<A> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_any().cmp(other.as_any())
    }
}

impl<A: ActixActor<Context = Context<A>>> hash::Hash for Pid<A> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_any().hash(state);
    }
}

impl<A: ActixActor<Context = Context<A>>> fmt::Debug for Pid<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_any())
    }
}

impl<A: ActixActor<Context = Context<A>>> fmt::Display for Pid<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_any())
    }
}

impl<A: ActixActor<Context = Context<A>>> Serialize for Pid<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_any().serialize(serializer)
    }
}

impl<'de, A: ActixActor<Context = Context<A>>> Deserialize<'de> for Pid<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let any = AnyPid::deserialize(deserializer)?;
        Ok(Self {
            route: Route::Ambient(Arc::new(any)),
        })
    }
}
