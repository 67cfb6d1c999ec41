//! `tepui completions`: scripts that make a shell complete commands and options.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::output;

const EXAMPLES: &str = "\
Examples:
  tepui completions bash > ~/.local/share/bash-completion/completions/tepui
  tepui completions zsh > ~/.zfunc/_tepui
  tepui completions fish > ~/.config/fish/completions/tepui.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(arguments: Arguments, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "tepui", &mut script);
    output::write(&script)?;
    Ok(ExitCode::SUCCESS)
}
