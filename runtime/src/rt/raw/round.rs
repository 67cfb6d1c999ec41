//! A turn of a life: in which order it is asked what, and when it sleeps. What an actor is, the
//! [`Life`] knows; so the same turn is explored by shuttle, which cannot run actix.
//!
//! ```text
//!  a turn:  signals -> what blocks -> { system lane, timers, messages } -> beside messages
//!              ^                                                                |
//!              +----------------------- while anything is new -----------------+
//! ```
//!
//! What comes later in that order is not looked at while something before it is pending, as with
//! actix's contexts. After `BUDGET` messages the turn ends, so that timers and the other actors of the
//! thread have theirs; at `PARTS` times that if the messages take next to no time.

use std::task::{Context, Poll};

use super::{
    mailbox::{Mailbox, Receiving, signal},
    place::{Taken, taken},
};

/// Messages in a turn, and in a further part of one that has time for it.
#[cfg(not(shuttle))]
const BUDGET: usize = 256;
#[cfg(shuttle)]
const BUDGET: usize = 2;
/// Parts of a turn.
#[cfg(not(shuttle))]
const PARTS: usize = 8;
#[cfg(shuttle)]
const PARTS: usize = 2;
/// So many messages before the end of a turn's first part the turn looks at the clock.
const EARLY: usize = BUDGET - BUDGET / 16;
/// Messages between two looks at the clock, for an actor with timers.
const TIMER_BUDGET: usize = 32;

/// What was handed over in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handed {
    /// All there was.
    All,
    /// Not all: the actor takes no more for now.
    Blocked,
    /// Not all: the turn is over.
    Spent,
}

/// What came of a look at the timers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timers {
    /// There was no need to look.
    Unasked,
    NoneDue,
    /// One was due, and was handled.
    Handled,
}

/// Whether a life is over.
pub(crate) enum Ending<E> {
    Lives,
    /// It was about to end and goes on after all.
    Refuses,
    Ends(E),
}

/// What takes turns. All is called by one thread at a time.
pub(crate) trait Life<T> {
    type End;

    /// A signal ends it now.
    fn end_at_once(&mut self, signals: u8) -> Self::End;

    /// Goes on with what keeps everything else out. True while there is such a thing.
    fn is_blocked(&mut self, cx: &mut Context<'_>) -> bool;

    /// It was told to stop.
    fn stop(&mut self);

    /// Whether messages and timers may be handled.
    fn receives(&mut self) -> bool;

    /// Handles a timer if one is due. `look`: it is time to look at the clock.
    fn timer(&mut self, look: bool, cx: &mut Context<'_>) -> Timers;

    /// Handles a message.
    fn open(&mut self, message: Taken<'_, T>);

    /// The first part of the turn is about to end: how long did it take?
    fn look_at_clock(&mut self);

    /// Whether the messages since [`Life::look_at_clock`] took so little time that more may follow.
    fn has_time(&mut self) -> bool;

    /// Goes on with what runs beside messages; true when that brought something new.
    fn beside(&mut self, handed: Handed, cx: &mut Context<'_>) -> bool;

    fn ending(&mut self) -> Ending<Self::End>;
}

/// Gives `life` a turn; ready when it has ended.
pub(crate) fn turn<T, L: Life<T>>(
    mailbox: &Mailbox<T>,
    receiving: &mut Receiving<'_, T>,
    life: &mut L,
    cx: &mut Context<'_>,
) -> Poll<L::End> {
    loop {
        let signals = mailbox.signals();
        if signals & signal::AT_ONCE != 0 {
            return Poll::Ready(life.end_at_once(signals));
        }
        if life.is_blocked(cx) {
            if receiving.sleep_deaf(cx.waker()) {
                return Poll::Pending;
            }
            continue;
        }
        if mailbox.signals() & signal::STOP != 0 {
            receiving.clear(signal::STOP);
            life.stop();
        }
        let handed = hand_over(mailbox, receiving, life, cx);
        if life.beside(handed, cx) {
            continue;
        }
        match life.ending() {
            Ending::Lives => {}
            Ending::Refuses => continue,
            Ending::Ends(end) => return Poll::Ready(end),
        }
        match handed {
            Handed::Spent => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Handed::All if receiving.sleep(cx.waker()) => return Poll::Pending,
            Handed::All | Handed::Blocked => {}
        }
    }
}

/// Has handled what is due, up to the budget.
fn hand_over<T, L: Life<T>>(
    mailbox: &Mailbox<T>,
    receiving: &mut Receiving<'_, T>,
    life: &mut L,
    cx: &mut Context<'_>,
) -> Handed {
    let (mut left, mut look, mut parts) = (BUDGET, 0, PARTS);
    loop {
        if !life.receives() || mailbox.signals() != 0 {
            return Handed::Blocked;
        }
        if let Some(notice) = receiving.pop_system() {
            taken(notice, |notice| life.open(notice));
            continue;
        }
        match life.timer(look == 0, cx) {
            Timers::Unasked => {}
            Timers::NoneDue => look = TIMER_BUDGET,
            Timers::Handled => continue,
        }
        if left == EARLY && parts == PARTS {
            life.look_at_clock();
        }
        if left == 0 {
            parts -= 1;
            if parts == 0 || !life.has_time() {
                return Handed::Spent;
            }
            left = BUDGET;
        }
        if receiving.pop_with(|message| life.open(message)).is_none() {
            return Handed::All;
        }
        left -= 1;
        look = look.saturating_sub(1);
    }
}
