//! `tepui demo --stop DIR`: ends a cluster that an earlier demo left up.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::processes::{self, STATE, State};
use crate::{cli::BadInput, output};

/// How long agents may take to end their tasks.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(dir: &Path) -> anyhow::Result<ExitCode> {
    let file = dir.join(STATE);
    let read = fs::read(&file).map_err(|error| error.to_string());
    let state = read.and_then(|bytes| {
        serde_json::from_slice::<State>(&bytes).map_err(|error| error.to_string())
    });
    let state = state.map_err(|problem| {
        let right = "name the work directory that the demo printed";
        BadInput(format!("{}: {problem}; {right}", file.display()))
    })?;
    let alive = processes::marked(&state.mark);
    for entry in state
        .processes
        .iter()
        .filter(|entry| alive.contains(&entry.pid))
    {
        // It may end this moment; what is left is killed below.
        let _ = kill(Pid::from_raw(entry.pid.cast_signed()), Signal::SIGINT);
    }
    processes::await_none(&state.mark, PATIENCE).await;
    processes::kill_all(&state.mark)?;
    output::print(&format!("ended {} processes", alive.len()))?;
    Ok(ExitCode::SUCCESS)
}
