//! Location-transparent actors: the same code for a neighbour on the thread and a peer across the
//! network.
//!
//! An actor is an [actix] actor with our [`Context`]: it handles one message at a time
//! ([`Handler`](rt::Handler)), has timers and futures of its own, and can be reached by its
//! [`Pid`] from any node. A [`Node`] is the actors of a process and its links to other nodes.
//!
//! | to learn | read |
//! |---|---|
//! | addresses | [`pid`], then [`Pid`] |
//! | sending, asking, spawning, names | [`Node`] |
//! | messages and what they look like on the wire | [`message`] |
//! | what a handler can do | [`Context`] |
//! | traces across actors and nodes | [`trace`] |
//! | crashes and restarts | [`supervision`], [`ExitReason`] |
//! | answering HTTP, metrics | [`http`] |
//! | tests on a paused clock | `testkit` (feature `testkit`) |
//!
//! Promises: a message arrives at most once, and in order per sender and receiver; no queue is
//! unbounded; a failed send hands the message back; an [`Exited`] arrives exactly once; a panic
//! ends (or restarts) one actor and nothing else.

// `#[derive(Message)]` names this crate by its outer name, here too.
extern crate self as tepui_runtime;

/// The code of the migration page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migrating-from-actix.md")]
mod migrating_from_actix {}

mod ambient;
pub mod blocking;
mod cell;
pub mod dead_letters;
pub mod error;
pub mod exit;
#[cfg(feature = "testkit")]
pub mod filter;
mod frame;
mod handle;
pub mod http;
mod links;
pub mod membership;
pub mod message;
pub mod node;
mod overflow;
pub mod pid;
pub mod reliable;
pub mod rt;
mod secret;
pub mod supervision;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod trace;
pub mod transport;

pub use actix;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use error::{AskError, TellError, Undeliverable};
pub use exit::{ExitReason, Exited};
pub use handle::Pid;
pub use message::Message;
pub use node::{Node, NodeBuilder, Place, SpawnError, SpawnOptions, StartError};
pub use overflow::Overflow;
pub use pid::{AnyPid, InvalidPid, NodeAddr};
pub use rt::{Context, envelope::Routes, timers::TimerHandle};
pub use secret::{InvalidSecret, Secret};
pub use supervision::Supervision;
/// Makes a struct an actor: `impl Actor { type Context = Context<Self>; }`.
///
/// `#[actor(started = method, stopped = method)]` has these methods called when the actor starts and
/// when it has stopped. `#[actor(mailbox = 1024, overflow = "fail")]` adds a constant `SPAWN` with
/// these [`SpawnOptions`], for [`Node::spawn_as`]; the policies are `wait`, `fail`, `drop-newest`,
/// `drop-oldest` and `stop-actor` (see [`Overflow`]).
pub use tepui_runtime_macros::Actor;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub use tepui_runtime_macros::facade_test;
/// Makes methods an actor's handlers.
///
/// | method | handles |
/// |---|---|
/// | `#[on] fn name(&mut self, message: M, ctx: &mut Context<Self>) -> Reply` | messages of type `M`; `Reply` is `M`'s reply type |
/// | `#[on] async fn name(...)` | the same, holding the actor across awaits ([`AsyncHandler`](rt::AsyncHandler)) |
/// | `#[on_exit] fn name(&mut self, exited: Exited, ctx: ...)` | the ends of linked and monitored actors |
/// | `#[route(GET, "/path")] fn name(&mut self, request: HttpRequest, ctx: ...) -> Json<T>` | HTTP requests, as with [`macro@routes`] |
///
/// `ctx`, and the request of a route, may be left out. Other methods stay what they are. It also
/// writes what [`accepts!`] writes: all these messages can come from other nodes.
///
/// ```
/// use std::time::Duration;
/// use tepui_runtime::{prelude::*, testkit};
///
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(name = "doc.Add", reply = u64)]
/// struct Add(u64);
///
/// #[derive(Actor)]
/// struct Counter(u64);
///
/// #[handlers]
/// impl Counter {
///     #[on]
///     fn add(&mut self, add: Add) -> u64 {
///         self.0 += add.0;
///         self.0
///     }
/// }
///
/// testkit::run(async |kit| {
///     let counter = kit.node("a").await.spawn("counter", Counter(1)).unwrap();
///     assert_eq!(counter.ask(Add(2), Duration::from_secs(1)).await, Ok(3));
/// });
/// ```
pub use tepui_runtime_macros::handlers;
/// Makes methods an actor's HTTP routes, next to handlers that are written in whichever way.
///
/// `#[route(GET, "/count")] fn count(&mut self, request: HttpRequest, ctx: &mut Context<Self>) -> R`
/// answers `GET /<actor>/count`; see [`http`] for paths, requests and what `R` may be. The
/// method may be `async`; its doc comment goes on the help page.
///
/// ```
/// use tepui_runtime::{http::Json, prelude::*};
///
/// #[derive(Actor)]
/// struct Counter(u64);
///
/// accepts!(Counter:);
///
/// #[routes]
/// impl Counter {
///     /// How often it was counted.
///     #[route(GET, "/count")]
///     fn count(&mut self) -> Json<u64> {
///         Json(self.0)
///     }
/// }
/// ```
pub use tepui_runtime_macros::routes;
/// Runs an async test on the paused clock of a [`TestKit`](testkit::TestKit): feature `testkit`.
///
/// `#[tepui_runtime::test]` is for `async fn name(kit: TestKit)`, which may return a `Result`.
/// `#[tepui_runtime::test(seed = 7)]` says the seed (0), `#[tepui_runtime::test(seeds = 0..32)]` runs
/// the test with each. A failing run prints its seed and the command that repeats it alone.
///
/// ```
/// use tepui_runtime::testkit::TestKit;
///
/// #[tepui_runtime::test(seeds = 0..8)]
/// async fn nothing_happens(kit: TestKit) {
///     let node = kit.node("a").await;
///     kit.settle().await;
///     assert!(node.actors().is_empty());
/// }
/// ```
#[cfg(feature = "testkit")]
pub use tepui_runtime_macros::test;

/// The macros for those who depend on the facade `tepui` alone.
#[doc(hidden)]
pub mod facade {
    pub use tepui_runtime_macros::{
        FacadeActor as Actor, FacadeMessage as Message, facade_handlers as handlers,
        facade_routes as routes,
    };
}

/// What an actor's source file needs.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};
    pub use tepui_runtime_macros::{Actor, handlers, routes};

    pub use crate::{
        AnyPid, AskError, Context, ExitReason, Exited, Message, Node, NodeAddr, Overflow, Pid,
        SpawnError, SpawnOptions, Supervision, TellError, Undeliverable, accepts, async_handlers,
        rt::{
            ActixActor as Actor, ActorContext, ActorFuture, ActorFutureExt, AsyncContext,
            AsyncHandler, AtomicResponse, Handler, MessageResult, Response, ResponseActFuture,
            ResponseFuture, Running, SpawnHandle, WrapFuture,
        },
    };
}
