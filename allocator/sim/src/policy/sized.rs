//! The shortest job first.

use std::collections::BTreeSet;

use super::{Event, Policy, PolicyError, Stage};
use crate::{time::Time, trace::JobId, world::World};

/// The shortest estimate first, then the earlier; jobs that do not fit are passed over.
#[derive(Debug, Default)]
pub(super) struct Shortest {
    /// Waiting jobs by class, so that of a class without room only one is tried.
    waiting: Vec<BTreeSet<(Time, JobId)>>,
}

impl Policy for Shortest {
    fn on_event(&mut self, world: &World, event: Event) {
        if let Event::Submitted(id) = event {
            let job = world.job(id);
            let class = job.class as usize;
            if class >= self.waiting.len() {
                self.waiting.resize_with(class + 1, BTreeSet::new);
            }
            self.waiting[class].insert((job.estimate, id));
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let first = |(class, jobs): (usize, &BTreeSet<(Time, JobId)>)| {
            let (estimate, job) = *jobs.first()?;
            Some((estimate, job, class))
        };
        let mut heads: BTreeSet<(Time, JobId, usize)> =
            self.waiting.iter().enumerate().filter_map(first).collect();
        while let Some((estimate, job, class)) = heads.pop_first() {
            if stage.start(job) {
                self.waiting[class].remove(&(estimate, job));
                heads.extend(first((class, &self.waiting[class])));
            }
        }
        Ok(())
    }
}
