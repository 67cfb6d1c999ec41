//! `tepui run -it`: a command with this terminal, in a task that is there as long as the command.
//!
//! ```text
//!  the task waits --runs--> the command beside it (`cli/exec.rs`) --ended--> the job ends, with its exit code
//! ```
//! The task itself sleeps: it is what holds the resources, the container and the sandbox.

use std::process::ExitCode;

use clap::Args;
use tepui_framework::End;
use tepui_protocol::task::TaskState;
use tokio::time::interval_at;

use super::{
    Form, HINT_AFTER, HINT_EVERY, Instant, News, Running, WAITING, code, job_name, verdict,
};
use crate::{
    cli::{
        BadInput,
        arguments::TaskName,
        exec::{self, Beside},
        nodes::{Signals, Stop},
    },
    client::Client,
    output,
};

/// What the task does meanwhile, for the longest time that every `sleep` takes.
const HOLD: &str = "exec sleep 2147483647";

/// Whether a command has streams of this process.
#[derive(Debug, Args)]
pub(super) struct InteractiveFlags {
    /// Give the command what comes on stdin, and show what it writes; its exit code is that of `tepui run`
    #[arg(short, long, conflicts_with_all = ["job", "pod", "instances", "retries", "gang", "state_dir", "json"])]
    interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long, conflicts_with_all = ["job", "pod", "instances", "retries", "gang", "state_dir", "json"])]
    tty: bool,
}

impl InteractiveFlags {
    /// Whether any of them is given.
    pub(super) fn are_set(&self) -> bool {
        self.interactive || self.tty
    }

    /// Takes the command out of `words`, and puts what its task does in its place. Gives a job that has no
    /// name the command's.
    ///
    /// # Errors
    /// When there is no command, or no terminal to give to it.
    pub(super) fn take(
        &self,
        words: &mut Vec<String>,
        name: &mut Option<String>,
    ) -> anyhow::Result<Beside> {
        let command = std::mem::replace(words, vec![HOLD.to_owned()]);
        let Some(first) = command.first() else {
            let text = "-i and -t need a command, as in: tepui run -it -- sh";
            return Err(BadInput(text.to_owned()).into());
        };
        name.get_or_insert_with(|| job_name(first));
        Beside::of(program(command), self.interactive, self.tty)
    }
}

/// One word is a line for the shell, as for other tasks.
fn program(mut words: Vec<String>) -> Vec<String> {
    if words.len() == 1 {
        words.splice(0..0, ["/bin/sh".to_owned(), "-c".to_owned()]);
    }
    words
}

/// How the wait for the task came to its end.
enum Waited {
    Runs(TaskName),
    /// The job is over.
    Over,
    Stopped(Stop),
}

impl Running {
    /// Runs a command beside the job's task, then ends the job.
    ///
    /// # Errors
    /// When the task does not run, or its agent is lost.
    pub(super) async fn with_command(
        mut self,
        client: &Client,
        beside: Beside,
        signals: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        let ended = match self.task_runs(signals).await? {
            Waited::Runs(task) => {
                let code = exec::in_session(client, &task, beside).await;
                code.map(ExitCode::from)
            }
            Waited::Stopped(stop) => Ok(code(stop)),
            Waited::Over => {
                let why = self.handle.wait().await;
                return match (self.news.outcome(), why) {
                    (Some(outcome), _) => verdict(outcome, Form::Nothing),
                    (None, Err(error)) => Err(error.into()),
                    (None, Ok(())) => Err(anyhow::anyhow!("the job was ended by an operator")),
                };
            }
        };
        self.handle.stop(End::Teardown);
        let stopped = self.handle.wait().await;
        // What became of the command is what matters.
        let ended = ended?;
        stopped?;
        Ok(ended)
    }

    async fn task_runs(&mut self, signals: &mut Signals) -> anyhow::Result<Waited> {
        let mut framework = None;
        let mut hint = interval_at(Instant::now() + HINT_AFTER, HINT_EVERY);
        loop {
            tokio::select! {
                news = self.news.next() => match news {
                    Some(News::Subscribed(id)) => framework = Some(id),
                    Some(News::Status(status)) if status.state == TaskState::Running => {
                        let task = status.task_id;
                        return Ok(Waited::Runs(TaskName { framework, task }));
                    }
                    // The job's outcome says why.
                    Some(News::Status(status)) if status.state.is_terminal() => return Ok(Waited::Over),
                    Some(_) => {}
                    None => return Ok(Waited::Over),
                },
                signal = signals.next() => return Ok(Waited::Stopped(signal)),
                _ = hint.tick() => output::note(WAITING),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_waits_and_the_command_is_beside_it() {
        let flags = InteractiveFlags {
            interactive: true,
            tty: false,
        };
        let (mut words, mut name) = (vec!["/bin/cat".to_owned(), "-n".to_owned()], None);
        let beside = flags.take(&mut words, &mut name).unwrap();
        assert_eq!(beside.command, ["/bin/cat", "-n"]);
        assert_eq!(
            (words.as_slice(), name.as_deref()),
            ([HOLD.to_owned()].as_slice(), Some("cat"))
        );
        assert_eq!(
            program(vec!["a | b".to_owned()]),
            ["/bin/sh", "-c", "a | b"]
        );
        let error = flags.take(&mut Vec::new(), &mut None).unwrap_err();
        assert!(error.is::<BadInput>());
    }
}
