//! The actor around [`Executor`]: hands messages to it and carries its effects out.

mod sessions;

use rand::rngs::StdRng;
use tepui_isolation::Outcome;
use tepui_protocol::{
    TaskId, Timestamp,
    messages::{executor, session},
};
use tepui_runtime::prelude::*;

use crate::{
    ExecutorConfig, Processes, StartProcess,
    effects::{Effect, Look},
    processes::StartProbe,
    state::Executor,
};

/// The name that an executor's actor bears on its node.
pub const NAME: &str = "executor";

/// An executor as an actor.
pub struct ExecutorActor {
    start: Option<(ExecutorConfig, StdRng)>,
    state: Option<Executor>,
    processes: Box<dyn Processes>,
    sessions: sessions::Live,
}

impl ExecutorActor {
    /// An executor that draws its uuids from `rng` and runs its tasks with `processes`.
    pub fn new(config: ExecutorConfig, rng: StdRng, processes: Box<dyn Processes>) -> Self {
        Self {
            start: Some((config, rng)),
            state: None,
            processes,
            sessions: sessions::Live::new(),
        }
    }

    /// Calls the state machine and carries out what it wants, until it wants nothing more.
    fn apply(
        &mut self,
        ctx: &mut Context<Self>,
        event: impl FnOnce(&mut Executor, Timestamp, &mut Vec<Effect>),
    ) {
        let Some(state) = &mut self.state else { return };
        let mut effects = Vec::new();
        event(state, Timestamp(ctx.now()), &mut effects);
        for effect in effects {
            self.carry_out(effect, ctx);
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Register(agent, message) => tell(&agent, message),
            Effect::Update(agent, message) => tell(&agent, message),
            Effect::Monitor(pid) => ctx.monitor(&pid),
            Effect::Start(start) => self.start_process(&start, ctx),
            Effect::Probe(look, start) => self.probe(look, &start, ctx),
            Effect::Signal(task, signal) => self.processes.signal(&task, signal),
            Effect::HangUp(session) => self.with_session(session, |io| io.hang_up()),
            Effect::KillSession(session) => self.with_session(session, |io| io.kill()),
            Effect::ForgetSession(session) => drop(self.sessions.remove(&session)),
            Effect::Timer { after, timer } => {
                ctx.run_later(after, move |actor, ctx| {
                    actor.apply(ctx, |state, now, out| state.on_timer(now, timer, out));
                });
            }
            Effect::Stop { why } => {
                tracing::info!(why, "executor ends");
                ctx.stop();
            }
        }
    }

    fn start_process(&mut self, start: &StartProcess, ctx: &mut Context<Self>) {
        let task = start.task_id.clone();
        let starting = self.processes.start(start).into_actor(self);
        ctx.spawn(starting.map(move |started, actor, ctx| {
            let (started, ended) = match started {
                Ok(started) => {
                    tracing::info!(%task, os_pid = started.os_pid, "task runs");
                    (Ok(started.container), Some(started.ended))
                }
                Err(problem) => (Err(problem), None),
            };
            actor.apply(ctx, |state, now, out| {
                state.on_started(now, &task, started, out)
            });
            if let Some(ended) = ended {
                actor.await_end(task, ended, ctx);
            }
        }));
    }

    fn probe(&mut self, look: Look, start: &StartProbe, ctx: &mut Context<Self>) {
        let probing = self.processes.probe(start).into_actor(self);
        ctx.spawn(probing.map(move |result, actor, ctx| {
            tracing::debug!(task = %look.task_id, ?result, "checked");
            actor.apply(ctx, |state, now, out| {
                state.on_probed(now, &look, &result, out)
            });
        }));
    }

    fn await_end(
        &self,
        task: TaskId,
        ended: impl Future<Output = Outcome> + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.spawn(ended.into_actor(self).map(move |outcome, actor, ctx| {
            tracing::info!(%task, ended = %outcome.ended, "task ended");
            actor.apply(ctx, |state, now, out| {
                state.on_ended(now, &task, outcome, out)
            });
        }));
    }
}

/// What does not leave now is sent again when the state machine's timers say so.
fn tell<M: Message>(agent: &AnyPid, message: M) {
    if let Err(error) = agent.tell(message) {
        tracing::debug!(%error, message = M::NAME, "not sent");
    }
}

impl Actor for ExecutorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some((config, rng)) = self.start.take() {
            self.state = Some(Executor::new(config, ctx.any_pid(), rng));
            self.apply(ctx, |state, _, out| state.on_start(out));
        }
    }
}

accepts!(ExecutorActor:
    executor::Registered, executor::Reconnect, executor::Launch,
    executor::LaunchGroup, executor::Kill,
    executor::Acknowledged, executor::Shutdown,
    session::Open, session::Read, session::Write, session::Resize, session::Close, Exited,
);

macro_rules! handle {
    ($($message:ty => |$state:ident, $now:ident, $m:ident, $out:ident| $call:expr;)*) => {$(
        impl Handler<$message> for ExecutorActor {
            type Result = ();
            fn handle(&mut self, $m: $message, ctx: &mut Context<Self>) {
                self.apply(ctx, |$state, $now, $out| $call);
            }
        }
    )*};
}

handle! {
    executor::Registered => |state, _now, m, out| state.on_registered(m, out);
    executor::Reconnect => |state, _now, m, out| state.on_reconnect(m, out);
    executor::Launch => |state, now, m, out| state.on_launch(now, m.task, out);
    executor::LaunchGroup => |state, now, m, out| state.on_launch_group(now, m.tasks, out);
    executor::Kill => |state, now, m, out| state.on_kill(now, &m, out);
    executor::Acknowledged => |state, _now, m, out| state.on_acknowledged(&m, out);
    executor::Shutdown => |state, now, _m, out| state.on_shutdown(now, out);
    session::Close => |state, _now, m, out| state.on_close(m.session, out);
    Exited => |state, now, m, out| state.on_agent_exited(now, &m.pid, out);
}
