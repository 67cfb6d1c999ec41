//! Actors of kameo, with unbounded mailboxes: its bounded ones wait, which a plain tell does not.

use std::sync::atomic::Ordering;

use kameo::{
    Actor,
    actor::{ActorRef, Spawn},
    mailbox,
    message::{Context, Message},
};
use tokio::task::yield_now;

use crate::peer::{Mayfly, Peer, Total};

#[derive(Actor)]
pub(crate) struct Counter {
    total: Total,
    next: Option<ActorRef<Counter>>,
}

struct Count(u64);
struct Next(ActorRef<Counter>);
struct Token(u64);

impl Message<Count> for Counter {
    type Reply = u64;

    async fn handle(&mut self, count: Count, _: &mut Context<Self, u64>) -> u64 {
        self.total.fetch_add(count.0, Ordering::Relaxed) + 1
    }
}

impl Message<Next> for Counter {
    type Reply = ();

    async fn handle(&mut self, next: Next, _: &mut Context<Self, ()>) {
        self.next = Some(next.0);
    }
}

impl Message<Token> for Counter {
    type Reply = ();

    async fn handle(&mut self, token: Token, _: &mut Context<Self, ()>) {
        let next = self.next.as_ref();
        match token.0.checked_sub(1) {
            None => drop(self.total.fetch_add(1, Ordering::Relaxed)),
            Some(left) => {
                let next = next.expect("a closed ring");
                next.tell(Token(left)).try_send().expect("the ring lives");
            }
        }
    }
}

#[derive(Actor)]
struct Child(#[expect(dead_code, reason = "its drop counts")] Mayfly);

pub(crate) struct Kameo;

impl Peer for Kameo {
    const NAME: &'static str = "kameo";
    type Home = ();
    type Addr = ActorRef<Counter>;

    async fn home() {}

    async fn start((): &(), total: Total) -> ActorRef<Counter> {
        let next = None;
        Counter::spawn_with_mailbox(Counter { total, next }, mailbox::unbounded())
    }

    fn tell(to: &ActorRef<Counter>, n: u64) {
        to.tell(Count(n)).try_send().expect("it lives");
    }

    async fn ask(to: &ActorRef<Counter>, n: u64) -> u64 {
        to.ask(Count(n)).await.expect("an answer")
    }

    fn close_ring(link: &ActorRef<Counter>, next: &ActorRef<Counter>) {
        let sent = link.tell(Next(next.clone())).try_send();
        sent.expect("it lives");
    }

    fn pass(to: &ActorRef<Counter>, left: u64) {
        to.tell(Token(left)).try_send().expect("it lives");
    }

    async fn breed((): &(), many: u64, gone: &Total) {
        let child =
            |_| Child::spawn_with_mailbox(Child(Mayfly(gone.clone())), mailbox::unbounded());
        let children: Vec<_> = (0..many).map(child).collect();
        yield_now().await;
        for child in &children {
            child.stop_gracefully().await.expect("it lives");
        }
    }
}
