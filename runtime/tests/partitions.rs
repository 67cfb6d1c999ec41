//! Membership and reliable delivery over a simulated network with partitions: `turmoil` carries
//! the nodes' connections, and a seed is the same run twice.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{
    membership::{Membership, MembershipConfig, NodeEvent},
    prelude::*,
    reliable::{ReliableOptions, ReliablePid},
    transport::Turmoil,
};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const EPOCH_MICROS: u64 = 946_684_800_000_000;
/// Sent from `a` to `b`, five a second.
const NOTES: u64 = 400;

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "test.Note")]
struct Note(u64);

type Notes = Arc<Mutex<Vec<u64>>>;
type Log = Arc<Mutex<Vec<String>>>;

struct Clerk(Notes);

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Handler<Note> for Clerk {
    type Result = ();

    fn handle(&mut self, note: Note, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(note.0);
    }
}

accepts!(Clerk: Note);

async fn software(host: &'static str, log: Log, notes: Notes) -> turmoil::Result {
    let node = Node::builder(NodeAddr::new(host, 1))
        .local()
        .transport(Arc::new(Turmoil))
        .seed(u64::from(host.as_bytes()[0]))
        .start_time(EPOCH_MICROS)
        .heartbeat(Duration::from_millis(500), Duration::from_secs(3))
        .start()
        .await?;
    let config = MembershipConfig::default().seeds([NodeAddr::new("a", 1)]);
    let membership = Membership::join(&node, config)?;
    let mut events = membership.watch(1_000);
    let clerk = node.spawn("clerk", Clerk(notes))?;
    membership.group("clerks").join(clerk.as_any())?;
    let to = AnyPid::new("clerk", NodeAddr::new("b", 1))?;
    let options = ReliableOptions {
        give_up_after: Duration::from_secs(600),
        ..ReliableOptions::default()
    };
    let reliable = ReliablePid::<Clerk>::new(&node, &to, options);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut next = 0;
    loop {
        tokio::select! {
            biased;
            event = events.next() => {
                let line = match event.unwrap() {
                    NodeEvent::Up { node } => format!("{host}: {} up", node.host()),
                    NodeEvent::Down { node } => format!("{host}: {} down", node.host()),
                    _ => unreachable!("all kinds"),
                };
                let at = turmoil::sim_elapsed().unwrap_or_default().as_secs();
                log.lock().unwrap().push(format!("{at} {line}"));
            }
            _ = tick.tick() => {
                if host == "a" && next < NOTES {
                    drop(reliable.try_send(Note(next))?);
                    next += 1;
                }
                let count = membership.group("clerks").members().len();
                let line = format!("{host}: {count} clerks");
                let mut log = log.lock().unwrap();
                if !log.iter().rev().any(|l| l.ends_with(&line)) {
                    log.push(format!("- {line}"));
                }
            }
        }
    }
}

/// `a` and `b` are cut off from each other, then `b` from both; then there is peace.
fn simulate(seed: u64) -> (Vec<String>, Vec<u64>) {
    let (log, notes) = (Log::default(), Notes::default());
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(600))
        .max_message_latency(Duration::from_millis(40))
        .build();
    for host in HOSTS {
        let (log, notes) = (log.clone(), notes.clone());
        let notes = if host == "b" { notes } else { Notes::default() };
        sim.host(host, move || software(host, log.clone(), notes.clone()));
    }
    let until = |sim: &mut turmoil::Sim<'_>, seconds: u64| {
        while sim.elapsed() < Duration::from_secs(seconds) {
            sim.step().unwrap();
        }
    };
    until(&mut sim, 10);
    log.lock().unwrap().push("cut a-b".into());
    sim.partition("a", "b");
    until(&mut sim, 30);
    log.lock().unwrap().push("cut b".into());
    sim.partition("c", "b");
    until(&mut sim, 60);
    log.lock().unwrap().push("heal".into());
    sim.repair("a", "b");
    sim.repair("c", "b");
    until(&mut sim, 180);
    let log = log.lock().unwrap().clone();
    let notes = notes.lock().unwrap().clone();
    (log, notes)
}

/// The events between two marks, sorted, without their times.
fn events(log: &[String], from: &str, to: &str) -> Vec<String> {
    let after = log.iter().skip_while(|line| *line != from);
    let between = after.skip(1).take_while(|line| *line != to);
    let event = |line: &String| line.split_once(' ').unwrap().1.to_owned();
    let mut events: Vec<String> = between
        .map(event)
        .filter(|event| event.ends_with("up") || event.ends_with("down"))
        .collect();
    events.sort();
    events
}

#[test]
fn only_who_is_cut_off_from_all_is_down_and_no_message_is_lost_or_doubled() {
    for seed in 0..3 {
        let (log, notes) = simulate(seed);
        let none: [&str; 0] = [];
        assert_eq!(
            events(&log, "cut a-b", "cut b"),
            none,
            "c probes for both: {log:?}"
        );
        let expected = ["a: b down", "b: a down", "b: c down", "c: b down"];
        assert_eq!(events(&log, "cut b", "heal"), expected, "seed {seed}");
        let expected = ["a: b up", "b: a up", "b: c up", "c: b up"];
        assert_eq!(events(&log, "heal", ""), expected, "seed {seed}");
        assert!(notes.iter().copied().eq(0..NOTES), "seed {seed}: {notes:?}");
    }
}

#[test]
fn a_seed_is_the_same_run_twice() {
    assert_eq!(simulate(7), simulate(7));
}
