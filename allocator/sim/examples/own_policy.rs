//! A policy of one's own, in Rust: the role that has waited longest goes first, and its jobs may pass one that does not fit.
//!
//! `cargo run --release -p tepui-sim --example own_policy -- assets/nasa-ipsc-1993-3.1-cln.swf.gz 128xcpus:1`

use std::{error::Error, fs::File, sync::Arc};

use tepui_sim::{
    Format, JobId, Nodes, Options, Policy, PolicyError, Reading, Stage, engine, roles::Mapping,
    summary, trace,
};

/// How far a role's queue is looked through for a job that fits.
const DEPTH: usize = 100;

struct LongestWait;

impl Policy for LongestWait {
    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let roles = stage.world().workload().roles.len() as u32;
        // Jobs are numbered by submission: the least number has waited longest.
        let mut heads: Vec<(JobId, u32)> = (0..roles)
            .filter_map(|role| Some((stage.world().pending_of(role).next()?, role)))
            .collect();
        heads.sort_unstable();
        for (_, role) in heads {
            let jobs: Vec<JobId> = stage.world().pending_of(role).take(DEPTH).collect();
            for job in jobs {
                stage.start(job);
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(nodes)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_policy TRACE.swf[.gz] NODES".into());
    };
    let reading = Reading {
        format: Format::Swf,
        mapping: Mapping::default(),
        skip_bad: false,
        forever: false,
        seed: 0,
    };
    let mut workload = trace::read(&path, File::open(&path)?, &reading)?;
    let nodes = Nodes::parse(&nodes, &mut workload)?;
    let world = engine::world(Arc::new(workload), nodes);
    let outcome = engine::run(world, &mut LongestWait, Options::default(), &mut |_| {})?;
    let summary = summary::summarise(&outcome, &path, "longest-wait", "first-fit", 0);
    println!(
        "{} jobs completed, mean wait {:.1} s, mean slowdown {:.3}",
        summary.jobs.completed, summary.wait_s.mean, summary.slowdown.mean
    );
    Ok(())
}
