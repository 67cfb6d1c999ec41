//! The same cases with plain actix, on threads set up the same way.

use std::sync::atomic::Ordering;

use tepui_runtime::actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use tokio::task::yield_now;

use crate::{
    ours::{BURST, Count, MANY, Token, Total, flood, reached, reached_rarely, thread},
    rounds::Candidate,
};

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

fn candidate(operations: u64, run: impl FnMut(u64) + 'static) -> Candidate {
    Candidate {
        name: "actix",
        operations,
        run: Box::new(run),
    }
}

/// An actor on a thread of its own.
fn afar(done: Total) -> Addr<Counter> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (runtime, local) = thread();
        local.block_on(&runtime, async move {
            sender.send(Counter(done).start()).expect("the bench waits");
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().expect("the actor started")
}

pub(crate) fn tell(across: bool) -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let addr = match across {
        true => afar(done.clone()),
        false => local.block_on(&runtime, async { Counter(done.clone()).start() }),
    };
    candidate(1_000_000, move |n| {
        let send = |burst| (0..burst).for_each(|_| addr.do_send(Count(1)));
        local.block_on(&runtime, flood(n, &done, send));
    })
}

pub(crate) fn ask() -> Candidate {
    let (runtime, local) = thread();
    let addr = local.block_on(&runtime, async { Counter(Total::default()).start() });
    candidate(100_000, move |n| {
        let addr = addr.clone();
        let asking = async move {
            for _ in 0..n {
                addr.send(Count(1)).await.expect("an answer");
            }
        };
        local.block_on(&runtime, async {
            tokio::task::spawn_local(asking).await.expect("no panic")
        });
    })
}

pub(crate) fn ask_in_flight() -> Candidate {
    let (runtime, local) = thread();
    let addr = local.block_on(&runtime, async { Counter(Total::default()).start() });
    candidate(300_000, move |n| {
        local.block_on(&runtime, async {
            let asking = (0..MANY).map(|_| {
                let addr = addr.clone();
                tokio::task::spawn_local(async move {
                    for _ in 0..n / MANY {
                        addr.send(Count(1)).await.expect("an answer");
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
    let (runtime, local) = thread();
    let done = Total::default();
    let addr = afar(done.clone());
    candidate(1_000_000, move |n| {
        let goal = done.load(Ordering::Relaxed) + n / MANY * MANY;
        local.block_on(&runtime, async {
            for _ in 0..MANY {
                let addr = addr.clone();
                tokio::task::spawn_local(async move {
                    for sent in 1..=n / MANY {
                        addr.do_send(Count(1));
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

struct Link {
    next: Option<Addr<Link>>,
    done: Total,
}

impl Actor for Link {
    type Context = Context<Self>;
}

struct Next(Addr<Link>);

impl Message for Next {
    type Result = ();
}

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
            Some(left) => self
                .next
                .as_ref()
                .expect("a closed ring")
                .do_send(Token(left)),
        }
    }
}

pub(crate) fn ring() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let first = local.block_on(&runtime, async {
        let link = |_| {
            Link {
                next: None,
                done: done.clone(),
            }
            .start()
        };
        let links: Vec<_> = (0..MANY).map(link).collect();
        for (n, link) in links.iter().enumerate() {
            link.do_send(Next(links[(n + 1) % links.len()].clone()));
        }
        links[0].clone()
    });
    candidate(500_000, move |n| {
        let goal = done.load(Ordering::Relaxed) + 1;
        local.block_on(&runtime, async {
            first.do_send(Token(n));
            reached_rarely(&done, goal).await;
        });
    })
}

struct Mayfly(Total);

impl Actor for Mayfly {
    type Context = Context<Self>;
}

impl Drop for Mayfly {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl Handler<Stop> for Mayfly {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

pub(crate) fn spawn_stop() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    candidate(50_000, move |n| {
        local.block_on(&runtime, async {
            for _ in 0..n / MANY {
                let goal = done.load(Ordering::Relaxed) + MANY;
                let addrs: Vec<_> = (0..MANY).map(|_| Mayfly(done.clone()).start()).collect();
                yield_now().await;
                for addr in &addrs {
                    addr.do_send(Stop);
                }
                reached(&done, goal).await;
            }
        });
    })
}
