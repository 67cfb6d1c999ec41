//! Handlers that are `async fn`s and hold their actor across awaits.
//!
//! While such a handler waits, the actor takes no message, timer or exit notice, and none of its
//! futures run: nobody else sees its state half changed. A stop takes effect when the handler has
//! finished; a kill drops it where it stands.

use std::future::Future;

use tokio::sync::oneshot;

use super::{Actor, Context, MessageResponse, envelope::Reply, turn::Body};
use crate::{Message, trace::Handling};

/// How to handle messages of type `M` with an `async fn`.
///
/// Next to ordinary handlers, on the same actor. `async_handlers!(Actor: M)`, or `async M` in
/// [`accepts!`](crate::accepts), makes it the actor's handler; nothing changes for the sender. Each
/// call allocates once, for the future.
///
/// ```
/// use std::time::Duration;
/// use tepui_runtime::{prelude::*, testkit};
///
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(name = "doc.Double", reply = u64)]
/// struct Double;
///
/// struct Counter(u64);
/// impl Actor for Counter {
///     type Context = Context<Self>;
/// }
/// impl AsyncHandler<Double> for Counter {
///     async fn handle(&mut self, _: Double, _: &mut Context<Self>) -> u64 {
///         let before = self.0;
///         tokio::task::yield_now().await;
///         self.0 += before;
///         self.0
///     }
/// }
/// accepts!(Counter: async Double);
///
/// testkit::run(async |kit| {
///     let node = kit.node("a").await;
///     let counter = node.spawn("counter", Counter(3)).unwrap();
///     assert_eq!(counter.ask(Double, Duration::from_secs(1)).await, Ok(6));
/// });
/// ```
pub trait AsyncHandler<M: Message>: Actor {
    /// Handles a message; what it returns is the reply.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> impl Future<Output = M::Reply>;
}

/// The result of a handler that is an [`AsyncHandler`] in truth.
pub struct AsyncReply<A: Actor, M: Message> {
    message: M,
    begin: fn(M, Reply<M::Reply>, &mut Body<A>),
}

impl<A: Actor, M: Message> AsyncReply<A, M> {
    /// Has `message` handled by the actor's [`AsyncHandler`].
    pub fn to(message: M) -> Self
    where
        A: AsyncHandler<M>,
    {
        Self {
            message,
            begin: begin::<A, M>,
        }
    }

    /// Starts the handler; it is polled when the turn goes on.
    pub(super) fn begin(self, reply: Reply<M::Reply>, body: &mut Body<A>) {
        (self.begin)(self.message, reply, body);
    }
}

fn begin<A, M>(message: M, reply: Reply<M::Reply>, body: &mut Body<A>)
where
    A: AsyncHandler<M>,
    M: Message,
{
    let handling = Handling::current();
    body.lend(|core| {
        let handled = async move {
            let handled = core.actor.handle(message, &mut core.ctx).await;
            reply.give::<M>(handled);
        };
        match handling {
            None => Box::pin(handled),
            Some(handling) => Box::pin(handling.within(handled)),
        }
    });
}

impl<A: Actor, M: Message> MessageResponse<A, M> for AsyncReply<A, M> {
    /// The way of a message through a plain actix address.
    fn handle(self, ctx: &mut Context<A>, sender: Option<oneshot::Sender<M::Reply>>) {
        let reply = sender.map_or(Reply::Nowhere, Reply::Channel);
        ctx.begin_later(Box::new(move |body| self.begin(reply, body)));
    }
}

/// Makes the [`AsyncHandler`]s of an actor its handlers: `async_handlers!(Counter: Double, Fetch)`.
#[macro_export]
macro_rules! async_handlers {
    ($actor:ty : $($message:ty),* $(,)?) => {
        $(impl $crate::rt::Handler<$message> for $actor {
            type Result = $crate::rt::AsyncReply<Self, $message>;

            fn handle(&mut self, message: $message, _: &mut $crate::Context<Self>) -> Self::Result {
                $crate::rt::AsyncReply::to(message)
            }
        })*
    };
}
