//! Standard Workload Format 2.2: comments begin with `;`, then 18 numbers a line, -1 for unknown.
//!
//! Columns beyond the 18th are left alone. A job of n processors is a gang of n tasks with one cpu each.
//! Requested values count before used ones.
//
//= swf, definition of the fields

use super::{
    Lined,
    number::{lane, number, shown, span},
    workload::{Builder, JobName, Record},
};
use crate::{amounts, roles::Origin};

const FIELDS: usize = 18;
const NAMES: [&str; FIELDS] = [
    "job number",
    "submit time",
    "wait time",
    "run time",
    "allocated processors",
    "cpu time used",
    "used memory",
    "requested processors",
    "requested time",
    "requested memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding job",
    "think time",
];

/// The format's reader.
#[derive(Default)]
pub(super) struct Swf {
    nodes: Option<u32>,
    processors: Option<u32>,
}

impl Lined for Swf {
    fn line(&mut self, line: &[u8], jobs: &mut Builder) -> Result<(), String> {
        let line = line.trim_ascii();
        if let Some(comment) = line.strip_prefix(b";") {
            self.comment(comment);
            if let Some(processors) = self.processors {
                *jobs.machine() = Some((
                    self.nodes.unwrap_or(processors).clamp(1, processors),
                    processors,
                ));
            }
            return Ok(());
        }
        if line.is_empty() {
            return Ok(());
        }
        jobs.push(record(line)?)
    }
}

impl Swf {
    fn comment(&mut self, comment: &[u8]) {
        let Ok(text) = std::str::from_utf8(comment) else {
            return;
        };
        let Some((name, value)) = text.split_once(':') else {
            return;
        };
        let value = value
            .split_whitespace()
            .next()
            .and_then(|value| value.parse::<u32>().ok());
        match name.trim() {
            "MaxNodes" => self.nodes = value.filter(|&nodes| nodes > 0),
            "MaxProcs" => self.processors = value.filter(|&processors| processors > 0),
            _ => {}
        }
    }
}

fn record(line: &[u8]) -> Result<Record<'_>, String> {
    let mut fields: [&[u8]; FIELDS] = [b""; FIELDS];
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    for (at, field) in fields.iter_mut().enumerate() {
        *field = words
            .next()
            .ok_or_else(|| format!("{at} fields: a job has {FIELDS} (SWF 2.2)"))?;
    }
    let id = match std::str::from_utf8(fields[0])
        .ok()
        .and_then(|text| text.parse::<u64>().ok())
    {
        Some(id) => id,
        None => return Err(wrong(0, fields[0], "a whole number >= 0")),
    };
    // The other fields are not used, but are to be numbers as well.
    for at in [2, 5, 10, 13, 15, 16, 17] {
        number(fields[at]).ok_or_else(|| wrong(at, fields[at], "a number"))?;
    }
    let submit = known(&fields, 1)?.ok_or("submit time -1: must be known")?;
    let run = known(&fields, 3)?
        .map(|run| span(NAMES[3], run))
        .transpose()?;
    let estimate = known(&fields, 8)?
        .map(|time| span(NAMES[8], time))
        .transpose()?;
    let processors = match known(&fields, 7)? {
        Some(processors) if processors > 0.0 => Some(processors),
        _ => known(&fields, 4)?.filter(|&processors| processors > 0.0),
    };
    let tasks = processors.map(|count| {
        let is_count =
            count.fract() == 0.0 && count <= f64::from(amounts::Amounts::LANE_MAX / 1000);
        is_count
            .then_some(count as u32)
            .ok_or_else(|| format!("{count} processors: must be a whole number up to 2 million"))
    });
    let memory_kb = match known(&fields, 9)? {
        Some(memory) => Some(memory),
        None => known(&fields, 6)?,
    };
    let mem = lane("memory in KB", memory_kb.unwrap_or_default(), 1.0 / 1024.0)?;
    Ok(Record {
        name: JobName::Number(id),
        submit: span(NAMES[1], submit)?,
        run,
        estimate: estimate.filter(|time| time.0 > 0),
        demand: [1000, mem, 0, 0],
        tasks: tasks.transpose()?,
        models: 0,
        origin: Origin {
            user: name(&fields, 11)?,
            group: name(&fields, 12)?,
            queue: name(&fields, 14)?,
            role: None,
        },
    })
}

/// The value of a field; none if it is -1.
fn known(fields: &[&[u8]; FIELDS], at: usize) -> Result<Option<f64>, String> {
    match number(fields[at]) {
        Some(-1.0) => Ok(None),
        Some(value) if value >= 0.0 => Ok(Some(value)),
        _ => Err(wrong(at, fields[at], "a number >= 0, or -1 for unknown")),
    }
}

/// A field that is a number, but stands for a name; none if it is -1.
fn name<'a>(fields: &[&'a [u8]; FIELDS], at: usize) -> Result<Option<&'a [u8]>, String> {
    Ok(known(fields, at)?.map(|_| fields[at]))
}

fn wrong(at: usize, field: &[u8], right: &str) -> String {
    format!(
        "field {} ({}) {}: must be {right}",
        at + 1,
        NAMES[at],
        shown(field)
    )
}
