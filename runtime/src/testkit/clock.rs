//! The clock of a test, and knowing when nothing more happens without it.
//!
//! ```text
//!  paused: time stands still while anything can run; when nothing can and the test waits, it jumps
//!     |  ^   to the next timer
//!  resume pause
//!     v  |
//!  running: time passes as it does outside
//! ```
//! Settled is when the thread has nothing to run and nothing is in flight that would give it more:
//! no actor has had a turn since the thread was idle last, and everything that was put on tokio's
//! blocking pool is done. The pool has one thread, so that a job of the clock's own comes last.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::Instant,
};

use crate::ambient;

/// Where clocks of tests start, in microseconds since the Unix epoch: 2000-01-01.
pub const EPOCH_MICROS: u64 = 946_684_800_000_000;

/// Those waiting for the thread to run out of work.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<oneshot::Sender<()>>>);

impl Idle {
    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for sender in waiting {
            let _ = sender.send(());
        }
    }

    async fn next(&self) {
        let (sender, receiver) = oneshot::channel();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        let _ = receiver.await;
    }
}

/// A runtime with a paused clock, whose thread says when it is idle.
pub(super) fn runtime() -> (Runtime, Arc<Idle>) {
    let idle = Arc::new(Idle::default());
    let wake = idle.clone();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .on_thread_park(move || wake.wake())
        .build()
        .expect("a runtime without I/O starts");
    (runtime, idle)
}

/// The clock of a test; clones are the same one.
#[derive(Clone)]
pub struct Clock {
    idle: Arc<Idle>,
    started: Instant,
    running: Arc<AtomicBool>,
}

impl Clock {
    pub(super) fn new(idle: Arc<Idle>) -> Self {
        let (started, running) = (Instant::now(), Arc::default());
        Self {
            idle,
            started,
            running,
        }
    }

    /// Microseconds since the Unix epoch; a test starts in the year 2000.
    pub fn now(&self) -> u64 {
        EPOCH_MICROS + u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How long the test runs, on this clock.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether time stands still while anything can run, as it does at the start of a test.
    pub fn is_paused(&self) -> bool {
        !self.running.load(Ordering::Relaxed)
    }

    /// Stops time; nothing happens if it stands still.
    pub fn pause(&self) {
        if self.running.swap(false, Ordering::Relaxed) {
            tokio::time::pause();
        }
    }

    /// Lets time pass as it does outside, until [`Clock::pause`]: for code that waits for something
    /// real. What a test asserts on then depends on the machine.
    pub fn resume(&self) {
        if !self.running.swap(true, Ordering::Relaxed) {
            tokio::time::resume();
        }
    }

    /// Lets `span` pass: timers fire in their order, each at its time. While the clock is not paused
    /// this takes as long as it says.
    #[expect(
        clippy::disallowed_methods,
        reason = "the paused clock jumps; nobody waits"
    )]
    pub async fn advance(&self, span: Duration) {
        self.settle().await;
        tokio::time::sleep(span).await;
        self.settle().await;
    }

    /// Waits until nothing can happen before time moves: all messages in flight are handled, on all
    /// nodes of the test, and what was given to tokio's blocking pool is done, with what came of it.
    ///
    /// Not waited for: nodes with worker threads of their own, and real I/O.
    pub async fn settle(&self) {
        self.idle.next().await;
        loop {
            let turns = ambient::turns();
            // Last in the queue of the pool's one thread; the clock does not move meanwhile.
            let _ = tokio::task::spawn_blocking(|| ()).await;
            self.idle.next().await;
            if ambient::turns() == turns {
                return;
            }
        }
    }
}
