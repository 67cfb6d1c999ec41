//! Actors of ractor.

use std::sync::atomic::Ordering;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, rpc::CallResult};
use tokio::task::yield_now;

use crate::peer::{Mayfly, Peer, Total};

pub(crate) enum Message {
    Count(u64),
    Ask(u64, RpcReplyPort<u64>),
    Next(ActorRef<Message>),
    Token(u64),
}

struct Counter;

struct State {
    total: Total,
    next: Option<ActorRef<Message>>,
}

impl Actor for Counter {
    type Msg = Message;
    type State = State;
    type Arguments = Total;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        total: Total,
    ) -> Result<State, ActorProcessingErr> {
        let next = None;
        Ok(State { total, next })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Count(n) => drop(state.total.fetch_add(n, Ordering::Relaxed)),
            Message::Ask(n, reply) => {
                let _ = reply.send(state.total.fetch_add(n, Ordering::Relaxed) + 1);
            }
            Message::Next(next) => state.next = Some(next),
            Message::Token(0) => drop(state.total.fetch_add(1, Ordering::Relaxed)),
            Message::Token(left) => {
                let next = state.next.as_ref().expect("a closed ring");
                let sent = next.send_message(Message::Token(left - 1));
                sent.expect("the ring lives");
            }
        }
        Ok(())
    }
}

struct Child;

impl Actor for Child {
    type Msg = ();
    type State = Mayfly;
    type Arguments = Total;

    async fn pre_start(&self, _: ActorRef<()>, gone: Total) -> Result<Mayfly, ActorProcessingErr> {
        Ok(Mayfly(gone))
    }
}

pub(crate) struct Ractor;

impl Peer for Ractor {
    const NAME: &'static str = "ractor";
    type Home = ();
    type Addr = ActorRef<Message>;

    async fn home() {}

    async fn start((): &(), total: Total) -> ActorRef<Message> {
        let started = Actor::spawn(None, Counter, total).await;
        started.expect("it starts").0
    }

    fn tell(to: &ActorRef<Message>, n: u64) {
        to.send_message(Message::Count(n)).expect("it lives");
    }

    async fn ask(to: &ActorRef<Message>, n: u64) -> u64 {
        let asked = to.call(|reply| Message::Ask(n, reply), None).await;
        match asked.expect("it lives") {
            CallResult::Success(sum) => sum,
            CallResult::Timeout | CallResult::SenderError => panic!("no answer"),
        }
    }

    fn close_ring(link: &ActorRef<Message>, next: &ActorRef<Message>) {
        let sent = link.send_message(Message::Next(next.clone()));
        sent.expect("it lives");
    }

    fn pass(to: &ActorRef<Message>, left: u64) {
        to.send_message(Message::Token(left)).expect("it lives");
    }

    async fn breed((): &(), many: u64, gone: &Total) {
        let mut children = Vec::new();
        for _ in 0..many {
            let started = Actor::spawn(None, Child, gone.clone()).await;
            children.push(started.expect("it starts").0);
        }
        yield_now().await;
        for child in children {
            child.stop(None);
        }
    }
}
