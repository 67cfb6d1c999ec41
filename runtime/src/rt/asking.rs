//! Waiting for an answer on this node, with a deadline that costs nothing when the answer is there
//! at once.

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;

use super::{
    envelope::{Answer, Letter},
    raw::reply::Asked,
};
use crate::{AnyPid, AskError, Message, Undeliverable, node::undeliverable};

/// The answer, at the latest after `deadline`.
///
/// The asker first lets the other tasks of its thread have a turn: an actor beside it has answered
/// by then, and neither waker nor timer are needed. The deadline counts from there.
pub(crate) async fn answer_within<R>(
    deadline: Duration,
    pid: &AnyPid,
    mut asked: Asked<Answer<R>>,
) -> Result<R, AskError> {
    turn().await;
    match asked.try_take() {
        Poll::Ready(Some(Answer::Now(reply))) => Ok(reply),
        Poll::Ready(None) => Err(AskError::NoReply { pid: pid.clone() }),
        Poll::Ready(Some(later)) => {
            Box::pin(within(deadline, pid, answer(pid, async { Some(later) }))).await
        }
        Poll::Pending => within(deadline, pid, answer(pid, asked)).await,
    }
}

/// Sends when there is room, and then as [`answer_within`].
pub(crate) async fn post_and_answer<M: Message>(
    deadline: Duration,
    pid: &AnyPid,
    posting: impl Future<Output = Result<(), (Undeliverable, Letter<M>)>>,
    asked: Asked<Answer<M::Reply>>,
) -> Result<M::Reply, AskError> {
    let asking = async {
        let posted = posting.await;
        posted.map_err(|(reason, _)| undeliverable(pid, reason))?;
        answer(pid, asked).await
    };
    within(deadline, pid, asking).await
}

async fn within<R>(
    deadline: Duration,
    pid: &AnyPid,
    asking: impl Future<Output = Result<R, AskError>>,
) -> Result<R, AskError> {
    let late = |_| AskError::Timeout {
        pid: pid.clone(),
        after: deadline,
    };
    timeout(deadline, asking).await.map_err(late)?
}

/// The reply as a test's filters let it through, within the deadline.
#[cfg(feature = "testkit")]
pub(crate) async fn filter_within<M: Message>(
    deadline: Duration,
    pid: &AnyPid,
    filters: &crate::filter::Filters,
    reply: M::Reply,
) -> Result<M::Reply, AskError> {
    let filtering = async {
        match filters.reply::<M>(pid, reply).await {
            Some(reply) => Ok(reply),
            None => std::future::pending().await,
        }
    };
    within(deadline, pid, filtering).await
}

/// The answer, whenever it comes.
pub(crate) async fn answer<R>(
    pid: &AnyPid,
    asked: impl Future<Output = Option<Answer<R>>>,
) -> Result<R, AskError> {
    let reply = match asked.await {
        Some(Answer::Now(reply)) => Some(reply),
        Some(Answer::Later(receiver)) => receiver.await.ok(),
        None => None,
    };
    reply.ok_or_else(|| AskError::NoReply { pid: pid.clone() })
}

/// Goes to the end of the thread's line.
async fn turn() {
    let mut turned = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut turned, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
