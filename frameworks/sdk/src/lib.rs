//! What a framework developer compiles: write a [`Scheduler`], hand it to [`main`] or [`run`], and
//! it gets offers, launches tasks and hears what becomes of them.
//!
//! ```text
//!   your Scheduler <--callbacks--- Driver (actor `scheduler`) <--messages--> master
//!                  ----Calls----->    subscribes, acknowledges, reconciles,
//!                                     keeps what must survive
//! ```
//! Owns the [`Scheduler`] and [`Executor`] traits, the driver actors behind them, the helper
//! [`parse_master`], and (feature `testkit`) a fake master for tests of frameworks. It owns no
//! component: a framework developer compiles neither master nor agent.
//!
//! Read `examples/hello.rs` first, then `scheduler.rs`, then `calls.rs`; `driver.rs` tells what
//! happens behind them.

mod actor;
mod address;
pub mod calls;
mod driver;
pub mod executor;
mod framework;
mod scheduler;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use address::{InvalidMaster, parse_master};
pub use calls::{Call, Calls, End};
pub use driver::Timing;
pub use executor::Executor;
pub use framework::{
    FrameworkError, Handle, Options, local_address, main, run, run_with, start_node, tls_from_env,
};
pub use scheduler::{Kept, Scheduler};
pub use tepui_protocol as protocol;
pub use tepui_runtime as runtime;
pub use tepui_store as store;
