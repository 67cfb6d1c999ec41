//! Rounds: all candidates of a case in turn, again and again, so that a neighbour on the machine
//! disturbs them alike.

use std::time::Duration;

use crate::figures::{cpu_time, record};

/// One that takes part in a case.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// Operations in a round.
    pub(crate) operations: u64,
    /// Does that many.
    pub(crate) run: Box<dyn FnMut(u64)>,
}

pub(crate) struct Rounds {
    candidates: Vec<Candidate>,
    /// Nanoseconds of CPU an operation, a list a candidate.
    costs: Vec<Vec<f64>>,
}

impl Rounds {
    pub(crate) fn of(candidates: Vec<Candidate>) -> Self {
        let costs = candidates.iter().map(|_| Vec::new()).collect();
        Self { candidates, costs }
    }

    pub(crate) fn run(mut self) -> Self {
        let rounds = std::env::var("TEPUI_ROUNDS")
            .ok()
            .and_then(|n| n.parse().ok());
        for candidate in &mut self.candidates {
            (candidate.run)(candidate.operations / 10);
        }
        for _ in 0..rounds.unwrap_or(9) {
            for (candidate, costs) in self.candidates.iter_mut().zip(&mut self.costs) {
                let start = cpu_time();
                (candidate.run)(candidate.operations);
                let spent: Duration = cpu_time() - start;
                costs.push(spent.as_nanos() as f64 / candidate.operations as f64);
            }
        }
        self
    }

    /// Records the first candidate's median and its ratio to each of the others'.
    pub(crate) fn record(mut self, figure: &str) {
        let mut medians = self.costs.iter_mut().map(|costs| {
            costs.sort_by(f64::total_cmp);
            costs[costs.len() / 2]
        });
        let ours = medians.next().expect("a candidate");
        for (n, theirs) in medians.enumerate() {
            let name = self.candidates[n + 1].name;
            let baseline = format!("{name} {theirs:.0} ns");
            if n == 0 {
                record(&format!("{figure}/cpu"), ours, "ns/op", &baseline);
            }
            record(
                &format!("{figure}/vs-{name}"),
                ours / theirs,
                "ratio",
                &baseline,
            );
        }
    }
}
