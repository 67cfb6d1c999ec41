//! Processes of executors and their sandboxes: what the agent needs of an operating system, as a
//! trait, so that a simulation can give scripted ones in its place.

mod collection;
mod files;
mod looks;
mod system;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use tepui_isolation::{
    Outcome, Piece, ProcessIdentity, Usage,
    sandbox::collection::{Collection, Kept},
};
use tepui_protocol::{
    CommandInfo, ExecutorId, FrameworkId, GpuShare, Resources, Timestamp,
    provision::{CommandUri, ImageInfo},
};

pub use system::SystemLauncher;

/// One run of an executor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutorRun {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub executor_id: ExecutorId,
    /// Unlike any other run anywhere; all its processes have it in their environment.
    pub run: String,
}

/// What to launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorLaunch {
    /// Which run it will be.
    pub run: ExecutorRun,
    /// The framework's own executor; none for the built-in command executor.
    pub command: Option<CommandInfo>,
    /// The variables that tell it its place, to be laid over those it inherits.
    pub environment: BTreeMap<String, String>,
    /// Its sandbox, to be made.
    pub sandbox: PathBuf,
    /// Whom its tasks run as, and it itself if it is the framework's own; the agent's default where
    /// absent.
    pub user: Option<String>,
    /// What it and its tasks may use.
    pub resources: Resources,
    /// Their GPUs.
    pub gpus: Vec<GpuShare>,
    /// Files to get into the sandbox first.
    pub uris: Vec<CommandUri>,
    /// What it, or its task, sees in place of the machine's files.
    pub image: Option<ImageInfo>,
}

/// A run that has live tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInUse {
    /// Which.
    pub run: ExecutorRun,
    /// Its sandbox.
    pub sandbox: PathBuf,
    /// Its GPUs.
    pub gpus: Vec<GpuShare>,
    /// The containers of the tasks of a group; none if it has one container of its own name.
    pub members: Vec<String>,
}

/// An executor that runs.
pub struct Launched {
    /// Its process.
    pub process: ProcessIdentity,
    /// Resolves when the process has ended.
    pub ended: LocalBoxFuture<'static, Outcome>,
}

/// Starts, finds and kills executors, and reads their sandboxes.
pub trait Launcher: Send + 'static {
    /// Makes the sandbox and starts the executor, so that it outlives the agent's process.
    /// Resolves, when it runs, to what the agent remembers of it; or to a text for people.
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>>;

    /// Gives up a launch that is getting files; it resolves to an error soon.
    fn give_up(&mut self, _run: &ExecutorRun) {}

    /// How far a launch is that is getting files, for people.
    fn progress(&self, _run: &ExecutorRun) -> Option<String> {
        None
    }

    /// Kills all processes of a run, also those that its executor started and left behind.
    /// Resolves when none is left, or to a text for people. `process` may long be over.
    fn kill(
        &mut self,
        run: &ExecutorRun,
        process: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>>;

    /// A framework's own executor and its tasks may use other resources from now on.
    fn resize(&mut self, _run: &ExecutorRun, _resources: &Resources, _gpus: &[GpuShare]) {}

    /// Removes what is left of containers that are not among `known`: those that an earlier life of the
    /// agent did not get to end.
    fn recover(&mut self, _known: BTreeSet<String>) {}

    /// What runs have used, in the order of `runs`.
    fn usage(&self, runs: Vec<RunInUse>) -> LocalBoxFuture<'static, Vec<Usage>> {
        Box::pin(async move { vec![Usage::default(); runs.len()] })
    }

    /// Whether [`Launcher::look`] does anything.
    fn looks(&self) -> bool {
        false
    }

    /// Looks at what these runs use `now`; [`Launcher::usage`] tells peaks of it. Does not block, and
    /// leaves a look out while the last one goes on.
    fn look(&mut self, _now: Timestamp, _containers: BTreeSet<String>) {}

    /// All sandboxes, for their collection; none where there are never any on a disk.
    fn sandboxes(&self, _work_dir: PathBuf) -> Option<LocalBoxFuture<'static, Vec<Kept>>> {
        None
    }

    /// Renews the age of these `kept` sandboxes whose runs live, and removes others that are too old `now`.
    fn collect(
        &self,
        _collection: Collection,
        _now: Timestamp,
        _work_dir: PathBuf,
        _kept: Vec<Kept>,
        _live: BTreeSet<String>,
    ) -> LocalBoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// Whether exactly that process still runs.
    fn is_alive(&self, process: ProcessIdentity) -> bool;

    /// Reads a piece of a file in a sandbox, which the path may not leave; or tells people why not.
    fn read_sandbox(
        &self,
        sandbox: PathBuf,
        path: String,
        offset: u64,
        length: usize,
    ) -> LocalBoxFuture<'static, Result<Piece, String>>;
}
