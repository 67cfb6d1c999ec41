//! The owner of a shard: applies batches of events to the engine, decides, hands out what came of it, and
//! publishes snapshots.
//!
//! ```text
//!        +--------------------------- a turn --------------------------+
//!   drain a batch --> apply its events in order --> decide, up to a bound --> sink(events, outcomes)
//!        ^                                                                          |
//!        +--- more to decide, or events come <-- snapshot, after many, or a pause <-+
//! ```
//! Nothing here but the order of events hangs on threads: the same turns give the same outcomes on one thread
//! ([`Owner::turn`]), to the bit.

use std::time::Duration;

use super::{
    board::Board,
    event::{Event, Named, Outcome},
    ingest::Intake,
    snapshot::Snapshot,
};
use crate::engine::{Agent, Engine, Refused, Seat, Slot};

/// Events of one producer in a turn at most: what a turn may delay an event, about a millisecond with four of them.
const BATCH: usize = if cfg!(shuttle) { 2 } else { 256 };

/// Events and decisions at least between two snapshots, while there is no pause.
const UNSEEN: usize = if cfg!(shuttle) { 2 } else { 4096 };

/// The pause after which a snapshot is published. Nothing but that hangs on time.
const MOMENT: Duration = Duration::from_millis(5);

/// The answer to the event of a tag.
type Answer = (u64, Result<Named, Refused>);

/// Who may stand otherwise after an event, and the answer to it.
struct Effect(Option<Slot<Seat>>, Option<Slot<Agent>>, Option<Answer>);

/// An engine, and what its readers see of it.
#[derive(Clone, Debug)]
pub struct Owner<const L: usize> {
    engine: Engine<L>,
    shown: Snapshot<L>,
    /// Events and decisions since the last snapshot.
    unseen: usize,
}

impl<const L: usize> Owner<L> {
    /// Takes over an engine, which has the roles that there will be.
    pub fn new(engine: Engine<L>) -> Self {
        let shown = Snapshot::of(&engine);
        Self {
            engine,
            shown,
            unseen: 0,
        }
    }

    /// A board for readers of this shard.
    pub fn board(&self) -> Board<Snapshot<L>> {
        Board::new(self.shown.clone())
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<L> {
        &self.engine
    }

    /// One turn: applies these events in order, then decides. Adds what came of it to `out`; true if there may be
    /// more to decide.
    pub fn turn(&mut self, events: &[Event<L>], out: &mut Vec<Outcome>) -> bool {
        let before = out.len();
        for event in events {
            if let Some((tag, answer)) = self.apply(event) {
                out.push(Outcome::Answered { tag, answer });
            }
        }
        // As many as there are events, or what is wanted would pile up behind events that come without a pause.
        let most = BATCH.max(events.len());
        let decisions = std::iter::from_fn(|| self.decide()).take(most);
        let from = out.len();
        out.extend(decisions);
        let decided = out.len() - from;
        self.shown.turns += 1;
        self.shown.events += events.len() as u64;
        self.shown.decisions += decided as u64;
        self.unseen += events.len() + out.len() - before;
        decided == most
    }

    /// Takes turns on this thread until the intake is at its end and nothing more is to be decided. `sink` is
    /// given the events of each turn and what came of them; what it keeps is enough to do the same again.
    pub fn run(
        &mut self,
        mut intake: Intake<Event<L>>,
        board: &Board<Snapshot<L>>,
        mut sink: impl FnMut(&[Event<L>], &[Outcome]),
    ) {
        let (mut events, mut outcomes) = (Vec::new(), Vec::new());
        let mut more = false;
        while more || self.wait(&intake, board) {
            events.clear();
            outcomes.clear();
            intake.drain(BATCH, &mut events);
            more = self.turn(&events, &mut outcomes);
            sink(&events, &outcomes);
            if self.unseen >= UNSEEN.max(16 * self.shown.cost()) {
                self.publish(board);
            }
        }
        self.publish(board);
    }

    /// Waits for events; when none have come for a moment, readers are shown how things stand.
    fn wait(&mut self, intake: &Intake<Event<L>>, board: &Board<Snapshot<L>>) -> bool {
        if self.unseen > 0 && !intake.wait_for(MOMENT) {
            self.publish(board);
        }
        intake.wait()
    }

    /// Shows readers how things stand, if that has changed. A board of which all places are in use is left as it
    /// is until the next time.
    pub fn publish(&mut self, board: &Board<Snapshot<L>>) {
        if self.unseen > 0 {
            self.shown.sum_up(&self.engine);
            if board.publish(self.shown.clone()) {
                self.unseen = 0;
            }
        }
    }

    fn decide(&mut self) -> Option<Outcome> {
        let made = self.engine.decide()?;
        self.shown.note_seat(&self.engine, made.seat);
        self.shown.note_agent(&self.engine, made.agent);
        Some(Outcome::Decided(made))
    }

    fn apply(&mut self, event: &Event<L>) -> Option<Answer> {
        let Effect(seat, agent, answer) = self.engine_is_told(event);
        if let Some(seat) = seat {
            self.shown.note_seat(&self.engine, seat);
        }
        if let Some(agent) = agent {
            self.shown.note_agent(&self.engine, agent);
        }
        answer
    }

    fn engine_is_told(&mut self, event: &Event<L>) -> Effect {
        let engine = &mut self.engine;
        let done = |done: Result<(), Refused>| done.map(|()| Named::Done);
        match *event {
            Event::AddAgent { total, tag } => {
                let added = engine.add_agent(total);
                Effect(None, added.ok(), Some((tag, added.map(Named::Agent))))
            }
            Event::ResizeAgent { agent, total, tag } => {
                let answer = done(engine.resize_agent(agent, total));
                Effect(None, Some(agent), Some((tag, answer)))
            }
            Event::RemoveAgent { agent, tag } => {
                let answer = done(engine.remove_agent(agent));
                Effect(None, Some(agent), Some((tag, answer)))
            }
            Event::CloseAgent { agent } => {
                engine.close_agent(agent);
                Effect(None, Some(agent), None)
            }
            Event::OpenAgent { agent } => {
                engine.open_agent(agent);
                Effect(None, Some(agent), None)
            }
            Event::AddFramework {
                role,
                weight,
                demand,
                tag,
            } => {
                let added = engine.add_framework(role, weight, demand);
                Effect(added.ok(), None, Some((tag, added.map(Named::Framework))))
            }
            Event::RemoveFramework { seat, tag } => {
                let answer = done(engine.remove_framework(seat));
                Effect(Some(seat), None, Some((tag, answer)))
            }
            Event::SetDemand { seat, demand } => {
                engine.set_demand(seat, demand);
                Effect(None, None, None)
            }
            Event::Want { seat, more } => {
                engine.want(seat, more);
                Effect(Some(seat), None, None)
            }
            Event::End { task } => {
                let of = engine.task(task);
                engine.end(task);
                Effect(of.map(|of| of.0), of.map(|of| of.1), None)
            }
            Event::Refuse { seat, agent, until } => {
                engine.refuse(seat, agent, until);
                Effect(None, None, None)
            }
            Event::Revive { seat } => {
                engine.revive(seat);
                Effect(None, None, None)
            }
            Event::Advance { tick } => {
                engine.advance(tick);
                Effect(None, None, None)
            }
        }
    }
}
