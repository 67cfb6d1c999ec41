//! The mailbox: a bounded queue for messages, and a lane that overtakes it for the runtime's own.
//!
//! Lock-free on both sides. A sender wakes the receiver only when the receiver has gone to sleep.

use crossbeam_queue::SegQueue;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A queue of `U` with at most `capacity` entries, and an unbounded one of `S` before it.
pub(crate) struct Mailbox<S, U> {
    system: SegQueue<S>,
    user: SegQueue<U>,
    /// Entries in `user`, counted before the push so that the bound holds.
    len: AtomicUsize,
    capacity: usize,
    closed: AtomicBool,
    /// Set while the receiver runs or is about to: no wake is needed.
    awake: AtomicBool,
    waker: AtomicWaker,
    /// Senders waiting for room.
    waiting: AtomicUsize,
    room: Notify,
}

/// Why a message was not taken; it is handed back.
#[derive(Debug)]
pub(crate) enum Rejected<U> {
    Full(U),
    Closed(U),
}

impl<S, U> Mailbox<S, U> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            system: SegQueue::new(),
            user: SegQueue::new(),
            len: AtomicUsize::new(0),
            capacity: capacity.max(1),
            closed: AtomicBool::new(false),
            awake: AtomicBool::new(true),
            waker: AtomicWaker::new(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }

    /// Takes a message if there is room.
    pub(crate) fn push(&self, message: U) -> Result<(), Rejected<U>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Rejected::Closed(message));
        }
        if self.len.fetch_add(1, Ordering::AcqRel) >= self.capacity {
            self.len.fetch_sub(1, Ordering::AcqRel);
            return Err(Rejected::Full(message));
        }
        self.user.push(message);
        self.wake();
        Ok(())
    }

    /// Takes a message, waiting for room.
    pub(crate) async fn push_wait(&self, mut message: U) -> Result<(), Rejected<U>> {
        loop {
            self.waiting.fetch_add(1, Ordering::AcqRel);
            let room = self.room.notified();
            let result = match self.push(message) {
                Err(Rejected::Full(back)) => {
                    room.await;
                    Err(back)
                }
                done => Ok(done),
            };
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            match result {
                Ok(done) => return done,
                Err(back) => message = back,
            }
        }
    }

    /// Takes a message of the runtime's own; false when the actor has ended.
    pub(crate) fn push_system(&self, message: S) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        self.system.push(message);
        self.wake();
        true
    }

    /// Has the drain look again.
    pub(crate) fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The next message of the runtime's own.
    pub(crate) fn pop_system(&self) -> Option<S> {
        self.system.pop()
    }

    /// The next message.
    pub(crate) fn pop(&self) -> Option<U> {
        let message = self.user.pop()?;
        self.len.fetch_sub(1, Ordering::AcqRel);
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.room.notify_one();
        }
        Some(message)
    }

    /// Goes to sleep: true when nothing arrived meanwhile, and the next push will wake `waker`.
    pub(crate) fn sleep(&self, waker: &std::task::Waker) -> bool {
        self.waker.register(waker);
        self.awake.store(false, Ordering::SeqCst);
        if self.user.is_empty() && self.system.is_empty() {
            return true;
        }
        self.awake.store(true, Ordering::SeqCst);
        false
    }

    /// Refuses everything from now on; what is queued can still be popped.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.room.notify_waiters();
    }

    /// At most how many messages wait.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_bound_holds_and_the_message_comes_back() {
        let mailbox = Mailbox::<(), u32>::new(2);
        mailbox.push(1).unwrap();
        mailbox.push(2).unwrap();
        assert!(matches!(mailbox.push(3), Err(Rejected::Full(3))));
        assert_eq!((mailbox.pop(), mailbox.len()), (Some(1), 1));
        mailbox.push(3).unwrap();
        mailbox.close();
        assert!(matches!(mailbox.push(4), Err(Rejected::Closed(4))));
        assert_eq!(
            (mailbox.pop(), mailbox.pop(), mailbox.pop()),
            (Some(2), Some(3), None)
        );
    }

    #[test]
    fn producers_on_threads_lose_nothing_and_keep_their_order() {
        let mailbox = Arc::new(Mailbox::<(), (u32, u32)>::new(1_000_000));
        std::thread::scope(|scope| {
            for producer in 0..4 {
                let mailbox = mailbox.clone();
                scope.spawn(move || {
                    for n in 0..10_000 {
                        mailbox.push((producer, n)).unwrap();
                    }
                });
            }
        });
        let mut next = [0; 4];
        while let Some((producer, n)) = mailbox.pop() {
            assert_eq!(n, next[producer as usize]);
            next[producer as usize] += 1;
        }
        assert_eq!(next, [10_000; 4]);
    }

    #[tokio::test]
    async fn a_waiting_sender_goes_on_when_there_is_room() {
        let mailbox = Arc::new(Mailbox::<(), u32>::new(1));
        mailbox.push(1).unwrap();
        let sender = mailbox.clone();
        let waiting = async move { sender.push_wait(2).await };
        let receiving = async {
            assert_eq!(mailbox.pop(), Some(1));
        };
        let (sent, ()) = futures_util::future::join(waiting, receiving).await;
        sent.unwrap();
        assert_eq!(mailbox.pop(), Some(2));
    }
}
