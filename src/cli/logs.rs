//! `tepui logs`: what a task wrote, read from its sandbox through its agent.
//!
//! With `-f` the end is reached when the task had ended *before* a piece came back empty.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::{
    cli::arguments::{MasterAddress, TaskName},
    client::Client,
    output,
    sandbox::Sandbox,
};

const EXAMPLES: &str = "\
Examples:
  tepui logs echo.run.0.0                 its standard output so far
  tepui logs -f echo.run.0.0 stderr       its standard error, until the task ends
  tepui logs m-0001/echo.run.0.0 out.csv  any file of its sandbox; with the framework's id
                                          where several tasks have that id";

/// How often it is looked for more.
const POLL: Duration = Duration::from_millis(200);

/// Print what a task wrote
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The task's id, or FRAMEWORK/TASK where several have that id
    task: TaskName,
    /// stdout, stderr, or any file of the sandbox
    #[arg(default_value = "stdout")]
    file: String,
    /// Go on until the task ends
    #[arg(short, long)]
    follow: bool,
    /// Keep trying for so long while master or agent is away, as when they restart
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    retry_for: u32,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = Client::of(&arguments.master).await?;
    let copied = Copy::new(&client, &arguments).run().await;
    client.close().await;
    copied?;
    Ok(ExitCode::SUCCESS)
}

/// A copy of a file to stdout under way.
struct Copy<'a> {
    client: &'a Client,
    arguments: &'a Arguments,
    poll: Interval,
    patience: Patience,
    offset: u64,
}

/// Until when failures are put up with.
struct Patience {
    span: Duration,
    until: Instant,
}

impl Patience {
    /// After a failure, from the first one in a row on.
    fn is_left(&self) -> bool {
        Instant::now() < self.until
    }

    fn renew(&mut self) {
        self.until = Instant::now() + self.span;
    }
}

/// What one look at the file gave.
enum Look {
    NothingYet,
    End,
}

impl<'a> Copy<'a> {
    fn new(client: &'a Client, arguments: &'a Arguments) -> Self {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let span = Duration::from_secs(arguments.retry_for.into());
        let patience = Patience {
            span,
            until: Instant::now() + span,
        };
        Self {
            client,
            arguments,
            poll,
            patience,
            offset: 0,
        }
    }

    async fn run(mut self) -> anyhow::Result<()> {
        self.poll.tick().await;
        loop {
            match self.look().await {
                Ok(Look::End) => return Ok(()),
                Ok(Look::NothingYet) => self.patience.renew(),
                Err(error) if output::is_broken_pipe(&error) => return Err(error),
                Err(_) if self.patience.is_left() => {}
                Err(error) => return Err(error),
            }
            self.poll.tick().await;
        }
    }

    /// Copies what there is now.
    async fn look(&mut self) -> anyhow::Result<Look> {
        let follow = self.arguments.follow;
        let sandbox = Sandbox::find(self.client, &self.arguments.task).await?;
        loop {
            match sandbox
                .piece(self.client, &self.arguments.file, self.offset)
                .await
            {
                Ok(data) if data.is_empty() => break,
                Ok(data) => {
                    output::write(&data)?;
                    self.offset += data.len() as u64;
                }
                // Before the executor has started there is nothing to read.
                Err(_) if follow && !sandbox.is_complete => return Ok(Look::NothingYet),
                Err(error) => return Err(error),
            }
        }
        Ok(if sandbox.is_complete || !follow {
            Look::End
        } else {
            Look::NothingYet
        })
    }
}
