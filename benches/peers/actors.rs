//! Messages between actors of one process, beside the peers in the same run: actix, a bare tokio
//! task with a channel, ractor, kameo.
//!
//! Cases: `tell` on one thread and across two, `ask` one by one and with 1,000 in flight, fan-in of
//! 1,000 tasks to one actor on another thread, a ring of 1,000 actors, spawn and stop, memory of an
//! idle actor. CPU time of the whole process an operation, medians of rounds that go through all
//! candidates in turn.
//!
//! `cargo bench --bench actors [-- CASE]`; `TEPUI_ROUNDS=n` (default 9).

#[path = "actors/bare.rs"]
mod bare;
#[path = "actors/cases.rs"]
mod cases;
#[path = "../figures.rs"]
mod figures;
#[path = "actors/idle.rs"]
mod idle;
#[path = "actors/kameos.rs"]
mod kameos;
#[path = "actors/ours.rs"]
mod ours;
#[path = "actors/peer.rs"]
mod peer;
#[path = "actors/plain.rs"]
mod plain;
#[path = "actors/ractors.rs"]
mod ractors;
#[path = "actors/rounds.rs"]
mod rounds;

use bare::Bare;
use kameos::Kameo;
use ours::Tepui;
use peer::Peer;
use plain::Actix;
use ractors::Ractor;
use rounds::{Candidate, Rounds};

/// A case: its figure, and who takes part with what.
type Case = (&'static str, fn() -> Vec<Candidate>);

/// The same of each peer, ours first.
macro_rules! each {
    ($case:ident($($argument:expr)?)) => {
        vec![
            cases::$case::<Tepui>($($argument)?),
            cases::$case::<Actix>($($argument)?),
            cases::$case::<Bare>($($argument)?),
            cases::$case::<Ractor>($($argument)?),
            cases::$case::<Kameo>($($argument)?),
        ]
    };
}

const CASES: &[Case] = &[
    ("actors/tell/same-worker", || each!(tell(false))),
    ("actors/tell/across-workers", || each!(tell(true))),
    ("actors/tell-many/same-worker", || {
        vec![ours::tell_many(), cases::tell::<Actix>(false)]
    }),
    ("actors/ask/same-worker", || each!(ask())),
    ("actors/ask/in-flight-1000", || each!(ask_in_flight())),
    ("actors/fan-in/across-workers", || each!(fan_in())),
    ("actors/ring-hop", || each!(ring())),
    ("actors/spawn-stop", || each!(spawn_stop())),
];

fn main() {
    if let Some(name) = idle::asked() {
        idle::print::<Tepui>(&name);
        idle::print::<Actix>(&name);
        idle::print::<Bare>(&name);
        idle::print::<Ractor>(&name);
        return idle::print::<Kameo>(&name);
    }
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let only = arguments.next().unwrap_or_default();
    for (name, candidates) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        Rounds::of(candidates()).run().record(name);
    }
    if "actors/idle-actor".contains(&only) {
        let others = [Actix::NAME, Bare::NAME, Ractor::NAME, Kameo::NAME];
        idle::record_figures(Tepui::NAME, &others);
    }
}
