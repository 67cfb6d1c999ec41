//! What a trace comes to: jobs in the order in which they are submitted, and the roles they belong to.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::Problem;
use crate::{
    amounts::{self, Amounts},
    roles::{Mapping, Origin, Roles},
    time::Time,
};

/// A job's place in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

impl JobId {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// What the trace calls a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JobName {
    /// A number.
    Number(u64),
    /// A name.
    Text(Box<str>),
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobName::Number(number) => fmt::Display::fmt(number, f),
            JobName::Text(text) => f.pad(text),
        }
    }
}

/// Why a job cannot be simulated on any cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unfit {
    /// The trace does not know how long it ran.
    RunTimeUnknown,
    /// The trace does not know how many processors it had.
    SizeUnknown,
    /// It asks for nothing.
    AsksForNothing,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unfit::RunTimeUnknown => "its run time is unknown",
            Unfit::SizeUnknown => "its number of processors is unknown",
            Unfit::AsksForNothing => "it asks for nothing",
        })
    }
}

/// A job: `tasks` equal tasks that start together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it is submitted.
    pub submit: Time,
    /// How long its tasks run; [`Time::NEVER`] if they do not end.
    pub run: Time,
    /// How long its owner says that they run; policies see this and not `run`.
    pub estimate: Time,
    /// What one task takes. GPUs below one whole are a part of one device; otherwise they are whole devices.
    pub demand: Amounts,
    /// How many tasks, at least 1.
    pub tasks: u32,
    /// The role and framework it belongs to, an index of [`Workload::roles`].
    pub role: u32,
    /// Jobs of one class ask for the same: what does not fit for one does not fit for the others.
    pub class: u32,
    /// GPU models it accepts, bit `m` for [`Workload::models`]`[m]`; 0 for any.
    pub models: u64,
    /// Set if it is rejected as it is.
    pub unfit: Option<Unfit>,
}

/// Jobs and where they come from.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// In order of submission, equal times as in the trace.
    pub jobs: Vec<Job>,
    /// What the trace calls them, by [`JobId`].
    pub names: Vec<JobName>,
    /// Roles, one framework each.
    pub roles: Roles,
    /// Names of GPU models that jobs or nodes speak of; at most 64.
    pub models: Vec<Box<str>>,
    /// How many classes of jobs there are.
    pub classes: u32,
    /// Lines that were left out because they could not be used.
    pub skipped: u64,
    /// The first few of them.
    pub skipped_first: Vec<Problem>,
    /// Nodes and processors of the machine that the trace is of, if it says so.
    pub machine: Option<(u32, u32)>,
}

impl Workload {
    /// The bit of a GPU model, known or new; none if there are too many.
    pub(crate) fn model(&mut self, name: &str) -> Option<u8> {
        model_of(&mut self.models, name)
    }

    /// Divides the times between submissions by `factor`: 2 doubles the load.
    ///
    /// # Panics
    /// Unless `factor` is a positive number.
    pub fn scale_load(&mut self, factor: f64) {
        assert!(factor > 0.0 && factor.is_finite(), "a factor > 0");
        let first = self.jobs.first().map_or(Time::ZERO, |job| job.submit);
        for job in &mut self.jobs {
            let after = job.submit.since(first).0 as f64 / factor;
            job.submit = first.plus(Time(after.round() as u64));
        }
    }

    /// Moves each submission by up to `most` later, drawn by `random`, so that seeds give different runs.
    pub fn jitter(&mut self, most: Time, random: &mut crate::random::Random) {
        if most == Time::ZERO {
            return;
        }
        for job in &mut self.jobs {
            job.submit = job
                .submit
                .plus(Time(random.below(most.0.saturating_add(1))));
        }
        self.sort();
    }

    fn sort(&mut self) {
        if self.jobs.is_sorted_by_key(|job| job.submit) {
            return;
        }
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|&at| self.jobs[at].submit);
        self.jobs = order.iter().map(|&at| self.jobs[at].clone()).collect();
        let mut names = std::mem::take(&mut self.names);
        let empty = JobName::Number(0);
        self.names = order
            .iter()
            .map(|&at| std::mem::replace(&mut names[at], empty.clone()))
            .collect();
    }
}

fn model_of(models: &mut Vec<Box<str>>, name: &str) -> Option<u8> {
    let known = models.iter().position(|model| **model == *name);
    let at = known.unwrap_or(models.len());
    if at >= 64 {
        return None;
    }
    if known.is_none() {
        models.push(name.into());
    }
    u8::try_from(at).ok()
}

/// A job as a line of a trace says it.
#[derive(Clone, Debug)]
pub(super) struct Record<'a> {
    pub(super) name: JobName,
    pub(super) submit: Time,
    pub(super) run: Option<Time>,
    pub(super) estimate: Option<Time>,
    pub(super) demand: [u32; amounts::LANES],
    pub(super) tasks: Option<u32>,
    pub(super) models: u64,
    pub(super) origin: Origin<'a>,
}

/// What a class of jobs asks for.
type Ask = (Amounts, u32, u64);

/// A workload in the making.
#[derive(Debug)]
pub(super) struct Builder {
    workload: Workload,
    mapping: Mapping,
    classes: HashMap<Ask, u32>,
    used: HashSet<JobName>,
    last_class: Option<(Ask, u32)>,
    /// Job numbers so far count up, as they do in most logs: no need to remember each.
    last_number: Option<u64>,
}

/// How many skipped lines are kept to be shown.
const SKIPPED_SHOWN: usize = 5;

impl Builder {
    pub(super) fn new(mapping: Mapping) -> Self {
        Self {
            workload: Workload::default(),
            mapping,
            classes: HashMap::new(),
            used: HashSet::new(),
            last_class: None,
            last_number: None,
        }
    }

    pub(super) fn model(&mut self, name: &str) -> Result<u8, String> {
        self.workload
            .model(name)
            .ok_or_else(|| format!("GPU model {name:?}: more than 64 different ones"))
    }

    /// The machine of the trace: nodes and processors.
    pub(super) fn machine(&mut self) -> &mut Option<(u32, u32)> {
        &mut self.workload.machine
    }

    pub(super) fn skip(&mut self, problem: Problem) {
        self.workload.skipped += 1;
        if self.workload.skipped_first.len() < SKIPPED_SHOWN {
            self.workload.skipped_first.push(problem);
        }
    }

    pub(super) fn push(&mut self, record: Record<'_>) -> Result<(), String> {
        let demand = Amounts::new(record.demand).ok_or("a demand is out of range")?;
        let gpus = demand.lane(amounts::GPUS);
        if gpus > 1000 && !gpus.is_multiple_of(1000) {
            return Err(format!(
                "{} GPUs a task: must be whole, or a part of one",
                f64::from(gpus) / 1000.0
            ));
        }
        let id = u32::try_from(self.workload.jobs.len()).map_err(|_| "more than 2^32 jobs")?;
        debug_assert_eq!(id as usize, self.workload.names.len());
        let role = self
            .mapping
            .role_of(&record.origin, &mut self.workload.roles)?;
        self.claim_name(&record.name)?;
        let unfit = match (record.run, record.tasks) {
            (_, None) => Some(Unfit::SizeUnknown),
            (None, _) => Some(Unfit::RunTimeUnknown),
            _ if demand.is_zero() => Some(Unfit::AsksForNothing),
            _ => None,
        };
        let run = record.run.unwrap_or_default();
        let tasks = record.tasks.unwrap_or(1).max(1);
        let class = self.class((demand, tasks, record.models));
        self.workload.jobs.push(Job {
            submit: record.submit,
            run,
            estimate: record.estimate.unwrap_or(run),
            demand,
            tasks,
            role,
            class,
            models: record.models,
            unfit,
        });
        self.workload.names.push(record.name);
        Ok(())
    }

    fn claim_name(&mut self, name: &JobName) -> Result<(), String> {
        let counted = match (name, self.last_number) {
            (JobName::Number(number), last) if self.used.is_empty() => {
                last.is_none_or(|last| *number > last)
            }
            _ => false,
        };
        if let (JobName::Number(number), true) = (name, counted) {
            self.last_number = Some(*number);
            return Ok(());
        }
        if self.used.is_empty() {
            self.used = self.workload.names.iter().cloned().collect();
        }
        if !self.used.insert(name.clone()) {
            return Err(format!("job {name}: the name was used before"));
        }
        Ok(())
    }

    fn class(&mut self, ask: Ask) -> u32 {
        match self.last_class {
            Some((last, class)) if last == ask => class,
            _ => {
                let next = u32::try_from(self.classes.len()).expect("fewer classes than jobs");
                let class = *self.classes.entry(ask).or_insert(next);
                self.last_class = Some((ask, class));
                class
            }
        }
    }

    pub(super) fn finish(self) -> Result<Workload, String> {
        let mut workload = self.workload;
        workload.classes = u32::try_from(self.classes.len()).expect("fewer classes than jobs");
        self.mapping.check(&workload.roles)?;
        workload.roles.weigh(&self.mapping);
        workload.sort();
        Ok(workload)
    }
}
