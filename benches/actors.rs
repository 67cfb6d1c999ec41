//! Messages between actors of one process, beside plain actix in the same run.
//!
//! Cases: `tell` on one thread and across two, `ask` on one thread. CPU time a message, median.
//! `cargo bench --bench actors`

mod figures;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use criterion::Criterion;
use figures::{CpuTime, cpu_time, criterion, per_op, record_ratio};
use tepui_runtime::{actix, prelude::*};
use tokio::task::{LocalSet, yield_now};

/// Messages between two looks at the clock of the scheduler: a sender yields as often.
const BURST: u64 = 256;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Count", reply = u64)]
struct Count(u64);

struct Ours(Arc<AtomicU64>);

impl Actor for Ours {
    type Context = Context<Self>;
}

impl Handler<Count> for Ours {
    type Result = u64;

    fn handle(&mut self, count: Count, _: &mut Context<Self>) -> u64 {
        self.0.fetch_add(count.0, Ordering::Relaxed) + 1
    }
}

accepts!(Ours: Count);

struct Plain(Arc<AtomicU64>);

impl Actor for Plain {
    type Context = actix::Context<Self>;
}

impl Handler<Count> for Plain {
    type Result = u64;

    fn handle(&mut self, count: Count, _: &mut actix::Context<Self>) -> u64 {
        self.0.fetch_add(count.0, Ordering::Relaxed) + 1
    }
}

fn thread() -> (tokio::runtime::Runtime, LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    (runtime.expect("a runtime"), LocalSet::new())
}

async fn node(workers: Option<usize>) -> Node {
    let builder = Node::builder("127.0.0.1:0".parse().expect("an address"));
    let builder = match workers {
        Some(count) => builder.workers(count),
        None => builder.local(),
    };
    builder.start().await.expect("a node")
}

/// Sends `n` messages in bursts and waits until all are handled.
async fn flood(n: u64, done: &AtomicU64, mut send: impl FnMut()) {
    let goal = done.load(Ordering::Relaxed) + n;
    let mut sent = 0;
    while sent < n {
        for _ in 0..BURST.min(n - sent) {
            send();
        }
        sent += BURST.min(n - sent);
        while sent.saturating_sub(n - (goal - done.load(Ordering::Relaxed))) > 32 * BURST {
            yield_now().await;
        }
        yield_now().await;
    }
    while done.load(Ordering::Relaxed) < goal {
        yield_now().await;
    }
}

fn tell_same_worker(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("tell_same_worker");
    group.throughput(per_op());
    let (runtime, local) = thread();
    let done = Arc::new(AtomicU64::new(0));
    let ours = local.block_on(&runtime, async {
        node(None)
            .await
            .spawn("sink", Ours(done.clone()))
            .expect("a free name")
    });
    group.bench_function("tepui", |b| {
        b.iter_custom(|n| {
            let start = cpu_time();
            local.block_on(
                &runtime,
                flood(n, &done, || ours.tell(Count(1)).expect("room")),
            );
            cpu_time() - start
        });
    });
    let plain = local.block_on(&runtime, async { Plain(done.clone()).start() });
    group.bench_function("actix", |b| {
        b.iter_custom(|n| {
            let start = cpu_time();
            local.block_on(&runtime, flood(n, &done, || plain.do_send(Count(1))));
            cpu_time() - start
        });
    });
    group.finish();
    record_ratio(
        "actors/tell/same-worker",
        "tell_same_worker",
        "tepui",
        "actix",
    );
}

fn tell_across_workers(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("tell_across_workers");
    group.throughput(per_op());
    let (runtime, local) = thread();
    let done = Arc::new(AtomicU64::new(0));
    let ours = local.block_on(&runtime, async {
        node(Some(1))
            .await
            .spawn("sink", Ours(done.clone()))
            .expect("a free name")
    });
    group.bench_function("tepui", |b| {
        b.iter_custom(|n| {
            let start = cpu_time();
            local.block_on(
                &runtime,
                flood(n, &done, || ours.tell(Count(1)).expect("room")),
            );
            cpu_time() - start
        });
    });
    let plain = actix_on_a_thread(done.clone());
    group.bench_function("actix", |b| {
        b.iter_custom(|n| {
            let start = cpu_time();
            local.block_on(&runtime, flood(n, &done, || plain.do_send(Count(1))));
            cpu_time() - start
        });
    });
    group.finish();
    record_ratio(
        "actors/tell/across-workers",
        "tell_across_workers",
        "tepui",
        "actix",
    );
}

/// A plain actix actor on a thread of its own.
fn actix_on_a_thread(done: Arc<AtomicU64>) -> actix::Addr<Plain> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (runtime, local) = thread();
        local.block_on(&runtime, async move {
            sender.send(Plain(done).start()).expect("the bench waits");
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().expect("the actor started")
}

fn ask_same_worker(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("ask_same_worker");
    group.throughput(per_op());
    let (runtime, local) = thread();
    let done = Arc::new(AtomicU64::new(0));
    let ours = local.block_on(&runtime, async {
        node(None)
            .await
            .spawn("sink", Ours(done.clone()))
            .expect("a free name")
    });
    group.bench_function("tepui", |b| {
        b.iter_custom(|n| {
            let ours = ours.clone();
            let start = cpu_time();
            local.block_on(&runtime, async move {
                let asking = tokio::task::spawn_local(async move {
                    for _ in 0..n {
                        ours.ask(Count(1), Duration::from_secs(5))
                            .await
                            .expect("an answer");
                    }
                });
                asking.await.expect("no panic");
            });
            cpu_time() - start
        });
    });
    let plain = local.block_on(&runtime, async { Plain(done.clone()).start() });
    group.bench_function("actix", |b| {
        b.iter_custom(|n| {
            let plain = plain.clone();
            let start = cpu_time();
            local.block_on(&runtime, async move {
                let asking = tokio::task::spawn_local(async move {
                    for _ in 0..n {
                        plain.send(Count(1)).await.expect("an answer");
                    }
                });
                asking.await.expect("no panic");
            });
            cpu_time() - start
        });
    });
    group.finish();
    record_ratio(
        "actors/ask/same-worker",
        "ask_same_worker",
        "tepui",
        "actix",
    );
}

fn main() {
    let mut criterion = criterion();
    tell_same_worker(&mut criterion);
    tell_across_workers(&mut criterion);
    ask_same_worker(&mut criterion);
    criterion.final_summary();
}
