//! Executors as processes of the operating system: a group each, watched by a thread.
//!
//! The built-in executor runs outside of the container that it gives its task, and is told how to
//! make that; a framework's own executor is in one container with its tasks. Either has the name of
//! the run. An executor's group is its own, so that it lives on when the agent ends. Blocking calls are made
//! on threads of their own and never on the agent's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::LocalBoxFuture;
use tepui_fetch::{Fetcher, Images};
use tepui_isolation::{
    Container, Containerizer, Ended, Image, LaunchSpec, Piece, ProcessIdentity, Signal, Usage,
    process::{chain, family},
    sandbox::{
        self,
        collection::{Collection, Kept},
        kept,
    },
};
use tepui_protocol::{GpuShare, Resources, Timestamp, messages::environment as names};
use tokio::sync::oneshot;

use super::{
    ExecutorLaunch, ExecutorRun, Launched, Launcher, RunInUse,
    files::{Files, Order},
    looks::Looks,
};

/// A thread makes launch plans and waits; it needs little stack.
const WATCHER_STACK: usize = 256 * 1024;
/// One that fetches files unpacks archives and speaks TLS.
const FETCHER_STACK: usize = 4 << 20;
/// Variables of the agent that an isolated task gets.
const PASSED_ON: &[&str] = &["LANG", "LANGUAGE", "PATH", "TZ"];
/// Where the built-in executor writes what it has to say itself; the task has `stdout`, `stderr`.
const EXECUTOR_LOG: &str = "executor.log";

/// Real processes, through `tepui-isolation`.
#[derive(Clone, Debug)]
pub struct SystemLauncher {
    program: PathBuf,
    arguments: Vec<String>,
    inherited: BTreeMap<String, String>,
    containers: Option<Arc<Containerizer>>,
    looks: Option<Looks>,
    files: Option<Files>,
}

impl SystemLauncher {
    /// Runs `program executor` for commands; executors inherit this process's environment, less
    /// the variables that are tepui's own.
    pub fn new(program: PathBuf) -> Self {
        let all = std::env::vars_os();
        let texts = all.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let ours = |name: &str| name.starts_with("TEPUI_") || name.starts_with("MESOS_");
        let inherited = texts.filter(|(name, _)| !ours(name)).collect();
        Self {
            program,
            arguments: vec!["executor".to_owned()],
            inherited,
            containers: None,
            looks: None,
            files: None,
        }
    }

    /// The same with tasks and frameworks' executors in containers.
    pub fn contained(self, containerizer: Containerizer) -> Self {
        let looks = containerizer.sampler().map(Looks::start);
        Self {
            containers: Some(Arc::new(containerizer)),
            looks,
            ..self
        }
    }

    /// The same with files and images that are got for commands.
    pub fn fetching(self, fetcher: Fetcher, images: Images) -> Self {
        let files = Some(Files::new(fetcher, images));
        Self { files, ..self }
    }

    /// Runs this very program again, with the argument `executor`.
    ///
    /// # Errors
    /// When the program's path cannot be told.
    pub fn current_exe() -> std::io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }

    /// The same with other arguments for the built-in executor.
    pub fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// What executors, and through them tasks, inherit of the agent's environment: all of it without
    /// isolation; with it, what may hold secrets stays with the agent.
    fn environment(&self) -> BTreeMap<String, String> {
        let is_isolated = self
            .containers
            .as_ref()
            .is_some_and(|c| !c.names().is_empty());
        let mut environment = self.inherited.clone();
        environment.retain(|name, _| {
            !is_isolated || PASSED_ON.contains(&name.as_str()) || name.starts_with("LC_")
        });
        environment
    }

    fn spec(&self, launch: &ExecutorLaunch, image: Option<&Image>) -> LaunchSpec {
        let mut environment = self.environment();
        let sandbox = launch.sandbox.clone();
        let Some(command) = &launch.command else {
            environment.extend(launch.environment.clone());
            if let Some(containers) = &self.containers {
                let text = containers.config().to_text();
                environment.insert(names::ISOLATION.to_owned(), text);
                let user = launch.user.clone();
                environment.extend(user.map(|user| (names::TASK_USER.to_owned(), user)));
                if !launch.gpus.is_empty() {
                    let text = names::gpus_to_text(&launch.gpus);
                    environment.insert(names::TASK_GPUS.to_owned(), text);
                }
            }
            let text = image.map(Image::to_text);
            environment.extend(text.map(|text| (names::TASK_IMAGE.to_owned(), text)));
            let program = self.program.display().to_string();
            let mut spec = LaunchSpec::new(program, self.arguments.clone(), environment, sandbox);
            spec.outputs = [EXECUTOR_LOG.to_owned(), EXECUTOR_LOG.to_owned()];
            return spec;
        };
        if let Some(image) = image {
            environment.clone_from(&image.environment);
        }
        environment.extend(command.environment.clone());
        environment.extend(launch.environment.clone());
        match image {
            Some(image) => LaunchSpec::command(&image.command(command), environment, sandbox),
            None => LaunchSpec::command(command, environment, sandbox),
        }
    }
}

impl Launcher for SystemLauncher {
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>> {
        let launcher = self.clone();
        let containers = self.containers.clone();
        if let Some(containers) = &containers {
            containers.announce();
        }
        let name = launch.run.run.clone();
        let mut own = launch.command.is_some().then(|| Container {
            user: launch.user.clone(),
            gpus: launch.gpus.clone(),
            grows: true,
            ..Container::new(name.clone(), launch.sandbox.clone(), &launch.resources)
        });
        let files = Order::of(self.files.as_ref(), &launch);
        let stack = if files.is_some() {
            FETCHER_STACK
        } else {
            WATCHER_STACK
        };
        let (started, is_started) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let spawned = thread_with("executor", stack, move || {
            let launched = sandbox::make(&launch.sandbox)
                .map_err(|error| chain(&error))
                .and_then(|()| files.map_or(Ok(None), |files| files.get(containers.as_deref())))
                .and_then(|image| {
                    let spec = launcher.spec(&launch, image.as_ref());
                    if let Some(own) = &mut own {
                        own.image = image;
                    }
                    let launched = match (&containers, &own) {
                        (Some(containers), Some(container)) => containers.launch(container, &spec),
                        _ => spec.launch(),
                    };
                    launched.map_err(|error| chain(&error))
                });
            let release = || {
                if let Some(files) = launcher.files.as_ref().filter(|_| launch.image.is_some()) {
                    files.release(&name);
                }
            };
            match launched {
                Err(problem) => {
                    release();
                    drop(started.send(Err(problem)));
                }
                Ok(launched) => {
                    // The agent may be gone by now; the executor is watched all the same.
                    let _ = started.send(Ok(launched.identity()));
                    let outcome = launched.wait().unwrap_or(Ended::Unseen.into());
                    if let Some(problem) = containers.and_then(|c| c.destroy(&name).err()) {
                        tracing::warn!(problem, "container not removed");
                    }
                    release();
                    let _ = over.send(outcome);
                }
            }
        });
        Box::pin(async move {
            spawned?;
            let process = is_started
                .await
                .unwrap_or_else(|_| Err("launching stopped".into()))?;
            let ended = Box::pin(async { is_over.await.unwrap_or(Ended::Unseen.into()) });
            Ok(Launched { process, ended })
        })
    }

    fn give_up(&mut self, run: &ExecutorRun) {
        if let Some(files) = &self.files {
            files.give_up(&run.run);
        }
    }

    fn progress(&self, run: &ExecutorRun) -> Option<String> {
        self.files.as_ref()?.progress(&run.run)
    }

    fn kill(
        &mut self,
        run: &ExecutorRun,
        process: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let mark = run.run.clone();
        let containers = self.containers.clone();
        on_thread("kill", move || {
            if let Some(process) = process {
                // That it has ended is fine.
                let _ = process.signal_group(Signal::Kill);
            }
            let destroyed = containers.map_or(Ok(()), |containers| {
                let members = containers.destroy_members(&mark);
                containers.destroy(&mark).and(members)
            });
            let killed = family::kill_marked(names::RUN, &mark).map_err(|error| chain(&error));
            killed.and(destroyed)
        })
    }

    fn resize(&mut self, run: &ExecutorRun, resources: &Resources, gpus: &[GpuShare]) {
        let Some(containers) = self.containers.clone() else {
            return;
        };
        let container = Container {
            gpus: gpus.to_vec(),
            ..Container::new(run.run.clone(), PathBuf::new(), resources)
        };
        let resized = thread("resize", move || {
            if let Err(error) = containers.update(&container) {
                tracing::warn!(
                    name = container.name,
                    problem = chain(&error),
                    "not resized"
                );
            }
        });
        if let Err(problem) = resized {
            tracing::warn!(problem, "not resized");
        }
    }

    fn recover(&mut self, known: BTreeSet<String>) {
        if let Some(files) = self.files.clone() {
            let runs = known.clone();
            let released = thread("release", move || files.release_all_but(&runs));
            if let Err(problem) = released {
                tracing::warn!(problem, "images not released");
            }
        }
        let Some(containers) = self.containers.clone() else {
            return;
        };
        let recovered = thread("recover", move || {
            for orphan in containers.orphans(&known) {
                tracing::info!(container = orphan, "orphan found; removing it");
                if let Err(problem) = containers.destroy(&orphan) {
                    tracing::warn!(container = orphan, problem, "orphan not removed");
                }
            }
        });
        if let Err(problem) = recovered {
            tracing::warn!(problem, "orphans not looked for");
        }
    }

    fn usage(&self, runs: Vec<RunInUse>) -> LocalBoxFuture<'static, Vec<Usage>> {
        let Some(containers) = self.containers.clone() else {
            return Box::pin(async move { vec![Usage::default(); runs.len()] });
        };
        let count = runs.len();
        let looks = self.looks.clone();
        let read = on_thread("usage", move || {
            let usage = |name: String, sandbox: &Path, gpus: &[GpuShare]| {
                let container = Container {
                    gpus: gpus.to_vec(),
                    ..Container::new(name, sandbox.to_owned(), &Resources::new())
                };
                let mut usage = containers.usage(&container);
                if let Some(looks) = &looks {
                    looks.tell(&container.name, &mut usage);
                }
                usage
            };
            let read = runs.into_iter().map(|used| {
                let usage = |name| usage(name, &used.sandbox, &used.gpus);
                match used.members.is_empty() {
                    true => usage(used.run.run.clone()),
                    false => Usage::sum(used.members.iter().cloned().map(usage)),
                }
            });
            Ok(read.collect())
        });
        Box::pin(async move { read.await.unwrap_or(vec![Usage::default(); count]) })
    }

    fn looks(&self) -> bool {
        self.looks.is_some()
    }

    fn look(&mut self, now: Timestamp, runs: BTreeSet<String>) {
        // Executors of an earlier life of the agent end without anybody waiting for them.
        if let Some(files) = self
            .files
            .clone()
            .filter(|files| files.holds_more_than(&runs))
        {
            let live = runs.clone();
            if let Err(problem) = thread("release", move || files.release_all_but(&live)) {
                tracing::warn!(problem, "images not released");
            }
        }
        if let Some(looks) = &self.looks {
            looks.ask(now, runs);
        }
    }

    fn sandboxes(&self, work_dir: PathBuf) -> Option<LocalBoxFuture<'static, Vec<Kept>>> {
        let listed = on_thread("sandboxes", move || Ok(kept::list(&work_dir)));
        Some(Box::pin(async move { listed.await.unwrap_or_default() }))
    }

    fn collect(
        &self,
        collection: Collection,
        now: Timestamp,
        work_dir: PathBuf,
        kept: Vec<Kept>,
        live: BTreeSet<String>,
    ) -> LocalBoxFuture<'static, ()> {
        let collected = on_thread("collection", move || {
            super::collection::collect(collection, now, &work_dir, kept, &live);
            Ok(())
        });
        Box::pin(async move { collected.await.unwrap_or_default() })
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        process.is_alive()
    }

    fn read_sandbox(
        &self,
        sandbox: PathBuf,
        path: String,
        offset: u64,
        length: usize,
    ) -> LocalBoxFuture<'static, Result<Piece, String>> {
        on_thread("read", move || {
            sandbox::read(&sandbox, &path, offset, length).map_err(|error| chain(&error))
        })
    }
}

pub(super) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    thread_with(name, WATCHER_STACK, work)
}

fn thread_with(
    name: &str,
    stack: usize,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), String> {
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack);
    thread
        .spawn(work)
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}

fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> LocalBoxFuture<'static, Result<T, String>> {
    let (sender, receiver) = oneshot::channel();
    let spawned = thread(name, move || drop(sender.send(work())));
    Box::pin(async move {
        spawned?;
        receiver
            .await
            .unwrap_or_else(|_| Err("the work was not done".to_owned()))
    })
}
