//! The actor around the executor's driver: hands messages to it and carries its effects out.

use tepui_protocol::{
    Timestamp,
    messages::{
        environment::ExecutorPlace,
        executor::{Acknowledged, Kill, Launch, Reconnect, Registered, Shutdown},
    },
};
use tepui_runtime::prelude::*;
use tokio::sync::oneshot;

use super::{
    Executor, Report, Reporter,
    state::{Effect, State},
};

/// A report from another thread.
#[derive(Debug, Message)]
#[message(local)]
pub(super) struct ReportMessage(pub(super) Report);

pub(super) struct ExecutorActor {
    parts: Option<(ExecutorPlace, Box<dyn Executor>)>,
    state: Option<State>,
    done: Option<oneshot::Sender<()>>,
}

impl ExecutorActor {
    pub(super) fn new(
        place: ExecutorPlace,
        executor: Box<dyn Executor>,
        done: oneshot::Sender<()>,
    ) -> Self {
        Self {
            parts: Some((place, executor)),
            state: None,
            done: Some(done),
        }
    }

    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        event: impl FnOnce(&mut State, Timestamp, &mut Vec<Effect>),
    ) {
        let Some(state) = &mut self.state else { return };
        let mut out = Vec::new();
        event(state, Timestamp(ctx.now()), &mut out);
        out.into_iter()
            .for_each(|effect| self.carry_out(effect, ctx));
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Register(agent, message) => tell(&agent, message),
            Effect::Update(agent, message) => tell(&agent, message),
            Effect::Monitor(agent) => ctx.monitor(&agent),
            Effect::Timer { after, timer } => {
                ctx.run_later(after, move |actor, ctx| {
                    actor.step(ctx, |state, now, out| state.on_timer(now, timer, out));
                });
            }
            Effect::Stop => {
                self.state = None;
                if let Some(done) = self.done.take() {
                    // Nobody may be waiting.
                    let _ = done.send(());
                }
                ctx.stop();
            }
        }
    }
}

/// What does not leave is sent again when a timer says so.
fn tell<M: tepui_runtime::Message>(agent: &AnyPid, message: M) {
    if let Err(error) = agent.tell(message) {
        tracing::debug!(%error, "not sent");
    }
}

impl Actor for ExecutorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some((place, executor)) = self.parts.take() else {
            return;
        };
        let seed = ctx.node().random_u64();
        self.state = Some(State::new(executor, ctx.any_pid(), place, seed));
        let reporter = Reporter(ctx.pid());
        self.step(ctx, |state, now, out| state.start(now, reporter, out));
    }
}

accepts!(
    ExecutorActor: Registered, Reconnect, Launch, Kill, Acknowledged, Shutdown, Exited
);

macro_rules! handle {
    ($($message:ty => |$state:ident, $now:ident, $msg:ident, $out:ident| $call:expr;)*) => {$(
        impl Handler<$message> for ExecutorActor {
            type Result = ();
            fn handle(&mut self, $msg: $message, ctx: &mut Context<Self>) {
                self.step(ctx, |$state, $now, $out| $call);
            }
        }
    )*};
}

handle! {
    Registered => |state, now, msg, out| state.on_registered(now, msg, out);
    Reconnect => |state, now, msg, out| state.on_reconnect(now, msg, out);
    Launch => |state, now, msg, out| state.on_launch(now, msg, out);
    Kill => |state, now, msg, out| state.on_kill(now, &msg, out);
    Acknowledged => |state, _now, msg, out| state.on_acknowledged(&msg, out);
    Shutdown => |state, now, _msg, out| state.on_shutdown(now, out);
    Exited => |state, now, msg, out| state.on_exited(now, &msg.pid, out);
    ReportMessage => |state, now, msg, out| state.on_report(now, msg.0, out);
}
