//! Which message goes to which method of the state machine.

use tepui_protocol::{
    Timestamp,
    messages::{
        agent::{
            KillTask, Ping, Registered, Reregistered, RunGroup, RunTask, Shutdown,
            ShutdownFramework, StatusUpdateAcknowledged,
        },
        executor,
        operator::{AgentState, GetAgentState, GetUsage, ReadSandbox, RunUsage, SandboxPiece},
        session,
    },
};
use tepui_runtime::prelude::*;

use super::{AgentActor, StopAgent};

accepts!(AgentActor:
    Registered, Reregistered, RunTask, RunGroup, KillTask, ShutdownFramework, Shutdown,
    StatusUpdateAcknowledged, Ping,
    executor::Register, executor::Update,
    ReadSandbox, GetAgentState, GetUsage,
    session::Open, session::Read, session::Write, session::Resize, session::Close, Exited,
);

macro_rules! handle {
    ($($message:ty => |$state:ident, $now:ident, $m:ident, $out:ident| $call:expr;)*) => {$(
        impl Handler<$message> for AgentActor {
            type Result = ();
            fn handle(&mut self, $m: $message, ctx: &mut Context<Self>) {
                self.apply(ctx, |$state, $now, $out| $call);
            }
        }
    )*};
}

handle! {
    Registered => |state, now, m, out| state.on_registered(now, m, out);
    Reregistered => |state, now, m, out| state.on_reregistered(now, m, out);
    RunTask => |state, now, m, out| state.on_run_task(now, m, out);
    RunGroup => |state, now, m, out| state.on_run_group(now, m, out);
    KillTask => |state, now, m, out| state.on_kill_task(now, &m, out);
    ShutdownFramework => |state, _now, m, out| state.on_shutdown_framework(&m, out);
    Shutdown => |state, _now, m, out| state.on_shutdown(m, out);
    StatusUpdateAcknowledged => |state, _now, m, out| state.on_acknowledged(&m, out);
    Ping => |state, now, m, out| state.on_ping(now, &m, out);
    executor::Register => |state, now, m, out| state.on_register(now, m, out);
    executor::Update => |state, _now, m, out| state.on_update(m, out);
    session::Close => |state, _now, m, out| state.on_close(m.session, out);
    Exited => |state, now, m, out| state.on_exited(now, &m.pid, out);
    StopAgent => |state, _now, m, out| state.on_stop(m.kill_tasks, out);
}

impl Handler<GetAgentState> for AgentActor {
    type Result = MessageResult<GetAgentState>;

    fn handle(&mut self, _: GetAgentState, _: &mut Context<Self>) -> Self::Result {
        let state: AgentState = self.state.summary(std::process::id());
        MessageResult(state)
    }
}

impl Handler<ReadSandbox> for AgentActor {
    type Result = ResponseFuture<Result<SandboxPiece, String>>;

    fn handle(&mut self, question: ReadSandbox, _: &mut Context<Self>) -> Self::Result {
        let (sandbox, length) = self.state.sandbox_of(&question);
        let read = self
            .launcher
            .read_sandbox(sandbox, question.path, question.offset, length);
        Box::pin(async {
            read.await.map(|piece| SandboxPiece {
                data: piece.data,
                size: piece.size,
            })
        })
    }
}

impl Handler<GetUsage> for AgentActor {
    type Result = ResponseActFuture<Self, Vec<RunUsage>>;

    fn handle(&mut self, _: GetUsage, _: &mut Context<Self>) -> Self::Result {
        let runs = self.state.runs_in_use();
        let read = self.launcher.usage(runs.clone()).into_actor(self);
        Box::pin(read.map(move |usages, actor, ctx| {
            let now = Timestamp(ctx.now());
            let counted = runs.into_iter().zip(usages);
            counted
                .map(|(used, usage)| actor.state.usage_of(now, used.run, usage))
                .collect()
        }))
    }
}
