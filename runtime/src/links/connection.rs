//! One connection of a link: a task that reads, a task that writes, and what they share.
//!
//! Whoever sends on an idle connection writes at once, without a task switch; after that the writing
//! is left to the writer until the peer has answered or the writer has had a turn. So a lone message,
//! or each of a ping-pong, is one write by its sender, and the messages of a burst share one.
//!
//! Each end pings when it has not written for a while, and answers pings, so that both can tell a
//! silent peer from a dead one whichever of the connections carries the frames.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::BytesMut;
use tokio::{io::AsyncWrite, sync::Notify};

use super::{
    core::Core, handshake::Greeted, life::Life, locked, peer::Peer, sent::Next, task::Task,
};
use crate::{
    frame::{Control, encode_control, wire::MAIN},
    transport::WriteHalf,
};

mod pending;
mod reader;
mod writer;

use pending::Pending;

/// Frames that may have arrived before an acknowledgement goes along with other bytes.
const PIGGYBACK_FRAMES: u64 = 32;
/// Control frames that may wait to be written.
const OWED_BYTES_MAX: usize = 256 * 1024;
/// Bytes after which a write lets other tasks have a turn.
const TURN_BYTES: usize = 256 * 1024;

/// A connection, as its driver holds it. Dropping it closes the connection at once.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// Whether this node dialled.
    pub(super) dialled: bool,
    tasks: Option<(Task, Task)>,
}

/// What the two tasks and the senders share.
pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    pub(super) peer: Arc<Peer>,
    pub(super) life: Arc<Life>,
    pub(super) number: u64,
    pub(super) lane: usize,
    /// Wakes the writer.
    pub(super) wake: Notify,
    side: Mutex<Side>,
    /// A sender has written, and the peer has said nothing since.
    spoken: AtomicBool,
    /// Something was written since this was last looked at.
    active: AtomicBool,
    pong_due: AtomicBool,
    ack_due: AtomicBool,
    /// The number of the last frame that was acknowledged here.
    acknowledged: AtomicU64,
    owed: Mutex<BytesMut>,
    farewell: Mutex<Option<Farewell>>,
}

/// The writing half, and what it is in the middle of. `None`: closed.
struct Side {
    half: Option<WriteHalf>,
    pending: Pending,
}

/// How a writer ends.
#[derive(Clone, Debug)]
enum Farewell {
    /// After everything that is queued.
    Goodbye,
    /// At once.
    Reject(String),
}

impl Connection {
    /// Begins to read and write.
    pub(super) fn open(
        core: &Arc<Core>,
        peer: &Arc<Peer>,
        life: &Arc<Life>,
        greeted: Greeted,
    ) -> Self {
        let Greeted {
            dialled,
            lane,
            read,
            write,
            buffer,
            ..
        } = greeted;
        let mut owed = BytesMut::new();
        if dialled {
            encode_control(&Control::Start, &mut owed);
        }
        if lane == MAIN {
            life.arrival().put_holds(&mut owed);
        }
        let shared = Arc::new(Shared {
            core: core.clone(),
            peer: peer.clone(),
            life: life.clone(),
            number: core.next_connection(),
            lane,
            wake: Notify::new(),
            side: Mutex::new(Side {
                half: Some(write),
                pending: Pending::default(),
            }),
            spoken: AtomicBool::new(false),
            active: AtomicBool::new(false),
            pong_due: AtomicBool::new(false),
            ack_due: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            owed: Mutex::new(owed),
            farewell: Mutex::new(None),
        });
        let reader = reader::run(shared.clone(), read, buffer);
        let writer = writer::run(shared.clone());
        let reader = Task::spawn(&core.runtime, reader);
        let writer = Task::spawn(&core.runtime, writer);
        Self {
            shared,
            dialled,
            tasks: Some((reader, writer)),
        }
    }

    /// Has the writer say goodbye once the queue is empty.
    pub(super) fn say_goodbye(&self) {
        self.shared.leave(Farewell::Goodbye);
    }

    /// Closes the connection after telling the peer why. The task that is returned ends with that.
    pub(super) fn reject(mut self, why: String) -> Option<Task> {
        self.shared.leave(Farewell::Reject(why));
        self.tasks.take().map(|(_, writer)| writer)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.tasks.take().is_some() {
            locked(&self.shared.side).half = None;
        }
    }
}

impl Shared {
    fn leave(&self, farewell: Farewell) {
        *locked(&self.farewell) = Some(farewell);
        self.wake.notify_one();
    }

    fn farewell(&self) -> Option<Farewell> {
        locked(&self.farewell).clone()
    }

    fn owe_pong(&self) {
        self.pong_due.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Has the peer told what has arrived.
    pub(super) fn owe_ack(&self) {
        self.ack_due.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Has the peer told `control`.
    pub(super) fn owe(&self, control: &Control) {
        let mut owed = locked(&self.owed);
        // Whoever does not read this much misses no more of it.
        if owed.len() < OWED_BYTES_MAX {
            encode_control(control, &mut owed);
        }
        drop(owed);
        self.wake.notify_one();
    }

    /// Appends what is owed to the peer; `along`: with other bytes.
    fn put_owed(&self, along: bool, out: &mut BytesMut) {
        let mut ack = self.ack_due.swap(false, Ordering::AcqRel);
        let pong = self.pong_due.swap(false, Ordering::AcqRel);
        let arrived = self.life.arrived(self.lane);
        if along {
            let before = self.acknowledged.load(Ordering::Relaxed);
            ack |= arrived.received >= before + PIGGYBACK_FRAMES;
        }
        if pong {
            encode_control(&Control::Pong(arrived), out);
        } else if ack {
            encode_control(&Control::Ack(arrived), out);
        }
        if pong || ack {
            self.acknowledged.store(arrived.received, Ordering::Relaxed);
        }
    }

    /// Whether something was written since this was asked last.
    fn is_active(&self) -> bool {
        self.active.swap(false, Ordering::Relaxed)
    }

    /// Whether a sender has written and nothing has happened since; from now on one has.
    pub(super) fn has_spoken(&self) -> bool {
        self.spoken.swap(true, Ordering::AcqRel)
    }

    /// The peer has said something, or the writer had its turn: the next sender writes at once.
    fn listen(&self) {
        self.spoken.store(false, Ordering::Release);
    }

    /// Writes what waits, on behalf of a sender; what the socket does not take at once is left to
    /// the writer.
    pub(super) fn write_now(&self) {
        if let Ok(mut side) = self.side.try_lock() {
            let mut context = Context::from_waker(Waker::noop());
            if self.pump(&mut side, &mut context).is_ready() {
                return;
            }
        }
        self.wake.notify_one();
    }

    /// Writes until nothing waits.
    fn pump(&self, side: &mut Side, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Side { half, pending } = side;
        let Some(half) = half.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let mut written = 0;
        loop {
            let bytes = ready!(pending.write(half, context))?;
            if bytes > 0 {
                self.core.counters.wrote(bytes);
                written += bytes;
            }
            if written > TURN_BYTES {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let control = pending.control();
            std::mem::swap(control, &mut *locked(&self.owed));
            let next = self.peer.outbox.next(self.lane, self.number, control);
            self.put_owed(next.is_some(), control);
            if let Some(Next { head, body, frames }) = next {
                self.core.counters.sent(frames);
                pending.begin(head, body);
            }
            if pending.is_empty() {
                return Pin::new(half).poll_flush(context);
            }
            self.active.store(true, Ordering::Relaxed);
        }
    }

    /// As [`Shared::pump`], for the writer.
    fn poll_write(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pump(&mut locked(&self.side), context)
    }

    fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut locked(&self.side).half {
            Some(half) => Pin::new(half).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
