//! The cases, for any peer.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::task::{spawn_local, yield_now};

use crate::{
    peer::{Peer, Total, thread},
    rounds::Candidate,
};

/// Messages between two yields of a sender.
pub(crate) const BURST: u64 = 256;
/// Senders at once, and actors in a ring.
const MANY: u64 = 1000;

fn candidate<P: Peer>(operations: u64, run: impl FnMut(u64) + 'static) -> Candidate {
    Candidate {
        name: P::NAME,
        operations,
        run: Box::new(run),
    }
}

/// One sender, one receiver; `across`: on two threads.
pub(crate) fn tell<P: Peer>(across: bool) -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let start = async {
        let home = P::home().await;
        let addr = match across {
            true => P::afar(done.clone()),
            false => P::start(&home, done.clone()).await,
        };
        (home, addr)
    };
    let (home, addr) = local.block_on(&runtime, start);
    candidate::<P>(1_000_000, move |n| {
        let _ = &home;
        let send = |burst| (0..burst).for_each(|_| P::tell(&addr, 1));
        local.block_on(&runtime, flood(n, &done, send));
    })
}

/// One question after another.
pub(crate) fn ask<P: Peer>() -> Candidate {
    asks::<P>(100_000, 1)
}

/// A thousand askers at once.
pub(crate) fn ask_in_flight<P: Peer>() -> Candidate {
    asks::<P>(300_000, MANY)
}

fn asks<P: Peer>(operations: u64, askers: u64) -> Candidate {
    let (runtime, local) = thread();
    let (home, addr) = local.block_on(&runtime, async {
        let home = P::home().await;
        let addr = P::start(&home, Total::default()).await;
        (home, addr)
    });
    candidate::<P>(operations, move |n| {
        let _ = &home;
        local.block_on(&runtime, async {
            let asking = |_| {
                let addr = addr.clone();
                spawn_local(async move {
                    for _ in 0..n / askers {
                        P::ask(&addr, 1).await;
                    }
                })
            };
            for task in (0..askers).map(asking).collect::<Vec<_>>() {
                task.await.expect("no panic");
            }
        });
    })
}

/// A thousand senders, one receiver on another thread.
pub(crate) fn fan_in<P: Peer>() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let addr = local.block_on(&runtime, async { P::afar(done.clone()) });
    candidate::<P>(1_000_000, move |n| {
        let goal = done.load(Ordering::Relaxed) + n / MANY * MANY;
        local.block_on(&runtime, async {
            for _ in 0..MANY {
                let addr = addr.clone();
                spawn_local(async move {
                    for sent in 1..=n / MANY {
                        P::tell(&addr, 1);
                        if sent % BURST == 0 {
                            yield_now().await;
                        }
                    }
                });
            }
            reached(&done, goal).await;
        });
    })
}

/// One message round a ring of a thousand actors.
pub(crate) fn ring<P: Peer>() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let (home, links) = local.block_on(&runtime, async {
        let home = P::home().await;
        let mut links = Vec::new();
        for _ in 0..MANY {
            links.push(P::start(&home, done.clone()).await);
        }
        for (n, link) in links.iter().enumerate() {
            P::close_ring(link, &links[(n + 1) % links.len()]);
        }
        (home, links)
    });
    candidate::<P>(500_000, move |n| {
        let _ = &home;
        let goal = done.load(Ordering::Relaxed) + 1;
        local.block_on(&runtime, async {
            P::pass(&links[0], n);
            reached(&done, goal).await;
        });
    })
}

/// Actors that are started, a thousand at a time, and stopped.
pub(crate) fn spawn_stop<P: Peer>() -> Candidate {
    let (runtime, local) = thread();
    let gone = Total::default();
    let home = local.block_on(&runtime, P::home());
    candidate::<P>(50_000, move |n| {
        local.block_on(&runtime, async {
            for _ in 0..n / MANY {
                let goal = gone.load(Ordering::Relaxed) + MANY;
                P::breed(&home, MANY, &gone).await;
                while gone.load(Ordering::Relaxed) < goal {
                    yield_now().await;
                }
            }
        });
    })
}

/// Sends `n` messages in bursts and waits until all are handled.
pub(crate) async fn flood(n: u64, done: &AtomicU64, mut send: impl FnMut(u64)) {
    let goal = done.load(Ordering::Relaxed) + n;
    let mut sent = 0;
    while sent < n {
        let burst = BURST.min(n - sent);
        send(burst);
        sent += burst;
        yield_now().await;
    }
    reached(done, goal).await;
}

/// Waits until `done` is at `goal`, without spinning: the CPU time would be the wait's.
#[expect(clippy::disallowed_methods, reason = "a benchmark in real time")]
async fn reached(done: &AtomicU64, goal: u64) {
    while done.load(Ordering::Relaxed) < goal {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
