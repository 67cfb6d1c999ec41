//! The simulator as a whole: small cases worked by hand, properties, hostile input.

mod cases;
mod external;
mod hostile;
mod openb;
mod policies;
mod properties;
mod tables;

use std::sync::Arc;

use tepui_sim::{
    BuiltIn, Format, JobId, Nodes, Options, Outcome, Reading, Workload, engine, roles::Mapping,
    trace, world::Phase,
};

fn reading(format: Format) -> Reading {
    Reading {
        format,
        mapping: Mapping::default(),
        skip_bad: false,
        forever: false,
        seed: 0,
    }
}

/// Jobs as JSON lines.
fn jobs(text: &str) -> Workload {
    trace::read("jobs", text.as_bytes(), &reading(Format::Jsonl)).expect("good jobs")
}

fn run(mut workload: Workload, nodes: &str, policy: BuiltIn, options: Options) -> Outcome {
    let nodes = Nodes::parse(nodes, &mut workload).expect("good nodes");
    let world = engine::world(Arc::new(workload), nodes);
    let mut policy = policy.make(&world, options.seed);
    engine::run(world, policy.as_mut(), options, &mut |_| {}).expect("a policy that goes on")
}

/// Start and end of each job in s; none if it did not end.
fn times(outcome: &Outcome) -> Vec<Option<(f64, f64)>> {
    let ids = (0..outcome.world.workload().jobs.len() as u32).map(JobId);
    ids.map(|job| {
        let state = outcome.world.state(job);
        (state.phase == Phase::Completed)
            .then(|| (state.start.as_secs_f64(), state.end.as_secs_f64()))
    })
    .collect()
}
