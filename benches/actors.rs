//! Messages between actors of one process, beside plain actix in the same run.
//!
//! Cases: `tell` on one worker and across two, `ask` one by one and with 1,000 in flight, fan-in of
//! 1,000 tasks to one actor on another worker, a ring of 1,000 actors, spawn and stop, memory of an
//! idle actor. CPU time of the whole process an operation, medians of rounds that go through all
//! candidates in turn.
//!
//! `cargo bench --bench actors [-- CASE]`; `TEPUI_ROUNDS=n` (default 9).

mod figures;
#[path = "actors/idle.rs"]
mod idle;
#[path = "actors/ours.rs"]
mod ours;
#[path = "actors/plain.rs"]
mod plain;
#[path = "actors/rounds.rs"]
mod rounds;

use rounds::{Candidate, Rounds};

/// A case: its figure, and who takes part with what.
type Case = (&'static str, fn() -> Vec<Candidate>);

const CASES: &[Case] = &[
    ("actors/tell/same-worker", || {
        vec![ours::tell(None), plain::tell(false)]
    }),
    ("actors/tell/across-workers", || {
        vec![ours::tell(Some(1)), plain::tell(true)]
    }),
    ("actors/tell-many/same-worker", || {
        vec![ours::tell_many(), plain::tell(false)]
    }),
    ("actors/ask/same-worker", || vec![ours::ask(), plain::ask()]),
    ("actors/ask/in-flight-1000", || {
        vec![ours::ask_in_flight(), plain::ask_in_flight()]
    }),
    ("actors/fan-in/across-workers", || {
        vec![ours::fan_in(), plain::fan_in()]
    }),
    ("actors/ring-hop", || vec![ours::ring(), plain::ring()]),
    ("actors/spawn-stop", || {
        vec![ours::spawn_stop(), plain::spawn_stop()]
    }),
];

fn main() {
    if let Some(kind) = std::env::var_os("TEPUI_BENCH_IDLE") {
        return idle::child(&kind.to_string_lossy());
    }
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let only = arguments.next().unwrap_or_default();
    for (name, candidates) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        Rounds::of(candidates()).run().record(name);
    }
    if "actors/idle-actor".contains(&only) {
        idle::record_figures();
    }
}
