//! Placement: the threads that actors run on.
//!
//! A worker is a thread with a tokio runtime of its own. An actor stays on its worker for life,
//! because actix's futures do not move between threads. An actor that spawns another keeps it on
//! its own worker unless it says otherwise. Spawning works from any thread: what is not there
//! already goes to the worker as a job.

pub(crate) mod spin;

use std::{
    cell::Cell,
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::LocalSet,
};

use super::Place;
use crate::ambient;

type Job = Box<dyn FnOnce() + Send>;

/// Where a node's actors run.
pub(crate) enum Placement {
    /// On the `LocalSet` that the node was started in: tests and simulations.
    Here(mpsc::UnboundedSender<Job>),
    /// On threads of the node's own.
    Workers(Workers),
}

pub(crate) struct Workers {
    jobs: Vec<mpsc::UnboundedSender<Job>>,
    next: AtomicUsize,
    id: usize,
}

thread_local! {
    /// The pool and index of the worker that this thread is.
    static WORKER: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Spawns a task that is no actor: I/O of links, replies under way.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's own tasks start here"
)]
pub(crate) fn spawn_task(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

impl Placement {
    /// Runs actors on the `LocalSet` of the caller.
    pub(crate) fn here() -> Self {
        let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
        tokio::task::spawn_local(async move {
            while let Some(job) = jobs.recv().await {
                job();
            }
        });
        Self::Here(sender)
    }

    /// Starts `count` workers, which look out for work for so long before they sleep.
    pub(crate) fn workers(count: usize, spin: Duration) -> std::io::Result<Self> {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let jobs = (0..count.max(1))
            .map(|n| start_worker(id, n, spin))
            .collect::<Result<_, _>>()?;
        Ok(Self::Workers(Workers {
            jobs,
            next: AtomicUsize::new(0),
            id,
        }))
    }

    /// How many workers there are; `None` where places are all the same.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Placement::Here(_) => None,
            Placement::Workers(workers) => Some(workers.jobs.len()),
        }
    }

    /// Runs `job`, which starts an actor, in its place.
    pub(crate) fn run(&self, place: Place, job: impl FnOnce() + Send + 'static) {
        match self {
            // Only the code of an actor is certain to run in the `LocalSet`. A set that is gone
            // starts no more actors.
            Placement::Here(_) if ambient::is_set() => job(),
            Placement::Here(jobs) => drop(jobs.send(Box::new(job))),
            Placement::Workers(workers) => workers.run(place, job),
        }
    }

    /// Awaits `task` on the first worker, so that what it spawns lives there.
    pub(crate) async fn first<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let Placement::Workers(workers) = self else {
            return task.await;
        };
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            spawn_task(async move {
                let _ = sender.send(task.await);
            });
        });
        let _ = workers.jobs[0].send(job);
        receiver
            .await
            .expect("a worker outlives the start of its node")
    }

    /// Lets the worker threads end once their actors have.
    pub(crate) fn shutdown(&self) {
        if let Placement::Workers(workers) = self {
            for jobs in &workers.jobs {
                let _ = jobs.send(Box::new(|| STOP.set(true)));
            }
        }
    }
}

thread_local! {
    static STOP: Cell<bool> = const { Cell::new(false) };
}

impl Workers {
    fn run(&self, place: Place, job: impl FnOnce() + Send + 'static) {
        let here = WORKER
            .get()
            .filter(|(pool, _)| *pool == self.id)
            .map(|(_, n)| n);
        let there = match (place, here) {
            (Place::Beside, Some(n)) => n,
            (Place::On(n), _) => n,
            (Place::Spread, _) | (Place::Beside, None) => {
                self.next.fetch_add(1, Ordering::Relaxed) % self.jobs.len()
            }
        };
        if here == Some(there) {
            return job();
        }
        // A worker that has ended takes no more actors: the node is shut down.
        let _ = self.jobs[there].send(Box::new(job));
    }
}

fn start_worker(
    pool: usize,
    n: usize,
    spin: Duration,
) -> std::io::Result<mpsc::UnboundedSender<Job>> {
    let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
    let mut runtime = Builder::new_current_thread();
    if !spin.is_zero() {
        runtime.on_thread_park(spin::before_sleep);
    }
    let runtime = runtime.enable_all().build()?;
    let work = move || {
        WORKER.set(Some((pool, n)));
        if !spin.is_zero() {
            let _context = runtime.enter();
            spawn_task(spin::look_out(spin));
        }
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            while let Some(job) = jobs.recv().await {
                job();
                if STOP.get() {
                    break;
                }
            }
        });
    };
    thread::Builder::new()
        .name(format!("tepui-worker-{n}"))
        .spawn(work)?;
    Ok(sender)
}
