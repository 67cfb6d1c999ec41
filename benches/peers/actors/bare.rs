//! No framework: a tokio task with a channel, as one would write it by hand.

use std::sync::atomic::Ordering;

use tokio::{
    sync::{mpsc, oneshot},
    task::{spawn_local, yield_now},
};

use crate::peer::{Mayfly, Peer, Total};

pub(crate) enum Message {
    Count(u64, Option<oneshot::Sender<u64>>),
    Next(Addr),
    Token(u64),
}

type Addr = mpsc::UnboundedSender<Message>;

async fn count(total: Total, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut after: Option<Addr> = None;
    while let Some(message) = messages.recv().await {
        match message {
            Message::Count(n, reply) => {
                let sum = total.fetch_add(n, Ordering::Relaxed) + 1;
                if let Some(reply) = reply {
                    let _ = reply.send(sum);
                }
            }
            Message::Next(next) => after = Some(next),
            Message::Token(0) => drop(total.fetch_add(1, Ordering::Relaxed)),
            Message::Token(left) => {
                let next = after.as_ref().expect("a closed ring");
                next.send(Message::Token(left - 1)).expect("the ring lives");
            }
        }
    }
}

pub(crate) struct Bare;

impl Peer for Bare {
    const NAME: &'static str = "tokio";
    type Home = ();
    type Addr = Addr;

    async fn home() {}

    async fn start((): &(), total: Total) -> Addr {
        let (sender, messages) = mpsc::unbounded_channel();
        spawn_local(count(total, messages));
        sender
    }

    fn tell(to: &Addr, n: u64) {
        to.send(Message::Count(n, None)).expect("it lives");
    }

    async fn ask(to: &Addr, n: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        to.send(Message::Count(n, Some(reply))).expect("it lives");
        answer.await.expect("an answer")
    }

    fn close_ring(link: &Addr, next: &Addr) {
        link.send(Message::Next(next.clone())).expect("it lives");
    }

    fn pass(to: &Addr, left: u64) {
        to.send(Message::Token(left)).expect("it lives");
    }

    async fn breed((): &(), many: u64, gone: &Total) {
        let child = |_| {
            let (sender, mut messages) = mpsc::unbounded_channel::<()>();
            let mayfly = Mayfly(gone.clone());
            spawn_local(async move {
                while messages.recv().await.is_some() {}
                drop(mayfly);
            });
            sender
        };
        let children: Vec<_> = (0..many).map(child).collect();
        yield_now().await;
        drop(children);
    }
}
