//! The actor of the fake master: hands messages to its state, and keeps its clocks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tepui_protocol::{
    Timestamp,
    messages::scheduler::{
        Accept, Acknowledge, Decline, Kill, Reconcile, Revive, Subscribe, Suppress, Teardown,
    },
};
use tepui_runtime::prelude::*;

use super::{
    record::FromScheduler,
    state::{HEARTBEAT, State},
};

const OFFERS_EVERY: Duration = Duration::from_secs(1);
const UPDATES_EVERY: Duration = Duration::from_secs(10);

pub(super) struct FakeMasterActor {
    state: Arc<Mutex<State>>,
}

impl FakeMasterActor {
    pub(super) fn new(state: Arc<Mutex<State>>) -> Self {
        Self { state }
    }

    fn step(&self, ctx: &Context<Self>, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = Timestamp(ctx.now());
        change(&mut state);
        state.send_from(ctx.node());
    }
}

impl Actor for FakeMasterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(HEARTBEAT, |actor, ctx| actor.step(ctx, State::heartbeat));
        ctx.run_interval(UPDATES_EVERY, |actor, ctx| {
            actor.step(ctx, State::send_updates)
        });
        ctx.run_interval(OFFERS_EVERY, |actor, ctx| actor.step(ctx, State::tick));
    }
}

accepts!(
    FakeMasterActor: Subscribe, Teardown, Accept, Decline, Revive, Suppress, Kill, Acknowledge,
    Reconcile
);

macro_rules! received {
    ($($message:ident)*) => {$(
        impl Handler<$message> for FakeMasterActor {
            type Result = ();
            fn handle(&mut self, msg: $message, ctx: &mut Context<Self>) {
                self.step(ctx, |state| state.received(FromScheduler::$message(msg)));
            }
        }
    )*};
}
received!(Subscribe Teardown Accept Decline Revive Suppress Kill Acknowledge Reconcile);
