//! tepui: actors across machines, and the cluster that runs on them.
//!
//! The facade: [`prelude`] is what a framework developer's file starts with; the crates below it
//! can also be used alone.

pub use tepui_allocator as allocator;
pub use tepui_framework as framework;
pub use tepui_protocol as protocol;
pub use tepui_runtime as runtime;
/// [`runtime::test`], for those who depend on the facade alone.
#[cfg(feature = "testkit")]
pub use tepui_runtime::facade_test as test;
#[cfg(feature = "testkit")]
pub use tepui_runtime::testkit;

#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
mod testing {}

/// What an actor or a framework needs; `tepui` is enough of a dependency for its macros (`serde` is
/// needed beside it, for messages that travel).
pub mod prelude {
    pub use tepui_runtime::{
        facade::{Actor, Message, handlers, routes},
        prelude::*,
    };
}
