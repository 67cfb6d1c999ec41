//! The reading half: takes frames apart and hands them to the node, in order and once.

use std::{pin::pin, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    sync::MutexGuard,
    time::{Instant, sleep_until},
};

use super::Shared;
use crate::{
    frame::{Control, Decoder, Frame, Wire},
    links::{Inbound, life::Received, peer::Event, problem::Problem},
    transport::ReadHalf,
};

/// Room that is made for a read, and for one after a read that had too little.
const READ_BYTES: usize = 8 * 1024;
const LONG_READ_BYTES: usize = 64 * 1024;
/// A buffer that a large frame has stretched beyond this is not kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Frames and bytes after which the peer is told that they have arrived.
const ACK_FRAMES: u64 = 256;
const ACK_BYTES: usize = 64 * 1024;

/// Reads until the connection ends, and reports that to the driver.
pub(super) async fn run(shared: Arc<Shared>, half: ReadHalf, buffer: BytesMut) {
    let mut reader = Reader {
        why: None,
        room: READ_BYTES,
        decoder: Decoder::new(shared.core.own.clone(), shared.core.config.max_frame),
        heard: Instant::now(),
        next: None,
        unacknowledged: (0, 0),
        buffer,
        half,
        shared: &shared,
    };
    let why = reader.read_on().await.unwrap_or_else(|why| why);
    reader.why = Some(why);
}

struct Reader<'a> {
    shared: &'a Shared,
    half: ReadHalf,
    buffer: BytesMut,
    decoder: Decoder,
    heard: Instant,
    /// Bytes to make room for.
    room: usize,
    /// Why it ended; nothing when the node panicked over a frame, or the task was aborted.
    why: Option<Problem>,
    /// The number of the next numbered frame.
    next: Option<u64>,
    /// Frames and bytes since the last acknowledgement.
    unacknowledged: (u64, usize),
}

impl Reader<'_> {
    async fn read_on(&mut self) -> Result<Problem, Problem> {
        let patience = self.shared.core.config.lost_after / 2;
        let mut silence = pin!(sleep_until(self.heard + patience));
        loop {
            self.hand_over().await?;
            self.make_room();
            tokio::select! {
                biased;
                read = self.half.read_buf(&mut self.buffer) => {
                    let bytes = read?;
                    self.heard = Instant::now();
                    if self.buffer.len() == self.buffer.capacity() {
                        self.room = LONG_READ_BYTES;
                    }
                    self.unacknowledged.1 += bytes;
                    self.shared.core.counters.read(bytes);
                    if bytes == 0 {
                        return Ok(Problem::Closed);
                    }
                }
                () = &mut silence => {
                    let due = self.heard + patience;
                    if Instant::now() >= due {
                        return Ok(Problem::Silent(patience));
                    }
                    silence.as_mut().reset(due);
                }
            }
        }
    }

    fn make_room(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        if self.buffer.capacity() - self.buffer.len() < self.room / 4 {
            self.buffer.reserve(self.room);
        }
    }

    /// Hands the whole frames in the buffer over.
    async fn hand_over(&mut self) -> Result<(), Problem> {
        let shared = self.shared;
        let (mut turn, mut before) = (None, 0);
        while let Some(wire) = self.decoder.next(&mut self.buffer)? {
            let frame = match wire {
                Wire::Control(control) => {
                    self.steer(control)?;
                    continue;
                }
                Wire::Frame(frame) => Some(frame),
                Wire::UnknownNumbered(kind) => {
                    tracing::debug!(peer = %shared.life.id.addr, kind, "skipped an unknown frame");
                    None
                }
            };
            let (turn, inbound) = match &mut turn {
                Some(turn) => turn,
                none => {
                    let taken = none.insert(take_turn(shared).await?);
                    before = taken.0.count;
                    taken
                }
            };
            if self.is_new(turn)?
                && let Some(frame) = frame
            {
                self.deliver(&**inbound, frame).await;
            }
        }
        if let Some((turn, _)) = turn {
            shared.core.counters.received(turn.count - before);
            shared.life.set_received(turn.count);
            self.acknowledge();
        }
        Ok(())
    }

    async fn deliver(&mut self, inbound: &dyn Inbound, frame: Frame) {
        if let Some(room) = inbound.on_frame(&self.shared.life.id, frame) {
            room.await;
            // Nothing was read meanwhile, so silence proves nothing.
            self.heard = Instant::now();
        }
    }

    /// Counts a numbered frame; false for one that had arrived before.
    fn is_new(&mut self, turn: &mut Received) -> Result<bool, Problem> {
        let number = self.next.ok_or(Problem::OutOfTurn)?;
        self.next = Some(number + 1);
        let expected = turn.count + 1;
        if number > expected {
            return Err(Problem::Gap {
                expected,
                got: number,
            });
        }
        if number == expected {
            turn.count = number;
            self.unacknowledged.0 += 1;
        }
        Ok(number == expected)
    }

    fn steer(&mut self, control: Control) -> Result<(), Problem> {
        match control {
            Control::Resume { first } => self.next = Some(first),
            Control::Ack { received } | Control::Pong { received } => {
                self.shared.life.acknowledged(received);
            }
            Control::Ping { received } => {
                self.shared.life.acknowledged(received);
                self.shared.owe_pong();
            }
            Control::Goodbye => return Err(Problem::Goodbye),
            Control::Reject(why) => return Err(Problem::Rejected { why }),
            Control::Hello(_) | Control::Start | Control::Challenge(_) | Control::Proof(_) => {
                return Err(Problem::OutOfTurn);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self) {
        let (frames, bytes) = self.unacknowledged;
        if frames >= ACK_FRAMES || bytes >= ACK_BYTES {
            self.unacknowledged = (0, 0);
            self.shared.owe_ack();
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let why = self.why.take().unwrap_or(Problem::Closed);
        let (connection, heard) = (self.shared.number, self.heard);
        self.shared.peer.tell(Event::Closed {
            connection,
            heard,
            why,
        });
    }
}

type Turn<'a> = (MutexGuard<'a, Received>, Arc<dyn Inbound>);

/// Waits until no other connection hands frames of this life over.
async fn take_turn(shared: &Shared) -> Result<Turn<'_>, Problem> {
    let turn = shared.life.turn.lock().await;
    let inbound = shared.core.inbound().filter(|_| !turn.over);
    inbound
        .map(|inbound| (turn, inbound))
        .ok_or(Problem::Stopping)
}
