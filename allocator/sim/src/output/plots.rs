//! The plots of a run.

use super::batsim::{ranges, slots};
use crate::{
    amounts::{LANES, NAMES},
    engine::Outcome,
    plot::{Bar, Chart, Line, Plot, gantt},
    time::Time,
    trace::JobId,
    world::Phase,
};

/// Roles with a line of their own.
const ROLES_MAX: usize = 8;
/// Points of a distribution.
const POINTS_MAX: usize = 400;
/// Clusters with more slots have no Gantt chart.
const SLOTS_MAX: u32 = 2048;

/// All plots of a run.
pub fn plots(outcome: &Outcome) -> Vec<Plot> {
    let mut plots = vec![utilisation(outcome), queue(outcome), shares(outcome)];
    plots.extend(distributions(outcome));
    plots.extend(bars(outcome));
    plots
}

fn chart(name: &'static str, title: &str, y: &'static str, lines: Vec<Line>) -> Chart {
    Chart {
        name,
        title: title.to_owned(),
        x: "time (s)",
        y,
        is_log: false,
        y_least: 1.0,
        lines,
    }
}

fn utilisation(outcome: &Outcome) -> Plot {
    let capacity = outcome.world.cluster().capacity();
    let line = |lane: usize| {
        let part = |used: [u64; LANES]| used[lane] as f64 / capacity[lane] as f64;
        let samples = outcome.series().samples().iter();
        let points = samples.map(|sample| (sample.time.as_secs_f64(), part(sample.used)));
        Line {
            name: NAMES[lane].to_owned(),
            points: points.collect(),
        }
    };
    let lanes = (0..LANES).filter(|&lane| capacity[lane] > 0);
    chart(
        "utilisation",
        "Resources in use",
        "part of the cluster",
        lanes.map(line).collect(),
    )
    .plot()
}

fn queue(outcome: &Outcome) -> Plot {
    let samples = || outcome.series().samples().iter();
    let waiting = samples().map(|sample| (sample.time.as_secs_f64(), f64::from(sample.pending)));
    let running = samples().map(|sample| (sample.time.as_secs_f64(), sample.running as f64));
    let lines = vec![
        Line {
            name: "waiting".to_owned(),
            points: waiting.collect(),
        },
        Line {
            name: "running".to_owned(),
            points: running.collect(),
        },
    ];
    chart("queue", "Jobs", "jobs", lines).plot()
}

/// The roles with the largest shares over time.
fn shares(outcome: &Outcome) -> Plot {
    let samples = outcome.series().samples();
    let roles = &outcome.world.workload().roles;
    let mut sums = vec![0.0; roles.len()];
    for role in samples.iter().flat_map(|sample| &sample.roles) {
        sums[role.role as usize] += role.key;
    }
    let mut order: Vec<u32> = (0..roles.len() as u32).collect();
    order.sort_by(|a, b| {
        sums[*b as usize]
            .total_cmp(&sums[*a as usize])
            .then(a.cmp(b))
    });
    let line = |&role: &u32| {
        let key = |sample: &crate::meter::Sample| {
            let found = sample.roles.iter().find(|of| of.role == role);
            found.map_or(0.0, |of| of.key)
        };
        let points = samples
            .iter()
            .map(|sample| (sample.time.as_secs_f64(), key(sample)));
        Line {
            name: roles.name(role).to_string(),
            points: points.collect(),
        }
    };
    let lines: Vec<Line> = order.iter().take(ROLES_MAX).map(line).collect();
    let title = if roles.len() > ROLES_MAX {
        format!(
            "Weighted dominant shares of the {ROLES_MAX} largest of {} roles",
            roles.len()
        )
    } else {
        "Weighted dominant shares".to_owned()
    };
    chart("shares", &title, "share over weight", lines).plot()
}

/// What part of the completed jobs waited, or was slowed down, at most so much.
fn distributions(outcome: &Outcome) -> [Plot; 2] {
    let (mut waits, mut slowdowns) = (Vec::new(), Vec::new());
    let world = &outcome.world;
    for (job, id) in world.workload().jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        if state.phase == Phase::Completed {
            waits.push(state.start.since(job.submit).as_secs_f64());
            let run = job.run.max(Time::from_secs(10));
            slowdowns.push((state.end.since(job.submit).0 as f64 / run.0 as f64).max(1.0));
        }
    }
    let plot = |name, title: &str, x, values: Vec<f64>| {
        let line = Line {
            name: "completed jobs".to_owned(),
            points: steps(values),
        };
        let title = title.to_owned();
        Chart {
            name,
            title,
            x,
            y: "part of the jobs",
            is_log: true,
            y_least: 1.0,
            lines: vec![line],
        }
        .plot()
    };
    [
        plot(
            "wait_cdf",
            "Waiting times, cumulative",
            "wait (s), logarithmic, less than 1 s as 1",
            waits,
        ),
        plot(
            "slowdown_cdf",
            "Bounded slowdowns, cumulative",
            "slowdown, logarithmic",
            slowdowns,
        ),
    ]
}

fn steps(mut values: Vec<f64>) -> Vec<(f64, f64)> {
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len();
    let kept = count.min(POINTS_MAX);
    let rank = |nth: usize| (nth + 1) * count / kept.max(1);
    (0..kept)
        .map(|nth| (values[rank(nth) - 1], rank(nth) as f64 / count as f64))
        .collect()
}

fn bars(outcome: &Outcome) -> Option<Plot> {
    let world = &outcome.world;
    let (slots, count) = slots(world);
    if count > SLOTS_MAX {
        return None;
    }
    let mut bars = Vec::new();
    for (job, id) in world.workload().jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        for (first, last) in ranges(&slots[id.0 as usize]) {
            let (start, end) = (state.start.as_secs_f64(), state.end.as_secs_f64());
            bars.push(Bar {
                start,
                end,
                first,
                last,
                role: job.role,
            });
        }
    }
    bars.sort_by(|a, b| a.start.total_cmp(&b.start));
    Some(gantt(&bars, count))
}
