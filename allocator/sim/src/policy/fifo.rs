//! Queue order, and no order at all.

use super::{Policy, PolicyError, Stage};
use crate::trace::JobId;

/// First in, first out: the first job that does not fit holds up all others.
#[derive(Debug)]
pub(super) struct Fifo;

impl Policy for Fifo {
    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        while let Some(job) = stage.world().pending().next() {
            if !stage.start(job) {
                break;
            }
        }
        Ok(())
    }
}

/// Jobs are tried in an order that is drawn anew for each decision.
#[derive(Debug)]
pub(super) struct Lottery;

/// How many jobs of the queue take part in a draw.
const DRAWN_MAX: usize = 1000;

impl Policy for Lottery {
    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let mut jobs: Vec<JobId> = stage.world().pending().take(DRAWN_MAX).collect();
        let classes = stage.world().workload().classes as usize;
        let mut full = vec![false; classes];
        for at in (0..jobs.len()).rev() {
            let drawn = stage.random().below(at as u64 + 1) as usize;
            jobs.swap(at, drawn);
            let class = stage.world().job(jobs[at]).class as usize;
            if !full[class] {
                full[class] = !stage.start(jobs[at]);
            }
        }
        Ok(())
    }
}
