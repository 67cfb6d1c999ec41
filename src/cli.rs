//! The command line: which commands there are, and how each of them ends.
//!
//! One file a command in `cli/`. Exit codes: 0 all is well, 1 the work failed, 2 the input is bad
//! (an unknown option, an unreadable file, an address that is none).

mod actors;
mod agent;
mod agents;
pub(crate) mod arguments;
mod attach;
mod certs;
mod completions;
mod drf;
mod exec;
mod executor;
mod frameworks;
mod gpus;
mod isolation;
mod kill;
mod local;
mod logs;
mod maintenance;
mod master;
pub(crate) mod nodes;
mod offers;
mod quota;
mod reservations;
mod roles;
mod run;
pub(crate) mod security;
mod sim;
mod slo;
mod stats;
mod tasks;
mod weights;
mod why;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use tracing_subscriber::EnvFilter;

pub(crate) use arguments::{MasterAddress, View};
pub(crate) use run::News;

use crate::{demo, output};

const EXAMPLES: &str = "\
Examples:
  tepui demo                                  a cluster at work, in ten seconds
  tepui local --agents 3                      a cluster on this machine, until Ctrl-C
  tepui run --cpus 0.5 -- echo hello          run a command on the cluster
  tepui tasks                                 see what became of it
  tepui logs -f TASK stdout                   follow its output

Exit codes: 0 all is well; 1 the work failed; 2 the input is bad.";

/// The variable that says what to log.
const LOG: &str = "TEPUI_LOG";

/// Actors across machines, and the cluster that runs on them
#[derive(Debug, Parser)]
#[command(name = "tepui", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// What to log on stderr: error, warn, info, debug, trace, or a filter such as
    /// `warn,tepui_master=debug` [default: info for nodes, warn for other commands]
    #[arg(
        long,
        global = true,
        env = LOG,
        value_name = "LEVEL",
        hide_env = true
    )]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Local(local::Arguments),
    Master(master::Arguments),
    Agent(agent::Arguments),
    #[command(hide = true)]
    Executor(executor::Arguments),
    Run(run::Arguments),
    Tasks(tasks::Arguments),
    Stats(stats::Arguments),
    Logs(logs::Arguments),
    Exec(exec::Arguments),
    Attach(attach::Arguments),
    Kill(kill::Arguments),
    Agents(agents::Arguments),
    Actors(actors::Arguments),
    Frameworks(frameworks::Arguments),
    Offers(offers::Arguments),
    Roles(roles::Arguments),
    Weights(weights::Arguments),
    Quota(quota::Arguments),
    Reservations(reservations::Arguments),
    Slo(slo::Arguments),
    Maintenance(maintenance::Arguments),
    Why(why::Arguments),
    Certs(certs::Arguments),
    Drf(drf::Arguments),
    Sim(sim::Arguments),
    Gpus(gpus::Arguments),
    Completions(completions::Arguments),
}

/// An error of the one who called: exit code 2.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) String);

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// An error that is the caller's: its whole chain in one text.
pub(crate) fn bad_input(error: impl Into<anyhow::Error>) -> anyhow::Error {
    BadInput(output::chain(&error.into())).into()
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = match executor::is_started_by_agent(std::env::args_os()) {
        true => Cli {
            log: std::env::var(LOG).ok(),
            command: Command::Executor(executor::Arguments::with_launcher()),
        },
        false => match Cli::try_parse() {
            Ok(cli) => cli,
            Err(error) => return refuse(&error),
        },
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&output::chain(&error));
            ExitCode::from(if error.is::<BadInput>() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    start_logging(cli.log.as_deref(), cli.command.default_log())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start an event loop")?;
    let result = runtime.block_on(cli.command.run());
    // A store that hangs must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Local(arguments) => local::run(arguments).await,
            Command::Master(arguments) => master::run(arguments).await,
            Command::Agent(arguments) => agent::run(arguments).await,
            Command::Executor(arguments) => executor::run(arguments).await,
            Command::Run(arguments) => run::run(arguments).await,
            Command::Tasks(arguments) => tasks::run(arguments).await,
            Command::Stats(arguments) => stats::run(arguments).await,
            Command::Logs(arguments) => logs::run(arguments).await,
            Command::Exec(arguments) => exec::run(arguments).await,
            Command::Attach(arguments) => attach::run(arguments).await,
            Command::Kill(arguments) => kill::run(arguments).await,
            Command::Agents(arguments) => agents::run(arguments).await,
            Command::Actors(arguments) => actors::run(arguments).await,
            Command::Frameworks(arguments) => frameworks::run(arguments).await,
            Command::Offers(arguments) => offers::run(arguments).await,
            Command::Roles(arguments) => roles::run(arguments).await,
            Command::Weights(arguments) => weights::run(arguments).await,
            Command::Quota(arguments) => quota::run(arguments).await,
            Command::Reservations(arguments) => reservations::run(arguments).await,
            Command::Slo(arguments) => slo::run(arguments).await,
            Command::Maintenance(arguments) => maintenance::run(arguments).await,
            Command::Why(arguments) => why::run(arguments).await,
            Command::Certs(arguments) => certs::run(arguments).await,
            Command::Drf(arguments) => drf::run(&arguments),
            Command::Sim(arguments) => sim::run(&arguments),
            Command::Gpus(arguments) => gpus::run(&arguments),
            Command::Completions(arguments) => completions::run(arguments, Cli::command()),
        }
    }

    fn default_log(&self) -> &'static str {
        match self {
            // That peers come and go is of interest to those who ask for it.
            Command::Master(_) | Command::Agent(_) | Command::Executor(_) => {
                "info,tepui_runtime=warn"
            }
            _ => "warn",
        }
    }
}

fn start_logging(level: Option<&str>, default: &str) -> anyhow::Result<()> {
    let text = level.unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        let right = "write error, warn, info, debug, trace or a filter such as tepui_master=debug";
        BadInput(format!("--log {text}: {error}; {right}"))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}

/// Help and version as clap prints them, everything else as one line.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody to tell when stdout is closed.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            output::error(&one_line(&error.render().to_string()));
            ExitCode::from(2)
        }
    }
}

/// The message and the tips of a clap error, without the usage.
fn one_line(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let told = text.split("\n\n").filter(|paragraph| {
        !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
    });
    let lines = told.map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let mut parts: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    parts.push("see --help".to_owned());
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace())
            .map_err(|error| one_line(&error.render().to_string()))
    }

    #[test]
    fn the_commands_are_consistent_and_have_examples() {
        let command = Cli::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            let help = subcommand
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("Example"),
                "{}: no examples",
                subcommand.get_name()
            );
            let about = subcommand
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !about.is_empty(),
                "{}: no description",
                subcommand.get_name()
            );
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_told_in_one_line() {
        for (line, parts) in [
            (
                "tepui demoo",
                vec!["unrecognized subcommand 'demoo'", "'demo'"],
            ),
            ("tepui kill", vec!["required", "<TASK"]),
            (
                "tepui agent --resources cpus:x",
                vec!["cpus:x", "write e.g. cpus:4"],
            ),
            (
                "tepui tasks --master nowhere",
                vec!["nowhere", "write host:port"],
            ),
            ("tepui master --port x", vec!["'x'", "--port"]),
            (
                "tepui quota set a --guarantee cpus",
                vec!["\"cpus\"", "has no amount"],
            ),
            (
                "tepui quota set a",
                vec!["--guarantee", "--limit", "required"],
            ),
            (
                "tepui master --role-weight a=-1",
                vec!["a=-1", "a number > 0"],
            ),
        ] {
            let error = parse(line).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
            for part in parts {
                assert!(error.contains(part), "{line}: {error}");
            }
        }
    }
}
