//! The test kit: several nodes in one thread, on a paused clock, with a network in memory.
//!
//! Time stands still while anything can run, and moves on its own to the next timer when a test
//! waits for something else. [`TestKit::advance`] runs everything that happens in a span, each at
//! its time; [`TestKit::settle`] returns when nothing can run without time moving.
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

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{Notify, oneshot},
    task::LocalSet,
    time::Instant,
};

use crate::{
    Node, NodeAddr,
    filter::{Filters, Rules},
    pid::AnyPid,
    transport::MemoryNetwork,
};

/// What a test holds.
#[derive(Clone)]
pub struct TestKit {
    network: MemoryNetwork,
    filters: Filters,
    idle: Arc<Idle>,
    seed: u64,
    /// Clock and incarnations of nodes go on from here, so that a restarted node is newer.
    started: Instant,
    nodes: Arc<AtomicU64>,
}

/// Where nodes' clocks start, in microseconds since the Unix epoch: 2000-01-01.
const EPOCH_MICROS: u64 = 946_684_800_000_000;

/// Those waiting for the thread to run out of work.
#[derive(Default)]
struct Idle(Mutex<Vec<oneshot::Sender<()>>>);

impl Idle {
    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for sender in waiting {
            let _ = sender.send(());
        }
    }
}

/// Runs a test with seed 0.
pub fn run(test: impl AsyncFnOnce(TestKit)) {
    run_seeded(0, test);
}

/// Runs a test whose nodes draw their random numbers from `seed`.
///
/// # Panics
/// When the test does.
pub fn run_seeded(seed: u64, test: impl AsyncFnOnce(TestKit)) {
    let idle = Arc::new(Idle::default());
    let wake = idle.clone();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || wake.wake())
        .build()
        .expect("a runtime without I/O starts");
    LocalSet::new().block_on(&runtime, async move {
        let kit = TestKit {
            network: MemoryNetwork::new(),
            filters: Filters::default(),
            idle,
            seed,
            started: Instant::now(),
            nodes: Arc::default(),
        };
        test(kit).await;
    });
}

impl TestKit {
    /// Starts a node of that name; the same name after a shutdown or a crash is its next life.
    ///
    /// # Panics
    /// When a node of that name runs.
    pub async fn node(&self, name: &str) -> Node {
        let count = self.nodes.fetch_add(1, Ordering::Relaxed);
        let node = Node::builder(addr(name))
            .local()
            .transport(self.network.transport())
            .seed(self.seed.wrapping_add(count))
            .start_time(self.now() + count)
            .filters(self.filters.clone());
        node.start().await.expect("the name is free")
    }

    /// Microseconds since the Unix epoch, on the test's clock.
    pub fn now(&self) -> u64 {
        EPOCH_MICROS + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets `span` pass: timers fire in their order, each at its time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the paused clock jumps; nobody waits"
    )]
    pub async fn advance(&self, span: Duration) {
        self.settle().await;
        tokio::time::sleep(span).await;
        self.settle().await;
    }

    /// Waits until no task can run before time moves: all messages in flight are handled.
    pub async fn settle(&self) {
        let (sender, receiver) = oneshot::channel();
        self.idle
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        let _ = receiver.await;
    }

    /// Filters for messages to anybody.
    pub fn filter(&self) -> Rules {
        self.filters.any()
    }

    /// Filters for messages to `pid`.
    pub fn filter_to(&self, pid: &AnyPid) -> Rules {
        self.filters.to(pid)
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
}

/// Runs the software of a simulated host, and drops all that it has as soon as `killed` says so; then
/// waits for the host's crash.
///
/// A crash alone is not the same twice: tokio drops the tasks of a runtime in an order that depends
/// on how many tasks other runtimes had before, and so the connections that a simulation sees close.
pub async fn until_killed<T>(killed: &Notify, software: impl Future<Output = T>) -> T {
    let tasks = LocalSet::new();
    tokio::select! {
        biased;
        () = killed.notified() => {}
        output = tasks.run_until(software) => return output,
    }
    drop(tasks);
    std::future::pending().await
}

/// The address of the node of that name.
pub fn addr(name: &str) -> NodeAddr {
    NodeAddr::new(name, 1)
}
