//! Samples at equal distances in virtual time, never more than a fixed number.
//!
//! When there are too many, every other one is dropped and the distance doubles: what is kept depends on the run alone and not on how
//! long it turns out to be.

use crate::{amounts::LANES, time::Time};

/// At most so many samples are kept.
const SAMPLES_MAX: usize = 1024;

/// A role at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleSample {
    /// Which role.
    pub role: u32,
    /// Jobs that wait.
    pub pending: u32,
    /// Tasks that hold resources.
    pub running_tasks: u64,
    /// What they hold, by lane.
    pub used: [u64; LANES],
    /// The dominant share over the weight.
    pub key: f64,
}

/// The cluster at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub time: Time,
    /// Jobs that wait.
    pub pending: u32,
    /// Jobs that hold resources.
    pub running: u64,
    /// What is in use, by lane.
    pub used: [u64; LANES],
    /// The fragmentation of idle GPUs; none without GPUs.
    pub fragmentation: Option<f64>,
    /// Active roles, by index.
    pub roles: Vec<RoleSample>,
}

/// The samples of a run.
#[derive(Debug)]
pub struct Series {
    samples: Vec<Sample>,
    next: Time,
    distance: Time,
}

impl Series {
    /// Samples from `begin` on; the run is expected to take `span`.
    pub(super) fn new(begin: Time, span: Time) -> Self {
        let distance = Time((span.0 / (SAMPLES_MAX as u64 / 2)).max(1_000_000));
        Self {
            samples: Vec::new(),
            next: begin.plus(distance),
            distance,
        }
    }

    #[inline]
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.next <= now
    }

    pub(super) fn push(&mut self, sample: Sample) {
        self.samples.push(Sample {
            time: self.next,
            ..sample
        });
        self.next = self.next.plus(self.distance);
        if self.samples.len() == SAMPLES_MAX {
            let mut nth = 0;
            self.samples.retain(|_| {
                nth += 1;
                nth % 2 == 0
            });
            let last = self.samples.last().map_or(Time::ZERO, |sample| sample.time);
            self.distance = Time(self.distance.0.saturating_mul(2));
            self.next = last.plus(self.distance);
        }
    }

    pub(super) fn finish(&mut self) {
        self.samples.shrink_to_fit();
    }

    /// The samples in order of time.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The time between two of them.
    pub fn distance(&self) -> Time {
        self.distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_keep_evenly_spaced_samples() {
        let mut series = Series::new(Time::ZERO, Time::from_secs(512));
        let sample = Sample {
            time: Time::ZERO,
            pending: 0,
            running: 0,
            used: [0; LANES],
            fragmentation: None,
            roles: Vec::new(),
        };
        for _ in 0..5000 {
            series.push(sample.clone());
        }
        let times: Vec<u64> = series
            .samples()
            .iter()
            .map(|sample| sample.time.0)
            .collect();
        assert!(times.len() < SAMPLES_MAX && times.len() >= SAMPLES_MAX / 4);
        assert!(
            times
                .windows(2)
                .all(|pair| pair[1] - pair[0] == series.distance().0)
        );
    }
}
