//! One numbered stream of a link: what was encoded and not yet acknowledged, with its credit.
//!
//! ```text
//!   push --> tail --sealed--> chunks: [ acknowledged: dropped | written | to be written ]
//!                                                             ^ cursor
//! ```
//!
//! A chunk is written for the first time only while the peer's credit lasts; what was written is kept
//! until the peer says that it has arrived, and written again when another connection takes over.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::connection::Shared;

/// A tail of this length is sealed, so that a write is not much longer.
const SEAL_BYTES: usize = 64 * 1024;
/// Memory is allocated in pieces of this size once a link is busy, and of the smaller one before.
const ARENA_BYTES: usize = SEAL_BYTES + 4 * 1024;
const FIRST_BYTES: usize = 2 * 1024;
/// A link that has sent as many frames is a busy one.
const BUSY_FRAMES: u64 = 64;

/// Whether, and how, the sender must see to the writing of what it has pushed.
#[must_use]
pub(super) enum Poke {
    /// Somebody writes already, or nobody can.
    Nothing,
    /// The connection has been idle: the sender writes.
    Write(Arc<Shared>),
    /// The writer is to write, together with what follows.
    Wake(Arc<Shared>),
}

impl Poke {
    /// Both; the other one is left to its writer.
    pub(super) fn and(self, other: Poke) -> Poke {
        match (self, other) {
            (Poke::Nothing, other) => other,
            (this, Poke::Nothing) => this,
            (this, Poke::Write(connection) | Poke::Wake(connection)) => {
                connection.wake.notify_one();
                this
            }
        }
    }

    /// Does it.
    pub(super) fn carry_out(self) {
        match self {
            Poke::Nothing => {}
            Poke::Write(connection) => connection.write_now(),
            Poke::Wake(connection) => connection.wake.notify_one(),
        }
    }
}

/// Frames that were encoded together.
struct Chunk {
    first: u64,
    last: u64,
    head: Bytes,
    body: Bytes,
    /// Whether it was given to a writer before.
    written: bool,
    /// The body is memory of this stream, and no part of a message.
    arena: bool,
}

impl Chunk {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// What to write next.
pub(super) struct Next {
    pub(super) head: Bytes,
    pub(super) body: Bytes,
    /// Frames in it that were not written before.
    pub(super) frames: u64,
}

/// The stream.
pub(super) struct Sent {
    /// The connection whose writer's turn it is.
    connection: Option<Arc<Shared>>,
    /// That writer has not yet said where it begins.
    resume: bool,
    /// That writer waits for credit.
    stalled: bool,
    /// Nobody writes, because there is nothing to write.
    idle: bool,
    /// The number of the last frame that was encoded.
    last: u64,
    chunks: VecDeque<Chunk>,
    /// The chunk to write next.
    cursor: usize,
    tail: BytesMut,
    tail_frames: u64,
    /// Memory for a tail.
    spare: Option<BytesMut>,
    /// Bytes that were never given to a writer.
    waiting: usize,
    /// Bytes that were, and those of them that the peer has no more need to keep.
    given: u64,
    freed: u64,
    window: u64,
    /// The peer gives no credit of its own: an acknowledgement is one.
    by_acks: bool,
}

impl Sent {
    pub(super) fn new(window: u64, by_acks: bool) -> Self {
        Self {
            connection: None,
            resume: false,
            stalled: false,
            idle: false,
            last: 0,
            chunks: VecDeque::new(),
            cursor: 0,
            tail: BytesMut::new(),
            tail_frames: 0,
            spare: None,
            waiting: 0,
            given: 0,
            freed: 0,
            window,
            by_acks,
        }
    }

    /// Gives the turn to the writer of `connection`; it is to be woken.
    pub(super) fn appoint(&mut self, connection: Option<Arc<Shared>>) {
        self.resume = connection.is_some();
        self.connection = connection;
        self.stalled = false;
        self.idle = false;
        self.cursor = 0;
    }

    /// Whose turn it is.
    pub(super) fn connection(&self) -> Option<&Arc<Shared>> {
        self.connection.as_ref()
    }

    /// Appends frames that `put` encodes; it returns how many.
    pub(super) fn push(&mut self, put: impl FnOnce(&mut BytesMut) -> u64) {
        let before = self.tail.len();
        if self.tail.capacity() - before < FIRST_BYTES {
            self.grow();
        }
        let frames = put(&mut self.tail);
        self.last += frames;
        self.tail_frames += frames;
        self.waiting += self.tail.len() - before;
        if self.tail.len() >= SEAL_BYTES {
            self.seal();
            self.tail = self.spare.take().unwrap_or_default();
        }
    }

    /// Makes room in the tail, out of memory that was used before if there is some.
    fn grow(&mut self) {
        match self.spare.take() {
            Some(spare) if self.tail.is_empty() => self.tail = spare,
            spare => {
                self.spare = spare;
                let busy = self.last > BUSY_FRAMES;
                self.tail
                    .reserve(if busy { ARENA_BYTES } else { FIRST_BYTES });
            }
        }
    }

    /// Appends one frame that is not copied. It counts as written with credit that is there.
    pub(super) fn push_chunk(&mut self, head: Bytes, body: Bytes) {
        self.last += 1;
        self.waiting += head.len() + body.len();
        let number = self.last;
        self.chunks.push_back(Chunk {
            first: number,
            last: number,
            head,
            body,
            written: false,
            arena: false,
        });
    }

    fn seal(&mut self) {
        let first = self.last + 1 - self.tail_frames;
        self.tail_frames = 0;
        self.chunks.push_back(Chunk {
            first,
            last: self.last,
            head: Bytes::new(),
            body: self.tail.split().freeze(),
            written: false,
            arena: true,
        });
    }

    /// Who is to write what was just pushed.
    pub(super) fn poke(&mut self) -> Poke {
        match &self.connection {
            Some(connection) if self.idle => {
                self.idle = false;
                match connection.has_spoken() {
                    true => Poke::Wake(connection.clone()),
                    false => Poke::Write(connection.clone()),
                }
            }
            _ => Poke::Nothing,
        }
    }

    /// Whether the writer of connection `number` may take something it has not taken yet.
    pub(super) fn has_turn(&self, number: u64) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.number == number)
    }

    /// The number of the first frame that may have to be written, for a writer that begins.
    pub(super) fn resume(&mut self) -> Option<u64> {
        let first = match self.chunks.front() {
            Some(chunk) => chunk.first,
            None => self.last + 1 - self.tail_frames,
        };
        mem::take(&mut self.resume).then_some(first)
    }

    /// Whether everything that was pushed was given to the present writer.
    pub(super) fn is_drained(&self) -> bool {
        self.cursor == self.chunks.len() && self.tail.is_empty()
    }

    /// Whether the peer's credit is used up; its return wakes the writer.
    pub(super) fn is_stalled(&mut self) -> bool {
        self.stalled = self.given - self.freed >= self.window;
        self.stalled
    }

    /// What to write next; with nothing, and credit left, the writer counts as idle.
    pub(super) fn next(&mut self) -> Option<Next> {
        if self.cursor == self.chunks.len() {
            if self.tail.is_empty() {
                self.idle = true;
                return None;
            }
            self.seal();
        }
        let mut frames = 0;
        if !self.chunks[self.cursor].written {
            if self.is_stalled() {
                return None;
            }
            let chunk = &mut self.chunks[self.cursor];
            chunk.written = true;
            frames = chunk.last + 1 - chunk.first;
            let bytes = chunk.len();
            self.given += bytes as u64;
            self.waiting -= bytes;
        }
        let chunk = &self.chunks[self.cursor];
        self.cursor += 1;
        Some(Next {
            head: chunk.head.clone(),
            body: chunk.body.clone(),
            frames,
        })
    }

    /// The peer has all frames up to `received`, and of their bytes `consumed` take no room there.
    /// A writer that waited for that is returned.
    pub(super) fn acknowledged(&mut self, received: u64, consumed: Option<u64>) -> Poke {
        while let Some(chunk) = self.chunks.front().filter(|chunk| chunk.last <= received) {
            if !chunk.written {
                // Nobody can have what was never written.
                break;
            }
            if self.by_acks {
                self.freed += chunk.len() as u64;
            }
            let chunk = self.chunks.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
            // A chunk of the size of an arena had it for itself.
            if let Some(chunk) =
                chunk.filter(|chunk| chunk.arena && chunk.body.len() >= SEAL_BYTES / 2)
                && let Ok(mut arena) = chunk.body.try_into_mut()
                && arena.capacity() <= 2 * ARENA_BYTES
            {
                arena.clear();
                self.spare = Some(arena);
            }
        }
        if let Some(consumed) = consumed.filter(|_| !self.by_acks) {
            self.freed = self.freed.max(consumed).min(self.given);
        }
        match &self.connection {
            Some(connection) if self.stalled && self.given - self.freed < self.window => {
                self.stalled = false;
                Poke::Wake(connection.clone())
            }
            _ => Poke::Nothing,
        }
    }

    /// Bytes that were never given to a writer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Counts bytes that are to come in chunks, or no more.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.waiting += bytes;
    }

    pub(super) fn unexpect(&mut self, bytes: usize) {
        self.waiting -= bytes;
    }

    /// Whether the peer has acknowledged everything.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    /// The bytes of the frames that were never given to a writer.
    pub(super) fn unwritten(&mut self) -> BytesMut {
        let mut bytes = BytesMut::new();
        for chunk in self.chunks.drain(..).filter(|chunk| !chunk.written) {
            bytes.extend_from_slice(&chunk.head);
            bytes.extend_from_slice(&chunk.body);
        }
        bytes.unsplit(self.tail.split());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kept as memory for a tail, the last piece of a message would keep all of the message.
    #[test]
    fn what_was_cut_off_a_message_is_dropped_with_its_acknowledgement() {
        let message = Bytes::from(vec![7; 300_000]);
        let mut sent = Sent::new(1 << 20, true);
        sent.push_chunk(Bytes::from_static(b"head"), message.slice(260_000..));
        drop(message);
        drop(sent.next());
        let _ = sent.acknowledged(1, None);
        assert!(sent.is_empty() && sent.spare.is_none());
    }

    #[test]
    fn a_tail_is_used_again_after_its_acknowledgement() {
        let mut sent = Sent::new(1 << 20, true);
        sent.push(|tail| {
            tail.extend_from_slice(&[7; SEAL_BYTES]);
            1
        });
        drop(sent.next());
        let _ = sent.acknowledged(1, None);
        assert!(sent.is_empty() && sent.spare.is_some());
    }
}
