//! What runs and sweeps have in common: the trace, the nodes, and what can happen to them.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::Args;
use tepui_allocator::Weight;
use tepui_protocol::Role;
use tepui_sim::{
    Failures, Format, Nodes, Options, Placement, Reading, Settings, Time, Workload,
    random::Random,
    recommend::estimate_from_history,
    roles::{By, Mapping},
    slo::Terms,
    time::parse_span,
    trace,
};

use crate::cli::bad_input;

#[derive(Clone, Debug, Args)]
pub(super) struct Setup {
    /// Jobs; plain, .gz or .zst
    #[arg(long, value_name = "FILE")]
    pub(super) trace: PathBuf,
    /// swf, openb, azure-vm or jsonl [default: by the file's name]
    #[arg(long, value_parser = format)]
    pub(super) format: Option<Format>,
    /// Nodes, as `100xcpus:64;mem:256GiB;gpus:8` or a file [default: the machine that an SWF file names]
    #[arg(long, value_name = "SPEC|FILE")]
    pub(super) nodes: Option<String>,
    /// What roles are made of: one, user, group, group/user or queue
    #[arg(long, value_parser = by, default_value = "user", value_name = "BY")]
    pub(super) roles: By,
    /// The weight of a role, as `role=2`; repeatable
    #[arg(long = "weight", value_parser = weight, value_name = "ROLE=W")]
    pub(super) weights: Vec<(Role, Weight)>,
    /// Leave out lines that cannot be used, and count them
    #[arg(long)]
    pub(super) skip_bad: bool,
    /// What policies know of run times: trace (requested times), exact, history (what 95 % of the role's earlier jobs ran at most), or
    /// xN (N times the run time)
    #[arg(long, value_parser = estimates, default_value = "trace", value_name = "HOW")]
    pub(super) estimates: Estimates,
    /// Jobs never end, so that the cluster fills up
    #[arg(long)]
    pub(super) forever: bool,
    /// Submissions so many times as fast
    #[arg(long, value_parser = factor, default_value = "1", value_name = "FACTOR")]
    pub(super) load: f64,
    /// Each submission later by up to this, drawn by the seed
    #[arg(long, value_parser = parse_span, default_value = "0s", value_name = "SPAN")]
    pub(super) jitter: Time,
    /// How long a message between allocator, framework and node takes
    #[arg(long, value_parser = parse_span, default_value = "0s", value_name = "SPAN")]
    pub(super) latency: Time,
    /// Nodes fail, after this time on average
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    pub(super) mtbf: Option<Time>,
    /// How long the repair of a node takes on average
    #[arg(long, value_parser = parse_span, default_value = "1h", value_name = "SPAN")]
    pub(super) mttr: Time,
    /// How often a job is started that failing nodes kill
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(super) attempts: u16,
    /// After this time, --policy history and --estimates history count what was half
    #[arg(long, value_parser = half_life, default_value = "1d", value_name = "SPAN")]
    pub(super) half_life: Time,
    /// A role's burst and its class, as `web=hard,16xcpus:4;mem:8GiB,10m/1h,p99:5s`, or a file with one a line; repeatable. --policy
    /// slo keeps them, all others are measured by them
    #[arg(long, value_name = "LEVEL|FILE")]
    pub(super) slo: Vec<String>,
    /// Roles below their fair share take from those above: the youngest jobs of these are ended
    #[arg(long)]
    pub(super) revoke: bool,
    /// How long jobs may go on that are to be revoked
    #[arg(long, value_parser = parse_span, default_value = "30s", value_name = "SPAN")]
    pub(super) grace: Time,
    /// End the run at this virtual time
    #[arg(long, value_parser = parse_span, value_name = "SPAN")]
    pub(super) until: Option<Time>,
}

/// What policies know of run times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Estimates {
    Trace,
    Exact,
    History,
    Times(f64),
}

fn named<T: Copy>(known: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

fn format(text: &str) -> Result<Format, String> {
    named(&Format::ALL, text)
}

fn by(text: &str) -> Result<By, String> {
    named(&By::ALL, text)
}

pub(super) fn placement(text: &str) -> Result<Placement, String> {
    named(
        &Placement::ALL.map(|(name, placement, _)| (name, placement)),
        text,
    )
}

fn half_life(text: &str) -> Result<Time, String> {
    let span = parse_span(text)?;
    (span > Time::ZERO)
        .then_some(span)
        .ok_or_else(|| "must be more than nothing".to_owned())
}

/// A file of service levels larger than this is none.
const LEVELS_BYTES_MAX: u64 = 1 << 20;

/// Service levels as they are given: each one, or a file with one a line.
fn levels(given: &[String]) -> anyhow::Result<Vec<Terms>> {
    let mut levels = Vec::new();
    for text in given {
        if text.contains('=') {
            levels.push(Terms::parse(text).map_err(|what| bad_input(anyhow!(what)))?);
            continue;
        }
        let mut read = String::new();
        let opened = open(Path::new(text))?;
        opened
            .take(LEVELS_BYTES_MAX)
            .read_to_string(&mut read)
            .map_err(|error| bad_input(anyhow!("{text}: cannot be read: {error}")))?;
        for (line, number) in read.lines().zip(1..) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let terms = Terms::parse(line);
                levels.push(terms.map_err(|what| bad_input(anyhow!("{text}:{number}: {what}")))?);
            }
        }
    }
    Ok(levels)
}

fn weight(text: &str) -> Result<(Role, Weight), String> {
    let (role, weight) = text
        .split_once('=')
        .ok_or("write role=weight, e.g. eng=2")?;
    let role = Role::new(role).map_err(|error| error.to_string())?;
    Ok((
        role,
        weight
            .parse::<Weight>()
            .map_err(|error| error.to_string())?,
    ))
}

pub(super) fn factor(text: &str) -> Result<f64, String> {
    let value = text
        .parse::<f64>()
        .ok()
        .filter(|value| (1e-6..=1e6).contains(value));
    value.ok_or_else(|| "must be a number from 0.000001 to 1000000".to_owned())
}

fn estimates(text: &str) -> Result<Estimates, String> {
    match text {
        "trace" => Ok(Estimates::Trace),
        "exact" => Ok(Estimates::Exact),
        "history" => Ok(Estimates::History),
        _ => {
            let times = text
                .strip_prefix('x')
                .ok_or("must be trace, exact, history or e.g. x2")?;
            factor(times).map(Estimates::Times)
        }
    }
}

impl Setup {
    /// Reads the trace as it is with this seed, and the nodes.
    pub(super) fn read(&self, seed: u64) -> anyhow::Result<(Workload, Nodes)> {
        let shown = self.trace.display().to_string();
        let format = self.format.or_else(|| Format::of_name(&self.trace));
        let format = format.ok_or_else(|| {
            bad_input(anyhow!("{shown}: the name does not tell the format; add --format swf, openb, azure-vm or jsonl"))
        })?;
        let reading = Reading {
            format,
            mapping: Mapping {
                by: self.roles,
                weights: self.weights.iter().cloned().collect(),
            },
            skip_bad: self.skip_bad,
            forever: self.forever,
            seed,
        };
        let mut workload = trace::read(&shown, open(&self.trace)?, &reading).map_err(bad_input)?;
        self.change(&mut workload, seed);
        let nodes = self.nodes(&mut workload)?;
        Ok((workload, nodes))
    }

    fn change(&self, workload: &mut Workload, seed: u64) {
        for job in &mut workload.jobs {
            match self.estimates {
                Estimates::Trace | Estimates::History => {}
                Estimates::Exact => job.estimate = job.run,
                Estimates::Times(factor) if job.run != Time::NEVER => {
                    job.estimate = Time((job.run.0 as f64 * factor) as u64);
                }
                Estimates::Times(_) => {}
            }
        }
        if self.load != 1.0 {
            workload.scale_load(self.load);
        }
        workload.jitter(self.jitter, &mut Random::new(seed, 4));
        if self.estimates == Estimates::History {
            estimate_from_history(workload, self.half_life);
        }
    }

    fn nodes(&self, workload: &mut Workload) -> anyhow::Result<Nodes> {
        let Some(text) = &self.nodes else {
            let machine = workload.machine.ok_or_else(|| {
                bad_input(anyhow!("--nodes is missing, and the trace does not say what machine it is of; write e.g. --nodes 100xcpus:64"))
            })?;
            return Ok(Nodes::of_machine(machine));
        };
        let path = Path::new(text);
        if path.exists() {
            return Nodes::read(text, open(path)?, workload).map_err(bad_input);
        }
        Nodes::parse(text, workload)
            .map_err(|what| bad_input(anyhow!("{what}, or the name of a file")))
    }

    /// What the policy is told.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings {
            half_life: self.half_life,
            slo: levels(&self.slo)?,
            revoke: self.revoke.then_some(self.grace),
        })
    }

    /// What the run is told.
    pub(super) fn options(&self, placement: Placement, seed: u64) -> Options {
        let failures = self.mtbf.map(|mtbf| Failures {
            mtbf,
            mttr: self.mttr,
            attempts_max: self.attempts.max(1),
        });
        Options {
            placement,
            seed,
            latency: self.latency,
            failures,
            until: self.until,
        }
    }

    /// The trace's name without its folder, as results call it.
    pub(super) fn trace_name(&self) -> String {
        self.trace
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let opened = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() {
            Err(std::io::ErrorKind::IsADirectory.into())
        } else {
            Ok(file)
        }
    });
    opened.map_err(|error| bad_input(anyhow!("{}: cannot be read: {error}", path.display())))
}
