//! The runs of one test: with one seed, or with several; and how a failing one is run again.

use std::{
    fmt::Debug,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::{TestKit, run_seeded};

/// The seed to run in place of all that a test asks for.
const SEED: &str = "TEPUI_SEED";

/// What a test may return.
pub trait Outcome {
    /// Fails the test if it has failed.
    ///
    /// # Panics
    /// When it has.
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl<E: Debug> Outcome for Result<(), E> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the test returned an error: {error:?}");
        }
    }
}

/// A test and the seeds it is to be run with. `#[tepui_runtime::test]` writes this.
#[derive(Clone, Debug)]
pub struct Runs {
    package: &'static str,
    path: &'static str,
    seeds: Range<u64>,
}

impl Runs {
    /// The test at `path` (with the crate in front) of a package, with seed 0.
    pub fn new(package: &'static str, path: &'static str) -> Self {
        let seeds = 0..1;
        Self {
            package,
            path,
            seeds,
        }
    }

    /// With these seeds.
    #[must_use]
    pub fn seeds(self, seeds: Range<u64>) -> Self {
        Self { seeds, ..self }
    }

    /// Runs the test with each seed in turn until it fails; with that of the environment variable
    /// `TEPUI_SEED` alone, if it is set.
    ///
    /// # Panics
    /// When the test does, after saying how that run is repeated.
    pub fn run<T: Outcome>(self, test: impl AsyncFn(TestKit) -> T) {
        let only = std::env::var(SEED).ok().map(|text| seed(&text));
        let seeds = only.map_or(self.seeds.clone(), |seed| seed..seed + 1);
        for seed in seeds {
            let once = || run_seeded(seed, async |kit| test(kit).await.check());
            if let Err(panic) = catch_unwind(AssertUnwindSafe(once)) {
                eprintln!(
                    "failed with seed {seed}; replay with:\n  {}",
                    self.command(seed)
                );
                resume_unwind(panic);
            }
        }
    }

    /// What runs the test with that seed alone.
    fn command(&self, seed: u64) -> String {
        let path = self
            .path
            .split_once("::")
            .map_or(self.path, |(_, path)| path);
        format!(
            "{SEED}={seed} cargo test -p {} {path} -- --exact",
            self.package
        )
    }
}

fn seed(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{SEED}={text}: must be a number"))
}
