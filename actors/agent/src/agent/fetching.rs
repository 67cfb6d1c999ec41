//! Launches that get files or an image first: they take as long as they take, tell how far they are, and are given
//! up when their tasks are killed. The getting itself has time-outs of its own (`tepui-fetch`).

use std::time::Duration;

use tepui_protocol::{CommandInfo, FrameworkId, Source, TaskState, TaskStatus, Timestamp};

use super::{Agent, Executor, Out, Standing};
use crate::{
    effects::{Effect, Timer},
    launcher::ExecutorRun,
};

/// Short launches say nothing; long ones say something at ever longer intervals, as each is an update
/// that is kept until it is acknowledged.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(64);

impl Agent {
    /// The command of a run: that of its executor, or of its one task.
    pub(super) fn command_of(&self, run: &ExecutorRun) -> Option<&CommandInfo> {
        let own = self
            .executor(run)
            .and_then(|executor| executor.info.as_ref());
        if let Some(info) = own {
            return Some(&info.command);
        }
        let framework = self.frameworks.get(&run.framework_id)?;
        let live = self.live_tasks(run).into_iter();
        let mut entries = live.filter_map(|task_id| framework.tasks.get(&task_id));
        entries.find_map(|entry| entry.info.command.as_ref())
    }

    /// Looks after a launch that gets files.
    pub(super) fn watch_fetching(&mut self, run: &ExecutorRun, out: &mut Out) {
        let command = self.command_of(run);
        if !command.is_some_and(CommandInfo::wants_anything) {
            return;
        }
        if let Some(executor) = self.executor_mut(run) {
            executor.fetches = true;
            out.push(Effect::Timer {
                after: FIRST_LOOK,
                timer: Timer::Progress(run.clone(), FIRST_LOOK),
            });
        }
    }

    /// Time to see how far a launch is.
    pub(super) fn look_at_fetching(&self, run: &ExecutorRun, after: Duration, out: &mut Out) {
        if self.executor(run).is_some_and(Executor::is_fetching) {
            out.push(Effect::Progress(run.clone()));
            let after = (after * 2).min(LOOK_MAX);
            let timer = Timer::Progress(run.clone(), after);
            out.push(Effect::Timer { after, timer });
        }
    }

    /// How far a launch is, if that can be told.
    pub fn on_progress(
        &mut self,
        now: Timestamp,
        run: &ExecutorRun,
        progress: Option<String>,
        out: &mut Out,
    ) {
        let is_fetching = self.executor(run).is_some_and(Executor::is_fetching);
        let Some(text) = progress.filter(|_| is_fetching) else {
            return;
        };
        for task_id in self.live_tasks(run) {
            let key: (FrameworkId, _) = (run.framework_id.clone(), task_id);
            let stream = self.streams.get(&key);
            // A scheduler that does not keep up is not sent more of it.
            if stream.is_some_and(|stream| !stream.is_drained()) {
                continue;
            }
            let mut status =
                TaskStatus::new(key.1.clone(), TaskState::Starting, Source::Agent, now);
            status.message.clone_from(&text);
            self.tell(key, status, out);
        }
        self.check();
    }
}

impl Executor {
    /// Whether its launch may still be getting files.
    pub(super) fn is_fetching(&self) -> bool {
        self.fetches && self.launching && self.standing == Standing::Launched
    }
}
