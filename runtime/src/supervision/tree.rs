//! What a supervisor decides: a pure state machine over its children.
//!
//! ```text
//!            Start            started            Stop, or a sweep
//!   Down ------------> Starting ----> Up ----------------------------> Stopping
//!    ^ ^                  |            |                                  |
//!    | +-- back-off over  +-- ended ---+-- again? --no--> removed         | ended
//!    |        |                          |                                |
//!    |     Pausing <--- one for one -----+--- all, rest: a sweep          |
//!    +---------------------------------------------------------------- ---+
//! ```
//!
//! A *sweep* takes all children from one on down, the last first and one at a time, and then has
//! those that are to live started in order. One for all and rest for one are sweeps; so is the end
//! of the supervisor, after which it finishes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    ChildKind,
    intensity::{BackOff, Limit, Restarts, micros},
};
use crate::ExitReason;

/// Numbers the children of a supervisor in the order in which they were added.
pub(crate) type ChildId = u64;

/// Whom the end of a child concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) strategy: Strategy,
    pub(crate) limit: Limit,
    pub(crate) back_off: BackOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Pausing,
    Starting,
    Up,
    Stopping,
}

#[derive(Debug)]
struct Child {
    kind: ChildKind,
    stop_within: Duration,
    state: State,
    /// To be removed when it is down.
    leaving: bool,
    /// Added at run time and not yet up: its failure is its adder's to deal with.
    on_trial: bool,
    /// Restarts in a row, and the last of them.
    row: (usize, u64),
}

/// What a pause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    Child(ChildId),
    Group(u64),
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start the child, or give it another life.
    Start(ChildId),
    /// Ask it to stop, and call [`Tree::too_slow`] after the span.
    Stop(ChildId, Duration),
    Kill(ChildId),
    /// It is removed: no other life.
    Bury(ChildId),
    /// It did not come up, and is removed.
    Refuse(ChildId, ExitReason),
    /// Call [`Tree::resume`] after the span.
    Pause(Pause, Duration),
    /// The supervisor ends: as failed if there is a text.
    Finish(Option<String>),
}

/// A supervisor's children.
#[derive(Debug)]
pub(crate) struct Tree {
    policy: Policy,
    next: ChildId,
    children: BTreeMap<ChildId, Child>,
    /// Those that are not down.
    alive: BTreeSet<ChildId>,
    /// Those that are to be started, one at a time.
    waiting: BTreeSet<ChildId>,
    starting: Option<ChildId>,
    restarts: Restarts,
    /// All from here on go down.
    sweep: Option<ChildId>,
    /// How long they then stay down.
    pause: Duration,
    /// Counts the pauses of groups; `Some` while one lasts.
    pausing: Option<u64>,
    pauses: u64,
    /// The supervisor ends when all are down.
    ending: Option<Option<String>>,
    finished: bool,
}

impl Tree {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            next: 0,
            children: BTreeMap::new(),
            alive: BTreeSet::new(),
            waiting: BTreeSet::new(),
            starting: None,
            restarts: Restarts::default(),
            sweep: None,
            pause: Duration::ZERO,
            pausing: None,
            pauses: 0,
            ending: None,
            finished: false,
        }
    }

    /// Adds a child behind the others and starts it when those before it are up. `None` when the
    /// supervisor is ending.
    pub(crate) fn add(
        &mut self,
        kind: ChildKind,
        stop_within: Duration,
        on_trial: bool,
        out: &mut Vec<Effect>,
    ) -> Option<ChildId> {
        if self.ending.is_some() || self.finished {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let child = Child {
            kind,
            stop_within,
            state: State::Down,
            leaving: false,
            on_trial,
            row: (0, 0),
        };
        self.children.insert(id, child);
        self.waiting.insert(id);
        self.advance(out);
        Some(id)
    }

    /// A child is up.
    pub(crate) fn started(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        if self.starting == Some(id) {
            self.starting = None;
        }
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.on_trial = false;
        if child.state == State::Starting {
            child.state = State::Up;
            if child.leaving {
                self.stop(id, out);
            }
        }
        self.advance(out);
    }

    /// A child is down, at `now` in microseconds; `for_good` if it wants no other life.
    pub(crate) fn ended(
        &mut self,
        id: ChildId,
        reason: &ExitReason,
        for_good: bool,
        now: u64,
        out: &mut Vec<Effect>,
    ) {
        if self.starting == Some(id) {
            self.starting = None;
        }
        self.alive.remove(&id);
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let ordered = child.state == State::Stopping;
        child.state = State::Down;
        let again = !for_good
            && match child.kind {
                ChildKind::Permanent => true,
                ChildKind::Transient => !reason.is_normal(),
                ChildKind::Temporary => false,
            };
        if child.on_trial {
            self.remove(id);
            out.push(Effect::Refuse(id, reason.clone()));
        } else if child.leaving || self.ending.is_some() {
            self.bury(id, out);
        } else if ordered {
            // Taken down with another: temporary ones do not come back.
            if child.kind == ChildKind::Temporary {
                self.bury(id, out);
            } else {
                self.waiting.insert(id);
            }
        } else if !again {
            self.bury(id, out);
        } else {
            self.restart(id, reason, now, out);
        }
        self.advance(out);
    }

    /// The child did not stop in time.
    pub(crate) fn too_slow(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        if self.state(id) == Some(State::Stopping) {
            out.push(Effect::Kill(id));
        }
    }

    /// A pause is over.
    pub(crate) fn resume(&mut self, pause: Pause, out: &mut Vec<Effect>) {
        match pause {
            Pause::Child(id) if self.state(id) == Some(State::Pausing) => self.start(id, out),
            Pause::Group(n) if self.pausing == Some(n) => {
                self.pausing = None;
                self.advance(out);
            }
            _ => {}
        }
    }

    /// Stops a child and removes it.
    pub(crate) fn stop_child(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.leaving = true;
        match child.state {
            State::Down | State::Pausing => self.bury(id, out),
            State::Up => self.stop(id, out),
            State::Starting | State::Stopping => {}
        }
        self.advance(out);
    }

    /// Stops all children, the last first, and finishes.
    pub(crate) fn stop_all(&mut self, out: &mut Vec<Effect>) {
        self.end(None, out);
    }

    /// The children, with whether they are up.
    pub(crate) fn children(&self) -> impl Iterator<Item = (ChildId, bool)> {
        self.children
            .iter()
            .map(|(&id, child)| (id, child.state == State::Up))
    }

    /// Whether the child is to come up now.
    pub(crate) fn is_starting(&self, id: ChildId) -> bool {
        self.state(id) == Some(State::Starting)
    }

    fn state(&self, id: ChildId) -> Option<State> {
        self.children.get(&id).map(|child| child.state)
    }

    fn end(&mut self, why: Option<String>, out: &mut Vec<Effect>) {
        if self.ending.is_none() && !self.finished {
            self.ending = Some(why);
            self.sweep = Some(0);
            self.pausing = None;
            self.advance(out);
        }
    }

    fn restart(&mut self, id: ChildId, reason: &ExitReason, now: u64, out: &mut Vec<Effect>) {
        let limit = self.policy.limit;
        if self.restarts.count(limit, now).is_none() {
            let (max, within) = (limit.max, limit.within);
            let text = format!("a child {reason}: more than {max} restarts within {within:?}");
            return self.end(Some(text), out);
        }
        let child = self.children.get_mut(&id).expect("a child that ended");
        let (row, last) = child.row;
        let in_a_row = row > 0 && now.saturating_sub(last) < micros(limit.within);
        let row = if in_a_row { row } else { 0 };
        child.row = (row + 1, now);
        let pause = self.policy.back_off.pause(row);
        let from = match self.policy.strategy {
            Strategy::OneForOne => return self.restart_one(id, pause, out),
            Strategy::OneForAll => 0,
            Strategy::RestForOne => id,
        };
        self.waiting.insert(id);
        self.pause = self.pause.max(pause);
        self.pausing = None;
        self.sweep = Some(self.sweep.map_or(from, |sweep| sweep.min(from)));
    }

    fn restart_one(&mut self, id: ChildId, pause: Duration, out: &mut Vec<Effect>) {
        if pause.is_zero() {
            return self.start(id, out);
        }
        let child = self.children.get_mut(&id).expect("a child that ended");
        child.state = State::Pausing;
        out.push(Effect::Pause(Pause::Child(id), pause));
    }

    fn start(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        let child = self.children.get_mut(&id).expect("a child that is down");
        child.state = State::Starting;
        self.alive.insert(id);
        out.push(Effect::Start(id));
    }

    fn stop(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        let child = self.children.get_mut(&id).expect("a child that is up");
        child.state = State::Stopping;
        out.push(Effect::Stop(id, child.stop_within));
    }

    fn remove(&mut self, id: ChildId) {
        self.children.remove(&id);
        self.waiting.remove(&id);
        self.alive.remove(&id);
    }

    fn bury(&mut self, id: ChildId, out: &mut Vec<Effect>) {
        self.remove(id);
        out.push(Effect::Bury(id));
    }

    /// The next step of a sweep, or else of a start in order.
    fn advance(&mut self, out: &mut Vec<Effect>) {
        if let Some(from) = self.sweep {
            if let Some(&last) = self.alive.range(from..).next_back() {
                // Starting or stopping: it will be heard of.
                if self.state(last) == Some(State::Up) {
                    self.stop(last, out);
                }
                return;
            }
            self.sweep = None;
            if let Some(why) = self.ending.take() {
                return self.finish(why, out);
            }
            let pause = std::mem::take(&mut self.pause);
            if !pause.is_zero() {
                self.pauses += 1;
                self.pausing = Some(self.pauses);
                out.push(Effect::Pause(Pause::Group(self.pauses), pause));
            }
        }
        if self.pausing.is_none()
            && self.starting.is_none()
            && let Some(id) = self.waiting.pop_first()
        {
            self.starting = Some(id);
            self.start(id, out);
        }
    }

    fn finish(&mut self, why: Option<String>, out: &mut Vec<Effect>) {
        self.finished = true;
        let rest: Vec<ChildId> = self.children.keys().rev().copied().collect();
        for id in rest {
            self.bury(id, out);
        }
        out.push(Effect::Finish(why));
    }
}

#[cfg(test)]
mod tests;
