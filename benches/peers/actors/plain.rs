//! Actors of plain actix.

use std::sync::atomic::Ordering;

use tepui_runtime::actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use tokio::task::yield_now;

use crate::peer::{Mayfly, Peer, Total};

struct Count(u64);

impl Message for Count {
    type Result = u64;
}

struct Next(Addr<Counter>);

impl Message for Next {
    type Result = ();
}

struct Token(u64);

impl Message for Token {
    type Result = ();
}

pub(crate) struct Counter {
    total: Total,
    next: Option<Addr<Counter>>,
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
            Some(left) => next.expect("a closed ring").do_send(Token(left)),
        }
    }
}

struct Child(#[expect(dead_code, reason = "its drop counts")] Mayfly);

impl Actor for Child {
    type Context = Context<Self>;
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl Handler<Stop> for Child {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// An actor that starts others and stops them.
struct Parent {
    children: Vec<Addr<Child>>,
    gone: Total,
}

impl Actor for Parent {
    type Context = Context<Self>;
}

struct Breed(u64);

impl Message for Breed {
    type Result = ();
}

struct Cull;

impl Message for Cull {
    type Result = ();
}

impl Handler<Breed> for Parent {
    type Result = ();

    fn handle(&mut self, breed: Breed, _: &mut Context<Self>) {
        let child = |_| Child(Mayfly(self.gone.clone())).start();
        self.children.extend((0..breed.0).map(child));
    }
}

impl Handler<Cull> for Parent {
    type Result = ();

    fn handle(&mut self, _: Cull, ctx: &mut Context<Self>) {
        self.children
            .drain(..)
            .for_each(|child| child.do_send(Stop));
        ctx.stop();
    }
}

pub(crate) struct Actix;

impl Peer for Actix {
    const NAME: &'static str = "actix";
    type Home = ();
    type Addr = Addr<Counter>;

    async fn home() {}

    async fn start((): &(), total: Total) -> Addr<Counter> {
        let next = None;
        Counter { total, next }.start()
    }

    fn tell(to: &Addr<Counter>, n: u64) {
        to.do_send(Count(n));
    }

    async fn ask(to: &Addr<Counter>, n: u64) -> u64 {
        to.send(Count(n)).await.expect("an answer")
    }

    fn close_ring(link: &Addr<Counter>, next: &Addr<Counter>) {
        link.do_send(Next(next.clone()));
    }

    fn pass(to: &Addr<Counter>, left: u64) {
        to.do_send(Token(left));
    }

    async fn breed((): &(), many: u64, gone: &Total) {
        let (children, gone) = (Vec::new(), gone.clone());
        let parent = Parent { children, gone }.start();
        parent.do_send(Breed(many));
        yield_now().await;
        parent.do_send(Cull);
    }
}
