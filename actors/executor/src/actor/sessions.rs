//! Sessions as the actor has them: the streams, and the questions that are asked of them.

use std::{collections::BTreeMap, rc::Rc};

use tepui_isolation::Ended;
use tepui_protocol::messages::session::{
    Open, Output, PATIENCE, PIECE_MAX, Read, Refusal, Resize, Write, Written,
};
use tepui_runtime::prelude::*;
use tokio::time::timeout;
use uuid::Uuid;

use super::ExecutorActor;
use crate::processes::SessionIo;

/// Sessions that are open, by name.
pub(super) type Live = BTreeMap<Uuid, Session>;

/// A session that is open.
pub(super) struct Session {
    io: Rc<dyn SessionIo>,
    /// Whether somebody waits for output, or for room: only one at a time.
    is_read: bool,
    is_written: bool,
}

/// Beyond those of signals, for a command that nobody saw end.
const UNSEEN: u8 = 255;
const BY_SIGNAL: i32 = 128;

/// What a shell makes of it.
fn code(ended: Ended) -> u8 {
    let code = match ended {
        Ended::Exited { code } => code,
        Ended::Signalled { signal } => BY_SIGNAL + signal,
        Ended::Unseen => return UNSEEN,
    };
    u8::try_from(code).unwrap_or(UNSEEN)
}

fn over<T>() -> Result<T, String> {
    Err("the session is over".to_owned())
}

fn busy<T>() -> Result<T, String> {
    Err("the session is in use by somebody else".to_owned())
}

impl ExecutorActor {
    pub(super) fn with_session(&self, session: Uuid, act: impl FnOnce(&dyn SessionIo)) {
        if let Some(session) = self.sessions.get(&session) {
            act(&*session.io);
        }
    }

    fn opened(
        &mut self,
        id: Uuid,
        opened: Result<Rc<dyn SessionIo>, Refusal>,
        ctx: &mut Context<Self>,
    ) -> Result<Uuid, Refusal> {
        match opened {
            Ok(io) => {
                let ended = io.ended().into_actor(self);
                let session = Session {
                    io,
                    is_read: false,
                    is_written: false,
                };
                self.sessions.insert(id, session);
                ctx.spawn(ended.map(move |_, actor, ctx| {
                    actor.apply(ctx, |state, _, out| state.on_session_ended(id, out));
                }));
                self.apply(ctx, |state, _, out| state.on_opened(id, true, out));
                Ok(id)
            }
            Err(refusal) => {
                self.apply(ctx, |state, _, out| state.on_opened(id, false, out));
                Err(refusal)
            }
        }
    }
}

impl Handler<Open> for ExecutorActor {
    type Result = ResponseActFuture<Self, Result<Uuid, Refusal>>;

    fn handle(&mut self, open: Open, _: &mut Context<Self>) -> Self::Result {
        let start = match &mut self.state {
            Some(state) => state.on_open(open),
            None => Err("the executor has not started".to_owned().into()),
        };
        match start {
            Ok(start) => {
                let opening = self.processes.open(&start).into_actor(self);
                Box::pin(
                    opening.map(move |opened, actor, ctx| actor.opened(start.session, opened, ctx)),
                )
            }
            Err(refusal) => Box::pin(async { Err(refusal) }.into_actor(self)),
        }
    }
}

impl Handler<Read> for ExecutorActor {
    type Result = ResponseActFuture<Self, Result<Output, String>>;

    fn handle(&mut self, Read { session: id }: Read, _: &mut Context<Self>) -> Self::Result {
        let io = match self.sessions.get_mut(&id) {
            None => over(),
            Some(session) if session.is_read => busy(),
            Some(session) => {
                session.is_read = true;
                Ok(session.io.clone())
            }
        };
        let reading = async move { Ok(timeout(PATIENCE, output(io?)).await) }.into_actor(self);
        Box::pin(reading.map(move |read: Result<_, String>, actor, ctx| {
            let output = read?.unwrap_or(Output::Nothing);
            if let Some(session) = actor.sessions.get_mut(&id) {
                session.is_read = false;
            }
            if matches!(output, Output::Ended { .. }) {
                actor.apply(ctx, |state, _, out| state.on_read_to_end(id, out));
            }
            Ok(output)
        }))
    }
}

/// The next piece, or how it ended; nothing is lost when it is dropped.
async fn output(io: Rc<dyn SessionIo>) -> Output {
    match io.clone().read().await {
        Some((stream, data)) => Output::Piece { stream, data },
        None => Output::Ended {
            code: code(io.ended().await),
        },
    }
}

impl Handler<Write> for ExecutorActor {
    type Result = ResponseActFuture<Self, Result<Written, String>>;

    fn handle(&mut self, write: Write, _: &mut Context<Self>) -> Self::Result {
        let id = write.session;
        let io = match self.sessions.get_mut(&id) {
            None => over(),
            Some(session) if session.is_written => busy(),
            Some(_) if write.data.len() > PIECE_MAX => {
                Err(format!("a piece has at most {PIECE_MAX} bytes"))
            }
            Some(session) => {
                session.is_written = true;
                Ok(session.io.clone())
            }
        };
        let writing = async move { Ok(written(io?, write).await) }.into_actor(self);
        Box::pin(writing.map(move |written: Result<_, String>, actor, _| {
            let written = written?;
            if let Some(session) = actor.sessions.get_mut(&id) {
                session.is_written = false;
            }
            Ok(written)
        }))
    }
}

/// Writes what there is room for.
async fn written(io: Rc<dyn SessionIo>, write: Write) -> Written {
    let all = write.data.len();
    let taken = match all {
        0 => Some(0),
        _ => {
            let room = timeout(PATIENCE, io.clone().write(write.data)).await;
            room.unwrap_or(Some(0))
        }
    };
    let Some(taken) = taken else {
        return Written::Closed;
    };
    if write.is_last && taken == all {
        io.close_input();
    }
    Written::Taken(taken)
}

impl Handler<Resize> for ExecutorActor {
    type Result = ();

    fn handle(&mut self, resize: Resize, _: &mut Context<Self>) {
        self.with_session(resize.session, |io| io.resize(resize.size));
    }
}
