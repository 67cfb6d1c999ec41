//! The one module that touches actix: its contexts run on our mailboxes and worker threads.
//!
//! Owns [`Context`], the drain that feeds an actor from its mailbox, and an actor's life from
//! start to exit. What the rest of the crate knows of actix are the traits re-exported here.
//! Read [`context`], then `drain`, then `life`.

pub mod context;
pub(crate) mod drain;
pub(crate) mod envelope;
pub(crate) mod life;
pub(crate) mod mailbox;
pub(crate) mod timers;
pub(crate) mod vitals;

pub use actix::{
    Actor as ActixActor, ActorContext, ActorFuture, ActorFutureExt, AsyncContext, AtomicResponse,
    Handler, MessageResult, Response, ResponseActFuture, ResponseFuture, Running, SpawnHandle,
    WrapFuture, dev::MessageResponse, fut,
};
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
#[macro_export]
macro_rules! accepts {
    ($actor:ty : $($message:ty),* $(,)?) => {
        impl $crate::rt::Accepts for $actor {
            fn accepts(routes: &mut $crate::Routes<Self>) {
                $(routes.message::<$message>();)*
                #[allow(unused_imports, reason = "one of them is used")]
                use $crate::http::{ProbeNone as _, ProbeServes as _};
                (&$crate::http::Probe::<Self>::new()).serve(routes.http());
            }
        }
    };
}
