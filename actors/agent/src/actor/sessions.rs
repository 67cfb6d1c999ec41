//! Messages of sessions: each question of a client is asked of the executor that has the task.

use std::time::Duration;

use tepui_protocol::messages::session::{
    Open, Output, PATIENCE, Read, Refusal, Resize, Write, Written,
};
use tepui_runtime::prelude::*;
use uuid::Uuid;

use super::AgentActor;

/// An executor answers after [`PATIENCE`] at the latest; a start may take longer.
const DEADLINE: Duration = PATIENCE.saturating_mul(2);

/// The executor is on the same machine, so that its loss is its end.
fn lost(error: &AskError) -> String {
    tracing::debug!(%error, "session");
    "the task has ended, and its executor with it".to_owned()
}

fn over<T>() -> Result<T, String> {
    Err("the session is over".to_owned())
}

impl AgentActor {
    /// Asks the executor of a session.
    fn ask<M, T>(
        &self,
        ctx: &Context<Self>,
        session: Uuid,
        question: M,
    ) -> impl Future<Output = Result<T, String>> + 'static
    where
        M: Message<Reply = Result<T, String>>,
        T: 'static,
    {
        let executor = self.state.session_executor(session);
        let node = ctx.node().clone();
        async move {
            match executor {
                Some(executor) => node
                    .ask(&executor, question, DEADLINE)
                    .await
                    .unwrap_or_else(|error| Err(lost(&error))),
                None => over(),
            }
        }
    }
}

impl Handler<Open> for AgentActor {
    type Result = ResponseActFuture<Self, Result<Uuid, Refusal>>;

    fn handle(&mut self, open: Open, ctx: &mut Context<Self>) -> Self::Result {
        let mut decided = Err(Refusal::from("the agent has stopped".to_owned()));
        self.apply(ctx, |state, _, out| decided = state.on_open(open, out));
        let node = ctx.node().clone();
        let session = decided.as_ref().ok().and_then(|(_, open)| open.session);
        let opening = async move {
            let (executor, open) = decided?;
            let opened = node.ask(&executor, open, DEADLINE).await;
            opened.unwrap_or_else(|error| Err(lost(&error).into()))
        };
        Box::pin(opening.into_actor(self).map(move |opened, actor, ctx| {
            if let (Err(_), Some(session)) = (&opened, session) {
                // One that was only too slow must not be left behind.
                actor.apply(ctx, |state, _, out| state.on_close(session, out));
            }
            opened
        }))
    }
}

impl Handler<Read> for AgentActor {
    type Result = ResponseActFuture<Self, Result<Output, String>>;

    fn handle(&mut self, read: Read, ctx: &mut Context<Self>) -> Self::Result {
        let session = read.session;
        let asking = self.ask(ctx, session, read).into_actor(self);
        Box::pin(asking.map(move |read, actor, _| {
            if matches!(read, Ok(Output::Ended { .. })) {
                actor.state.forget_session(session);
            }
            read
        }))
    }
}

impl Handler<Write> for AgentActor {
    type Result = ResponseFuture<Result<Written, String>>;

    fn handle(&mut self, write: Write, ctx: &mut Context<Self>) -> Self::Result {
        Box::pin(self.ask(ctx, write.session, write))
    }
}

impl Handler<Resize> for AgentActor {
    type Result = ();

    fn handle(&mut self, resize: Resize, _: &mut Context<Self>) {
        if let Some(executor) = self.state.session_executor(resize.session) {
            super::tell(&executor, resize);
        }
    }
}
