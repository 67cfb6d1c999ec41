//! The test kit: several nodes in one thread, on a paused clock, with a network in memory.
//!
//! Time stands still while anything can run, and moves on its own to the next timer when a test
//! waits for something else. [`TestKit::advance`] runs everything that happens in a span, each at
//! its time; [`TestKit::settle`] returns when nothing can run without time moving.
//!
//! When a test ends its nodes are shut down. An actor that outlives that fails the test, as does a
//! test that has not ended after a day on its clock.
//!
//! | to learn | read |
//! |---|---|
//! | `#[tepui_runtime::test]`, seeds | [`test`](macro@crate::test), [`Runs`] |
//! | time | [`Clock`] |
//! | awaiting, losing and changing messages | [`Rules`] |
//! | several nodes in a network with faults | [`sim`] |
//!
//! ```
//! use std::time::Duration;
//! use tepui_runtime::{prelude::*, testkit};
//!
//! #[derive(Serialize, Deserialize, Message)]
//! #[message(name = "doc.Add", reply = u64)]
//! struct Add(u64);
//!
//! struct Counter(u64);
//! impl Actor for Counter {
//!     type Context = Context<Self>;
//! }
//! impl Handler<Add> for Counter {
//!     type Result = u64;
//!     fn handle(&mut self, add: Add, _: &mut Context<Self>) -> u64 {
//!         self.0 += add.0;
//!         self.0
//!     }
//! }
//! accepts!(Counter: Add);
//!
//! testkit::run(async |kit| {
//!     let (here, there) = (kit.node("here").await, kit.node("there").await);
//!     let counter = there.spawn("counter", Counter(1)).unwrap();
//!     let afar = here.bind::<Counter>(counter.as_any());
//!     assert_eq!(afar.ask(Add(2), Duration::from_secs(1)).await, Ok(3));
//! });
//! ```

mod clock;
mod leaks;
mod runs;
pub mod sim;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{task::LocalSet, time::timeout};

pub use self::{
    clock::{Clock, EPOCH_MICROS},
    runs::{Outcome, Runs},
    sim::until_killed,
};
use crate::{
    Message, Node, NodeAddr, NodeBuilder,
    filter::{Awaited, Filters, Rules},
    pid::AnyPid,
    transport::MemoryNetwork,
};

/// How long a test may take on its own clock.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a test holds; clones are the same kit.
#[derive(Clone)]
pub struct TestKit {
    network: MemoryNetwork,
    filters: Filters,
    clock: Clock,
    seed: u64,
    nodes: Arc<AtomicU64>,
    leaks_allowed: Arc<AtomicBool>,
}

/// Runs a test with seed 0.
///
/// # Panics
/// As [`run_seeded`].
pub fn run<T>(test: impl AsyncFnOnce(TestKit) -> T) -> T {
    run_seeded(0, test)
}

/// Runs a test whose nodes draw their random numbers from `seed`.
///
/// # Panics
/// When the test does, when it does not end within a day on its clock, or when actors outlive it.
pub fn run_seeded<T>(seed: u64, test: impl AsyncFnOnce(TestKit) -> T) -> T {
    let (runtime, idle) = clock::runtime();
    LocalSet::new().block_on(&runtime, async move {
        let kit = TestKit {
            network: MemoryNetwork::new(),
            filters: Filters::default(),
            clock: Clock::new(idle),
            seed,
            nodes: Arc::default(),
            leaks_allowed: Arc::default(),
        };
        let Ok(result) = timeout(LIMIT, test(kit.clone())).await else {
            panic!("the test has not ended after {LIMIT:?} on its clock");
        };
        kit.end().await;
        result
    })
}

impl TestKit {
    /// Starts a node of that name; the same name after a shutdown or a crash is its next life.
    ///
    /// # Panics
    /// When a node of that name runs.
    pub async fn node(&self, name: &str) -> Node {
        self.builder(name).start().await.expect("the name is free")
    }

    /// The node of that name before it starts, to set more options.
    pub fn builder(&self, name: &str) -> NodeBuilder {
        let count = self.nodes.fetch_add(1, Ordering::Relaxed);
        Node::builder(addr(name))
            .local()
            .transport(self.network.transport())
            .seed(self.seed.wrapping_add(count))
            // A node that starts again in the same moment is newer all the same.
            .start_time(self.now() + count)
            .filters(self.filters.clone())
    }

    /// What decides everything that is random in the test.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A generator for the test itself, from its seed.
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ 0x7465_7075_6920_6b69)
    }

    /// The test's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Microseconds since the Unix epoch, on the test's clock.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Lets `span` pass, as [`Clock::advance`].
    pub async fn advance(&self, span: Duration) {
        self.clock.advance(span).await;
    }

    /// Waits until nothing can happen before time moves, as [`Clock::settle`].
    pub async fn settle(&self) {
        self.clock.settle().await;
    }

    /// Filters for messages to anybody.
    pub fn filter(&self) -> Rules {
        self.filters.any()
    }

    /// Filters for messages to `pid`.
    pub fn filter_to(&self, pid: &AnyPid) -> Rules {
        self.filters.to(pid)
    }

    /// The filters of all nodes of the test.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// Resolves with the next message of type `M` that `to` handles from now on, when its handler is
    /// about to be called. See also [`Rules::await_sent`].
    pub fn await_next<M: Message>(&self, to: &AnyPid) -> Awaited<M> {
        self.filter_to(to).await_handled()
    }

    /// Lets actors outlive the test, whose nodes are not shut down then.
    pub fn allow_leaks(&self) {
        self.leaks_allowed.store(true, Ordering::Relaxed);
    }

    /// Cuts two nodes off from each other.
    pub fn cut(&self, a: &Node, b: &Node) {
        self.network.cut(a.addr(), b.addr());
    }

    /// Ends a [`TestKit::cut`].
    pub fn join(&self, a: &Node, b: &Node) {
        self.network.join(a.addr(), b.addr());
    }

    /// Breaks the connections between two nodes; they can be made again.
    pub fn reset(&self, a: &Node, b: &Node) {
        self.network.reset(a.addr(), b.addr());
    }

    async fn end(&self) {
        self.clock.pause();
        if !self.leaks_allowed.load(Ordering::Relaxed)
            && let Err(leaks) = leaks::shut_down(&self.filters).await
        {
            panic!("{leaks}");
        }
    }
}

/// The address of the node of that name.
pub fn addr(name: &str) -> NodeAddr {
    NodeAddr::new(name, 1)
}
