//! What has arrived over a link and is not with its actor yet.
//!
//! A message whose actor's mailbox is full is *parked*, and so is everything for that actor that
//! comes after it, while messages to others pass. A large message that was announced and is still on
//! its way parks its actor in the same way, which is what keeps the order between messages of all
//! sizes. What is parked is bounded:
//!
//! - an actor with more than `hold` bytes parked is *held*: the peer is asked to send it no more;
//! - with more than `window` bytes parked altogether, no more credit is given, so the peer stops;
//! - with more than twice of that, which only comes from a peer that heeds neither, nothing is read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
};

use bytes::BytesMut;
use futures_util::future::BoxFuture;

use super::{Arriving, Inbound, core::Core, life::Life, problem::Problem, task::Task};
use crate::{
    frame::{
        Assembled, Control, Decoder, FrameError, Large, encode_control,
        wire::{ACTORS_MAX, BULK, MAIN, NAME_BYTES_MAX, TYPES_MAX},
    },
    pid::{AnyPid, NodeAddr},
    trace::TraceContext,
};

/// What a parked message takes beside its body.
const FIXED: usize = 128;

/// How much may be parked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes for one actor before it is held.
    pub(super) hold: usize,
    /// Bytes on each lane before credit ends.
    pub(super) windows: [usize; 2],
    /// Bytes in one message.
    pub(super) frame: usize,
}

/// See the module.
pub(super) struct Arrival {
    bounds: Bounds,
    /// The life has ended.
    over: bool,
    lanes: [Lane; 2],
    actors: Vec<AnyPid>,
    kinds: Vec<(Arc<str>, u16)>,
    backlogs: BTreeMap<Arc<str>, Backlog>,
    /// The transfer that is coming in.
    coming: Option<Coming>,
    /// Transfers that are complete and whose turn has not come.
    ready: BTreeMap<u64, Large>,
    /// Actors that wait for a transfer.
    awaited: BTreeMap<u64, Arc<str>>,
}

#[derive(Default)]
struct Lane {
    /// The number of the last frame that arrived.
    count: u64,
    /// Bytes of all frames that arrived.
    bytes: u64,
    /// Bytes of them that are kept here.
    kept: usize,
}

struct Coming {
    transfer: u64,
    total: usize,
    bytes: Vec<u8>,
}

/// What is parked for one actor.
#[derive(Default)]
struct Backlog {
    parked: VecDeque<Parked>,
    bytes: usize,
    held: bool,
    /// The message at the front is with this task, which waits for room in the mailbox.
    waiting: Option<Waiting>,
}

struct Waiting {
    bytes: usize,
    lane: usize,
    _task: Task,
}

enum Parked {
    Message {
        to: AnyPid,
        name: Arc<str>,
        version: u16,
        ask: Option<u64>,
        trace: Option<TraceContext>,
        body: Vec<u8>,
    },
    Transfer(u64),
}

impl Parked {
    fn bytes(&self) -> usize {
        match self {
            Parked::Message { body, .. } => FIXED + body.len(),
            Parked::Transfer(_) => FIXED,
        }
    }
}

/// What delivering needs.
#[derive(Clone, Copy)]
pub(super) struct Door<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) life: &'a Arc<Life>,
    pub(super) inbound: &'a Arc<dyn Inbound>,
}

impl Arrival {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            over: false,
            lanes: Default::default(),
            actors: Vec::new(),
            kinds: Vec::new(),
            backlogs: BTreeMap::new(),
            coming: None,
            ready: BTreeMap::new(),
            awaited: BTreeMap::new(),
        }
    }

    /// Whether the life has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The life ends; what is parked is dropped, and returned by name.
    pub(super) fn end(&mut self) -> Vec<(AnyPid, Arc<str>)> {
        self.over = true;
        self.coming = None;
        self.awaited.clear();
        let backlogs = std::mem::take(&mut self.backlogs);
        let parked = backlogs.into_values().flat_map(|backlog| backlog.parked);
        let mut lost = Vec::new();
        for parked in parked {
            match parked {
                Parked::Message { to, name, .. } => lost.push((to, name)),
                Parked::Transfer(id) => {
                    lost.extend(self.ready.remove(&id).map(|large| (large.to, large.name)));
                }
            }
        }
        lost
    }

    /// The number of the last frame that arrived on `lane`.
    pub(super) fn received(&self, lane: usize) -> u64 {
        self.lanes[lane].count
    }

    /// Bytes of them for which the peer gets credit back.
    pub(super) fn consumed(&self, lane: usize) -> u64 {
        let kept = self.lanes[lane].kept;
        self.lanes[lane].bytes - kept.saturating_sub(self.bounds.windows[lane]) as u64
    }

    /// Whether nothing is to be read for now.
    pub(super) fn must_wait(&self, lane: usize) -> Result<bool, Problem> {
        if self.over {
            return Err(Problem::Stopping);
        }
        let allowance = if lane == BULK { self.bounds.frame } else { 0 };
        Ok(self.lanes[lane].kept > 2 * self.bounds.windows[lane] + allowance)
    }

    /// Whether nothing is parked, or under way on the bulk lane.
    pub(super) fn is_clear(&self) -> bool {
        self.over || (self.backlogs.is_empty() && self.coming.is_none())
    }

    /// Counts frame `number` of `lane`; false for one that had arrived before.
    pub(super) fn count(
        &mut self,
        lane: usize,
        number: u64,
        bytes: usize,
    ) -> Result<bool, Problem> {
        let lane = &mut self.lanes[lane];
        let expected = lane.count + 1;
        if number > expected {
            return Err(Problem::Gap {
                expected,
                got: number,
            });
        }
        if number == expected {
            lane.count = number;
            lane.bytes += bytes as u64;
        }
        Ok(number == expected)
    }

    /// Adds to the table of actors.
    pub(super) fn learn_actor(
        &mut self,
        id: u32,
        name: &str,
        own: &NodeAddr,
        incarnation: u64,
    ) -> Result<(), Problem> {
        if id as usize != self.actors.len() || self.actors.len() >= ACTORS_MAX {
            return Err(Problem::Table);
        }
        let pid = AnyPid::of_incarnation(name.into(), own.clone(), incarnation);
        self.actors.push(pid);
        Ok(())
    }

    /// Adds to the table of types.
    pub(super) fn learn_kind(&mut self, id: u32, name: &str, version: u16) -> Result<(), Problem> {
        let sane = name.len() <= NAME_BYTES_MAX && self.kinds.len() < TYPES_MAX;
        if id as usize != self.kinds.len() || !sane {
            return Err(Problem::Table);
        }
        self.kinds.push((name.into(), version));
        Ok(())
    }

    /// Both tables begin anew.
    pub(super) fn forget(&mut self) {
        self.actors.clear();
        self.kinds.clear();
    }

    /// A message whose names are in the tables.
    pub(super) fn take(
        &mut self,
        door: Door<'_>,
        head: crate::frame::Head,
        body: &[u8],
    ) -> Result<(), Problem> {
        let to = self.actors.get(head.actor as usize);
        let (to, (name, version)) = to
            .zip(self.kinds.get(head.kind as usize))
            .ok_or(Problem::Table)?;
        let message = Arriving {
            to,
            name,
            version: *version,
            ask: head.ask,
            trace: head.trace,
            body,
        };
        if !self.backlogs.is_empty() && self.backlogs.contains_key(to.name()) {
            let parked = message.park();
            self.park(door, parked);
        } else if let Some(room) = door.inbound.on_message(&door.life.origin, message) {
            let (name, bytes) = (to.shared_name().clone(), FIXED + body.len());
            self.wait(door, name, room, bytes, MAIN);
        }
        Ok(())
    }

    /// A message with its names in full.
    pub(super) fn take_whole(&mut self, door: Door<'_>, message: Arriving<'_>) {
        if self.backlogs.contains_key(message.to.name()) {
            self.park(door, message.park());
        } else if let Some(room) = door.inbound.on_message(&door.life.origin, message) {
            let (name, bytes) = (message.to.shared_name().clone(), FIXED + message.body.len());
            self.wait(door, name, room, bytes, MAIN);
        }
    }

    /// The place of a transfer in the order.
    pub(super) fn announce(&mut self, door: Door<'_>, transfer: u64, actor: &str) {
        let name: Arc<str> = match self.backlogs.get_key_value(actor) {
            Some((name, _)) => name.clone(),
            None => actor.into(),
        };
        self.lanes[MAIN].kept += FIXED;
        let backlog = self.backlogs.entry(name.clone()).or_default();
        backlog.bytes += FIXED;
        backlog.parked.push_back(Parked::Transfer(transfer));
        let is_first = backlog.parked.len() == 1 && backlog.waiting.is_none();
        self.note_hold(door, &name);
        if is_first {
            self.go_on(door, &name);
        }
    }

    fn park(&mut self, door: Door<'_>, (name, parked): (Arc<str>, Parked)) {
        let bytes = parked.bytes();
        self.lanes[MAIN].kept += bytes;
        let backlog = self.backlogs.entry(name.clone()).or_default();
        backlog.bytes += bytes;
        backlog.parked.push_back(parked);
        self.note_hold(door, &name);
    }

    fn note_hold(&mut self, door: Door<'_>, name: &Arc<str>) {
        let hold = self.bounds.hold;
        if let Some(backlog) = self.backlogs.get_mut(name)
            && backlog.bytes > hold
            && !std::mem::replace(&mut backlog.held, true)
        {
            door.say(&Control::Hold(name.to_string()));
        }
    }

    /// Has a task wait for room in the mailbox of `name`.
    fn wait(
        &mut self,
        door: Door<'_>,
        name: Arc<str>,
        room: BoxFuture<'static, ()>,
        bytes: usize,
        lane: usize,
    ) {
        self.lanes[lane].kept += bytes;
        let task = attend(
            Arc::downgrade(door.core),
            door.life.clone(),
            name.clone(),
            room,
        );
        let backlog = self.backlogs.entry(name).or_default();
        backlog.waiting = Some(Waiting {
            bytes,
            lane,
            _task: Task::spawn(&door.core.runtime, task),
        });
    }

    /// Delivers what is parked for `name`, until the mailbox is full again or a transfer is missing.
    fn go_on(&mut self, door: Door<'_>, name: &Arc<str>) {
        loop {
            let Some(backlog) = self.backlogs.get_mut(name) else {
                return;
            };
            let Some(parked) = backlog.parked.front() else {
                break;
            };
            let (origin, inbound) = (&door.life.origin, door.inbound);
            let (room, bytes, lane) = match parked {
                Parked::Message {
                    to,
                    name,
                    version,
                    ask,
                    trace,
                    body,
                } => {
                    let message = Arriving {
                        to,
                        name,
                        version: *version,
                        ask: *ask,
                        trace: *trace,
                        body,
                    };
                    let room = inbound.on_message(origin, message);
                    (room, parked.bytes(), MAIN)
                }
                Parked::Transfer(id) => {
                    let Some(large) = self.ready.remove(id) else {
                        self.awaited.insert(*id, name.clone());
                        return;
                    };
                    let bytes = large.len();
                    self.lanes[BULK].kept -= bytes;
                    (
                        inbound.on_message(origin, Arriving::of(&large)),
                        bytes,
                        BULK,
                    )
                }
            };
            let freed = parked.bytes();
            backlog.parked.pop_front();
            backlog.bytes -= freed;
            self.lanes[MAIN].kept -= freed;
            if let Some(room) = room {
                return self.wait(door, name.clone(), room, bytes, lane);
            }
        }
        if self
            .backlogs
            .remove(name)
            .is_some_and(|backlog| backlog.held)
        {
            door.say(&Control::Release(name.to_string()));
        }
    }

    /// Part of a transfer.
    pub(super) fn chunk(
        &mut self,
        door: Door<'_>,
        decoder: &mut Decoder,
        transfer: u64,
        total: u64,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        let limit = self.bounds.frame;
        let size = usize::try_from(total).unwrap_or(usize::MAX);
        if size > limit {
            let bytes = size;
            return Err(FrameError::TooLarge { bytes, limit }.into());
        }
        let coming = self.coming.get_or_insert_with(|| Coming {
            transfer,
            total: size,
            // Only as much is taken as has arrived, whatever is claimed.
            bytes: Vec::with_capacity(bytes.len()),
        });
        let got = coming.bytes.len() + bytes.len();
        if coming.transfer != transfer || coming.total != size || got > size {
            return Err(Problem::Chunk);
        }
        if got > coming.bytes.capacity() && got * 4 > size {
            coming.bytes.reserve_exact(size - coming.bytes.len());
        }
        coming.bytes.extend_from_slice(bytes);
        if got < size {
            return Ok(());
        }
        let whole = self.coming.take().map_or(Vec::new(), |coming| coming.bytes);
        match decoder.assembled(whole)? {
            Assembled::Frame(frame) => door.inbound.on_frame(&door.life.origin, frame),
            Assembled::Message(large) => {
                self.lanes[BULK].kept += large.len();
                self.ready.insert(transfer, large);
                if let Some(name) = self.awaited.remove(&transfer) {
                    self.go_on(door, &name);
                }
            }
        }
        Ok(())
    }

    /// The message that waited for room is in the mailbox of `name`.
    fn made_room(&mut self, door: Door<'_>, name: &Arc<str>) {
        if let Some(backlog) = self.backlogs.get_mut(name)
            && let Some(waiting) = backlog.waiting.take()
        {
            self.lanes[waiting.lane].kept -= waiting.bytes;
            // Dropping the task here ends it, and it is the one that runs: at its next await.
            self.go_on(door, name);
        }
    }

    /// Tells the peer, on a new connection, which actors are held.
    pub(super) fn put_holds(&self, out: &mut BytesMut) {
        for (name, backlog) in &self.backlogs {
            if backlog.held {
                encode_control(&Control::Hold(name.to_string()), out);
            }
        }
    }
}

impl Arriving<'_> {
    fn park(&self) -> (Arc<str>, Parked) {
        let parked = Parked::Message {
            to: self.to.clone(),
            name: self.name.clone(),
            version: self.version,
            ask: self.ask,
            trace: self.trace,
            body: self.body.to_vec(),
        };
        (self.to.shared_name().clone(), parked)
    }

    fn of(large: &Large) -> Arriving<'_> {
        Arriving {
            to: &large.to,
            name: &large.name,
            version: large.version,
            ask: large.ask,
            trace: large.trace,
            body: large.body(),
        }
    }
}

impl Door<'_> {
    fn say(self, control: &Control) {
        if let Some(connection) = self.life.origin.peer.outbox.connection(MAIN) {
            connection.owe(control);
        }
    }
}

/// Waits for room in a mailbox, and then has the rest delivered.
async fn attend(core: Weak<Core>, life: Arc<Life>, name: Arc<str>, room: BoxFuture<'static, ()>) {
    room.await;
    let Some(core) = core.upgrade() else { return };
    let Some(inbound) = core.inbound() else {
        return;
    };
    let mut arrival = life.arrival();
    if arrival.is_over() {
        return;
    }
    let door = Door {
        core: &core,
        life: &life,
        inbound: &inbound,
    };
    arrival.made_room(door, &name);
    for lane in [MAIN, BULK] {
        if life.publish(&arrival, lane)
            && let Some(connection) = life.origin.peer.outbox.connection(lane)
        {
            connection.owe_ack();
        }
    }
    drop(arrival);
    life.eased.notify_waiters();
}
