//! The `tepui` command: nodes, questions to them, work for them, and a demonstration of it all.
//!
//! Owns nothing but the start; read `cli.rs` for the commands.

mod cli;
mod client;
mod config;
mod demo;
mod output;
mod sandbox;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
