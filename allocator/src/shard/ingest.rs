//! From many threads to one owner: a bounded queue for each producer, drained in batches.
//!
//! ```text
//!   producer 0 --> [ lane ] --+
//!   producer 1 --> [ lane ] --+--> intake: some of each lane in turn --> the owner
//!   producer 2 --> [ lane ] --+
//! ```
//! Producers share nothing, so that none slows or stops another. What one pushes comes in its order; between
//! producers there is no order. A full lane fails or holds back its own producer. After [`Closer::close`], or
//! when a producer is gone, nothing more is taken in, and what was taken in is still handed out.

use std::{sync::Arc, time::Duration};

use super::{
    bell::Bell,
    lane::{Lane, Rejected},
};

#[derive(Debug)]
struct Shared<T> {
    lanes: Box<[(Lane<T>, Bell)]>,
    bell: Bell,
}

/// Where one thread pushes.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    lane: usize,
}

/// Where the owner drains.
#[derive(Debug)]
pub struct Intake<T> {
    shared: Arc<Shared<T>>,
    /// The lane whose turn is first.
    first: usize,
}

/// Closes all lanes.
#[derive(Clone, Debug)]
pub struct Closer<T>(Arc<Shared<T>>);

/// A queue for this many producers, each of which may have `capacity` (rounded up to a power of two) waiting.
pub fn ingest<T>(producers: usize, capacity: usize) -> (Vec<Producer<T>>, Intake<T>) {
    let lanes = (0..producers).map(|_| (Lane::new(capacity), Bell::new()));
    let shared = Arc::new(Shared {
        lanes: lanes.collect(),
        bell: Bell::new(),
    });
    let producer = |lane| Producer {
        shared: shared.clone(),
        lane,
    };
    let all = (0..producers).map(producer).collect();
    (all, Intake { shared, first: 0 })
}

impl<T> Producer<T> {
    /// Pushes, if there is room.
    ///
    /// # Errors
    /// [`Rejected`], with what was to be pushed.
    pub fn try_push(&mut self, value: T) -> Result<(), Rejected<T>> {
        self.shared.lanes[self.lane].0.push(value)?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Pushes, and waits for room before.
    ///
    /// # Errors
    /// [`Rejected::Closed`], with what was to be pushed.
    pub fn push(&mut self, mut value: T) -> Result<(), Rejected<T>> {
        loop {
            value = match self.try_push(value) {
                Err(Rejected::Full(value)) => value,
                done => return done,
            };
            let (lane, room) = &self.shared.lanes[self.lane];
            room.wait_until(|| lane.has_room() || lane.is_closed());
        }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.lanes[self.lane].0.close();
        self.shared.bell.ring();
    }
}

impl<T> Intake<T> {
    /// Moves what has come to the end of `out`, at most `each` of a producer, and says how many.
    pub fn drain(&mut self, each: usize, out: &mut Vec<T>) -> usize {
        let lanes = &self.shared.lanes;
        let before = out.len();
        for at in 0..lanes.len() {
            let (lane, room) = &lanes[(self.first + at) % lanes.len()];
            if lane.take(each, out) > 0 {
                room.ring();
            }
        }
        self.first = (self.first + 1) % lanes.len().max(1);
        out.len() - before
    }

    /// Waits until something has come. False when nothing is left and nothing can come any more.
    pub fn wait(&self) -> bool {
        let bell = &self.shared.bell;
        bell.wait_until(|| self.has_any() || self.is_over());
        // Closed lanes do not fill: what is empty after it was closed stays empty.
        !self.is_over() || self.has_any()
    }

    /// As [`Intake::wait`], for a moment at most; whether that would not wait any more.
    pub fn wait_for(&self, moment: Duration) -> bool {
        let bell = &self.shared.bell;
        bell.wait_for(moment, || self.has_any() || self.is_over())
    }

    fn has_any(&self) -> bool {
        self.shared.lanes.iter().any(|(lane, _)| !lane.is_empty())
    }

    fn is_over(&self) -> bool {
        self.shared.lanes.iter().all(|(lane, _)| lane.is_closed())
    }

    /// Closes the lanes when it is wanted.
    pub fn closer(&self) -> Closer<T> {
        Closer(self.shared.clone())
    }
}

impl<T> Drop for Intake<T> {
    fn drop(&mut self) {
        self.closer().close();
    }
}

impl<T> Closer<T> {
    /// Takes nothing in any more. Producers that wait for room get theirs back.
    pub fn close(&self) {
        for (lane, room) in &self.0.lanes {
            lane.close();
            room.ring();
        }
        self.0.bell.ring();
    }
}
