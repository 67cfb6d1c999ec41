//! Many seeds of one simulation; and when one fails, the faults that are needed for it, and how that
//! run is repeated.
//!
//! | variable | meaning |
//! |---|---|
//! | `TEPUI_SEEDS` | how many seeds are run |
//! | `TEPUI_FIRST_SEED` | from which on |
//! | `TEPUI_SEED` | replays this seed alone |
//! | `TEPUI_FAULTS` | with those of its faults only: `2,5`, or nothing for none |
//! | `TEPUI_REPLAY` | replays the run of a trace file |
//! | `TEPUI_TRACE` | a file to which a replay writes its own trace |

use std::{
    collections::BTreeSet,
    env,
    fmt::Write,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use super::{
    Settings, Sim,
    fault::{AnyFault, Fault},
    journal::{Failure, Journal},
    rng,
    schedule::{Schedule, Shape},
    shrink::shrink,
    trace::TraceFile,
};

/// Runs, at most, to find out which faults are needed.
const SHRINKING_TRIES: usize = 300;

/// What decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case<F> {
    /// The seed.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Schedule<F>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The first violation, if there is one.
    pub verdict: Result<(), Failure>,
    /// Everything that happened.
    pub journal: Journal,
}

type Draw<F> = Box<dyn Fn(u64) -> Schedule<F> + Send + Sync>;

/// A simulation that is run with many seeds.
pub struct Explore<F> {
    name: String,
    command: String,
    seeds: Range<u64>,
    threads: usize,
    calm_from: Duration,
    draw: Draw<F>,
}

impl<F: AnyFault + Send + Sync> Explore<F> {
    /// A simulation of that name, which `command` runs; with 20 seeds and without faults.
    pub fn new(name: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            seeds: 0..20,
            threads: thread::available_parallelism().map_or(1, usize::from),
            calm_from: Duration::MAX,
            draw: Box::new(|_| Schedule::default()),
        }
    }

    /// With these seeds, unless the environment says otherwise.
    #[must_use]
    pub fn seeds(self, seeds: Range<u64>) -> Self {
        Self { seeds, ..self }
    }

    /// So many at a time; one per core without this.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// With the faults that `draw` makes of a seed.
    #[must_use]
    pub fn draw(self, draw: impl Fn(u64) -> Schedule<F> + Send + Sync + 'static) -> Self {
        let draw = Box::new(draw);
        Self { draw, ..self }
    }

    /// Runs the seeds, or what the environment asks for.
    ///
    /// # Panics
    /// When a seed fails: with what was violated, the faults that are needed for it, and the command
    /// that repeats that run.
    pub fn run(&self, run: impl Fn(&Case<F>) -> Ran + Sync) {
        if let Ok(path) = env::var("TEPUI_REPLAY") {
            return self.replay_file(Path::new(&path), &run);
        }
        if let Some(seed) = number("TEPUI_SEED") {
            return self.replay(&self.asked_for(seed), &run);
        }
        self.run_all(run);
    }

    /// Runs the seeds, whatever is asked to be replayed: for a test beside one that replays.
    ///
    /// # Panics
    /// As [`Explore::run`].
    pub fn run_all(&self, run: impl Fn(&Case<F>) -> Ran + Sync) {
        let first = number("TEPUI_FIRST_SEED").unwrap_or(self.seeds.start);
        let count = number("TEPUI_SEEDS").unwrap_or(self.seeds.end - self.seeds.start);
        let reports = self.judge_all(first..first + count, &run);
        assert!(reports.is_empty(), "\n{}", reports.join("\n"));
    }

    /// What a seed comes to.
    pub fn case(&self, seed: u64) -> Case<F> {
        let faults = (self.draw)(seed);
        Case { seed, faults }
    }

    fn asked_for(&self, seed: u64) -> Case<F> {
        let case = self.case(seed);
        let Ok(numbers) = env::var("TEPUI_FAULTS") else {
            return case;
        };
        let numbers = numbers
            .split(',')
            .map(str::trim)
            .filter(|number| !number.is_empty());
        let numbers = numbers.map(|text| {
            let number = text.parse();
            number.unwrap_or_else(|_| panic!("TEPUI_FAULTS has {text:?}: must be numbers"))
        });
        let faults = case.faults.only(&numbers.collect());
        Case { faults, ..case }
    }

    fn judge_all(&self, seeds: Range<u64>, run: &(impl Fn(&Case<F>) -> Ran + Sync)) -> Vec<String> {
        let next = AtomicU64::new(seeds.start);
        let worker = || {
            let mut reports = Vec::new();
            while reports.is_empty() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                reports.extend(self.judge(&self.case(seed), run).err());
            }
            reports
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1))
                .map(|_| scope.spawn(worker))
                .collect();
            let ended = workers.into_iter().map(|worker| worker.join());
            ended
                .flat_map(|reports| reports.expect("simulations end"))
                .collect()
        })
    }

    /// Runs a case; a failure comes back as a report for people, its faults shrunk.
    ///
    /// # Errors
    /// That report.
    pub fn judge(&self, case: &Case<F>, run: &impl Fn(&Case<F>) -> Ran) -> Result<(), String> {
        let Err(failure) = run(case).verdict else {
            return Ok(());
        };
        let id = &failure.violation.id;
        let only = |numbers: &BTreeSet<usize>| Case {
            seed: case.seed,
            faults: case.faults.only(numbers),
        };
        let fails = |numbers: &BTreeSet<usize>| {
            let verdict = run(&only(numbers)).verdict;
            verdict.is_err_and(|other| other.violation.id == *id)
        };
        let needed = shrink(case.faults.faults().len(), SHRINKING_TRIES, fails);
        let least = only(&needed);
        Err(self.report(case, &failure, &needed, &least, run(&least)))
    }

    fn report(
        &self,
        case: &Case<F>,
        failure: &Failure,
        needed: &BTreeSet<usize>,
        least: &Case<F>,
        ran: Ran,
    ) -> String {
        let (seed, command) = (case.seed, &self.command);
        let numbers: Vec<String> = needed.iter().map(ToString::to_string).collect();
        let mut report = format!(
            "{}: seed {seed}: {failure}\nits faults:\n{}",
            self.name, case.faults
        );
        // Writing to a string does not fail.
        let _ = match numbers.is_empty() {
            true => writeln!(report, "none of them is needed"),
            false => writeln!(report, "needed of them: {}", numbers.join(", ")),
        };
        if let Err(other) = &ran.verdict {
            let _ = writeln!(report, "with these alone: {other}");
        }
        let faults = numbers.join(",");
        let _ = writeln!(
            report,
            "replay with:\n  TEPUI_SEED={seed} TEPUI_FAULTS={faults} {command}"
        );
        let path = self.path(seed);
        if trace_file(least, &ran).write(&path).is_ok() {
            let path = path.display();
            let _ = writeln!(report, "or by its trace:\n  TEPUI_REPLAY={path} {command}");
        }
        report
    }

    /// Where the trace of a failing seed is written: beside the build.
    fn path(&self, seed: u64) -> PathBuf {
        let build = env::current_exe().ok();
        let target = build.as_deref().and_then(|exe| exe.ancestors().nth(3));
        let folder = target.map_or_else(env::temp_dir, Path::to_path_buf);
        folder
            .join("sim")
            .join(format!("{}-{seed}.jsonl", self.name))
    }

    fn replay_file(&self, path: &Path, run: &impl Fn(&Case<F>) -> Ran) {
        let file = TraceFile::read(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (seed, faults) = (file.seed, file.faults);
        self.replay(&Case { seed, faults }, &|case| {
            let ran = run(case);
            let events = ran.journal.events();
            let differs = file.events.iter().zip(&events).position(|(a, b)| a != b);
            if let (Some(at), false) = (differs, file.events.is_empty()) {
                eprintln!(
                    "another run than in the trace, from event {at} on:\n  {:?}\n  {:?}",
                    file.events[at], events[at]
                );
            }
            ran
        });
    }

    /// Runs a case and says what becomes of it.
    ///
    /// # Panics
    /// When something is violated.
    pub fn replay(&self, case: &Case<F>, run: &impl Fn(&Case<F>) -> Ran) {
        println!(
            "{}: seed {}, faults:\n{}",
            self.name, case.seed, case.faults
        );
        let ran = run(case);
        if let Ok(path) = env::var("TEPUI_TRACE") {
            let written = trace_file(case, &ran).write(Path::new(&path));
            written.unwrap_or_else(|error| panic!("TEPUI_TRACE={path}: {error}"));
        }
        if let Err(failure) = ran.verdict {
            panic!("{}: seed {}: {failure}", self.name, case.seed);
        }
    }
}

impl Explore<Fault> {
    /// With faults of all kinds, of that shape; they are over a while after the last has begun.
    #[must_use]
    pub fn faults(self, shape: Shape) -> Self {
        let calm_from = shape.until + shape.longest / 2;
        let draw = move |seed| Schedule::draw(&mut rng::generator(seed, "faults"), &shape);
        Self { calm_from, ..self }.draw(draw)
    }

    /// Runs `simulation` with each seed: it adds hosts, lets time pass and ensures what must hold.
    ///
    /// # Panics
    /// As [`Explore::run`].
    pub fn check(&self, simulation: impl Fn(&mut Sim) -> Result<(), Failure> + Sync) {
        self.run(|case| self.simulate(case, &simulation));
    }

    /// Runs `simulation` with one case.
    pub fn simulate(
        &self,
        case: &Case<Fault>,
        simulation: &impl Fn(&mut Sim) -> Result<(), Failure>,
    ) -> Ran {
        let mut rng = rng::generator(case.seed, "network");
        let latency = [5, 20, 100][rand::RngExt::random_range(&mut rng, 0..3)];
        let mut sim = Sim::new(Settings {
            faults: case.faults.clone(),
            calm_from: self.calm_from,
            latency: Duration::from_millis(latency),
            ..Settings::new(case.seed)
        });
        let verdict = simulation(&mut sim).and_then(|()| sim.verdict());
        let journal = sim.journal().clone();
        Ran { verdict, journal }
    }
}

fn trace_file<F: AnyFault>(case: &Case<F>, ran: &Ran) -> TraceFile<F> {
    let violation = ran.verdict.as_ref().err();
    TraceFile {
        seed: case.seed,
        faults: case.faults.clone(),
        violation: violation
            .map(|failure| format!("{}: {}", failure.violation.id, failure.violation.what)),
        events: ran.journal.events(),
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text}: must be a number")))
}
