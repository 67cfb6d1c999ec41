//! The one module that touches actix: its contexts run on our mailboxes and worker threads.
//!
//! Owns [`Context`], the turns in which an actor is fed from its mailbox, and an actor's life from
//! start to exit. What the rest of the crate knows of actix are the traits re-exported here.
//! Read [`context`], then `turn`, then `life`; `raw` has what lies beneath.

pub(crate) mod asking;
mod asynchronous;
pub mod context;
pub(crate) mod envelope;
pub(crate) mod life;
pub(crate) mod raw;
pub(crate) mod timers;
pub(crate) mod turn;
pub(crate) mod vitals;

pub use actix::{
    Actor as ActixActor, ActorContext, ActorFuture, ActorFutureExt, AsyncContext, AtomicResponse,
    Handler, MessageResult, Response, ResponseActFuture, ResponseFuture, Running, SpawnHandle,
    WrapFuture, dev::MessageResponse, fut,
};
pub use asynchronous::{AsyncHandler, AsyncReply};
pub use context::Context;

/// An actor that runs on a node: any actix actor whose context is ours.
pub trait Actor: ActixActor<Context = Context<Self>> + Accepts + Unpin {}

impl<A: ActixActor<Context = Context<A>> + Accepts + Unpin> Actor for A {}

/// The messages that an actor takes from other nodes and through untyped PIDs.
///
/// Written with [`accepts!`](crate::accepts). A message that is not listed can still be sent
/// through a typed [`Pid`](crate::Pid) on the same node.
pub trait Accepts: Sized + 'static {
    /// Lists the messages.
    fn accepts(routes: &mut envelope::Routes<Self>)
    where
        Self: ActixActor<Context = Context<Self>>;
}

/// Lists the messages that an actor takes from other nodes: `accepts!(Counter: Add, Get)`.
///
/// `async Get` also makes the actor's [`AsyncHandler`](crate::rt::AsyncHandler) for it the handler.
#[macro_export]
macro_rules! accepts {
    ($actor:ty :) => { $crate::accepts!(@ $actor; [] [];); };
    ($actor:ty : $($rest:tt)+) => { $crate::accepts!(@ $actor; [] []; $($rest)+); };
    (@ $actor:ty; [$($all:ty,)*] [$($asynchronous:ty,)*]; async $message:ty $(, $($rest:tt)*)?) => {
        $crate::accepts!(
            @ $actor; [$($all,)* $message,] [$($asynchronous,)* $message,]; $($($rest)*)?
        );
    };
    (@ $actor:ty; [$($all:ty,)*] [$($asynchronous:ty,)*]; $message:ty $(, $($rest:tt)*)?) => {
        $crate::accepts!(@ $actor; [$($all,)* $message,] [$($asynchronous,)*]; $($($rest)*)?);
    };
    (@ $actor:ty; [$($all:ty,)*] [$($asynchronous:ty,)*];) => {
        impl $crate::rt::Accepts for $actor {
            fn accepts(routes: &mut $crate::Routes<Self>) {
                $(routes.message::<$all>();)*
                #[allow(unused_imports, reason = "one of them is used")]
                use $crate::http::{ProbeNone as _, ProbeServes as _};
                (&$crate::http::Probe::<Self>::new()).serve(routes.http());
            }
        }
        $crate::async_handlers!($actor: $($asynchronous),*);
    };
}
