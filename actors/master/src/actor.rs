//! The master's actor: events go to the state machine, and what it wants done is carried out in
//! order, nothing before the writes ahead of it are durable.
//!
//! One handler per message, in `actor/handlers.rs`; no decision is made here.

mod handlers;

use std::{collections::BTreeMap, mem, time::Duration};

use tepui_protocol::{MasterId, Timestamp};
use tepui_runtime::prelude::*;
use tepui_store::{Outbox, StateStore, Step, StoreError, Write};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    allocation::{AllocatorActor, Batch, Turnaround},
    config::MasterConfig,
    effects::{Call, Effect, Effects, Outcome},
    invariants,
    master::{Master, StartError},
};

/// Above so many books, invariants are left to the tests that ask for them.
const CHECKED_AT_MOST: usize = 500;

/// The actor named `master`.
pub struct MasterActor {
    state: Master,
    outbox: Outbox<Effect>,
    store: Box<dyn StateStore>,
    allocator: Option<Pid<AllocatorActor>>,
    /// What the allocator is to be told next.
    calls: Vec<Call>,
    /// Whether the allocator works on a batch.
    allocating: bool,
    /// Operators who wait for an answer.
    waiting: BTreeMap<u64, oneshot::Sender<Outcome>>,
    next_token: u64,
}

impl MasterActor {
    /// A master with its registry in `store`, as run `id`; the ids of all runs must differ. Reads
    /// the registry, so it blocks.
    ///
    /// # Errors
    /// [`StartError`] when the registry cannot be read or a choice makes no sense.
    pub fn new(
        config: MasterConfig,
        store: Box<dyn StateStore>,
        id: MasterId,
    ) -> Result<Self, StartError> {
        let state = Master::new(config, id, &store.load()?)?;
        Ok(Self {
            state,
            outbox: Outbox::new(),
            store,
            allocator: None,
            calls: Vec::new(),
            allocating: false,
            waiting: BTreeMap::new(),
            next_token: 0,
        })
    }

    /// Handles one event: `handle` sees the state, and what it wants done is carried out.
    fn event(
        &mut self,
        ctx: &mut Context<Self>,
        handle: impl FnOnce(&mut Master, Timestamp, &mut Effects),
    ) {
        let mut out = Effects::new();
        handle(&mut self.state, Timestamp(ctx.now()), &mut out);
        if cfg!(debug_assertions) && self.state.size() <= CHECKED_AT_MOST {
            invariants::check(&self.state).expect("the invariants hold after every event");
        }
        self.outbox.extend(out);
        self.flush(ctx);
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        loop {
            match self.outbox.step() {
                Step::Carry(effect) => self.carry_out(effect, ctx),
                Step::Commit(batch) => self.commit(batch, ctx),
                Step::Idle => break,
            }
        }
        self.feed_allocator();
    }

    fn commit(&mut self, batch: Vec<Write>, ctx: &mut Context<Self>) {
        let span = self.state.config().registry_store_timeout;
        let committing = timeout(span, self.store.commit(batch));
        let done = committing
            .into_actor(self)
            .map(move |done, act, ctx| match done {
                Ok(done) => act.committed(done, ctx),
                Err(_) => ctx.fail(format!("the registry did not take a write within {span:?}")),
            });
        ctx.spawn(done);
    }

    fn committed(&mut self, done: Result<(), StoreError>, ctx: &mut Context<Self>) {
        match done {
            Ok(()) => {
                self.outbox.committed();
                self.flush(ctx);
            }
            Err(error) => ctx.fail(format!("the registry cannot be written: {error}")),
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Tell { to, letter } => {
                if let Err((letter, reason)) = letter.send(&to) {
                    tracing::debug!(%to, %reason, ?letter, "not sent");
                    let mut out = Effects::new();
                    self.state
                        .on_undelivered(Timestamp(ctx.now()), letter, &mut out);
                    self.outbox.extend(out);
                }
            }
            Effect::Allocator(Call::Tick) if self.calls.contains(&Call::Tick) => {}
            Effect::Allocator(call) => self.calls.push(call),
            Effect::Watch(pid) => ctx.monitor(&pid),
            Effect::Unwatch(pid) => ctx.demonitor(&pid),
            Effect::Timer { after, timer } => {
                ctx.run_later(after, |act, ctx| {
                    act.event(ctx, |state, now, out| state.on_timer(now, timer, out));
                });
            }
            Effect::Answer { token, outcome } => {
                if let Some(asker) = self.waiting.remove(&token) {
                    // An asker that has given up does not matter.
                    let _ = asker.send(outcome);
                }
            }
            Effect::Write(_) => unreachable!("the outbox commits writes"),
        }
    }

    /// Hands the allocator what has gathered, unless it is at work.
    fn feed_allocator(&mut self) {
        let Some(allocator) = self.allocator.as_ref().filter(|_| !self.allocating) else {
            return;
        };
        if self.calls.is_empty() {
            return;
        }
        let calls = mem::take(&mut self.calls);
        match allocator.tell(Batch { calls }) {
            Ok(()) => self.allocating = true,
            Err(TellError { message, .. }) => self.calls = message.calls,
        }
    }

    fn spawn_allocator(&mut self, ctx: &mut Context<Self>) {
        let (master, config) = (ctx.pid(), self.state.config());
        let options = config.allocator_options();
        let turnaround = match config.allocate_on_recover {
            true => Turnaround::AtOnce,
            false => Turnaround::AtTick,
        };
        let supervision = Supervision::restart(5, Duration::from_secs(10));
        let make = move || AllocatorActor::new(master.clone(), options.clone(), turnaround);
        match ctx.node().supervise("allocator", supervision, make) {
            Ok(pid) => {
                ctx.monitor(pid.as_any());
                self.allocator = Some(pid);
            }
            // The allocator of a master that crashed a moment ago is about to stop.
            Err(SpawnError::NameTaken { .. }) => {
                ctx.run_later(Duration::from_millis(50), Self::spawn_allocator);
            }
            Err(error) => ctx.fail(format!("cannot start the allocator: {error}")),
        }
    }

    /// Lets `handle` answer through a token once all before the answer is durable.
    fn command(
        &mut self,
        ctx: &mut Context<Self>,
        handle: impl FnOnce(&mut Master, Timestamp, u64, &mut Effects),
    ) -> ResponseFuture<Outcome> {
        let (asker, answer) = oneshot::channel();
        let token = self.next_token;
        self.next_token += 1;
        self.waiting.insert(token, asker);
        self.event(ctx, |state, now, out| handle(state, now, token, out));
        Box::pin(async {
            answer
                .await
                .unwrap_or_else(|_| Err("the master is stopping".into()))
        })
    }
}

impl Actor for MasterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.event(ctx, |state, now, out| state.on_start(now, out));
        self.spawn_allocator(ctx);
    }
}
