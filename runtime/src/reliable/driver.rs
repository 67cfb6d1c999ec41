//! The task of a [`ReliablePid`](super::ReliablePid): sends what is due, and the other end of it:
//! the receiving node's.

use std::sync::{Arc, PoisonError};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Duration, Instant, sleep_until, timeout},
};

use super::{
    Reason, Receipt, Reliable, ReliableOptions,
    inbox::{Offer, StreamId, Verdict},
    window::Window,
};
use crate::{
    AnyPid, AskError, Message, Node, Undeliverable,
    links::Arriving,
    node::{NODE, remote::RemoteReply, undeliverable},
    supervision::micros,
};

/// A message ready to be sent, and who waits for the outcome.
pub(super) struct Parcelled {
    pub(super) name: &'static str,
    pub(super) version: u16,
    pub(super) body: Arc<[u8]>,
    pub(super) done: oneshot::Sender<Result<(), Reason>>,
    /// Given back when it is settled.
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) room: OwnedSemaphorePermit,
}

type Attempt = BoxFuture<'static, (u64, Result<Receipt, AskError>)>;

pub(super) struct Driver {
    node: Node,
    to: AnyPid,
    /// The node of `to`, as such.
    there: AnyPid,
    stream: u64,
    options: ReliableOptions,
    commands: mpsc::UnboundedReceiver<Parcelled>,
    window: Window<Parcelled>,
    attempts: FuturesUnordered<Attempt>,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        to: AnyPid,
        options: ReliableOptions,
        commands: mpsc::UnboundedReceiver<Parcelled>,
    ) -> Self {
        let there = AnyPid::new(NODE, to.node().clone()).expect("a name that is well formed");
        Self {
            stream: node.unique(),
            node,
            to,
            there,
            options,
            commands,
            window: Window::new(),
            attempts: FuturesUnordered::new(),
        }
    }

    /// Runs until nobody can send any more and everything is settled.
    pub(super) async fn run(mut self) {
        let mut open = true;
        loop {
            let now = self.node.now();
            while let Some(parcelled) = self.window.expired(now) {
                let _ = parcelled.done.send(Err(Reason::Expired));
            }
            self.send_due(now);
            if !open && self.window.is_empty() {
                return;
            }
            let wake = self.window.wake().map(|at| at.saturating_sub(now));
            let wake = Instant::now() + Duration::from_micros(wake.unwrap_or(u64::MAX >> 20));
            tokio::select! {
                biased;
                Some((seq, answer)) = self.attempts.next() => self.answered(seq, answer),
                command = self.commands.recv(), if open => match command {
                    Some(parcelled) => {
                        let patience = self.options.give_up_after;
                        self.window.push(parcelled, patience, self.node.now());
                    }
                    None => open = false,
                },
                () = sleep_until(wake) => {}
            }
        }
    }

    fn send_due(&mut self, now: u64) {
        let base = self.window.base();
        while let Some(entry) = self.window.due(now) {
            let (seq, item) = (entry.seq, &entry.item);
            let reliable = Reliable {
                to: self.to.clone(),
                from: self.node.addr().clone(),
                stream: self.stream,
                seq,
                base,
                patience: micros(self.options.give_up_after),
                name: item.name.to_owned(),
                version: item.version,
                body: item.body.to_vec(),
            };
            let (node, there) = (self.node.clone(), self.there.clone());
            let within = self.options.attempt;
            self.attempts.push(Box::pin(async move {
                if there.node() != node.addr() {
                    return (seq, node.ask(&there, reliable, within).await);
                }
                let (pid, after) = (there, within);
                let late = |_| AskError::Timeout { pid, after };
                let answer = timeout(within, node.take_own(reliable)).await;
                (seq, answer.map_err(late).flatten())
            }));
        }
    }

    fn answered(&mut self, seq: u64, answer: Result<Receipt, AskError>) {
        let now = self.node.now();
        let one_life = self.to.incarnation() != 0;
        match answer {
            Ok(Receipt::Gone) if one_life => self.refused(seq, Undeliverable::NoSuchActor),
            Ok(receipt) => {
                if let Some(parcelled) = self.window.answered(seq, receipt, now) {
                    let _ = parcelled.done.send(Ok(()));
                }
            }
            Err(AskError::Undeliverable { reason, .. }) => match reason {
                Undeliverable::NoSuchActor if one_life => self.refused(seq, reason),
                Undeliverable::NotAccepted { .. }
                | Undeliverable::Codec(_)
                | Undeliverable::TooLarge { .. }
                | Undeliverable::NodeStopped => self.refused(seq, reason),
                _ => self.window.failed(seq, now),
            },
            Err(_) => self.window.failed(seq, now),
        }
    }

    fn refused(&mut self, seq: u64, reason: Undeliverable) {
        if let Some(parcelled) = self.window.settle(seq) {
            let _ = parcelled.done.send(Err(Reason::Refused(reason)));
        }
    }
}

impl Node {
    /// A reliable message has arrived: `reply` is told what became of it. The future, if any, is to
    /// be awaited: there is no room in the mailbox yet.
    pub(crate) fn take_reliable(
        &self,
        reliable: Reliable,
        mut reply: RemoteReply,
    ) -> Option<BoxFuture<'static, ()>> {
        let Some(cell) = self.cell(&reliable.to) else {
            reply.refuse(Undeliverable::NoSuchActor);
            return None;
        };
        let id: StreamId = (reliable.from, reliable.stream);
        let (pid, seq) = (cell.pid().clone(), reliable.seq);
        let offer = Offer {
            incarnation: pid.incarnation(),
            seq,
            base: reliable.base,
            patience: reliable.patience,
        };
        let verdict = self.inbox(|inbox| inbox.offer(&id, offer, self.now()));
        if let Verdict::Answer(receipt) = verdict {
            reply.reply::<Reliable>(&receipt);
            return None;
        }
        let (node, to) = (self.clone(), pid.clone());
        let handled = RemoteReply::then(move |outcome| {
            node.inbox(|inbox| inbox.done(&id, to.incarnation(), seq));
            match outcome {
                Ok(_) => reply.reply::<Reliable>(&Receipt::Handled),
                // It ended at this message and lives again, or before it came to it.
                Err(None) if node.cell(&to).is_some() => {
                    reply.reply::<Reliable>(&Receipt::Handled);
                }
                Err(None) => reply.reply::<Reliable>(&Receipt::Gone),
                Err(Some(refusal)) => reply.refuse(refusal),
            }
        });
        let parcel = Arriving {
            to: &pid,
            name: &reliable.name.into(),
            version: reliable.version,
            ask: None,
            trace: None,
            body: &reliable.body,
        };
        cell.post_parcel(parcel, Some(handled)).ok().flatten()
    }

    fn inbox<R>(&self, with: impl FnOnce(&mut super::inbox::Inbox) -> R) -> R {
        let mut inbox = self
            .inner
            .reliable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        with(&mut inbox)
    }

    /// A reliable message from this node to itself.
    async fn take_own(&self, reliable: Reliable) -> Result<Receipt, AskError> {
        let (pid, (sender, outcome)) = (reliable.to.clone(), oneshot::channel());
        let reply = RemoteReply::then(move |outcome| drop(sender.send(outcome)));
        if let Some(room) = self.take_reliable(reliable, reply) {
            room.await;
        }
        match outcome.await {
            Ok(Ok(receipt)) => {
                Reliable::decode_reply(&receipt).map_err(|error| undeliverable(&pid, error.into()))
            }
            Ok(Err(Some(reason))) => Err(undeliverable(&pid, reason)),
            Ok(Err(None)) | Err(_) => Err(AskError::NoReply { pid }),
        }
    }
}
