//! The file of a run: its seed, its faults, and everything that happened. JSON, one object a line.
//!
//! ```text
//! {"trace":"tepui-sim","version":1,"seed":7,"violation":"X-1: ..."}         first, once
//! {"at_us":1500000,"kind":"cut","a":"x","b":"y","span_us":3000000}          a fault
//! {"time_us":20000,"event":"x -> echo@y:1 doc.Ping 0f3a..."}                an event
//! ```
//! Times are microseconds from the start of the simulation. A line with `at_us` is a fault, in the
//! words of [`Fault`](super::Fault) or of the simulation that wrote it; a line with `time_us` is an
//! event, in words of which nothing is promised but that the same run has the same. `violation` is
//! absent, or null, when nothing was violated. A file without events is a seed and a list of faults.
//! Readers ignore keys that they do not know.

use std::{fmt, fs, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    fault::AnyFault,
    micros,
    schedule::{Schedule, Timed},
};

const NAME: &str = "tepui-sim";
const VERSION: u32 = 1;

/// A run as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFile<F> {
    /// The seed.
    pub seed: u64,
    /// The faults.
    pub faults: Schedule<F>,
    /// What was violated.
    pub violation: Option<String>,
    /// Everything that happened, in order.
    pub events: Vec<(Duration, String)>,
}

/// Why a file is not a trace.
#[derive(Debug, thiserror::Error)]
pub enum BadTrace {
    /// It cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// Which, from 1 on.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    trace: String,
    version: u32,
    seed: u64,
    #[serde(default)]
    violation: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Event {
    #[serde(rename = "time_us", with = "micros")]
    time: Duration,
    event: String,
}

impl<F: AnyFault> TraceFile<F> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`BadTrace`].
    pub fn read(path: &Path) -> Result<Self, BadTrace> {
        Self::parse(&fs::read_to_string(path)?)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, self.to_string())
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`BadTrace::Line`].
    pub fn parse(text: &str) -> Result<Self, BadTrace> {
        let lines = text.lines().enumerate();
        let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let (at, first) = lines.next().unwrap_or((0, ""));
        let head: Head = read(at, first)?;
        if head.trace != NAME || head.version != VERSION {
            let (name, version) = (head.trace, head.version);
            let problem = format!("a {name} of version {version}; known is {NAME} {VERSION}");
            return Err(BadTrace::Line { line: 1, problem });
        }
        let (mut faults, mut events) = (Vec::new(), Vec::new());
        for (at, line) in lines {
            let value: serde_json::Value = read(at, line)?;
            if value.get("at_us").is_some() {
                faults.push(read::<Timed<F>>(at, line)?);
            } else if value.get("time_us").is_some() {
                let event: Event = read(at, line)?;
                events.push((event.time, event.event));
            }
        }
        Ok(Self {
            seed: head.seed,
            faults: Schedule::new(faults),
            violation: head.violation,
            events,
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(at: usize, line: &str) -> Result<T, BadTrace> {
    serde_json::from_str(line).map_err(|error| BadTrace::Line {
        line: at + 1,
        problem: error.to_string(),
    })
}

impl<F: AnyFault> fmt::Display for TraceFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn line(f: &mut fmt::Formatter<'_>, value: &impl Serialize) -> fmt::Result {
            let text = serde_json::to_string(value).map_err(|_| fmt::Error)?;
            writeln!(f, "{text}")
        }
        let head = Head {
            trace: NAME.to_owned(),
            version: VERSION,
            seed: self.seed,
            violation: self.violation.clone(),
        };
        line(f, &head)?;
        for fault in self.faults.faults() {
            line(f, fault)?;
        }
        for (time, event) in &self.events {
            let (time, event) = (*time, event.clone());
            line(f, &Event { time, event })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Fault, *};

    #[test]
    fn a_trace_is_read_as_it_was_written() {
        let second = Duration::from_secs(1);
        let cut = Fault::CutOneWay {
            from: "a".into(),
            to: "b".into(),
            span: 2 * second,
        };
        let skew = Fault::Skew {
            host: "a".into(),
            offset_ms: -7,
            drift_ppm: 20,
            span: second,
        };
        let trace = TraceFile {
            seed: u64::MAX,
            faults: [(3 * second, skew), (second, cut)].into_iter().collect(),
            violation: Some("X-1: \"it\"".into()),
            events: vec![(second, "a -> b".into())],
        };
        let text = trace.to_string();
        assert_eq!(TraceFile::parse(&text).unwrap(), trace);
        let second_line = text.lines().nth(1).unwrap();
        let expected = "{\"at_us\":1000000,\"kind\":\"cut-one-way\",\"from\":\"a\",\"to\":\"b\",\
                        \"span_us\":2000000}";
        assert_eq!(second_line, expected);
    }

    #[test]
    fn what_is_no_trace_is_refused_by_line() {
        for (text, problem) in [
            ("", "line 1: "),
            (
                "{\"trace\":\"other\",\"version\":1,\"seed\":1}",
                "line 1: a other",
            ),
            (
                "{\"trace\":\"tepui-sim\",\"version\":1,\"seed\":1}\n{\"at_us\":1,\"kind\":\"x\"}",
                "line 2: ",
            ),
        ] {
            let error = TraceFile::<Fault>::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
