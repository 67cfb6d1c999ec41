//! The `tepui` command: nodes, questions to them, work for them, and a demonstration of it all.
//!
//! Owns nothing but the start; read `cli.rs` for the commands. `tepui launch` is none of them: agents
//! and executors start it for what they launch (`isolation/src/launch.rs`).

mod cli;
mod client;
mod config;
mod demo;
mod output;
mod sandbox;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else, as the launcher forks and must be small and have one thread.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "launch")
    {
        return tepui_isolation::launch::main();
    }
    cli::main()
}
