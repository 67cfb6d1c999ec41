//! The allocator's shell: an actor of its own beside the master, so that a long run delays no ping.
//!
//! ```text
//!  master --Batch [AddAgent, Recover, .., Tick]--> allocator
//!         <--Allocated [granted, ..]-------------
//! ```
//! One batch is under way at a time; what the master has to tell meanwhile goes into the next, in
//! order. So runs are batched as Mesos batches them, and no queue between the two can fill up. After
//! a crash the allocator starts empty and says so, and the master tells it everything anew.

use std::collections::BTreeMap;

use tepui_allocator::{Allocation, Allocator, Counters, IncrementalDrf, Options, invariants};
use tepui_protocol::{AgentId, Timestamp, messages::operator::Explain};
use tepui_runtime::{prelude::*, rt::MessageResult};

use crate::{actor::MasterActor, effects::Call, master::Granted};

/// With more agents, invariants are left to the tests that ask for them.
const CHECKED_AT_MOST: usize = 100;

/// What the master has to tell, in order. Answered by [`Allocated`].
#[derive(Debug, Message)]
#[message(local)]
pub(crate) struct Batch {
    pub(crate) calls: Vec<Call>,
}

/// A batch is done; this was granted.
#[derive(Debug, Message)]
#[message(local)]
pub(crate) struct Allocated {
    pub(crate) granted: Vec<Granted>,
    /// What it has counted so far.
    pub(crate) counters: Counters,
}

/// An allocator has started and knows of nothing.
#[derive(Debug, Message)]
#[message(local)]
pub(crate) struct AllocatorStarted {}

/// When resources that come back are offered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turnaround {
    /// In the run that follows the batch, unless the framework refused them without a filter: it
    /// would get them back at once, and refuse them again.
    AtOnce,
    /// At the next tick.
    //= mesos
    AtTick,
}

/// An allocator and what the master needs beside it: which ledger an allocation was taken from.
pub(crate) struct Desk {
    allocator: Box<dyn Allocator>,
    options: Options,
    turnaround: Turnaround,
    ledgers: BTreeMap<AgentId, u64>,
    paused: bool,
}

impl Desk {
    pub(crate) fn new(options: Options, turnaround: Turnaround) -> Self {
        let allocator = Box::new(IncrementalDrf::new(options.clone()));
        Self {
            allocator,
            options,
            turnaround,
            ledgers: BTreeMap::new(),
            paused: false,
        }
    }

    /// Carries out a batch and the run that is due after it.
    pub(crate) fn work(&mut self, now: Timestamp, calls: Vec<Call>) -> Vec<Granted> {
        let ticked = calls.contains(&Call::Tick) || calls.contains(&Call::Resume);
        for call in calls {
            self.apply(now, call);
        }
        if self.paused {
            return Vec::new();
        }
        let checked = cfg!(debug_assertions) && self.ledgers.len() <= CHECKED_AT_MOST;
        let before = checked.then(|| invariants::State::of(self.allocator.as_ref()));
        let allocations = match ticked {
            true => self.allocator.tick(now),
            false => self.allocator.allocate(now),
        };
        if let Some(before) = before {
            self.check(&before, &allocations);
        }
        allocations
            .into_iter()
            .map(|allocation| self.stamp(allocation))
            .collect()
    }

    fn check(&self, before: &invariants::State, allocations: &[Allocation]) {
        invariants::check_run(before, allocations).expect("each run keeps the invariants");
        let excluded = &self.options.fair_share_excluded;
        invariants::check(self.allocator.as_ref(), excluded).expect("the invariants hold");
    }

    pub(crate) fn counters(&self) -> Counters {
        self.allocator.counters()
    }

    /// The allocator itself, for checks.
    #[cfg(test)]
    pub(crate) fn allocator(&self) -> &dyn Allocator {
        self.allocator.as_ref()
    }

    fn stamp(&self, allocation: Allocation) -> Granted {
        let ledger = self
            .ledgers
            .get(&allocation.agent)
            .copied()
            .unwrap_or_default();
        Granted { allocation, ledger }
    }

    fn apply(&mut self, now: Timestamp, call: Call) {
        let allocator = &mut self.allocator;
        match call {
            Call::Reset => *self = Self::new(self.options.clone(), self.turnaround),
            Call::AddFramework {
                id,
                terms,
                suppressed,
            } => {
                allocator.add_framework(&id, terms, &suppressed, &BTreeMap::new());
            }
            Call::UpdateFramework {
                id,
                terms,
                suppressed,
            } => {
                allocator.update_framework(&id, terms, &suppressed);
            }
            Call::RemoveFramework { id } => allocator.remove_framework(&id),
            Call::ActivateFramework { id } => allocator.activate_framework(&id),
            Call::DeactivateFramework { id } => allocator.deactivate_framework(&id),
            Call::Suppress { id, roles } => allocator.suppress(&id, &roles),
            Call::Revive { id, roles } => allocator.revive(&id, &roles),
            Call::AddAgent {
                id,
                ledger,
                info,
                total,
                used,
            } => {
                allocator.add_agent(&id, &info, total, &used);
                self.ledgers.insert(id, ledger);
            }
            Call::RemoveAgent { id } => {
                allocator.remove_agent(&id);
                self.ledgers.remove(&id);
            }
            Call::DeactivateAgent { id } => allocator.deactivate_agent(&id),
            Call::Recover { .. } | Call::SetAside { .. } => self.recover(now, call),
            Call::Convert {
                framework,
                agent,
                from,
                to,
            } => {
                if let Err(error) = allocator.convert(&framework, &agent, &from, &to) {
                    tracing::error!(%error, "the books of master and allocator differ");
                    debug_assert!(false, "the books of master and allocator agree: {error}");
                }
            }
            Call::NoteUse { framework, role } => allocator.note_use(&framework, &role),
            Call::UpdateWeights { weights } => allocator.update_weights(&weights),
            Call::SetQuota { role, quota } => {
                if let Err(error) = allocator.set_quota(&role, quota, true) {
                    tracing::error!(%error, "the quotas of master and allocator differ");
                    debug_assert!(false, "the master has checked the quota: {error}");
                }
            }
            Call::Pause => self.paused = true,
            Call::Resume => self.paused = false,
            Call::Tick => {}
        }
    }

    fn recover(&mut self, now: Timestamp, call: Call) {
        let allocator = &mut self.allocator;
        let (agent, recovered, refused) = match call {
            Call::Recover {
                framework,
                agent,
                resources,
                refused,
            } => {
                let done = allocator.recover(&framework, &agent, &resources, refused, now);
                (agent, done, refused)
            }
            Call::SetAside {
                framework,
                agent,
                resources,
                span,
            } => {
                let done = allocator.set_aside(&framework, &agent, &resources, span, now);
                (agent, done, Some(span))
            }
            _ => return,
        };
        if let Err(error) = recovered {
            tracing::error!(%error, "the books of master and allocator differ");
            debug_assert!(false, "the books of master and allocator agree: {error}");
        }
        let returns_at_once = refused.is_none_or(|span| !span.is_zero());
        if self.turnaround == Turnaround::AtOnce && returns_at_once {
            self.allocator.request(&agent);
        }
    }
}

/// The actor named `allocator`. Operators may ask it for explanations.
pub(crate) struct AllocatorActor {
    master: Pid<MasterActor>,
    desk: Desk,
}

impl AllocatorActor {
    pub(crate) fn new(master: Pid<MasterActor>, options: Options, turnaround: Turnaround) -> Self {
        Self {
            master,
            desk: Desk::new(options, turnaround),
        }
    }

    /// Tells the master, waiting for room in its mailbox if need be.
    fn report<M: Message>(&self, message: M, ctx: &mut Context<Self>)
    where
        MasterActor: Handler<M>,
    {
        let Err(TellError { message, .. }) = self.master.tell(message) else {
            return;
        };
        let master = self.master.clone();
        let telling = async move {
            if let Err(error) = master.tell_wait(message).await {
                tracing::debug!(%error, "the master is gone");
            }
        };
        ctx.wait(telling.into_actor(self));
    }
}

impl Actor for AllocatorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.monitor(self.master.as_any());
        self.report(AllocatorStarted {}, ctx);
    }
}

impl Handler<Batch> for AllocatorActor {
    type Result = ();

    fn handle(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        let granted = self.desk.work(Timestamp(ctx.now()), batch.calls);
        self.report(
            Allocated {
                granted,
                counters: self.desk.counters(),
            },
            ctx,
        );
    }
}

impl Handler<Explain> for AllocatorActor {
    type Result = MessageResult<Explain>;

    fn handle(&mut self, question: Explain, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.desk.allocator.explain(&question.framework_id))
    }
}

impl Handler<Exited> for AllocatorActor {
    type Result = ();

    /// Without a master there is nothing to do.
    fn handle(&mut self, _: Exited, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

accepts!(AllocatorActor: Exited, Explain);
