//! What goes wrong in a simulated cluster, and when: what the runtime's simulation has, and what
//! happens to machines.

use std::{fmt, time::Duration};

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tepui_runtime::testkit::sim::{self, AnyFault, micros};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fault {
    /// Of a machine.
    Machine(MachineFault),
    /// Of the network, a host's process or its clock.
    Host(sim::Fault),
}

/// What happens to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MachineFault {
    /// It loses power: agent, executors and tasks at once, without a word on the network.
    PowerCut {
        /// Which, from 1 on.
        machine: usize,
        /// It boots after this time.
        #[serde(rename = "span_us", with = "micros")]
        down: Duration,
    },
    /// An executor is killed.
    KillExecutor {
        /// On which machine.
        machine: usize,
        /// Which of those around.
        pick: usize,
    },
    /// A task's process is killed.
    KillTask {
        /// On which machine.
        machine: usize,
        /// Which of those around.
        pick: usize,
    },
}

impl From<sim::Fault> for Fault {
    fn from(fault: sim::Fault) -> Self {
        Fault::Host(fault)
    }
}

impl From<MachineFault> for Fault {
    fn from(fault: MachineFault) -> Self {
        Fault::Machine(fault)
    }
}

impl AnyFault for Fault {
    fn span(&self) -> Option<Duration> {
        match self {
            Fault::Host(fault) => fault.span(),
            Fault::Machine(MachineFault::PowerCut { down, .. }) => Some(*down),
            Fault::Machine(_) => None,
        }
    }
}

/// Faults, each with its time, in their order.
pub type Schedule = sim::Schedule<Fault>;

/// What there is to go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Machines, each with an agent and its executors.
    pub machines: usize,
    /// Frameworks.
    pub frameworks: usize,
    /// Faults start before this time.
    pub until: Duration,
    /// Faults, at most.
    pub most: usize,
}

/// The agent of a machine.
pub fn agent(machine: usize) -> String {
    format!("agent-{machine}")
}

/// The host of a machine's executors and tasks.
pub fn executors(machine: usize) -> String {
    format!("exec-{machine}")
}

/// A framework, from 1 on.
pub fn framework(number: usize) -> String {
    format!("framework-{number}")
}

/// Draws crashes, cuts, losses, slowness and what happens to machines.
pub fn draw(rng: &mut StdRng, shape: &Shape) -> Schedule {
    let count = rng.random_range(1..=shape.most);
    timed(rng, shape, count, draw_one)
}

/// Draws faults of the other kinds, beside those: one-way cuts, slow links, wrong clocks.
pub fn draw_more(rng: &mut StdRng, shape: &Shape) -> Schedule {
    let count = rng.random_range(0..=shape.most / 3);
    timed(rng, shape, count, draw_one_more)
}

fn timed(
    rng: &mut StdRng,
    shape: &Shape,
    count: usize,
    draw: impl Fn(&mut StdRng, &Shape) -> Fault,
) -> Schedule {
    let until = shape.until.as_millis() as u64;
    let faults = (0..count).map(|_| {
        let at = Duration::from_millis(rng.random_range(500..until));
        (at, draw(rng, shape))
    });
    faults.collect::<Vec<_>>().into_iter().collect()
}

fn span(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..most))
}

fn draw_one(rng: &mut StdRng, shape: &Shape) -> Fault {
    let machine = rng.random_range(1..=shape.machines);
    let pick = rng.random_range(0..64);
    let crash = |host: String, down| sim::Fault::Crash { host, down }.into();
    match rng.random_range(0..21) {
        0..3 => crash(agent(machine), span(rng, 50, 12_000)),
        3..6 => crash("master".to_owned(), span(rng, 50, 8_000)),
        6..8 => {
            let host = framework(rng.random_range(1..=shape.frameworks));
            crash(host, span(rng, 50, 8_000))
        }
        8 => {
            let down = span(rng, 1_000, 20_000);
            MachineFault::PowerCut { machine, down }.into()
        }
        9..12 => MachineFault::KillExecutor { machine, pick }.into(),
        12..14 => MachineFault::KillTask { machine, pick }.into(),
        14..16 => {
            let (a, b) = peers(rng, shape);
            let span = span(rng, 200, 20_000);
            sim::Fault::Cut { a, b, span }.into()
        }
        16 => {
            let (from, to) = peers(rng, shape);
            let span = span(rng, 200, 15_000);
            sim::Fault::CutOneWay { from, to, span }.into()
        }
        17 => {
            // Between agent and executors: on one machine, but a link can break.
            let (a, b) = (agent(machine), executors(machine));
            let span = span(rng, 200, 9_000);
            sim::Fault::Cut { a, b, span }.into()
        }
        18..20 => {
            let ((a, b), per_mille) = (peers(rng, shape), rng.random_range(1..30));
            let span = span(rng, 500, 15_000);
            sim::Fault::Loss {
                a,
                b,
                per_mille,
                span,
            }
            .into()
        }
        _ => {
            let (latency, span) = (span(rng, 100, 800), span(rng, 500, 10_000));
            sim::Fault::Slow { latency, span }.into()
        }
    }
}

fn draw_one_more(rng: &mut StdRng, shape: &Shape) -> Fault {
    let machine = rng.random_range(1..=shape.machines);
    let kind = rng.random_range(0..7);
    let (mut a, mut b) = peers(rng, shape);
    if kind % 3 == 2 {
        // Between agent and executors, in either direction.
        (a, b) = (agent(machine), executors(machine));
        if rng.random_bool(0.5) {
            std::mem::swap(&mut a, &mut b);
        }
    }
    match kind {
        0..3 => {
            let span = span(rng, 200, 15_000);
            sim::Fault::CutOneWay {
                from: a,
                to: b,
                span,
            }
        }
        3..6 => {
            let (latency, span) = (span(rng, 200, 3_000), span(rng, 500, 15_000));
            sim::Fault::SlowLink {
                a,
                b,
                latency,
                span,
            }
        }
        _ => draw_skew(rng, shape, machine),
    }
    .into()
}

/// The clock of a master, an agent, its executors or a framework: seconds off, or an hour.
fn draw_skew(rng: &mut StdRng, shape: &Shape, machine: usize) -> sim::Fault {
    let host = match rng.random_range(0..8) {
        0..3 => "master".to_owned(),
        3..6 => agent(machine),
        6 => executors(machine),
        _ => framework(rng.random_range(1..=shape.frameworks)),
    };
    let most = [2_000, 30_000, 3_600_000][rng.random_range(0..3)];
    sim::Fault::Skew {
        host,
        offset_ms: rng.random_range(-most..most),
        drift_ppm: rng.random_range(-500..500),
        span: span(rng, 1_000, 25_000),
    }
}

/// Two hosts that talk to each other over the network, in either order.
fn peers(rng: &mut StdRng, shape: &Shape) -> (String, String) {
    let other = match rng.random_range(0..=shape.machines + shape.frameworks) {
        n if n < shape.frameworks => framework(n + 1),
        n => agent((n - shape.frameworks) % shape.machines + 1),
    };
    match rng.random_bool(0.5) {
        true => ("master".to_owned(), other),
        false => (other, "master".to_owned()),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Host(fault) => write!(f, "{fault}"),
            Fault::Machine(MachineFault::PowerCut { machine, down }) => {
                write!(f, "machine {machine} is without power for {down:?}")
            }
            Fault::Machine(MachineFault::KillExecutor { machine, pick }) => {
                write!(f, "executor {pick} of machine {machine} is killed")
            }
            Fault::Machine(MachineFault::KillTask { machine, pick }) => {
                write!(f, "task {pick} of machine {machine} is killed")
            }
        }
    }
}
