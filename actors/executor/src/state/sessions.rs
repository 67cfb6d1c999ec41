//! Sessions: further commands beside tasks that run, for operators.
//!
//! ```text
//!  STARTING --opened--> OPEN --command ended--> ENDED --read to the end--> (gone)
//!      | close            | close                 | close --> (gone)
//!      v                  v
//!   CLOSING --opened--> CLOSING (hung up) --grace over--> (killed) --command ended--> (gone)
//! ```
//! They end with their task, with the agent's life that asked for them, and when that says so: it
//! watches the client.

use std::{collections::BTreeMap, time::Duration};

use tepui_protocol::{
    TaskId,
    messages::session::{self, Refusal},
};
use uuid::Uuid;

use super::{Executor, Phase};
use crate::{
    effects::{Effect, Timer},
    environment,
    processes::StartSession,
};

/// Sessions of one executor at a time.
pub const SESSIONS_MAX: usize = 32;
/// From the loss of its terminal or its input to its end.
const GRACE: Duration = Duration::from_secs(1);

/// How long an executor without tasks waits for those who read from its sessions.
pub(super) const FAREWELL: Duration = Duration::from_secs(10);

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    task_id: TaskId,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Starting,
    Open,
    /// It was closed before it was open.
    Unwanted,
    /// Its task ended before it was open, perhaps by its command.
    Late,
    Closing,
    Ended,
}

impl Executor {
    /// Somebody wants a command beside a task: what is to be started; answered by `on_opened`.
    ///
    /// # Errors
    /// Why not.
    pub fn on_open(&mut self, open: session::Open) -> Result<StartSession, Refusal> {
        let id = &open.task_id;
        let running = |task: &&super::Task| task.phase == Phase::Running;
        let task = self.tasks.get(id).filter(running);
        let Some((task, session)) = task.zip(open.session) else {
            return Err(format!("task {id} does not run").into());
        };
        if open.command.is_empty() {
            return Err("there is no command".to_owned().into());
        }
        if self.sessions.len() >= SESSIONS_MAX {
            let text = format!("task {id} has {SESSIONS_MAX} sessions already; end one first");
            return Err(text.into());
        }
        let start = StartSession {
            session,
            task_id: id.clone(),
            environment: environment::of_task(&self.config, &task.info),
            sandbox: environment::sandbox(&self.config, &task.info),
            command: open.command,
            more_environment: open.environment,
            input: open.input,
            terminal: open.terminal,
        };
        let new = Session {
            task_id: open.task_id,
            standing: Standing::Starting,
        };
        self.sessions.insert(session, new);
        Ok(start)
    }

    /// The command of a session runs, or could not be started.
    pub fn on_opened(&mut self, id: Uuid, runs: bool, out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match (runs, session.standing) {
            (false, _) => {
                self.sessions.remove(&id);
                self.stop_if_done(out);
            }
            (true, Standing::Unwanted) => {
                session.standing = Standing::Open;
                self.on_close(id, out);
            }
            (true, Standing::Late) => {
                session.standing = Standing::Open;
                out.push(Effect::KillSession(id));
            }
            (true, _) => session.standing = Standing::Open,
        }
    }

    /// The command of a session has ended.
    pub fn on_session_ended(&mut self, id: Uuid, out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match session.standing {
            Standing::Closing => self.forget_session(id, out),
            _ => session.standing = Standing::Ended,
        }
    }

    /// All that the command of a session wrote was read, and how it ended.
    pub fn on_read_to_end(&mut self, id: Uuid, out: &mut Vec<Effect>) {
        self.forget_session(id, out);
    }

    /// Nobody wants the session any more.
    pub fn on_close(&mut self, id: Uuid, out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match session.standing {
            Standing::Starting | Standing::Late => session.standing = Standing::Unwanted,
            Standing::Open => {
                session.standing = Standing::Closing;
                out.push(Effect::HangUp(id));
                out.push(Effect::Timer {
                    after: GRACE,
                    timer: Timer::Session(id),
                });
            }
            Standing::Ended => self.forget_session(id, out),
            Standing::Unwanted | Standing::Closing => {}
        }
    }

    pub(super) fn session_grace_over(&self, id: Uuid, out: &mut Vec<Effect>) {
        if self.sessions.contains_key(&id) {
            out.push(Effect::KillSession(id));
        }
    }

    /// The agent's life that asked for them is over.
    pub(super) fn close_sessions(&mut self, out: &mut Vec<Effect>) {
        let all: Vec<Uuid> = self.sessions.keys().copied().collect();
        for id in all {
            self.on_close(id, out);
        }
    }

    /// A task is over: so are the commands beside it. What they wrote can still be read.
    pub(super) fn kill_sessions(&mut self, task_id: &TaskId, out: &mut Vec<Effect>) {
        let of_task = self
            .sessions
            .iter_mut()
            .filter(|(_, s)| s.task_id == *task_id);
        for (id, session) in of_task {
            match session.standing {
                Standing::Starting => session.standing = Standing::Late,
                Standing::Open | Standing::Closing => out.push(Effect::KillSession(*id)),
                Standing::Unwanted | Standing::Late | Standing::Ended => {}
            }
        }
    }

    fn forget_session(&mut self, id: Uuid, out: &mut Vec<Effect>) {
        if self.sessions.remove(&id).is_some() {
            out.push(Effect::ForgetSession(id));
            self.stop_if_done(out);
        }
    }
}

/// All sessions, by name.
pub(super) type Sessions = BTreeMap<Uuid, Session>;
