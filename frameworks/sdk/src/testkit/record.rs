//! What the fake master received, for tests to look at.

use tepui_protocol::messages::scheduler::{
    Accept, Acknowledge, Decline, Kill, Reconcile, Revive, Subscribe, Suppress, Teardown,
};

/// A message from a framework.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each holds the message that it is named after")]
pub enum FromScheduler {
    Subscribe(Subscribe),
    Teardown(Teardown),
    Accept(Accept),
    Decline(Decline),
    Revive(Revive),
    Suppress(Suppress),
    Kill(Kill),
    Acknowledge(Acknowledge),
    Reconcile(Reconcile),
}
