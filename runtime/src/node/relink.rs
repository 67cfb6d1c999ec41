//! Linking again once a partition has healed.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Handler};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::Node;
use crate::{AnyPid, Context, ExitReason, Exited, Message, rt::Actor};

/// How long a node may take to say whether the actor lives.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Its node answers again, the actor lives, and the link to it exists; see [`Context::relink`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(name = "tepui.runtime.Relinked")]
pub struct Relinked {
    /// The peer.
    pub pid: AnyPid,
}

impl<A: Actor + Handler<Exited> + Handler<Relinked>> Context<A> {
    /// Links to `pid` as soon as its node can be reached, trying for as long as this actor lives:
    /// for use after an [`Exited`] with [`ExitReason::Unreachable`].
    ///
    /// Arrives next, exactly once: [`Relinked`] if the actor that is meant lived through the
    /// partition, and the link exists; or [`Exited`] with [`ExitReason::NoSuchActor`] if it did not.
    /// What was sent to it meanwhile may be lost.
    pub fn relink(&mut self, pid: &AnyPid) {
        let (node, pid) = (self.node().clone(), pid.clone());
        let found = async move {
            let lives = node.lives_at_last(&pid).await;
            (lives, pid)
        };
        let then = |(lives, pid): (bool, AnyPid), _: &mut A, ctx: &mut Self| {
            if lives {
                ctx.link(&pid);
                ctx.cell().post_first(Relinked { pid });
            } else {
                let reason = ExitReason::NoSuchActor;
                ctx.cell().post_first(Exited { pid, reason });
            }
        };
        self.spawn(actix::fut::wrap_future::<_, A>(found).map(then));
    }
}

impl Node {
    /// Whether `pid` lives, once its node says so.
    async fn lives_at_last(&self, pid: &AnyPid) -> bool {
        let mut pause = PAUSE_MIN;
        loop {
            match self.lookup_at(pid.node(), pid.name(), ANSWER_WITHIN).await {
                Ok(None) => return false,
                Ok(Some(bearer)) => {
                    return pid.incarnation() == 0 || pid.incarnation() == bearer.incarnation();
                }
                Err(error) => tracing::debug!(%pid, %error, "cannot link again yet"),
            }
            sleep_until(Instant::now() + pause).await;
            pause = PAUSE_MAX.min(2 * pause);
        }
    }
}
