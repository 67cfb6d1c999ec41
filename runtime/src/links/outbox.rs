//! The queue of frames for one peer: bounded in frames and bytes, first in, first out.
//!
//! Senders never block: a full queue hands the frame back, or keeps it in a line of waiters that
//! is served in order before anybody else. A sender wakes the writer only when it sleeps. Frames of
//! links and monitors are admitted beyond the bound (see [`Frame::is_system`]).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::{Notify, oneshot};

use super::locked;
use crate::frame::Frame;

/// What became of a frame.
pub(super) enum Pushed {
    /// It is queued.
    Queued,
    /// It is queued, and nobody is about to fetch it: the driver must be told.
    QueuedUnattended,
    /// There is no room.
    Full(Frame),
    /// This queue is no longer the peer's; look the peer up again.
    Closed(Frame),
}

/// What became of a frame whose sender can wait.
pub(super) enum Waited {
    /// As in [`Pushed`].
    Now(Pushed),
    /// It stands in line; resolves when it is queued.
    Later(oneshot::Receiver<()>),
}

struct Waiter {
    frame: Frame,
    weight: usize,
    queued: oneshot::Sender<()>,
}

/// Who fetches the frames.
enum Route {
    /// Nobody; `told`: the driver knows that frames wait.
    Nobody { told: bool },
    /// A connection's writer.
    Writer { wake: Arc<Notify>, asleep: bool },
}

struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    line: VecDeque<Waiter>,
    route: Route,
    closed: bool,
}

/// The queue. See the module.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    frames_max: usize,
    bytes_max: usize,
}

impl Outbox {
    pub(super) fn new(frames_max: usize, bytes_max: usize) -> Self {
        let queue = Queue {
            frames: VecDeque::new(),
            bytes: 0,
            line: VecDeque::new(),
            route: Route::Nobody { told: false },
            closed: false,
        };
        Self {
            queue: Mutex::new(queue),
            frames_max,
            bytes_max,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        locked(&self.queue)
    }

    fn has_room(&self, queue: &Queue, weight: usize) -> bool {
        queue.frames.is_empty()
            || (queue.frames.len() < self.frames_max && queue.bytes + weight <= self.bytes_max)
    }

    /// Queues `frame`, if there is room.
    pub(super) fn push(&self, frame: Frame, weight: usize) -> Pushed {
        let mut queue = self.queue();
        if queue.closed {
            return Pushed::Closed(frame);
        }
        let room = queue.line.is_empty() && self.has_room(&queue, weight);
        if room || frame.is_system() {
            queue.push(frame, weight)
        } else {
            Pushed::Full(frame)
        }
    }

    /// Queues `frame`, or puts it in line.
    pub(super) fn push_or_wait(&self, frame: Frame, weight: usize) -> Waited {
        let frame = match self.push(frame, weight) {
            Pushed::Full(frame) => frame,
            other => return Waited::Now(other),
        };
        let mut queue = self.queue();
        if queue.closed {
            return Waited::Now(Pushed::Closed(frame));
        }
        let (queued, later) = oneshot::channel();
        queue.line.push_back(Waiter {
            frame,
            weight,
            queued,
        });
        // The writer may have made room between the two locks.
        self.serve_line(&mut queue);
        Waited::Later(later)
    }

    /// Admits those in line for whom there is room; a sender that no longer waits is left out.
    fn serve_line(&self, queue: &mut Queue) {
        while let Some(waiter) = queue.line.front() {
            if !waiter.queued.is_closed() && !self.has_room(queue, waiter.weight) {
                return;
            }
            let waiter = queue.line.pop_front().expect("the front was just seen");
            if waiter.queued.send(()).is_ok() {
                queue.push(waiter.frame, waiter.weight);
            }
        }
    }

    /// Moves up to `frames_max` frames of together about `bytes_max` bytes into `batch`, at least
    /// one if there is one, and returns their weight. With none, the writer counts as asleep.
    pub(super) fn take(
        &self,
        batch: &mut Vec<Frame>,
        frames_max: usize,
        bytes_max: usize,
    ) -> usize {
        let mut queue = self.queue();
        let mut bytes = 0;
        while batch.len() < frames_max && bytes < bytes_max {
            let Some(frame) = queue.frames.pop_front() else {
                break;
            };
            bytes += frame.weight();
            batch.push(frame);
        }
        queue.bytes -= bytes;
        self.serve_line(&mut queue);
        let idle = batch.is_empty() && queue.frames.is_empty();
        if idle && let Route::Writer { asleep, .. } = &mut queue.route {
            *asleep = true;
        }
        bytes
    }

    /// Takes everything out, also what stands in line.
    pub(super) fn take_all(&self) -> Vec<Frame> {
        let mut queue = self.queue();
        queue.bytes = 0;
        if let Route::Nobody { told } = &mut queue.route {
            *told = false;
        }
        let mut frames: Vec<Frame> = queue.frames.drain(..).collect();
        let line = queue.line.drain(..);
        frames.extend(line.filter_map(|waiter| waiter.queued.send(()).ok().map(|()| waiter.frame)));
        frames
    }

    /// Adds what another queue had, whatever the bound. True: the driver must be told.
    pub(super) fn append(&self, frames: Vec<Frame>) -> bool {
        let mut queue = self.queue();
        frames.into_iter().fold(false, |tell, frame| {
            let weight = frame.weight();
            matches!(queue.push(frame, weight), Pushed::QueuedUnattended) || tell
        })
    }

    /// From now on the writer that waits for `wake` fetches the frames. It is taken for awake.
    pub(super) fn route_to(&self, wake: Arc<Notify>) {
        self.queue().route = Route::Writer {
            wake,
            asleep: false,
        };
    }

    /// From now on nobody fetches the frames; the driver knows about those that are there.
    pub(super) fn unroute(&self) {
        let mut queue = self.queue();
        queue.route = Route::Nobody {
            told: !queue.frames.is_empty(),
        };
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.frames.is_empty() && queue.line.is_empty()
    }

    /// Whether the queue's use has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Ends the queue's use, unless something waits in it.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut queue = self.queue();
        queue.closed = queue.frames.is_empty() && queue.line.is_empty();
        queue.closed
    }

    /// Ends the queue's use, and takes everything out.
    pub(super) fn close(&self) -> Vec<Frame> {
        self.queue().closed = true;
        self.take_all()
    }
}

impl Queue {
    fn push(&mut self, frame: Frame, weight: usize) -> Pushed {
        self.frames.push_back(frame);
        self.bytes += weight;
        match &mut self.route {
            Route::Writer { wake, asleep } => {
                if std::mem::take(asleep) {
                    wake.notify_one();
                }
                Pushed::Queued
            }
            Route::Nobody { told } if *told => Pushed::Queued,
            Route::Nobody { told } => {
                *told = true;
                Pushed::QueuedUnattended
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::testing::tell;

    fn push(outbox: &Outbox, number: u64) -> Pushed {
        let frame = tell(number);
        let weight = frame.weight();
        outbox.push(frame, weight)
    }

    fn wait(outbox: &Outbox, number: u64) -> Option<oneshot::Receiver<()>> {
        let frame = tell(number);
        let weight = frame.weight();
        match outbox.push_or_wait(frame, weight) {
            Waited::Later(later) => Some(later),
            Waited::Now(_) => None,
        }
    }

    fn take(outbox: &Outbox, frames: usize) -> Vec<Frame> {
        let mut batch = Vec::new();
        outbox.take(&mut batch, frames, usize::MAX);
        batch
    }

    #[test]
    fn a_full_queue_hands_the_frame_back() {
        let outbox = Outbox::new(2, usize::MAX);
        assert!(matches!(push(&outbox, 1), Pushed::QueuedUnattended));
        assert!(matches!(push(&outbox, 2), Pushed::Queued));
        assert!(matches!(push(&outbox, 3), Pushed::Full(frame) if frame == tell(3)));
        let bytes = Outbox::new(usize::MAX, tell(1).weight() + 1);
        assert!(matches!(push(&bytes, 1), Pushed::QueuedUnattended));
        assert!(matches!(push(&bytes, 2), Pushed::Full(_)));
    }

    #[test]
    fn an_empty_queue_takes_a_frame_of_any_size() {
        let outbox = Outbox::new(2, 1);
        assert!(matches!(push(&outbox, 1), Pushed::QueuedUnattended));
    }

    #[test]
    fn those_in_line_come_before_new_ones_and_in_order() {
        let outbox = Outbox::new(1, usize::MAX);
        push(&outbox, 1);
        let mut second = wait(&outbox, 2).unwrap();
        let mut third = wait(&outbox, 3).unwrap();
        assert_eq!(take(&outbox, 8), [tell(1)]);
        assert!(second.try_recv().is_ok() && third.try_recv().is_err());
        assert!(matches!(push(&outbox, 4), Pushed::Full(_)));
        assert_eq!(take(&outbox, 8), [tell(2)]);
        assert_eq!(take(&outbox, 8), [tell(3)]);
        assert!(third.try_recv().is_ok());
    }

    #[test]
    fn a_sender_that_stops_waiting_takes_its_frame_along() {
        let outbox = Outbox::new(1, usize::MAX);
        push(&outbox, 1);
        drop(wait(&outbox, 2).unwrap());
        assert_eq!(take(&outbox, 8), [tell(1)]);
        assert!(take(&outbox, 8).is_empty() && outbox.is_empty());
    }

    #[test]
    fn monitors_are_admitted_beyond_the_bound() {
        let outbox = Outbox::new(1, usize::MAX);
        push(&outbox, 1);
        let target = "a@h:1".parse().unwrap();
        assert!(matches!(
            outbox.push(Frame::Monitor { target }, 1),
            Pushed::Queued
        ));
    }
}
