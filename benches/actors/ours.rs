//! The cases, with actors of ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_runtime::{Undeliverable, prelude::*};
use tokio::{
    runtime::Runtime,
    task::{LocalSet, yield_now},
};

use crate::rounds::Candidate;

/// Messages between two yields of a sender.
pub(crate) const BURST: u64 = 256;
/// Senders at once, and actors in a ring.
pub(crate) const MANY: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Count", reply = u64)]
pub(crate) struct Count(pub(crate) u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Token")]
pub(crate) struct Token(pub(crate) u64);

pub(crate) type Total = Arc<AtomicU64>;

pub(crate) struct Counter(pub(crate) Total);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Count> for Counter {
    type Result = u64;

    fn handle(&mut self, count: Count, _: &mut Context<Self>) -> u64 {
        self.0.fetch_add(count.0, Ordering::Relaxed) + 1
    }
}

accepts!(Counter: Count);

struct Link {
    next: Option<Pid<Link>>,
    done: Total,
}

impl Actor for Link {
    type Context = Context<Self>;
}

#[derive(Message)]
#[message(local)]
struct Next(Pid<Link>);

impl Handler<Next> for Link {
    type Result = ();

    fn handle(&mut self, next: Next, _: &mut Context<Self>) {
        self.next = Some(next.0);
    }
}

impl Handler<Token> for Link {
    type Result = ();

    fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        match token.0.checked_sub(1) {
            None => drop(self.done.fetch_add(1, Ordering::Relaxed)),
            Some(left) => {
                let next = self.next.as_ref().expect("a closed ring");
                next.tell(Token(left)).expect("room");
            }
        }
    }
}

accepts!(Link:);

/// A thread with a `LocalSet`, as a worker is.
pub(crate) fn thread() -> (Runtime, LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    (runtime.expect("a runtime"), LocalSet::new())
}

pub(crate) async fn node(workers: Option<usize>) -> Node {
    let builder = Node::builder("127.0.0.1:0".parse().expect("an address"));
    let builder = match workers {
        Some(count) => builder.workers(count),
        None => builder.local(),
    };
    builder.start().await.expect("a node")
}

/// Sends `n` messages in bursts and waits until all are handled, without spinning: where the
/// receiver is on another thread, the CPU time would be the wait's.
pub(crate) async fn flood(n: u64, done: &AtomicU64, mut send: impl FnMut(u64)) {
    let goal = done.load(Ordering::Relaxed) + n;
    let mut sent = 0;
    while sent < n {
        let burst = BURST.min(n - sent);
        send(burst);
        sent += burst;
        yield_now().await;
    }
    reached_rarely(done, goal).await;
}

/// Waits until `done` is at `goal`.
pub(crate) async fn reached(done: &AtomicU64, goal: u64) {
    while done.load(Ordering::Relaxed) < goal {
        yield_now().await;
    }
}

struct Sink {
    runtime: Runtime,
    local: LocalSet,
    done: Total,
    node: Node,
    pid: Pid<Counter>,
}

fn sink(workers: Option<usize>) -> Sink {
    let (runtime, local) = thread();
    let done = Total::default();
    let (node, pid) = local.block_on(&runtime, async {
        let node = node(workers).await;
        let options = SpawnOptions::new().mailbox(8_000_000);
        let kept = done.clone();
        let pid = node.spawn_as("sink", options, move || Counter(kept.clone()));
        (node, pid.expect("a free name"))
    });
    Sink {
        runtime,
        local,
        done,
        node,
        pid,
    }
}

fn candidate(operations: u64, run: impl FnMut(u64) + 'static) -> Candidate {
    Candidate {
        name: "tepui",
        operations,
        run: Box::new(run),
    }
}

pub(crate) fn tell(workers: Option<usize>) -> Candidate {
    let Sink {
        runtime,
        local,
        done,
        node,
        pid,
    } = sink(workers);
    candidate(1_000_000, move |n| {
        let _ = &node;
        let send = |burst| (0..burst).for_each(|_| pid.tell(Count(1)).expect("room"));
        local.block_on(&runtime, flood(n, &done, send));
    })
}

pub(crate) fn tell_many() -> Candidate {
    let Sink {
        runtime,
        local,
        done,
        node,
        pid,
    } = sink(None);
    candidate(1_000_000, move |n| {
        let _ = &node;
        let send = |burst| {
            let sent = pid.tell_many((0..burst).map(|_| Count(1))).expect("room");
            assert_eq!(sent as u64, burst);
        };
        local.block_on(&runtime, flood(n, &done, send));
    })
}

pub(crate) fn ask() -> Candidate {
    let Sink {
        runtime,
        local,
        node,
        pid,
        ..
    } = sink(None);
    candidate(100_000, move |n| {
        let _ = &node;
        let pid = pid.clone();
        let asking = async move {
            for _ in 0..n {
                pid.ask(Count(1), PATIENCE).await.expect("an answer");
            }
        };
        local.block_on(&runtime, async {
            tokio::task::spawn_local(asking).await.expect("no panic")
        });
    })
}

pub(crate) fn ask_in_flight() -> Candidate {
    let Sink {
        runtime,
        local,
        node,
        pid,
        ..
    } = sink(None);
    candidate(300_000, move |n| {
        let _ = &node;
        local.block_on(&runtime, async {
            let asking = (0..MANY).map(|_| {
                let pid = pid.clone();
                tokio::task::spawn_local(async move {
                    for _ in 0..n / MANY {
                        pid.ask(Count(1), PATIENCE).await.expect("an answer");
                    }
                })
            });
            for task in asking.collect::<Vec<_>>() {
                task.await.expect("no panic");
            }
        });
    })
}

pub(crate) fn fan_in() -> Candidate {
    let Sink {
        runtime,
        local,
        done,
        node,
        pid,
    } = sink(Some(1));
    candidate(1_000_000, move |n| {
        let _ = &node;
        let goal = done.load(Ordering::Relaxed) + n / MANY * MANY;
        local.block_on(&runtime, async {
            for _ in 0..MANY {
                let pid = pid.clone();
                tokio::task::spawn_local(async move {
                    for sent in 1..=n / MANY {
                        if let Err(full) = pid.tell(Count(1)) {
                            assert_eq!(full.reason, Undeliverable::MailboxFull);
                            pid.tell_wait(full.message).await.expect("room at last");
                        }
                        if sent % BURST == 0 {
                            yield_now().await;
                        }
                    }
                });
            }
            reached_rarely(&done, goal).await;
        });
    })
}

pub(crate) fn ring() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let (node, first) = local.block_on(&runtime, async {
        let node = node(None).await;
        let link = |n| {
            let (next, done) = (None, done.clone());
            node.spawn(&format!("link{n}"), Link { next, done })
                .expect("a free name")
        };
        let links: Vec<_> = (0..MANY).map(link).collect();
        for (n, link) in links.iter().enumerate() {
            let next = links[(n + 1) % links.len()].clone();
            link.tell(Next(next)).expect("room");
        }
        (node, links[0].clone())
    });
    candidate(500_000, move |n| {
        let _ = &node;
        let goal = done.load(Ordering::Relaxed) + 1;
        local.block_on(&runtime, async {
            first.tell(Token(n)).expect("room");
            reached_rarely(&done, goal).await;
        });
    })
}

/// The same as [`reached`], for a thread whose work is what is measured: looks once in a while.
pub(crate) async fn reached_rarely(done: &AtomicU64, goal: u64) {
    while done.load(Ordering::Relaxed) < goal {
        pause().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark in real time")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Says when it is gone.
struct Mayfly(Total);

impl Actor for Mayfly {
    type Context = Context<Self>;
}

impl Drop for Mayfly {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

accepts!(Mayfly:);

pub(crate) fn spawn_stop() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let node = local.block_on(&runtime, node(None));
    candidate(50_000, move |n| {
        local.block_on(&runtime, async {
            for _ in 0..n / MANY {
                let goal = done.load(Ordering::Relaxed) + MANY;
                let spawn = |_| {
                    let name = node.unique_name("mayfly");
                    node.spawn(&name, Mayfly(done.clone()))
                        .expect("a free name")
                };
                let pids: Vec<_> = (0..MANY).map(spawn).collect();
                yield_now().await;
                for pid in &pids {
                    node.stop(pid.as_any());
                }
                reached(&done, goal).await;
            }
        });
    })
}
