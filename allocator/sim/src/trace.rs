//! Workloads: reading traces of several formats into jobs.
//!
//! | format | file |
//! |---|---|
//! | Standard Workload Format 2.2 | `trace/swf.rs` |
//! | openb pods (Alibaba GPU cluster, 2023) | `trace/openb.rs` |
//! | Azure VMs (2017) | `trace/azure.rs` |
//! | our own JSON lines | `trace/jsonl.rs` |
//!
//! Plain, gzip and zstd files are told apart by their first bytes. What is wrong with a line is a [`Problem`] with file and line
//! number; with `skip_bad` such lines are left out and counted. Nothing is held in memory but the jobs.

mod azure;
mod csv;
mod jsonl;
mod lines;
mod number;
mod openb;
mod swf;
mod workload;

use std::{fmt, io::Read, path::Path, sync::Arc};

use self::workload::Builder;
pub(crate) use self::{
    csv::Table,
    jsonl::{NodeLine, parse_node},
    lines::Lines,
};
pub use self::{
    lines::LINE_MAX,
    workload::{Job, JobId, JobName, Unfit, Workload},
};
use crate::{random::Random, roles::Mapping, time::Time};

/// The file formats of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Standard Workload Format.
    Swf,
    /// Pods of the openb trace.
    Openb,
    /// VMs of the Azure trace.
    AzureVm,
    /// JSON lines, see `docs/simulator.md`.
    Jsonl,
}

impl Format {
    /// All formats and their names.
    pub const ALL: [(&'static str, Format); 4] = [
        ("swf", Format::Swf),
        ("openb", Format::Openb),
        ("azure-vm", Format::AzureVm),
        ("jsonl", Format::Jsonl),
    ];

    /// The format that a file's name tells, leaving out `.gz` and `.zst`.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name
            .strip_suffix(".gz")
            .or_else(|| name.strip_suffix(".zst"))
            .unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "swf" => Some(Format::Swf),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "csv" if name.contains("openb") => Some(Format::Openb),
            "csv" if name.contains("azure") => Some(Format::AzureVm),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, format)| format == self);
        f.pad(known.map_or("", |(name, _)| name))
    }
}

/// What is wrong with an input, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Problem {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong and what would be right.
    pub what: String,
}

/// How a trace is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Its format.
    pub format: Format,
    /// What roles its jobs are put into.
    pub mapping: Mapping,
    /// Leaves out lines that cannot be used, and counts them.
    pub skip_bad: bool,
    /// Jobs never end: a cluster fills up.
    pub forever: bool,
    /// Seeds what a trace leaves open: lifetimes that are known to a bin only.
    pub seed: u64,
}

/// Reads a trace.
///
/// # Errors
/// [`Problem`]: the input cannot be read, is damaged, or has a line that cannot be used.
pub fn read(name: &str, input: impl Read, reading: &Reading) -> Result<Workload, Problem> {
    let mut lines = Lines::open(name, input)?;
    let mut builder = Builder::new(reading.mapping.clone());
    let mut random = Random::new(reading.seed, 1);
    let mut format: Box<dyn Lined> = match reading.format {
        Format::Swf => Box::new(swf::Swf::default()),
        Format::Openb => Box::new(openb::Pods::default()),
        Format::AzureVm => Box::new(azure::Vms::new(&mut random)),
        Format::Jsonl => Box::new(jsonl::Jobs),
    };
    while let Some(line) = lines.next()? {
        let result = format.line(line, &mut builder);
        let Err(what) = result else { continue };
        if format.is_fatal() || !reading.skip_bad {
            return Err(lines.problem(what));
        }
        builder.skip(lines.problem(what));
    }
    drop(format);
    let mut workload = builder.finish().map_err(|what| lines.problem(what))?;
    if reading.forever {
        for job in &mut workload.jobs {
            (job.run, job.estimate) = (Time::NEVER, Time::NEVER);
        }
    }
    Ok(workload)
}

/// A format that is read line by line.
trait Lined {
    /// Takes a line; empty ones and comments give no job.
    fn line(&mut self, line: &[u8], jobs: &mut Builder) -> Result<(), String>;

    /// Whether no line can be understood after the error that was just returned (a header is wrong).
    fn is_fatal(&self) -> bool {
        false
    }
}
