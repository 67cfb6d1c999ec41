//! When what goes wrong: drawn from the seed ahead of the run, so that it can be printed, replayed in
//! part, and shrunk.

use std::{collections::BTreeSet, fmt, time::Duration};

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    fault::{AnyFault, Fault},
    micros,
};

/// A fault and when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed<F> {
    /// When, after the start.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub fault: F,
}

/// Faults in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule<F>(Vec<Timed<F>>);

impl<F> Default for Schedule<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F> FromIterator<(Duration, F)> for Schedule<F> {
    fn from_iter<I: IntoIterator<Item = (Duration, F)>>(faults: I) -> Self {
        let faults = faults.into_iter().map(|(at, fault)| Timed { at, fault });
        Self::new(faults.collect())
    }
}

impl<F> Schedule<F> {
    /// Puts faults into their order; those of one moment keep theirs.
    pub fn new(mut faults: Vec<Timed<F>>) -> Self {
        faults.sort_by_key(|timed| timed.at);
        Self(faults)
    }

    /// The faults.
    pub fn faults(&self) -> &[Timed<F>] {
        &self.0
    }

    /// Those of the given numbers only.
    pub fn only(&self, numbers: &BTreeSet<usize>) -> Self
    where
        F: Clone,
    {
        let all = self.0.iter().enumerate();
        let wanted = all.filter(|(number, _)| numbers.contains(number));
        Self(wanted.map(|(_, timed)| timed.clone()).collect())
    }

    /// These and others.
    pub fn with(self, others: Self) -> Self {
        Self::new(self.0.into_iter().chain(others.0).collect())
    }
}

impl<F: fmt::Display> fmt::Display for Schedule<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Timed { at, fault }) in self.0.iter().enumerate() {
            writeln!(f, "  {number:>2}. at {at:?}: {fault}")?;
        }
        Ok(())
    }
}

/// Something that happens to a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment<F> {
    /// A fault begins.
    Begin(F),
    /// A fault ends.
    End(F),
    /// All faults are over.
    Calm,
}

impl<F: fmt::Display> fmt::Display for Moment<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Begin(fault) => write!(f, "fault: {fault}"),
            Moment::End(fault) => write!(f, "over: {fault}"),
            Moment::Calm => write!(f, "all faults are over"),
        }
    }
}

/// The beginnings and ends of a schedule, in the order of their times.
#[derive(Clone, Debug)]
pub struct Timeline<F>(Vec<(Duration, Moment<F>)>);

impl<F: AnyFault> Timeline<F> {
    /// Of `schedule`; what would end after `calm_from` ends then.
    pub fn new(schedule: &Schedule<F>, calm_from: Duration) -> Self {
        let mut all = vec![(calm_from, Moment::Calm)];
        for Timed { at, fault } in schedule.faults() {
            all.push((*at, Moment::Begin(fault.clone())));
            if let Some(span) = fault.span() {
                all.push(((*at + span).min(calm_from), Moment::End(fault.clone())));
            }
        }
        all.sort_by_key(|(at, _)| *at);
        Self(all)
    }

    /// Takes out what happens until `now`.
    pub fn due(&mut self, now: Duration) -> Vec<Moment<F>> {
        let due = self.0.partition_point(|(at, _)| *at <= now);
        self.0.drain(..due).map(|(_, moment)| moment).collect()
    }
}

/// What is to go wrong in a network, for [`Schedule::draw`].
#[derive(Clone, Debug)]
pub struct Shape {
    /// Whose network, clock and life.
    pub hosts: Vec<String>,
    /// Faults begin before this time.
    pub until: Duration,
    /// Faults, at most.
    pub most: usize,
    /// The longest that one lasts.
    pub longest: Duration,
}

impl Shape {
    /// Up to 8 faults among `hosts`, which begin before `until` and last up to a half of that.
    pub fn new(hosts: impl IntoIterator<Item: Into<String>>, until: Duration) -> Self {
        Self {
            hosts: hosts.into_iter().map(Into::into).collect(),
            until,
            most: 8,
            longest: until / 2,
        }
    }
}

impl Schedule<Fault> {
    /// Draws faults of all kinds.
    pub fn draw(rng: &mut StdRng, shape: &Shape) -> Self {
        let count = rng.random_range(1..=shape.most.max(1));
        let until = shape.until.as_millis().max(2) as u64;
        let faults = (0..count).map(|_| {
            let at = Duration::from_millis(rng.random_range(1..until));
            (at, draw(rng, shape))
        });
        faults.collect::<Vec<_>>().into_iter().collect()
    }
}

fn draw(rng: &mut StdRng, shape: &Shape) -> Fault {
    let longest = shape.longest.as_millis().max(101) as u64;
    let span = Duration::from_millis(rng.random_range(100..longest));
    let host = shape.hosts[rng.random_range(0..shape.hosts.len())].clone();
    let others: Vec<_> = shape.hosts.iter().filter(|other| **other != host).collect();
    let kind = if others.is_empty() {
        // Alone there is no link to fail.
        [0, 6][rng.random_range(0..2)]
    } else {
        rng.random_range(0..7)
    };
    let other = match others.len() {
        0 => host.clone(),
        some => others[rng.random_range(0..some)].clone(),
    };
    match kind {
        0 => Fault::Crash { host, down: span },
        1 => Fault::Cut {
            a: host,
            b: other,
            span,
        },
        2 => Fault::CutOneWay {
            from: host,
            to: other,
            span,
        },
        3 => Fault::Loss {
            a: host,
            b: other,
            per_mille: rng.random_range(1..30),
            span,
        },
        4 => Fault::Slow {
            latency: Duration::from_millis(rng.random_range(100..800)),
            span,
        },
        5 => Fault::SlowLink {
            a: host,
            b: other,
            latency: Duration::from_millis(rng.random_range(200..2_000)),
            span,
        },
        _ => Fault::Skew {
            host,
            offset_ms: rng.random_range(-60_000..60_000),
            drift_ppm: rng.random_range(-500..500),
            span,
        },
    }
}
