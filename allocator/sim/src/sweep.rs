//! Many runs: over all cores, in the same order whatever the number of threads, and what their seeds have in common.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;

use crate::summary::Summary;

/// Does `count` pieces of work on `threads` threads; results are in the order of the pieces.
///
/// # Panics
/// When a piece panics.
pub fn each<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= count {
                        return;
                    }
                    let result = work(piece);
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(piece, result);
                }
            });
        }
    });
    results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

/// A mean over seeds and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half of the width of the 95 % confidence interval (Student's t); none of fewer than two values.
    pub ci95: Option<f64>,
}

impl Estimate {
    /// Of independent values.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let ci95 = (values.len() > 1).then(|| {
            let variance = values
                .iter()
                .map(|value| (value - mean).powi(2))
                .sum::<f64>()
                / (n - 1.0);
            t975(values.len() - 1) * (variance / n).sqrt()
        });
        Self { mean, ci95 }
    }
}

/// The 97.5 % quantile of Student's t.
fn t975(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    match degrees {
        0 => f64::INFINITY,
        1..=30 => TABLE[degrees - 1],
        // The first two terms of its expansion; off by less than 0.001 from here on.
        _ => 1.96 + 2.372 / degrees as f64,
    }
}

/// The measures that a sweep compares, by name.
pub fn measures(summary: &Summary) -> BTreeMap<&'static str, f64> {
    let mut measures = BTreeMap::from([
        ("completed", summary.jobs.completed as f64),
        ("revoked", summary.revoked as f64),
        ("makespan_s", summary.makespan_s),
        ("wait_mean_s", summary.wait_s.mean),
        ("wait_p95_s", summary.wait_s.p95),
        ("slowdown_mean", summary.slowdown.mean),
        ("slowdown_p95", summary.slowdown.p95),
        ("largest_key_gap", summary.fairness.largest_key_gap),
        ("mean_key_gap", summary.fairness.mean_key_gap),
        (
            "si_violations",
            summary.fairness.sharing_incentive_violations as f64,
        ),
        (
            "finish_time_fairness_max",
            summary.fairness.finish_time_fairness.max,
        ),
    ]);
    for (resource, part) in &summary.utilisation {
        let name = match resource.as_str() {
            "cpus" => "utilisation_cpus",
            "mem" => "utilisation_mem",
            "gpus" => "utilisation_gpus",
            _ => "utilisation_disk",
        };
        measures.insert(name, *part);
    }
    if let Some(gpu) = &summary.gpu {
        measures.insert("gpu_fragmentation", gpu.fragmentation);
        measures.insert("gpu_peak", gpu.allocated_peak);
        if let Some(part) = gpu.allocated_at_first_failure {
            measures.insert("gpu_at_first_failure", part);
        }
    }
    measures
}

/// By measure: the estimate over these runs, which differ in their seeds only.
pub fn estimates(runs: &[&Summary]) -> BTreeMap<&'static str, Estimate> {
    let mut values: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for run in runs {
        for (name, value) in measures(run) {
            values.entry(name).or_default().push(value);
        }
    }
    values
        .into_iter()
        .map(|(name, values)| (name, Estimate::of(&values)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_whatever_the_threads() {
        let squares = |threads| each(100, threads, |piece| piece * piece);
        assert_eq!(squares(1), (0..100).map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(squares(1), squares(7));
        assert!(each(0, 4, |piece| piece).is_empty());
    }

    #[test]
    fn intervals_are_students() {
        // Five values with mean 3 and variance 2.5: t(4) = 2.776, 2.776 * sqrt(0.5) = 1.963.
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(estimate.mean, 3.0);
        assert!((estimate.ci95.unwrap() - 1.963).abs() < 1e-3);
        assert_eq!(Estimate::of(&[7.0]).ci95, None);
        for (degrees, quantile) in [(40, 2.021), (100, 1.984), (1000, 1.962)] {
            assert!((t975(degrees) - quantile).abs() < 2e-3, "{degrees}");
        }
    }
}
