//! The seams of agent and executor, on a simulated [`Machine`].

use std::{path::PathBuf, rc::Rc, time::Duration};

use futures_util::future::LocalBoxFuture;
use tepui_agent::{ExecutorLaunch, ExecutorRun, Launched, Launcher};
use tepui_executor::{Processes, SessionIo, StartProcess, StartSession, Started};
use tepui_isolation::{Ended, Piece, ProcessIdentity, Signal};
use tepui_protocol::{TaskId, messages::session::Refusal};

use super::{
    machine::{Machine, SIGKILL, SIGTERM, Start},
    rng, sessions,
    watch::Watch,
};

/// Waits on the simulation's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulation's clock does not wait for anybody"
)]
pub async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Starts simulated executors.
pub struct SimLauncher {
    /// Where.
    pub machine: Machine,
    /// Decides how long things take.
    pub seed: u64,
}

impl SimLauncher {
    fn delay(&self, purpose: &str) -> Duration {
        Duration::from_millis(rng::number(self.seed, purpose) % 30)
    }
}

impl Launcher for SimLauncher {
    fn launch(
        &mut self,
        launch: ExecutorLaunch,
    ) -> LocalBoxFuture<'static, Result<Launched, String>> {
        let run = launch.run.run;
        let delay = self.delay(&run);
        let (process, ended) = self
            .machine
            .start(&run, Start::Executor(launch.environment));
        Box::pin(async move {
            pause(delay).await;
            let ended = Box::pin(async { ended.await.unwrap_or(Ended::Unseen).into() });
            Ok(Launched { process, ended })
        })
    }

    fn kill(
        &mut self,
        run: &ExecutorRun,
        _: Option<ProcessIdentity>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let (machine, run) = (self.machine.clone(), run.run.clone());
        Box::pin(async move {
            loop {
                machine.kill_run(&run);
                if machine.count(&run) == 0 {
                    return Ok(());
                }
                pause(Duration::from_millis(10)).await;
            }
        })
    }

    fn is_alive(&self, process: ProcessIdentity) -> bool {
        self.machine.is_alive(process)
    }

    fn read_sandbox(
        &self,
        _: PathBuf,
        path: String,
        _: u64,
        _: usize,
    ) -> LocalBoxFuture<'static, Result<Piece, String>> {
        Box::pin(async move { Err(format!("{path}: simulated machines have no disk")) })
    }
}

/// Starts simulated processes of tasks, for one run of an executor.
pub struct SimProcesses {
    /// Where.
    pub machine: Machine,
    /// The executor's run.
    pub run: String,
    /// Sees what is started.
    pub watch: Watch,
    /// The processes by task.
    pub started: Vec<(TaskId, u32)>,
}

impl Processes for SimProcesses {
    fn start(&mut self, start: &StartProcess) -> LocalBoxFuture<'static, Result<Started, String>> {
        self.watch.process_started(start.task_id.as_str());
        let (process, ended) = self.machine.start(&self.run, Start::Task(start.clone()));
        self.started.push((start.task_id.clone(), process.pid));
        let ended = Box::pin(async { ended.await.unwrap_or(Ended::Unseen).into() });
        let os_pid = process.pid;
        Box::pin(async move {
            Ok(Started {
                os_pid,
                container: None,
                ended,
            })
        })
    }

    fn open(
        &mut self,
        start: &StartSession,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn SessionIo>, Refusal>> {
        let session = sessions::open(&self.machine, &self.run, start);
        Box::pin(async { Ok(session) })
    }

    fn signal(&mut self, task: &TaskId, signal: Signal) {
        let number = match signal {
            Signal::Terminate => SIGTERM,
            Signal::Kill => SIGKILL,
        };
        for (_, pid) in self.started.iter().filter(|(id, _)| id == task) {
            self.machine.signal(*pid, number);
        }
    }
}
