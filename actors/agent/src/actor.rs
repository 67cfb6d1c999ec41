//! The actor around [`Agent`]: hands messages to it and carries its effects out, each behind the
//! writes that were wanted before it.

mod collection;
mod handlers;
mod sessions;

use rand::rngs::StdRng;
use tepui_isolation::ProcessIdentity;
use tepui_protocol::Timestamp;
use tepui_runtime::prelude::*;
use tepui_store::{Outbox, StateStore, Step, StoreError};

use crate::{
    agent::{Agent, RecoveryError},
    config::AgentConfig,
    effects::{Effect, Stop, ToExecutor, ToMaster},
    launcher::{ExecutorLaunch, ExecutorRun, Launcher},
    records::Records,
};

/// The name that an agent's actor bears on its node.
pub const NAME: &str = "agent";

/// Stops the agent. Without `kill_tasks` its executors run on and are found again by its next
/// start; with it they are ended, the agent leaves the cluster and forgets its id.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(local)]
pub struct StopAgent {
    /// Whether the tasks are ended too.
    pub kill_tasks: bool,
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its records cannot be read.
    #[error("cannot read the agent's records")]
    Store(#[from] StoreError),
    /// Its settings do not go with its records.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The boot of this machine cannot be told.
    #[error("cannot tell the machine's boot id")]
    Boot(#[source] std::io::Error),
}

/// An agent as an actor.
pub struct AgentActor {
    state: Agent,
    store: Box<dyn StateStore>,
    launcher: Box<dyn Launcher>,
    outbox: Outbox<Effect>,
}

impl AgentActor {
    /// An agent of the cluster of `master` on this boot of this machine. Reads the store.
    ///
    /// # Errors
    /// [`StartError`], before anything is done.
    pub fn new(
        config: AgentConfig,
        store: Box<dyn StateStore>,
        launcher: Box<dyn Launcher>,
        master: AnyPid,
        rng: StdRng,
    ) -> Result<Self, StartError> {
        let boot_id = tepui_isolation::boot::boot_id().map_err(StartError::Boot)?;
        Self::on_boot(boot_id, config, store, launcher, master, rng)
    }

    /// The same on a boot that the caller names, for simulations.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn on_boot(
        boot_id: String,
        config: AgentConfig,
        store: Box<dyn StateStore>,
        launcher: Box<dyn Launcher>,
        master: AnyPid,
        rng: StdRng,
    ) -> Result<Self, StartError> {
        let records = Records::read(&store.load()?)?;
        let state = Agent::recover(config, master, boot_id, rng, records)?;
        Ok(Self {
            state,
            store,
            launcher,
            outbox: Outbox::new(),
        })
    }

    /// Calls the state machine, and carries out what it wants as far as it may.
    fn apply(
        &mut self,
        ctx: &mut Context<Self>,
        event: impl FnOnce(&mut Agent, Timestamp, &mut Vec<Effect>),
    ) {
        if self.state.is_stopped() {
            return;
        }
        let mut effects = Vec::new();
        event(&mut self.state, Timestamp(ctx.now()), &mut effects);
        self.outbox.extend(effects);
        self.flush(ctx);
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        loop {
            match self.outbox.step() {
                Step::Carry(effect) => self.carry_out(effect, ctx),
                Step::Commit(batch) => {
                    let commit = self.store.commit(batch).into_actor(self);
                    ctx.spawn(commit.map(|result, actor, ctx| actor.committed(result, ctx)));
                }
                Step::Idle => return,
            }
        }
    }

    fn committed(&mut self, result: Result<(), StoreError>, ctx: &mut Context<Self>) {
        match result {
            Ok(()) => {
                self.outbox.committed();
                self.flush(ctx);
            }
            // What cannot be made durable must not be acted on.
            Err(error) => ctx.fail(format!("cannot write the agent's records: {error}")),
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            // The outbox keeps writes to itself.
            Effect::Write(_) => {}
            Effect::Master(message) => self.tell_master(message),
            Effect::Executor(pid, message) => tell_executor(&pid, message),
            Effect::Monitor(pid) => ctx.monitor(&pid),
            Effect::Timer { after, timer } => {
                ctx.run_later(after, move |actor, ctx| {
                    actor.apply(ctx, |state, now, out| state.on_timer(now, timer, out));
                });
            }
            Effect::Launch(launch) => self.launch(launch, ctx),
            Effect::Resize(run, resources, gpus) => {
                self.launcher.resize(&run, &resources, &gpus);
            }
            Effect::Kill(run, process) => self.kill(run, process, ctx),
            Effect::Probe(run, process) => {
                let alive = self.launcher.is_alive(process);
                self.apply(ctx, |state, now, out| {
                    state.on_probed(now, &run, alive, out)
                });
            }
            Effect::GiveUp(run) => self.launcher.give_up(&run),
            Effect::Progress(run) => {
                let progress = self.launcher.progress(&run);
                self.apply(ctx, |state, now, out| {
                    state.on_progress(now, &run, progress, out)
                });
            }
            Effect::Stop(Stop::Asked) => ctx.stop(),
            Effect::Stop(Stop::Refused(why)) => {
                ctx.fail(format!("the master refuses this agent: {why}"));
            }
        }
    }

    fn launch(&mut self, launch: ExecutorLaunch, ctx: &mut Context<Self>) {
        let run = launch.run.clone();
        tracing::info!(framework = %run.framework_id, executor = %run.executor_id, "launching");
        let launched = self.launcher.launch(launch).into_actor(self);
        ctx.spawn(launched.map(move |launched, actor, ctx| {
            let process = launched.map(|launched| {
                let (ended, run) = (launched.ended.into_actor(actor), run.clone());
                ctx.spawn(ended.map(move |outcome, actor, ctx| {
                    actor.apply(ctx, |state, now, out| {
                        if let Some(limitation) = outcome.limitation {
                            state.on_limited(&run, limitation);
                        }
                        state.on_executor_ended(now, &run, outcome.ended, out);
                    });
                }));
                launched.process
            });
            actor.apply(ctx, |state, now, out| {
                state.on_launched(now, &run, process, out)
            });
        }));
    }

    fn kill(
        &mut self,
        run: ExecutorRun,
        process: Option<ProcessIdentity>,
        ctx: &mut Context<Self>,
    ) {
        let killed = self.launcher.kill(&run, process).into_actor(self);
        ctx.spawn(killed.map(move |killed, actor, ctx| {
            if let Err(problem) = killed {
                tracing::error!(executor = %run.executor_id, problem, "executor not killed");
            }
            actor.apply(ctx, |state, now, out| state.on_killed(now, &run, out));
        }));
    }

    /// What does not leave now is sent again when the state machine's timers say so.
    fn tell_master(&self, message: ToMaster) {
        let master = self.state.master_pid();
        match message {
            ToMaster::Register(message) => tell(master, message),
            ToMaster::Reregister(message) => tell(master, message),
            ToMaster::StatusUpdate(message) => tell(master, message),
            ToMaster::ExecutorExited(message) => tell(master, message),
            ToMaster::Pong(message) => tell(master, message),
            ToMaster::Unregister(message) => tell(master, message),
        }
    }
}

fn tell_executor(pid: &AnyPid, message: ToExecutor) {
    match message {
        ToExecutor::Registered(message) => tell(pid, message),
        ToExecutor::Reconnect(message) => tell(pid, message),
        ToExecutor::Launch(message) => tell(pid, message),
        ToExecutor::LaunchGroup(message) => tell(pid, message),
        ToExecutor::Kill(message) => tell(pid, message),
        ToExecutor::Acknowledged(message) => tell(pid, message),
        ToExecutor::Shutdown(message) => tell(pid, message),
        ToExecutor::Close(message) => tell(pid, message),
    }
}

fn tell<M: Message>(pid: &AnyPid, message: M) {
    if let Err(error) = pid.tell(message) {
        tracing::debug!(%error, message = M::NAME, "not sent");
    }
}

impl Actor for AgentActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let pid = ctx.any_pid();
        self.launcher.recover(self.state.container_names());
        self.apply(ctx, |state, now, out| state.on_start(now, pid, out));
        self.collect_sandboxes(ctx);
        let every = self.state.look_interval();
        if self.launcher.looks() && !every.is_zero() {
            ctx.run_interval(every, |actor, ctx| {
                let names = actor.state.container_names();
                actor.launcher.look(Timestamp(ctx.now()), names);
            });
        }
    }
}
