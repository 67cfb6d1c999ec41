//! Actors of ours.

use std::{sync::atomic::Ordering, time::Duration};

use tepui_runtime::prelude::*;
use tokio::task::yield_now;

use crate::{
    cases::flood,
    peer::{Mayfly, Peer, Total, thread},
    rounds::Candidate,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Count", reply = u64)]
pub(crate) struct Count(pub(crate) u64);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Token")]
struct Token(u64);

#[derive(Message)]
#[message(local)]
struct Next(Pid<Counter>);

pub(crate) struct Counter {
    pub(crate) total: Total,
    next: Option<Pid<Counter>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Count> for Counter {
    type Result = u64;

    fn handle(&mut self, count: Count, _: &mut Context<Self>) -> u64 {
        self.total.fetch_add(count.0, Ordering::Relaxed) + 1
    }
}

impl Handler<Next> for Counter {
    type Result = ();

    fn handle(&mut self, next: Next, _: &mut Context<Self>) {
        self.next = Some(next.0);
    }
}

impl Handler<Token> for Counter {
    type Result = ();

    fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        let next = self.next.as_ref();
        match token.0.checked_sub(1) {
            None => drop(self.total.fetch_add(1, Ordering::Relaxed)),
            Some(left) => next
                .expect("a closed ring")
                .tell(Token(left))
                .expect("room"),
        }
    }
}

accepts!(Counter: Count);

impl Actor for Mayfly {
    type Context = Context<Self>;
}

accepts!(Mayfly:);

/// An actor that spawns others and stops them, as actors do.
struct Parent {
    children: Vec<Pid<Mayfly>>,
    gone: Total,
}

impl Actor for Parent {
    type Context = Context<Self>;
}

#[derive(Message)]
#[message(local)]
struct Breed(u64);

#[derive(Message)]
#[message(local)]
struct Cull;

impl Handler<Breed> for Parent {
    type Result = ();

    fn handle(&mut self, breed: Breed, ctx: &mut Context<Self>) {
        let child = |_| {
            let mayfly = Mayfly(self.gone.clone());
            ctx.node().spawn_unique("mayfly", mayfly).expect("a name")
        };
        self.children.extend((0..breed.0).map(child));
    }
}

impl Handler<Cull> for Parent {
    type Result = ();

    fn handle(&mut self, _: Cull, ctx: &mut Context<Self>) {
        self.children.drain(..).for_each(|child| child.stop());
        ctx.stop();
    }
}

accepts!(Parent:);

pub(crate) async fn node(workers: Option<usize>) -> Node {
    let builder = Node::builder("127.0.0.1:0".parse().expect("an address"));
    let builder = match workers {
        Some(count) => builder.workers(count),
        None => builder.local(),
    };
    builder.start().await.expect("a node")
}

pub(crate) struct Tepui;

impl Peer for Tepui {
    const NAME: &'static str = "tepui";
    type Home = Node;
    type Addr = Pid<Counter>;

    async fn home() -> Node {
        node(None).await
    }

    async fn start(node: &Node, total: Total) -> Pid<Counter> {
        // Bounded, as all are here, but so that a flood from another thread fits.
        let options = SpawnOptions::new().mailbox(8_000_000);
        let name = node.unique_name("counter");
        let make = move || Counter {
            total: total.clone(),
            next: None,
        };
        node.spawn_as(&name, options, make).expect("a free name")
    }

    fn tell(to: &Pid<Counter>, n: u64) {
        to.tell(Count(n)).expect("room");
    }

    async fn ask(to: &Pid<Counter>, n: u64) -> u64 {
        to.ask(Count(n), PATIENCE).await.expect("an answer")
    }

    fn close_ring(link: &Pid<Counter>, next: &Pid<Counter>) {
        link.tell(Next(next.clone())).expect("room");
    }

    fn pass(to: &Pid<Counter>, left: u64) {
        to.tell(Token(left)).expect("room");
    }

    async fn breed(node: &Node, many: u64, gone: &Total) {
        let (children, gone) = (Vec::new(), gone.clone());
        let parent = node.spawn_unique("parent", Parent { children, gone });
        let parent = parent.expect("a name");
        parent.tell(Breed(many)).expect("room");
        yield_now().await;
        parent.tell(Cull).expect("room");
    }
}

/// Many messages in one call, which others do not have.
pub(crate) fn tell_many() -> Candidate {
    let (runtime, local) = thread();
    let done = Total::default();
    let (node, pid) = local.block_on(&runtime, async {
        let node = Tepui::home().await;
        let pid = Tepui::start(&node, done.clone()).await;
        (node, pid)
    });
    let run = move |n| {
        let _ = &node;
        let send = |burst| {
            let sent = pid.tell_many((0..burst).map(|_| Count(1))).expect("room");
            assert_eq!(sent as u64, burst);
        };
        local.block_on(&runtime, flood(n, &done, send));
    };
    Candidate {
        name: Tepui::NAME,
        operations: 1_000_000,
        run: Box::new(run),
    }
}
