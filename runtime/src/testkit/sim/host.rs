//! What the software of a simulated host has in hand: nodes, a clock that may be wrong, the journal.

use std::{
    error::Error,
    future::{Future, pending},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::LocalSet,
    time::{Instant, sleep_until},
};

use super::{journal::Journal, rng};
use crate::{AnyPid, Node, NodeAddr, filter::Filters, testkit::EPOCH_MICROS, transport::Turmoil};

/// A host; clones are the same one.
#[derive(Clone)]
pub struct Host {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) heartbeat: (Duration, Duration),
    pub(super) journal: Journal,
    pub(super) filters: Filters,
    pub(super) clock: HostClock,
}

impl Host {
    /// Its name in the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The simulation's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What the run leaves behind.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Adds a line to the journal.
    pub fn note(&self, what: &str) {
        self.journal.note(&format!("{} {what}", self.name));
    }

    /// Starts a node, known to others as `name:1`.
    ///
    /// # Errors
    /// When it runs already.
    pub async fn node(&self) -> Result<Node, Box<dyn Error>> {
        self.node_at(1).await
    }

    /// Starts a node at that port.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn node_at(&self, port: u16) -> Result<Node, Box<dyn Error>> {
        let (name, clock) = (&self.name, self.clock.clone());
        let at = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        let node = Node::builder(NodeAddr::new(name, port))
            .local()
            .transport(Arc::new(Turmoil))
            .seed(rng::number(self.seed, &format!("{name}:{port} at {at}")))
            .wall_clock(Arc::new(move || clock.now()))
            .heartbeat(self.heartbeat.0, self.heartbeat.1)
            .filters(self.filters.clone());
        Ok(node.start().await?)
    }

    /// Waits for the end of an actor that is to live as long as its host.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn lives(&self, node: &Node, actor: &AnyPid) -> Result<(), Box<dyn Error>> {
        let exited = node.monitor(actor).await;
        Err(format!("{actor} has ended: {}", exited.reason).into())
    }

    /// Waits on the simulation's clock.
    pub async fn pause(&self, span: Duration) {
        sleep_until(Instant::now() + span).await;
    }
}

/// The time of day on a host, which may be wrong; clones are the same clock.
#[derive(Clone, Default)]
pub(super) struct HostClock(Arc<Mutex<Skew>>);

#[derive(Clone, Copy, Default)]
struct Skew {
    since: Duration,
    offset_us: i64,
    drift_ppm: i64,
}

impl Skew {
    fn apply(self, elapsed: Duration) -> u64 {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let drift = micros(elapsed.saturating_sub(self.since)) / 1_000 * self.drift_ppm / 1_000;
        let wrong = self.offset_us.saturating_add(drift);
        (EPOCH_MICROS + micros(elapsed).unsigned_abs()).saturating_add_signed(wrong)
    }
}

impl HostClock {
    /// Microseconds since the Unix epoch, as the host believes.
    pub(super) fn now(&self) -> u64 {
        let skew = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        skew.apply(turmoil::sim_elapsed().unwrap_or_default())
    }

    /// Sets it wrong, from `since` on.
    pub(super) fn set(&self, since: Duration, offset_ms: i64, drift_ppm: i64) {
        let offset_us = offset_ms.saturating_mul(1_000);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Skew {
            since,
            offset_us,
            drift_ppm,
        };
    }
}

/// Runs the software of a simulated host, and drops all that it has as soon as `killed` says so; then
/// waits for the host's crash.
///
/// A crash alone is not the same twice: tokio drops the tasks of a runtime in an order that depends
/// on how many tasks other runtimes had before, and so the connections that a simulation sees close.
pub async fn until_killed<T>(killed: &Notify, software: impl Future<Output = T>) -> T {
    let tasks = LocalSet::new();
    tokio::select! {
        biased;
        () = killed.notified() => {}
        output = tasks.run_until(software) => return output,
    }
    drop(tasks);
    pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_off_at_first_and_drifts() {
        let second = Duration::from_secs(1);
        let skew = Skew {
            since: 10 * second,
            offset_us: -3_000_000,
            drift_ppm: 500,
        };
        assert_eq!(skew.apply(10 * second), EPOCH_MICROS + 7_000_000);
        assert_eq!(skew.apply(110 * second), EPOCH_MICROS + 107_050_000);
        assert_eq!(Skew::default().apply(second), EPOCH_MICROS + 1_000_000);
    }
}
