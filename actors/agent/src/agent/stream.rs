//! The updates of one task: one in flight at a time, in order, each until it is acknowledged.
//!
//! Inventory 5.2. Owns the order and what is a duplicate; not when to send (`updates.rs`).

use std::time::Duration;

use tepui_protocol::{TaskState, TaskStatus};
use uuid::Uuid;

use crate::records::StreamRecord;

/// The updates of a task, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stream {
    record: StreamRecord,
    /// The first unacknowledged update has been sent on this connection, so often.
    in_flight: Option<InFlight>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    uuid: Uuid,
    sendings: u32,
}

/// What becomes of an update that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// It is new.
    Fresh,
    /// It has come before, or after the task's end: to be acknowledged and dropped.
    Duplicate,
}

impl Stream {
    pub(super) fn of(record: StreamRecord) -> Self {
        Self {
            record,
            in_flight: None,
        }
    }

    pub(super) fn record(&self) -> &StreamRecord {
        &self.record
    }

    /// All updates so far, oldest first.
    pub(super) fn statuses(&self) -> &[TaskStatus] {
        &self.record.statuses
    }

    /// The state of the newest update.
    pub(super) fn latest_state(&self) -> Option<TaskState> {
        self.record.statuses.last().map(|status| status.state)
    }

    /// Whether the newest update is a terminal one.
    pub(super) fn is_terminal(&self) -> bool {
        self.latest_state().is_some_and(TaskState::is_terminal)
    }

    /// Whether every update is acknowledged.
    pub(super) fn is_drained(&self) -> bool {
        self.front().is_none()
    }

    /// The oldest unacknowledged update.
    pub(super) fn front(&self) -> Option<&TaskStatus> {
        self.record.statuses.get(self.record.acknowledged)
    }

    /// What the scheduler knows, or is being told: the front, else the last acknowledged update.
    pub(super) fn told(&self) -> Option<&TaskStatus> {
        self.front().or(self.record.statuses.last())
    }

    /// Takes an update, which has a uuid.
    pub(super) fn push(&mut self, status: TaskStatus) -> Incoming {
        let seen = self
            .record
            .statuses
            .iter()
            .any(|earlier| earlier.uuid == status.uuid);
        if seen || self.is_terminal() {
            return Incoming::Duplicate;
        }
        self.record.statuses.push(status);
        Incoming::Fresh
    }

    /// Takes the scheduler's acknowledgement; false when it is not for the front.
    pub(super) fn acknowledge(&mut self, uuid: Uuid) -> bool {
        if self.front().is_none_or(|front| front.uuid != Some(uuid)) {
            return false;
        }
        self.record.acknowledged += 1;
        self.in_flight = None;
        true
    }

    /// The update to send now, unless one is in flight; it is then.
    pub(super) fn send(&mut self) -> Option<&TaskStatus> {
        if self.in_flight.is_some() {
            return None;
        }
        let uuid = self.front()?.uuid?;
        self.in_flight = Some(InFlight { uuid, sendings: 1 });
        self.front()
    }

    /// Sends the update in flight again, if it is that one and has been sent that often.
    pub(super) fn send_again(&mut self, uuid: Uuid, sendings: u32) -> Option<&TaskStatus> {
        if self.in_flight != Some(InFlight { uuid, sendings }) {
            return None;
        }
        self.in_flight = Some(InFlight {
            uuid,
            sendings: sendings + 1,
        });
        self.front()
    }

    /// How often the update in flight was sent.
    pub(super) fn sendings(&self) -> u32 {
        self.in_flight.map_or(0, |in_flight| in_flight.sendings)
    }

    /// The connection is gone, and what was in flight with it.
    pub(super) fn disconnected(&mut self) {
        self.in_flight = None;
    }

    /// AG-3: what is in flight is the front.
    pub(super) fn flies_in_order(&self) -> bool {
        let front = self.front().and_then(|front| front.uuid);
        self.in_flight
            .is_none_or(|in_flight| front == Some(in_flight.uuid))
    }

    /// AG-2: nothing comes after a terminal update.
    pub(super) fn ends_once(&self) -> bool {
        let before_last = self.record.statuses.iter().rev().skip(1);
        before_last
            .into_iter()
            .all(|status| !status.state.is_terminal())
    }
}

/// The time to the next sending: `min`, doubled each time, at most `max`.
pub(super) fn retry_after(min: Duration, max: Duration, sendings: u32) -> Duration {
    min.saturating_mul(1 << sendings.saturating_sub(1).min(20))
        .min(max)
}
