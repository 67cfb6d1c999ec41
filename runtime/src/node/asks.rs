//! Asks: questions under way, each with a deadline.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use serde_bytes::ByteBuf;
use tokio::{sync::oneshot, time::timeout};

use super::{
    Node,
    sending::{post_afar_wait, refusal},
};
use crate::{
    AnyPid, AskError, Message, NodeAddr, Overflow, Undeliverable,
    links::Outlet,
    rt::{
        asking,
        envelope::{Letter, Reply},
    },
};

/// What came back from another node.
pub(crate) enum Answer {
    /// The reply, encoded.
    Reply(ByteBuf),
    /// The other node refused the question, or (`None`) its actor ended before it answered.
    Refused(Option<Undeliverable>),
    /// The link is lost.
    Lost(String),
}

struct Pending {
    peer: NodeAddr,
    answer: oneshot::Sender<Answer>,
}

/// Questions to other nodes that have no answer yet.
#[derive(Default)]
pub(crate) struct Asks {
    next: AtomicU64,
    pending: DashMap<u64, Pending, RandomState>,
}

impl Asks {
    fn open(&self, peer: &NodeAddr) -> (u64, oneshot::Receiver<Answer>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        self.pending.insert(
            id,
            Pending {
                peer: peer.clone(),
                answer,
            },
        );
        (id, receiver)
    }

    /// Gives `answer` to the asker, if it still waits.
    pub(crate) fn answer(&self, id: u64, answer: Answer) {
        if let Some((_, pending)) = self.pending.remove(&id) {
            let _ = pending.answer.send(answer);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The questions to `peer` will not be answered.
    pub(crate) fn lose(&self, peer: &NodeAddr, problem: &str) {
        let mut lost: Vec<u64> = self
            .pending
            .iter()
            .filter(|e| e.value().peer == *peer)
            .map(|e| *e.key())
            .collect();
        lost.sort_unstable();
        for id in lost {
            self.answer(id, Answer::Lost(problem.to_owned()));
        }
    }
}

/// Forgets the question when the asker no longer waits.
struct Forget<'a>(&'a Asks, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.pending.remove(&self.1);
    }
}

impl Node {
    /// Sends `message` to `pid` and waits for the reply, at most for `deadline`.
    ///
    /// # Errors
    /// [`AskError`]: not delivered, not answered in time, the actor or the link ended before.
    pub async fn ask<M: Message>(
        &self,
        pid: &AnyPid,
        message: M,
        deadline: Duration,
    ) -> Result<M::Reply, AskError> {
        if pid.node() == self.addr() {
            return self.ask_here(pid, message, deadline).await;
        }
        let late = |_| AskError::Timeout {
            pid: pid.clone(),
            after: deadline,
        };
        let outlet = self.inner.links.outlet(pid.clone());
        timeout(deadline, self.ask_afar(pid, &outlet, message))
            .await
            .map_err(late)?
    }

    async fn ask_here<M: Message>(
        &self,
        pid: &AnyPid,
        message: M,
        deadline: Duration,
    ) -> Result<M::Reply, AskError> {
        let (reply, asked) = Reply::here();
        let waits = || {
            self.cell(pid)
                .is_some_and(|cell| cell.overflow() == Overflow::Wait)
        };
        let answer = match self.post(pid, Letter { message, reply }) {
            Ok(()) => asking::answer_within(deadline, pid, asked).await,
            Err((Undeliverable::MailboxFull, letter)) if waits() => {
                let posting = self.post_wait(pid, letter);
                asking::post_and_answer(deadline, pid, posting, asked).await
            }
            Err((reason, _)) => Err(undeliverable(pid, reason)),
        };
        #[cfg(feature = "testkit")]
        if let Some(filters) = &self.inner.filters {
            return asking::filter_within::<M>(deadline, pid, filters, answer?).await;
        }
        answer
    }

    /// The reply, as a test's filters let it through; waits for ever if they keep it.
    async fn filter_reply<M: Message>(&self, _pid: &AnyPid, reply: M::Reply) -> M::Reply {
        #[cfg(feature = "testkit")]
        if let Some(filters) = &self.inner.filters {
            return match filters.reply::<M>(_pid, reply).await {
                Some(reply) => reply,
                None => std::future::pending().await,
            };
        }
        reply
    }

    /// As [`Node::ask`], to another node by a way that is known already, and without a deadline.
    pub(crate) async fn ask_afar<M: Message>(
        &self,
        pid: &AnyPid,
        outlet: &Outlet,
        message: M,
    ) -> Result<M::Reply, AskError> {
        let (id, receiver) = self.inner.asks.open(pid.node());
        let _forget = Forget(&self.inner.asks, id);
        #[cfg(feature = "testkit")]
        let message = {
            let (reply, kept) = Reply::here();
            match self.filter(pid, Letter { message, reply }) {
                Some(letter) => letter.message,
                // A filter answers, now or when it delivers the question.
                None => return asking::answer(pid, kept).await,
            }
        };
        let posted = post_afar_wait(outlet, &message, Some(id));
        drop(message);
        if let Some(waiting) = posted.map_err(|reason| undeliverable(pid, reason))? {
            let sent = waiting.await;
            sent.map_err(|refused| undeliverable(pid, refusal(refused)))?;
        }
        match receiver.await {
            Ok(Answer::Reply(body)) => {
                let reply = M::decode_reply(&body)
                    .map_err(|error| undeliverable(pid, Undeliverable::from(error)))?;
                Ok(self.filter_reply::<M>(pid, reply).await)
            }
            Ok(Answer::Refused(Some(reason))) => Err(undeliverable(pid, reason)),
            Ok(Answer::Refused(None)) | Err(_) => Err(AskError::NoReply { pid: pid.clone() }),
            Ok(Answer::Lost(problem)) => Err(AskError::Unreachable {
                pid: pid.clone(),
                problem,
            }),
        }
    }
}

pub(crate) fn undeliverable(pid: &AnyPid, reason: Undeliverable) -> AskError {
    AskError::Undeliverable {
        pid: pid.clone(),
        reason,
    }
}
