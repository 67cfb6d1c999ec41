//! What a runtime must offer to take part: the cases are written once, in `cases.rs`.

use std::{future::Future, sync::Arc, sync::atomic::AtomicU64};

use tokio::{runtime::Runtime, task::LocalSet};

/// What actors count into.
pub(crate) type Total = Arc<AtomicU64>;

/// Actors that count. `Count(n)` adds `n` to the total and is answered by the sum plus one; a
/// `Token(left)` is handed on to the next actor of a ring until none is left, then counts one.
///
/// Everything is called on a thread with a tokio runtime, inside a `LocalSet`.
pub(crate) trait Peer: Sized + 'static {
    const NAME: &'static str;
    /// What actors need to live: a node, a system.
    type Home: Clone + Send + 'static;
    type Addr: Clone + Send + 'static;

    fn home() -> impl Future<Output = Self::Home>;
    fn start(home: &Self::Home, total: Total) -> impl Future<Output = Self::Addr>;
    fn tell(to: &Self::Addr, n: u64);
    fn ask(to: &Self::Addr, n: u64) -> impl Future<Output = u64>;
    /// Tells the actor who comes after it.
    fn close_ring(link: &Self::Addr, next: &Self::Addr);
    fn pass(to: &Self::Addr, left: u64);
    /// Has `many` actors started and stopped; each counts one into `gone` when it is dropped.
    fn breed(home: &Self::Home, many: u64, gone: &Total) -> impl Future<Output = ()>;

    /// An actor on another thread, which lives as long as the program.
    fn afar(total: Total) -> Self::Addr {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (runtime, local) = thread();
            local.block_on(&runtime, async move {
                let home = Self::home().await;
                let started = Self::start(&home, total).await;
                sender.send(started).expect("the bench waits");
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().expect("the actor started")
    }
}

/// Says when it is gone.
pub(crate) struct Mayfly(pub(crate) Total);

impl Drop for Mayfly {
    fn drop(&mut self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A thread with a `LocalSet`, as a worker is.
pub(crate) fn thread() -> (Runtime, LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    (runtime.expect("a runtime"), LocalSet::new())
}
