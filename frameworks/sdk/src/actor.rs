//! The actor around [`Driver`]: receives the master's messages, carries the driver's effects out,
//! and holds back what must wait for the store.

use tepui_protocol::{
    FrameworkInfo, Timestamp,
    messages::scheduler::{
        Failure, Heartbeat, InverseOffers, NotSubscribed, Offers, OperationUpdate, Rescind,
        RescindInverseOffer, RevocationNotice, SchedulerError, Subscribed, Update,
    },
};
use tepui_runtime::{AnyPid, Undeliverable, prelude::*};
use tepui_store::{Contents, Outbox, StateStore, Step};
use tokio::sync::oneshot;

use crate::{
    calls::End,
    driver::{
        Driver, Timing,
        effect::{Effect, ToMaster},
    },
    framework::FrameworkError,
    scheduler::Scheduler,
};

/// Ends the framework, from outside.
#[derive(Debug, Message)]
#[message(local)]
pub(crate) struct EndFramework(pub(crate) End);

/// What the driver is made of once its actor has a PID.
pub(crate) struct Parts {
    pub(crate) info: FrameworkInfo,
    pub(crate) scheduler: Box<dyn Scheduler>,
    pub(crate) timing: Timing,
    pub(crate) stored: Contents,
}

/// The driver actor.
pub(crate) struct DriverActor {
    master: AnyPid,
    parts: Option<Parts>,
    driver: Option<Driver>,
    store: Box<dyn StateStore>,
    outbox: Outbox<Effect>,
    done: Option<oneshot::Sender<Result<(), FrameworkError>>>,
}

impl DriverActor {
    pub(crate) fn new(
        master: AnyPid,
        parts: Parts,
        store: Box<dyn StateStore>,
        done: oneshot::Sender<Result<(), FrameworkError>>,
    ) -> Self {
        let (parts, done) = (Some(parts), Some(done));
        Self {
            master,
            parts,
            driver: None,
            store,
            outbox: Outbox::new(),
            done,
        }
    }

    /// Feeds the state machine and carries out what it wants.
    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        event: impl FnOnce(&mut Driver, Timestamp, &mut Vec<Effect>),
    ) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        let mut out = Vec::new();
        event(driver, Timestamp(ctx.now()), &mut out);
        self.outbox.extend(out);
        self.flush(ctx);
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while self.driver.is_some() && !ctx.waiting() {
            match self.outbox.step() {
                Step::Carry(effect) => self.carry_out(effect, ctx),
                Step::Commit(batch) => {
                    let commit = self.store.commit(batch).into_actor(self);
                    ctx.spawn(commit.map(|result, actor, ctx| match result {
                        Ok(()) => {
                            actor.outbox.committed();
                            actor.flush(ctx);
                        }
                        Err(error) => actor.finish(Err(error.into()), ctx),
                    }));
                }
                Step::Idle => return,
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Write(_) => unreachable!("the outbox hands writes to the store"),
            Effect::Monitor => ctx.monitor(&self.master),
            Effect::Tell(message) => self.send(message, ctx),
            Effect::Timer { after, timer } => {
                ctx.run_later(after, move |actor, ctx| {
                    actor.step(ctx, |driver, now, out| driver.on_timer(now, timer, out));
                });
            }
            Effect::Stop(result) => self.finish(result, ctx),
        }
    }

    fn send(&mut self, message: ToMaster, ctx: &mut Context<Self>) {
        match message {
            ToMaster::Subscribe(msg) => self.tell(msg, ctx),
            ToMaster::Teardown(msg) => self.tell(msg, ctx),
            ToMaster::Accept(msg) => self.tell(msg, ctx),
            ToMaster::Decline(msg) => self.tell(msg, ctx),
            ToMaster::AcceptInverse(msg) => self.tell(msg, ctx),
            ToMaster::DeclineInverse(msg) => self.tell(msg, ctx),
            ToMaster::Revive(msg) => self.tell(msg, ctx),
            ToMaster::Suppress(msg) => self.tell(msg, ctx),
            ToMaster::Kill(msg) => self.tell(msg, ctx),
            ToMaster::Acknowledge(msg) => self.tell(msg, ctx),
            ToMaster::Reconcile(msg) => self.tell(msg, ctx),
            ToMaster::AcknowledgeOperation(msg) => self.tell(msg, ctx),
            ToMaster::ReconcileOperations(msg) => self.tell(msg, ctx),
        }
    }

    /// Sends; waits where the way is full, so that calls keep their order. What is lost otherwise
    /// is made good by the next subscription or reconciliation.
    fn tell<M: tepui_runtime::Message>(&mut self, message: M, ctx: &mut Context<Self>) {
        let Err(error) = self.master.tell(message) else {
            return;
        };
        if !matches!(
            error.reason,
            Undeliverable::LinkFull | Undeliverable::MailboxFull
        ) {
            tracing::debug!(%error, "not sent");
            return;
        }
        let (node, master, message) = (ctx.node().clone(), self.master.clone(), error.message);
        let sending = async move {
            if let Err(error) = node.tell_wait(&master, message).await {
                tracing::debug!(%error, "not sent");
            }
        };
        ctx.wait(sending.into_actor(self));
        // Runs once the wait is over.
        ctx.spawn(
            async {}
                .into_actor(self)
                .map(|(), actor: &mut Self, ctx| actor.flush(ctx)),
        );
    }

    fn finish(&mut self, result: Result<(), FrameworkError>, ctx: &mut Context<Self>) {
        self.driver = None;
        if let Some(done) = self.done.take() {
            // Nobody may be waiting.
            let _ = done.send(result);
        }
        ctx.stop();
    }
}

impl Actor for DriverActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(Parts {
            info,
            scheduler,
            timing,
            stored,
        }) = self.parts.take()
        else {
            return;
        };
        let (me, seed) = (ctx.any_pid(), ctx.node().random_u64());
        match Driver::new(me, info, scheduler, timing, seed, &stored) {
            Ok(driver) => self.driver = Some(driver),
            Err(error) => return self.finish(Err(error), ctx),
        }
        self.step(ctx, |driver, now, out| driver.start(now, stored, out));
    }
}

accepts!(
    DriverActor: Subscribed, Offers, Rescind, Update, Failure, SchedulerError, NotSubscribed,
    Heartbeat, Exited, InverseOffers, RescindInverseOffer,
    RevocationNotice, OperationUpdate
);

impl Handler<OperationUpdate> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: OperationUpdate, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_operation(now, msg.status, out)
        });
    }
}

impl Handler<RevocationNotice> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: RevocationNotice, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| driver.on_revocation(now, msg, out));
    }
}

impl Handler<InverseOffers> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: InverseOffers, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_inverse_offers(now, msg, out)
        });
    }
}

impl Handler<RescindInverseOffer> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: RescindInverseOffer, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_inverse_rescind(now, msg, out)
        });
    }
}

impl Handler<Subscribed> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Subscribed, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| driver.on_subscribed(now, msg, out));
    }
}

impl Handler<Offers> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Offers, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_offers(now, msg.offers, out)
        });
    }
}

impl Handler<Rescind> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Rescind, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| driver.on_rescind(now, msg, out));
    }
}

impl Handler<Update> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Update, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_update(now, msg.status, out)
        });
    }
}

impl Handler<Failure> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Failure, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| driver.on_failure(now, msg, out));
    }
}

impl Handler<SchedulerError> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: SchedulerError, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, out| {
            driver.on_error(now, msg.message, out)
        });
    }
}

impl Handler<NotSubscribed> for DriverActor {
    type Result = ();
    fn handle(&mut self, _: NotSubscribed, ctx: &mut Context<Self>) {
        self.step(ctx, Driver::on_not_subscribed);
    }
}

impl Handler<Heartbeat> for DriverActor {
    type Result = ();
    fn handle(&mut self, _: Heartbeat, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, now, _| driver.on_heartbeat(now));
    }
}

impl Handler<Exited> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: Exited, ctx: &mut Context<Self>) {
        if msg.pid.any_incarnation() == self.master.any_incarnation() {
            tracing::info!(master = %self.master, reason = %msg.reason, "master lost");
            self.step(ctx, Driver::on_exited);
        }
    }
}

impl Handler<EndFramework> for DriverActor {
    type Result = ();
    fn handle(&mut self, msg: EndFramework, ctx: &mut Context<Self>) {
        self.step(ctx, |driver, _, out| driver.end(msg.0, out));
    }
}
