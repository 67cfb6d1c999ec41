//! The reading half: takes frames apart and hands them on, in order and once.

use std::{pin::pin, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};

use super::Shared;
use crate::{
    frame::{
        Control, Decoder, Frame, Wire,
        wire::{Arrived, BULK, MAIN},
    },
    links::{
        Arriving, Inbound,
        arrival::{Arrival, Door},
        life::Life,
        peer::Event,
        problem::Problem,
    },
    node::workers::spin::worked,
    transport::ReadHalf,
};

/// Room that is made for a read, and for one after a read that had too little.
const READ_BYTES: usize = 4 * 1024;
const LONG_READ_BYTES: usize = 64 * 1024;
/// A buffer that a large frame has stretched beyond this is not kept.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// Frames after which the peer is told that they have arrived, whatever their size.
const ACK_FRAMES: u64 = 1024;
/// Bytes after which others have a turn.
const TURN_BYTES: usize = 256 * 1024;

/// Reads until the connection ends, and reports that to the driver.
pub(super) async fn run(shared: Arc<Shared>, half: ReadHalf, buffer: BytesMut) {
    let mut reader = Reader {
        why: None,
        room: READ_BYTES,
        decoder: Decoder::new(shared.core.own.clone(), shared.core.config.max_frame),
        heard: Instant::now(),
        next: None,
        unacknowledged: (0, 0),
        turn: 0,
        buffer,
        half,
        shared: &shared,
    };
    let why = reader.read_on().await.unwrap_or_else(|why| why);
    if matches!(why, Problem::Goodbye) {
        // A transfer that was announced may never come.
        let patience = shared.core.config.lost_after / 2;
        let _ = timeout(patience, settle(&shared.life)).await;
    }
    reader.why = Some(why);
}

/// Waits until what the peer sent before it said goodbye is with the actors.
async fn settle(life: &Life) {
    loop {
        let mut eased = pin!(life.eased.notified());
        eased.as_mut().enable();
        if life.arrival().is_clear() {
            return;
        }
        eased.await;
    }
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
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
    /// Bytes read since others had a turn.
    turn: usize,
}

impl Reader<'_> {
    async fn read_on(&mut self) -> Result<Problem, Problem> {
        let patience = self.shared.core.config.lost_after / 2;
        let mut silence = pin!(sleep_until(self.heard + patience));
        loop {
            self.hand_over()?;
            self.wait_for_room().await?;
            self.make_room();
            tokio::select! {
                biased;
                read = self.half.read_buf(&mut self.buffer) => {
                    let bytes = read?;
                    worked();
                    self.heard = Instant::now();
                    if self.buffer.len() == self.buffer.capacity() {
                        self.room = LONG_READ_BYTES;
                    }
                    self.unacknowledged.1 += bytes;
                    self.shared.core.counters.read(bytes);
                    self.turn += bytes;
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
            if self.turn > TURN_BYTES {
                self.turn = 0;
                yield_now().await;
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

    /// Waits while too much is parked.
    async fn wait_for_room(&mut self) -> Result<(), Problem> {
        let life = &self.shared.life;
        loop {
            let mut eased = pin!(life.eased.notified());
            eased.as_mut().enable();
            if !life.arrival().must_wait(self.shared.lane)? {
                return Ok(());
            }
            eased.await;
            // Nothing was read meanwhile, so silence proves nothing.
            self.heard = Instant::now();
        }
    }

    /// Hands the whole frames in the buffer over.
    fn hand_over(&mut self) -> Result<(), Problem> {
        let (mut turn, mut frames): (Option<Turn<'_>>, u64) = (None, 0);
        let shared = self.shared;
        while let Some(wire) = self.decoder.next(&mut self.buffer)? {
            let wire = match wire {
                Wire::Control(control) => {
                    steer(shared, &mut self.next, control)?;
                    continue;
                }
                wire => wire,
            };
            let bytes = self.decoder.last_bytes();
            let turn = match &mut turn {
                Some(turn) => turn,
                none => none.insert(take_turn(shared)?),
            };
            let number = self.next.ok_or(Problem::OutOfTurn)?;
            self.next = Some(number + 1);
            if turn.arrival.count(shared.lane, number, bytes)? {
                self.unacknowledged.0 += 1;
                frames += 1;
                turn.take(shared, &mut self.decoder, wire)?;
            }
        }
        if let Some(turn) = turn {
            shared.life.publish(&turn.arrival, shared.lane);
            let eased = shared.lane == BULK && shared.life.publish(&turn.arrival, MAIN);
            drop(turn);
            shared.core.counters.received(frames);
            if eased {
                // A transfer has let parked messages go.
                shared.life.eased.notify_waiters();
                if let Some(main) = shared.peer.outbox.connection(MAIN) {
                    main.owe_ack();
                }
            }
            shared.listen();
            let (frames, bytes) = self.unacknowledged;
            if frames >= ACK_FRAMES || bytes >= shared.life.ack_bytes(shared.lane) {
                self.unacknowledged = (0, 0);
                shared.owe_ack();
            }
        }
        Ok(())
    }
}

/// What a control frame asks for; `next` is the number of the next numbered frame.
fn steer(shared: &Arc<Shared>, next: &mut Option<u64>, control: Control) -> Result<(), Problem> {
    let outbox = &shared.peer.outbox;
    let acknowledged = |arrived: Arrived| {
        outbox.acknowledged(shared.lane, arrived.received, arrived.consumed);
    };
    match control {
        Control::Resume { first } => *next = Some(first),
        Control::Ack(arrived) | Control::Pong(arrived) => acknowledged(arrived),
        Control::Ping(arrived) => {
            acknowledged(arrived);
            shared.owe_pong();
        }
        Control::Hold(actor) => outbox.hold(&actor),
        Control::Release(actor) => outbox.release(&actor),
        Control::WantBulk => shared.peer.tell(Event::BulkAsked),
        Control::Goodbye => return Err(Problem::Goodbye),
        Control::Reject(why) => return Err(Problem::Rejected { why }),
        Control::Hello(_) | Control::Start | Control::Challenge(_) | Control::Proof(_) => {
            return Err(Problem::OutOfTurn);
        }
    }
    Ok(())
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

/// The right to hand frames of a life over.
struct Turn<'a> {
    arrival: std::sync::MutexGuard<'a, Arrival>,
    inbound: Arc<dyn Inbound>,
}

/// Waits until no other connection hands frames of this life over.
fn take_turn(shared: &Shared) -> Result<Turn<'_>, Problem> {
    let arrival = shared.life.arrival();
    let inbound = shared.core.inbound().filter(|_| !arrival.is_over());
    inbound
        .map(|inbound| Turn { arrival, inbound })
        .ok_or(Problem::Stopping)
}

impl Turn<'_> {
    /// Hands a numbered frame over.
    fn take(
        &mut self,
        shared: &Arc<Shared>,
        decoder: &mut Decoder,
        wire: Wire<'_>,
    ) -> Result<(), Problem> {
        let door = Door {
            core: &shared.core,
            life: &shared.life,
            inbound: &self.inbound,
        };
        let arrival = &mut *self.arrival;
        match wire {
            Wire::Message(head, body) => arrival.take(door, head, body)?,
            Wire::Frame(Frame::Tell(parcel)) => {
                arrival.take_whole(door, Arriving::parcel(&parcel, None));
            }
            Wire::Frame(Frame::Ask { id, parcel }) => {
                arrival.take_whole(door, Arriving::parcel(&parcel, Some(id)));
            }
            Wire::Frame(frame) => self.inbound.on_frame(&shared.life.origin, frame),
            Wire::Actor {
                id,
                incarnation,
                name,
            } => arrival.learn_actor(id, name, &shared.core.own, incarnation)?,
            Wire::Type { id, version, name } => arrival.learn_kind(id, name, version)?,
            Wire::Forget => arrival.forget(),
            Wire::Announce { transfer, actor } => arrival.announce(door, transfer, actor),
            Wire::Chunk {
                transfer,
                total,
                bytes,
            } => arrival.chunk(door, decoder, transfer, total, bytes)?,
            Wire::UnknownNumbered(kind) => {
                tracing::debug!(peer = %shared.life.id().addr, kind, "skipped an unknown frame");
            }
            Wire::Control(_) => {}
        }
        Ok(())
    }
}
