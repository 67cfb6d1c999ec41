//! What waits for one peer, bounded in bytes, and who may add to it.
//!
//! While the link lives, frames are encoded at once (see `outgoing`); before that they wait as they
//! are. Senders never block: a full outbox refuses, or puts the sender in a line that is served in
//! order before anybody else. An actor whose mailbox is full over there is *held*: its senders are
//! refused, or wait in a line of their own, and others pass. Frames of links and monitors are admitted
//! beyond the bound (see [`Frame::is_system`]), and answers up to twice of it.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::BytesMut;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    connection::Shared,
    locked,
    outgoing::{Letter, Outgoing},
    peer::Event,
    sent::{Next, Poke},
};
use crate::{
    frame::{Control, Frame, Parcel, encode_control, wire::BULK},
    pid::NodeAddr,
};

/// An actor of the peer's that is held, or was said to be, at most.
const HELD_MAX: usize = 4096;
/// What a message takes beside its body, about.
const FIXED: usize = 64;

/// What became of a frame.
pub(super) enum Pushed {
    /// It is queued.
    Queued(Poke),
    /// There is no room.
    Full,
    /// The receiver's mailbox is full.
    Held,
    /// This outbox is no longer the peer's; look the peer up again.
    Closed,
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

/// Where frames go while there is no life of the link.
enum Rest {
    /// Nowhere yet; `told`: the driver knows that frames wait.
    Nobody { told: bool },
    /// The peer is this node: frames come in again.
    Itself { wake: Arc<Notify>, asleep: bool },
}

struct State {
    events: Events,
    out: Option<Outgoing>,
    frames: VecDeque<Frame>,
    bytes: usize,
    line: VecDeque<Waiter>,
    held: BTreeMap<Arc<str>, VecDeque<Waiter>>,
    rest: Rest,
    closed: bool,
}

/// See the module.
pub(super) struct Outbox {
    state: Mutex<State>,
    bytes_max: usize,
}

/// Whom an outbox tells that a connection is needed.
type Events = mpsc::UnboundedSender<Event>;

impl Outbox {
    pub(super) fn new(bytes_max: usize, events: Events) -> Self {
        let state = State {
            events,
            out: None,
            frames: VecDeque::new(),
            bytes: 0,
            line: VecDeque::new(),
            held: BTreeMap::new(),
            rest: Rest::Nobody { told: false },
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            bytes_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Queues a message, if there is room.
    pub(super) fn post(&self, letter: Letter<'_>) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        if !state.held.is_empty() && state.held.contains_key(letter.to.name()) {
            return Pushed::Held;
        }
        if !state.line.is_empty() || !state.has_room(letter.body.len() + FIXED, self.bytes_max) {
            return Pushed::Full;
        }
        let Some(out) = &mut state.out else {
            return Pushed::Queued(state.keep(owned(letter)));
        };
        let poke = out.put(letter);
        state.want_bulk();
        Pushed::Queued(poke)
    }

    /// Queues `frame`, if there is room; takes it only then.
    pub(super) fn push(&self, frame: &mut Option<Frame>) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        let Some(next) = frame.as_ref() else {
            return Pushed::Queued(Poke::Nothing);
        };
        if state.is_held(next) {
            return Pushed::Held;
        }
        let limit = match next {
            Frame::Reply { .. } => 2 * self.bytes_max,
            _ => self.bytes_max,
        };
        let in_turn = state.line.is_empty() || limit > self.bytes_max;
        let room = in_turn && state.has_room(next.weight(), limit);
        if !room && !next.is_system() {
            return Pushed::Full;
        }
        match frame.take() {
            Some(frame) => Pushed::Queued(state.put(frame)),
            None => Pushed::Queued(Poke::Nothing),
        }
    }

    /// Queues `frame`, or puts it in line.
    pub(super) fn push_or_wait(&self, frame: Frame) -> Waited {
        let mut frame = Some(frame);
        let pushed = self.push(&mut frame);
        let (Pushed::Full | Pushed::Held, Some(frame)) = (&pushed, frame) else {
            return Waited::Now(pushed);
        };
        let mut state = self.state();
        let weight = frame.weight();
        let (queued, later) = oneshot::channel();
        let waiter = Waiter {
            frame,
            weight,
            queued,
        };
        state.line.push_back(waiter);
        // The writer may have made room between the two locks, or the peer a life of its own.
        let poke = state.serve_line(self.bytes_max);
        drop(state);
        poke.carry_out();
        Waited::Later(later)
    }

    /// Begins a life of the link: what waits is encoded.
    pub(super) fn begin(&self, mut out: Outgoing) {
        let mut state = self.state();
        for frame in state.frames.drain(..) {
            // Nobody writes yet.
            let _ = out.put_frame(frame);
        }
        state.bytes = 0;
        state.out = Some(out);
        state.rest = Rest::Nobody { told: false };
        state.release_all();
        let poke = state.serve_line(self.bytes_max);
        drop(state);
        poke.carry_out();
    }

    /// Ends it: what cannot have arrived waits for the next one. The driver knows that.
    pub(super) fn end(&self, peer: &NodeAddr) {
        let mut state = self.state();
        let Some(out) = state.out.take() else { return };
        state.frames = out.end(peer).into();
        state.bytes = state.frames.iter().map(Frame::weight).sum();
        state.rest = Rest::Nobody {
            told: !state.frames.is_empty(),
        };
        state.release_all();
    }

    /// Lets `connection` carry the frames of `lane`, or nobody. With frames that need one: `true`.
    pub(super) fn appoint(&self, lane: usize, connection: Option<Arc<Shared>>) -> bool {
        let mut state = self.state();
        let Some(out) = &mut state.out else {
            return false;
        };
        let none = connection.is_none();
        out.lanes[lane].appoint(connection);
        none && lane == BULK && out.needs_bulk()
    }

    /// On another connection the peer says again which actors are held.
    pub(super) fn forget_holds(&self) {
        let mut state = self.state();
        state.release_all();
        let poke = state.serve_line(self.bytes_max);
        drop(state);
        poke.carry_out();
    }

    /// Whether transfers wait, or are under way.
    pub(super) fn needs_bulk(&self) -> bool {
        self.state().out.as_mut().is_some_and(Outgoing::needs_bulk)
    }

    /// The connection that carries `lane`.
    pub(super) fn connection(&self, lane: usize) -> Option<Arc<Shared>> {
        let state = self.state();
        state.out.as_ref()?.lanes[lane].connection().cloned()
    }

    /// What the writer of connection `number` writes next; `control` gets what goes before.
    pub(super) fn next(&self, lane: usize, number: u64, control: &mut BytesMut) -> Option<Next> {
        let mut state = self.state();
        let out = state.out.as_mut()?;
        if !out.lanes[lane].has_turn(number) {
            return None;
        }
        if let Some(first) = out.lanes[lane].resume() {
            encode_control(&Control::Resume { first }, control);
        }
        let next = out.next(lane);
        if next.is_some() && !state.line.is_empty() {
            let poke = state.serve_line(self.bytes_max);
            drop(state);
            poke.carry_out();
        }
        next
    }

    /// The peer has taken what it says.
    pub(super) fn acknowledged(&self, lane: usize, received: u64, consumed: Option<u64>) {
        let mut state = self.state();
        let Some(out) = &mut state.out else { return };
        let poke = out.lanes[lane].acknowledged(received, consumed);
        drop(state);
        poke.carry_out();
    }

    /// The peer asks for no more messages to an actor.
    pub(super) fn hold(&self, actor: &str) {
        let mut state = self.state();
        if state.held.len() < HELD_MAX {
            state.held.entry(actor.into()).or_default();
        }
    }

    /// The peer takes messages to an actor again.
    pub(super) fn release(&self, actor: &str) {
        let mut state = self.state();
        if let Some(waiters) = state.held.remove(actor) {
            state.line.extend(waiters);
            let poke = state.serve_line(self.bytes_max);
            drop(state);
            poke.carry_out();
        }
    }

    /// Takes out up to `max` frames that wait for no life. With none, the taker counts as asleep.
    pub(super) fn take(&self, batch: &mut Vec<Frame>, max: usize) {
        let mut state = self.state();
        let count = max.min(state.frames.len());
        batch.extend(state.frames.drain(..count));
        state.bytes -= batch.iter().map(Frame::weight).sum::<usize>();
        let _ = state.serve_line(self.bytes_max);
        if batch.is_empty()
            && state.frames.is_empty()
            && let Rest::Itself { asleep, .. } = &mut state.rest
        {
            *asleep = true;
        }
    }

    /// Takes everything out, also what stands in line.
    pub(super) fn take_all(&self) -> Vec<Frame> {
        let mut state = self.state();
        state.bytes = 0;
        if let Rest::Nobody { told } = &mut state.rest {
            *told = false;
        }
        state.release_all();
        let mut frames: Vec<Frame> = state.frames.drain(..).collect();
        let line = state.line.drain(..);
        frames.extend(line.filter_map(|waiter| waiter.queued.send(()).ok().map(|()| waiter.frame)));
        frames
    }

    /// Adds what another outbox had, whatever the bound.
    pub(super) fn append(&self, frames: Vec<Frame>) {
        let mut state = self.state();
        let put = frames.into_iter().map(|frame| state.put(frame));
        let poke = put.fold(Poke::Nothing, Poke::and);
        drop(state);
        poke.carry_out();
    }

    /// The peer is this node: whoever waits for `wake` takes the frames. It is taken for awake.
    pub(super) fn loop_to(&self, wake: Arc<Notify>) {
        self.state().rest = Rest::Itself {
            wake,
            asleep: false,
        };
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.state().is_empty()
    }

    /// Whether the outbox's use has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Ends its use, unless something waits in it.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        state.closed = state.is_empty();
        state.closed
    }

    /// Ends its use, and takes everything out.
    pub(super) fn close(&self) -> Vec<Frame> {
        self.state().closed = true;
        self.take_all()
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.bytes + self.out.as_ref().map_or(0, Outgoing::waiting)
    }

    fn has_room(&self, weight: usize, limit: usize) -> bool {
        let waiting = self.waiting();
        waiting == 0 || waiting + weight <= limit
    }

    fn is_empty(&self) -> bool {
        let held = self.held.values().all(VecDeque::is_empty);
        self.waiting() == 0 && self.frames.is_empty() && self.line.is_empty() && held
    }

    fn is_held(&self, frame: &Frame) -> bool {
        let (Frame::Tell(parcel) | Frame::Ask { parcel, .. }) = frame else {
            return false;
        };
        !self.held.is_empty() && self.held.contains_key(parcel.to.name())
    }

    fn put(&mut self, frame: Frame) -> Poke {
        let Some(out) = &mut self.out else {
            return self.keep(frame);
        };
        let poke = out.put_frame(frame);
        self.want_bulk();
        poke
    }

    fn want_bulk(&mut self) {
        if self.out.as_mut().is_some_and(Outgoing::wants_bulk) {
            // A driver that has ended has nothing to do with it any more.
            let _ = self.events.send(Event::BulkWanted);
        }
    }

    fn keep(&mut self, frame: Frame) -> Poke {
        self.bytes += frame.weight();
        self.frames.push_back(frame);
        match &mut self.rest {
            Rest::Itself { wake, asleep } => {
                if mem::take(asleep) {
                    wake.notify_one();
                }
            }
            Rest::Nobody { told } => {
                if !mem::replace(told, true) {
                    let _ = self.events.send(Event::Wanted);
                }
            }
        }
        Poke::Nothing
    }

    /// Nobody is held; those who waited for that stand in line.
    fn release_all(&mut self) {
        for (_, waiters) in mem::take(&mut self.held) {
            self.line.extend(waiters);
        }
    }

    /// Admits those in line for whom there is room; a sender that no longer waits is left out.
    fn serve_line(&mut self, bytes_max: usize) -> Poke {
        let mut first = Poke::Nothing;
        while let Some(waiter) = self.line.front() {
            if !waiter.queued.is_closed() && !self.has_room(waiter.weight, bytes_max) {
                break;
            }
            let Some(waiter) = self.line.pop_front() else {
                break;
            };
            if self.is_held(&waiter.frame) {
                self.wait_for_actor(waiter);
            } else if waiter.queued.send(()).is_ok() {
                first = first.and(self.put(waiter.frame));
            }
        }
        first
    }

    fn wait_for_actor(&mut self, waiter: Waiter) {
        let (Frame::Tell(parcel) | Frame::Ask { parcel, .. }) = &waiter.frame else {
            return;
        };
        if let Some(waiters) = self.held.get_mut(parcel.to.name()) {
            waiters.push_back(waiter);
        }
    }
}

/// The letter as a frame that can wait.
pub(super) fn owned(letter: Letter<'_>) -> Frame {
    let parcel = Parcel {
        to: letter.to.clone(),
        name: letter.name.into(),
        version: letter.version,
        trace: letter.trace.map(Box::new),
        body: mem::take(letter.body),
    };
    match letter.ask {
        Some(id) => Frame::Ask { id, parcel },
        None => Frame::Tell(parcel),
    }
}
