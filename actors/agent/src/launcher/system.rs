//! Executors as processes of the operating system: a group each, watched by a thread.
//!
//! An executor's group is its own, so that it lives on when the agent ends. Blocking calls are made
//! on threads of their own and never on the agent's.

use std::{collections::BTreeMap, path::PathBuf};

use futures_util::future::LocalBoxFuture;
use tepui_isolation::{
    Ended, LaunchSpec, Piece, ProcessIdentity, Signal,
    process::{chain, family},
    sandbox,
};
use tepui_protocol::messages::environment as names;
use tokio::sync::oneshot;

use super::{ExecutorLaunch, ExecutorRun, Launched, Launcher};

/// A watching thread only waits; it needs next to no stack.
const WATCHER_STACK: usize = 128 * 1024;
/// Where the built-in executor writes what it has to say itself; the task has `stdout`, `stderr`.
const EXECUTOR_LOG: &str = "executor.log";

/// Real processes, through `tepui-isolation`.
#[derive(Clone, Debug)]
pub struct SystemLauncher {
    program: PathBuf,
    arguments: Vec<String>,
    inherited: BTreeMap<String, String>,
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
        }
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

    fn spec(&self, launch: &ExecutorLaunch) -> LaunchSpec {
        let mut environment = self.inherited.clone();
        let sandbox = launch.sandbox.clone();
        let Some(command) = &launch.command else {
            environment.extend(launch.environment.clone());
            let program = self.program.display().to_string();
            let mut spec = LaunchSpec::new(program, self.arguments.clone(), environment, sandbox);
            spec.outputs = [EXECUTOR_LOG.to_owned(), EXECUTOR_LOG.to_owned()];
            return spec;
        };
        environment.extend(command.environment.clone());
        environment.extend(launch.environment.clone());
        LaunchSpec::command(command, environment, sandbox)
    }
}

impl Launcher for SystemLauncher {
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>> {
        let spec = self.spec(&launch);
        let (started, is_started) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let spawned = thread("executor", move || {
            let launched = sandbox::make(&spec.sandbox)
                .map_err(|error| chain(&error))
                .and_then(|()| spec.launch().map_err(|error| chain(&error)));
            match launched {
                Err(problem) => drop(started.send(Err(problem))),
                Ok(launched) => {
                    // The agent may be gone by now; the executor is watched all the same.
                    let _ = started.send(Ok(launched.identity()));
                    let _ = over.send(launched.wait().unwrap_or(Ended::Unseen));
                }
            }
        });
        Box::pin(async move {
            spawned?;
            let process = is_started
                .await
                .unwrap_or_else(|_| Err("launching stopped".into()))?;
            let ended = Box::pin(async { is_over.await.unwrap_or(Ended::Unseen) });
            Ok(Launched { process, ended })
        })
    }

    fn kill(
        &mut self,
        run: &ExecutorRun,
        process: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let mark = run.run.clone();
        on_thread("kill", move || {
            if let Some(process) = process {
                // That it has ended is fine.
                let _ = process.signal_group(Signal::Kill);
            }
            family::kill_marked(names::RUN, &mark).map_err(|error| chain(&error))
        })
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

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(WATCHER_STACK);
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
