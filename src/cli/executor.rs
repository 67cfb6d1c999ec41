//! `tepui executor`: started by agents, to run tasks; its place comes from the environment.

use std::{ffi::OsString, process::ExitCode};

use clap::Args;
use tepui_executor::ExecutorConfig;
use tepui_isolation::launch::Ahead;
use tepui_protocol::messages::environment;

use crate::cli::bad_input;

/// Run tasks for an agent (started by agents)
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A launcher that this process has forked.
    #[arg(skip)]
    ahead: Option<Ahead>,
}

impl Arguments {
    /// Forks a launcher, if tasks are to be isolated. For the start of `main`, before any thread is made.
    pub(crate) fn with_launcher() -> Self {
        let isolates = std::env::var_os(environment::ISOLATION).is_some();
        // Without one, the first launch starts its own.
        let ahead = isolates.then(Ahead::fork).and_then(Result::ok);
        Self { ahead }
    }
}

/// Whether the command line is that of an agent, `tepui executor`. Half a millisecond of each launch would
/// go into a description of all commands otherwise.
pub(crate) fn is_started_by_agent(words: impl IntoIterator<Item = OsString>) -> bool {
    let mut words = words.into_iter().skip(1);
    words.next().is_some_and(|word| word == "executor") && words.next().is_none()
}

pub(crate) async fn run(Arguments { ahead }: Arguments) -> anyhow::Result<ExitCode> {
    let config = ExecutorConfig::from_env().map_err(bad_input)?;
    tepui_executor::run(config, ahead).await?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_start_is_told_from_what_people_write() {
        let started = |line: &str| is_started_by_agent(line.split(' ').map(OsString::from));
        assert!(started("tepui executor"));
        assert!(!started("tepui executor --help"));
        assert!(!started("tepui"));
        assert!(!started("tepui agent"));
    }
}
