//! One life of a link: what was sent and not yet acknowledged, and what has arrived.
//!
//! Frames are numbered from 1 along a life, in each direction. The sender keeps what it has encoded
//! until the peer acknowledges it, and writes it again when another connection takes over; the
//! receiver drops what it has had already. So a life goes on over any number of connections with
//! each frame once and in order, and a frame is lost only if the life is.
//!
//! The lock of `Sent` is the writer's turn: frames leave the queue, get their number and are kept
//! within one hold of it, so that a writer that is being replaced can neither lose nor mix any.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::{LinkConfig, PeerId, locked, outbox::Outbox};
use crate::frame::{Control, Frame, encode_control, encode_frame};

/// Frames that go into one write, at most.
const BATCH_FRAMES: usize = 512;
/// Bytes after which a batch ends.
const BATCH_BYTES: usize = 256 * 1024;
/// The write buffer is allocated in pieces of this size, unless a batch needs more.
const ARENA_BYTES: usize = 8 * 1024;

/// One life of a link.
pub(super) struct Life {
    pub(super) id: PeerId,
    /// The peer's epoch; ours is the peer record's while the life lasts.
    pub(super) their_epoch: u64,
    sent: Mutex<Sent>,
    /// Held while frames are handed to the node, so that they arrive in order and none comes after
    /// the notice of the life's end.
    pub(super) turn: tokio::sync::Mutex<Received>,
    received: AtomicU64,
}

/// What has arrived.
#[derive(Default)]
pub(super) struct Received {
    /// The number of the last frame that arrived.
    pub(super) count: u64,
    /// The life has ended.
    pub(super) over: bool,
}

struct Sent {
    /// The connection whose writer's turn it is.
    writer: u64,
    wake: Option<Arc<Notify>>,
    /// That writer has not yet said where it begins.
    resume: bool,
    /// That writer waits for acknowledgements.
    stalled: bool,
    /// The number of the last frame that was encoded.
    last: u64,
    chunks: VecDeque<Chunk>,
    /// The chunk to write next.
    cursor: usize,
    /// Bytes in `chunks`.
    bytes: usize,
    arena: BytesMut,
    batch: Vec<Frame>,
}

/// Frames that were encoded together.
struct Chunk {
    first: u64,
    last: u64,
    bytes: Bytes,
}

impl Life {
    pub(super) fn new(id: PeerId, their_epoch: u64) -> Self {
        let sent = Sent {
            writer: 0,
            wake: None,
            resume: false,
            stalled: false,
            last: 0,
            chunks: VecDeque::new(),
            cursor: 0,
            bytes: 0,
            arena: BytesMut::with_capacity(ARENA_BYTES),
            batch: Vec::new(),
        };
        let received = AtomicU64::new(0);
        let (sent, turn) = (Mutex::new(sent), tokio::sync::Mutex::default());
        Self {
            id,
            their_epoch,
            sent,
            turn,
            received,
        }
    }

    /// Gives the turn to the writer of connection `writer`.
    pub(super) fn appoint(&self, writer: u64, wake: Arc<Notify>) {
        let mut sent = locked(&self.sent);
        sent.writer = writer;
        sent.wake = Some(wake);
        sent.resume = true;
        sent.stalled = false;
        sent.cursor = 0;
    }

    /// The bytes that connection `writer` is to write next: what its predecessor may not have
    /// brought over, then a new batch. `control` gets what must be written before.
    pub(super) fn next(
        &self,
        writer: u64,
        outbox: &Outbox,
        config: &LinkConfig,
        control: &mut BytesMut,
    ) -> Option<Bytes> {
        let mut sent = locked(&self.sent);
        if sent.writer != writer {
            return None;
        }
        if std::mem::take(&mut sent.resume) {
            encode_control(
                &Control::Resume {
                    first: sent.first(),
                },
                control,
            );
        }
        if sent.cursor == sent.chunks.len() && !sent.encode_batch(outbox, config.window) {
            return None;
        }
        sent.cursor += 1;
        Some(sent.chunks[sent.cursor - 1].bytes.clone())
    }

    /// The peer has all frames up to `count`.
    pub(super) fn acknowledged(&self, count: u64) {
        let mut sent = locked(&self.sent);
        while let Some(chunk) = sent.chunks.front().filter(|chunk| chunk.last <= count) {
            sent.bytes -= chunk.bytes.len();
            sent.chunks.pop_front();
            sent.cursor = sent.cursor.saturating_sub(1);
        }
        if std::mem::take(&mut sent.stalled)
            && let Some(wake) = &sent.wake
        {
            wake.notify_one();
        }
    }

    /// How many frames have arrived.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Makes `count` known to the writers.
    pub(super) fn set_received(&self, count: u64) {
        self.received.store(count, Ordering::Release);
    }
}

impl Sent {
    /// The number of the first frame that may have to be written.
    fn first(&self) -> u64 {
        self.chunks
            .front()
            .map_or(self.last + 1, |chunk| chunk.first)
    }

    /// Encodes what waits in `outbox`, unless `window` bytes are under way.
    fn encode_batch(&mut self, outbox: &Outbox, window: usize) -> bool {
        if self.bytes >= window {
            self.stalled = true;
            return false;
        }
        let weight = outbox.take(&mut self.batch, BATCH_FRAMES, BATCH_BYTES);
        if self.batch.is_empty() {
            return false;
        }
        self.arena.reserve(weight);
        let first = self.last + 1;
        self.last += self.batch.len() as u64;
        for frame in self.batch.drain(..) {
            encode_frame(&frame, &mut self.arena);
        }
        let bytes = self.arena.split().freeze();
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk {
            first,
            last: self.last,
            bytes,
        });
        true
    }
}
