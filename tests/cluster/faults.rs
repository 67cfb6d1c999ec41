//! What goes wrong in a simulation, and when: drawn from the seed ahead of the run, so that it can be
//! printed, replayed in part, and shrunk.

use std::{collections::BTreeSet, fmt, time::Duration};

use rand::{RngExt, rngs::StdRng};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process of a host is killed, and started again.
    Crash {
        /// Which.
        host: String,
        /// After this time.
        down: Duration,
    },
    /// A machine loses power: agent, executors and tasks at once, without a word on the network.
    PowerCut {
        /// Which, from 1 on.
        machine: usize,
        /// It boots after this time.
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
    /// Nothing gets from one host to the other, nor back.
    Cut {
        /// One of them.
        a: String,
        /// The other.
        b: String,
        /// For how long.
        span: Duration,
    },
    /// Nothing gets from one host to the other; the other way works.
    CutOneWay {
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// For how long.
        span: Duration,
    },
    /// Connections between two hosts break now and then.
    Loss {
        /// One of them.
        a: String,
        /// The other.
        b: String,
        /// Losses in a thousand segments.
        per_mille: u32,
        /// For how long.
        span: Duration,
    },
    /// Everything takes longer.
    Slow {
        /// At most.
        latency: Duration,
        /// For how long.
        span: Duration,
    },
}

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

/// Faults, each with its time, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<(Duration, Fault)>);

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

impl Schedule {
    /// Draws one.
    pub fn draw(rng: &mut StdRng, shape: &Shape) -> Self {
        let count = rng.random_range(1..=shape.most);
        let until = shape.until.as_millis() as u64;
        let mut faults: Vec<_> = (0..count)
            .map(|_| {
                let at = Duration::from_millis(rng.random_range(500..until));
                (at, Fault::draw(rng, shape))
            })
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self(faults)
    }

    /// Those of the given numbers only.
    pub fn only(&self, numbers: &BTreeSet<usize>) -> Self {
        let all = self.0.iter().enumerate();
        Self(
            all.filter(|(n, _)| numbers.contains(n))
                .map(|(_, fault)| fault.clone())
                .collect(),
        )
    }
}

impl Fault {
    fn draw(rng: &mut StdRng, shape: &Shape) -> Self {
        let span =
            |rng: &mut StdRng, least, most| Duration::from_millis(rng.random_range(least..most));
        let machine = rng.random_range(1..=shape.machines);
        let pick = rng.random_range(0..64);
        match rng.random_range(0..21) {
            0..3 => Fault::Crash {
                host: agent(machine),
                down: span(rng, 50, 12_000),
            },
            3..6 => Fault::Crash {
                host: "master".to_owned(),
                down: span(rng, 50, 8_000),
            },
            6..8 => {
                let host = framework(rng.random_range(1..=shape.frameworks));
                Fault::Crash {
                    host,
                    down: span(rng, 50, 8_000),
                }
            }
            8 => Fault::PowerCut {
                machine,
                down: span(rng, 1_000, 20_000),
            },
            9..12 => Fault::KillExecutor { machine, pick },
            12..14 => Fault::KillTask { machine, pick },
            14..16 => {
                let (a, b) = Self::peers(rng, shape);
                Fault::Cut {
                    a,
                    b,
                    span: span(rng, 200, 20_000),
                }
            }
            16 => {
                let (from, to) = Self::peers(rng, shape);
                Fault::CutOneWay {
                    from,
                    to,
                    span: span(rng, 200, 15_000),
                }
            }
            17 => {
                // Between agent and executors: on one machine, but a link can break.
                let (a, b) = (agent(machine), executors(machine));
                Fault::Cut {
                    a,
                    b,
                    span: span(rng, 200, 9_000),
                }
            }
            18..20 => {
                let ((a, b), per_mille) = (Self::peers(rng, shape), rng.random_range(1..30));
                Fault::Loss {
                    a,
                    b,
                    per_mille,
                    span: span(rng, 500, 15_000),
                }
            }
            _ => Fault::Slow {
                latency: span(rng, 100, 800),
                span: span(rng, 500, 10_000),
            },
        }
    }

    /// How long it lasts, if it is to end.
    pub fn span(&self) -> Option<Duration> {
        match self {
            Fault::Crash { down, .. } | Fault::PowerCut { down, .. } => Some(*down),
            Fault::Cut { span, .. }
            | Fault::CutOneWay { span, .. }
            | Fault::Loss { span, .. }
            | Fault::Slow { span, .. } => Some(*span),
            Fault::KillExecutor { .. } | Fault::KillTask { .. } => None,
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
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash { host, down } => write!(f, "{host} is killed for {down:?}"),
            Fault::PowerCut { machine, down } => {
                write!(f, "machine {machine} is without power for {down:?}")
            }
            Fault::KillExecutor { machine, pick } => {
                write!(f, "executor {pick} of machine {machine} is killed")
            }
            Fault::KillTask { machine, pick } => {
                write!(f, "task {pick} of machine {machine} is killed")
            }
            Fault::Cut { a, b, span } => write!(f, "{a} and {b} are cut off for {span:?}"),
            Fault::CutOneWay { from, to, span } => {
                write!(f, "nothing gets from {from} to {to} for {span:?}")
            }
            Fault::Loss {
                a,
                b,
                per_mille,
                span,
            } => {
                write!(
                    f,
                    "{a} and {b} lose {per_mille} segments in 1000 for {span:?}"
                )
            }
            Fault::Slow { latency, span } => {
                write!(f, "messages take up to {latency:?} for {span:?}")
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (at, fault)) in self.0.iter().enumerate() {
            writeln!(f, "  {number:>2}. at {at:?}: {fault}")?;
        }
        Ok(())
    }
}
