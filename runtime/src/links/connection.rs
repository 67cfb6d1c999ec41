//! One connection of a link: a task that reads, a task that writes, and what they share.
//!
//! Each end pings when it has not written for a while, and answers pings, so that both can tell a
//! silent peer from a dead one whichever of the connections carries the frames.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bytes::BytesMut;
use tokio::sync::Notify;

use super::{core::Core, handshake::Greeted, life::Life, locked, peer::Peer, task::Task};
use crate::frame::{Control, encode_control};

mod reader;
mod writer;

/// A connection, as its driver holds it. Dropping it closes the connection at once.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// Whether this node dialled.
    pub(super) dialled: bool,
    _reader: Task,
    writer: Task,
}

/// What the two tasks share.
pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    pub(super) peer: Arc<Peer>,
    pub(super) life: Arc<Life>,
    pub(super) number: u64,
    /// Wakes the writer.
    pub(super) wake: Arc<Notify>,
    pong_due: AtomicBool,
    ack_due: AtomicBool,
    farewell: Mutex<Option<Farewell>>,
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
        let shared = Arc::new(Shared {
            core: core.clone(),
            peer: peer.clone(),
            life: life.clone(),
            number: core.next_connection(),
            wake: Arc::new(Notify::new()),
            pong_due: AtomicBool::new(false),
            ack_due: AtomicBool::new(false),
            farewell: Mutex::new(None),
        });
        let Greeted {
            dialled,
            read,
            write,
            buffer,
            ..
        } = greeted;
        let reader = reader::run(shared.clone(), read, buffer);
        let writer = writer::run(shared.clone(), write, dialled);
        let reader = Task::spawn(&core.runtime, reader);
        let writer = Task::spawn(&core.runtime, writer);
        Self {
            shared,
            dialled,
            _reader: reader,
            writer,
        }
    }

    /// Has the writer say goodbye once the queue is empty.
    pub(super) fn say_goodbye(&self) {
        self.shared.leave(Farewell::Goodbye);
    }

    /// Closes the connection after telling the peer why. The task that is returned ends with that.
    pub(super) fn reject(self, why: String) -> Task {
        self.shared.leave(Farewell::Reject(why));
        self.writer
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

    fn owe_ack(&self) {
        self.ack_due.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Appends what is owed to the peer.
    fn put_owed(&self, out: &mut BytesMut) {
        let ack = self.ack_due.swap(false, Ordering::AcqRel);
        if self.pong_due.swap(false, Ordering::AcqRel) {
            encode_control(
                &Control::Pong {
                    received: self.life.received(),
                },
                out,
            );
        } else if ack {
            encode_control(
                &Control::Ack {
                    received: self.life.received(),
                },
                out,
            );
        }
    }
}
