//! What the driver's state machine wants done, in order.

use std::time::Duration;

use tepui_protocol::messages::scheduler::{
    Accept, AcceptInverseOffers, Acknowledge, AcknowledgeOperation, Decline, DeclineInverseOffers,
    Kill, Reconcile, ReconcileOperations, Revive, Subscribe, Suppress, Teardown,
};
use tepui_store::{Outgoing, Write};

use crate::framework::FrameworkError;

/// One effect of the driver.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Make this durable before what follows.
    Write(Write),
    /// Hear of the master's end.
    Monitor,
    /// Send to the master.
    Tell(ToMaster),
    /// Call back.
    Timer { after: Duration, timer: Timer },
    /// The driver has ended.
    Stop(Result<(), FrameworkError>),
}

impl Outgoing for Effect {
    fn into_write(self) -> Result<Write, Self> {
        match self {
            Effect::Write(write) => Ok(write),
            effect => Err(effect),
        }
    }
}

/// A message to the master.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToMaster {
    Subscribe(Subscribe),
    Teardown(Teardown),
    Accept(Accept),
    Decline(Decline),
    AcceptInverse(AcceptInverseOffers),
    DeclineInverse(DeclineInverseOffers),
    Revive(Revive),
    Suppress(Suppress),
    Kill(Kill),
    Acknowledge(Acknowledge),
    Reconcile(Reconcile),
    AcknowledgeOperation(AcknowledgeOperation),
    ReconcileOperations(ReconcileOperations),
}

/// Why the driver wants to be called back. A timer of an earlier epoch means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Subscribe once more.
    Subscribe { epoch: u64 },
    /// See whether the master still lives.
    Liveness { epoch: u64 },
    /// Ask for the state of all live tasks.
    Reconcile { epoch: u64 },
    /// End without having reached the master.
    GiveUp,
    /// The scheduler's own.
    Scheduler { token: u64 },
}
