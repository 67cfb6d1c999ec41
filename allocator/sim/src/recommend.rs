//! Run-time limits from history: what a role's earlier jobs ran says how long its next one may be expected to run.
//!
//! A job is expected to run as long as 95 % of the jobs of its role that had ended when it was submitted, by the trace's own times, so
//! that all policies see the same estimates. Older ones count less, by a half-life. The first jobs of a role keep their owners' estimates.
//
//= autopilot-2020, percentiles of a decaying histogram

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tepui_allocator::history::{Histogram, Rule};

use crate::{
    time::Time,
    trace::{JobId, Workload},
};

/// The percentile, in thousandths.
const PERCENTILE: Rule = Rule::Percentile(950);

/// Makes the jobs' estimates anew.
///
/// # Panics
/// When the half-life is zero.
pub fn estimate_from_history(workload: &mut Workload, half_life: Time) {
    let span = |time: Time| Duration::from_micros(time.0);
    let mut histograms: Vec<Option<Histogram>> = vec![None; workload.roles.len()];
    let mut ends: BinaryHeap<Reverse<(Time, JobId)>> = BinaryHeap::new();
    for at in 0..workload.jobs.len() {
        let now = workload.jobs[at].submit;
        while let Some(&Reverse((end, id))) = ends.peek()
            && end <= now
        {
            ends.pop();
            let ended = &workload.jobs[id.at()];
            histograms[ended.role as usize]
                .get_or_insert_with(|| Histogram::new(span(half_life)))
                .add(span(end), ended.run.0);
        }
        let job = &mut workload.jobs[at];
        let known = histograms[job.role as usize].as_ref();
        if let Some(limit) = known.and_then(|known| known.limit(PERCENTILE, 0)) {
            job.estimate = Time(limit);
        }
        if job.unfit.is_none() && job.run != Time::NEVER {
            ends.push(Reverse((now.plus(job.run), JobId(at as u32))));
        }
    }
}
