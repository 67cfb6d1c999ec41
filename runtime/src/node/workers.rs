//! Placement: the threads that actors run on.
//!
//! A worker is a thread with a tokio runtime of its own. An actor stays on its worker for life,
//! because actix's futures do not move between threads. An actor that spawns another keeps it on
//! its own worker: a message to a neighbour costs a fraction of one to another thread.

use std::{
    cell::Cell,
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::LocalSet,
};

type Job = Box<dyn FnOnce() + Send>;

/// Where a node's actors run.
pub(crate) enum Placement {
    /// On the `LocalSet` that the caller runs in: tests and simulations.
    Here,
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
    /// Starts `count` workers.
    pub(crate) fn workers(count: usize) -> std::io::Result<Self> {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let jobs = (0..count.max(1))
            .map(|n| start_worker(id, n))
            .collect::<Result<_, _>>()?;
        Ok(Self::Workers(Workers {
            jobs,
            next: AtomicUsize::new(0),
            id,
        }))
    }

    /// Runs `job`, which starts an actor, on its worker.
    pub(crate) fn run(&self, job: Job) {
        match self {
            Placement::Here => job(),
            Placement::Workers(workers) => workers.run(job),
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
    fn run(&self, job: Job) {
        match WORKER.get() {
            Some((pool, _)) if pool == self.id => job(),
            _ => {
                let n = self.next.fetch_add(1, Ordering::Relaxed) % self.jobs.len();
                // A worker that has ended takes no more actors: the node is shut down.
                let _ = self.jobs[n].send(job);
            }
        }
    }
}

fn start_worker(pool: usize, n: usize) -> std::io::Result<mpsc::UnboundedSender<Job>> {
    let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        WORKER.set(Some((pool, n)));
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
