//! Our own format: one JSON object a line, a job or (in a file of nodes) a kind of node.
//!
//! `docs/simulator.md` describes the fields. Unknown fields are errors, so that a misspelt one does not go unseen.

use serde::Deserialize;

use super::{
    Lined,
    number::{lane, span},
    workload::{Builder, JobName, Record},
};
use crate::roles::Origin;

/// A job's line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobLine {
    id: Name,
    submit_s: f64,
    run_s: Option<f64>,
    estimate_s: Option<f64>,
    #[serde(default = "one")]
    tasks: u32,
    #[serde(default)]
    cpus: f64,
    #[serde(default)]
    mem_mib: f64,
    #[serde(default)]
    gpus: f64,
    #[serde(default)]
    disk_mib: f64,
    #[serde(default)]
    gpu_models: Vec<String>,
    role: Option<String>,
    user: Option<Name>,
    group: Option<Name>,
    queue: Option<Name>,
}

/// A number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u64),
    Text(String),
}

impl Name {
    fn text(&self) -> Vec<u8> {
        match self {
            Name::Number(number) => number.to_string().into_bytes(),
            Name::Text(text) => text.clone().into_bytes(),
        }
    }
}

fn one() -> u32 {
    1
}

/// A line of a file of nodes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeLine {
    pub(crate) node: String,
    #[serde(default = "one")]
    pub(crate) count: u32,
    #[serde(default)]
    pub(crate) cpus: f64,
    pub(crate) mem_mib: Option<f64>,
    #[serde(default)]
    pub(crate) gpus: u32,
    pub(crate) disk_mib: Option<f64>,
    pub(crate) gpu_model: Option<String>,
}

/// The format's reader.
pub(super) struct Jobs;

impl Lined for Jobs {
    fn line(&mut self, line: &[u8], jobs: &mut Builder) -> Result<(), String> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let job: JobLine = serde_json::from_slice(line).map_err(|error| reason(&error))?;
        if job.tasks == 0 {
            return Err("tasks 0: must be at least 1".to_owned());
        }
        let mut models = 0;
        for model in &job.gpu_models {
            models |= 1 << jobs.model(model)?;
        }
        let [user, group, queue] =
            [&job.user, &job.group, &job.queue].map(|name| name.as_ref().map(Name::text));
        jobs.push(Record {
            name: match job.id {
                Name::Number(number) => JobName::Number(number),
                Name::Text(text) if text.is_empty() || text.contains(char::is_control) => {
                    return Err(format!("id {text:?}: must be a number or text"));
                }
                Name::Text(text) => JobName::Text(text.into()),
            },
            submit: span("submit_s", job.submit_s)?,
            run: job.run_s.map(|run| span("run_s", run)).transpose()?,
            estimate: job
                .estimate_s
                .map(|time| span("estimate_s", time))
                .transpose()?,
            demand: [
                lane("cpus", job.cpus, 1000.0)?,
                lane("mem_mib", job.mem_mib, 1.0)?,
                lane("gpus", job.gpus, 1000.0)?,
                lane("disk_mib", job.disk_mib, 1.0)?,
            ],
            tasks: Some(job.tasks),
            models,
            origin: Origin {
                user: user.as_deref(),
                group: group.as_deref(),
                queue: queue.as_deref(),
                role: job.role.as_deref(),
            },
        })
    }
}

/// A line of a file of nodes.
pub(crate) fn parse_node(line: &[u8]) -> Result<NodeLine, String> {
    serde_json::from_slice(line).map_err(|error| reason(&error))
}

/// What serde says, without its line, which is always 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&end) {
        Some(what) => format!("column {}: {what}", error.column()),
        None => text,
    }
}
