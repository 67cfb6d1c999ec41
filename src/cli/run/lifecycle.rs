//! Checks, restarts and limits of the tasks of `tepui run`, by flag.

use std::time::Duration;

use clap::Args;
use tepui_batch::{Lifecycle, parse_duration, parse_http, parse_port};
use tepui_protocol::{
    CommandInfo, Scalar,
    lifecycle::{HealthCheck, Limits, Probe, RestartOnFailure},
};

use super::parse_amount;

/// What is watched of each instance.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Health and limits (docs/health.md)")]
pub(super) struct LifecycleFlags {
    /// End an instance whose check fails: a line for the shell, beside it; exit status 0 is well
    #[arg(long, value_name = "LINE", group = "probe", conflicts_with = "job")]
    health_cmd: Option<String>,
    /// The same: a GET on the instance's machine; a status from 200 to 399 is well
    #[arg(long, value_name = "PORT[/PATH]", group = "probe", value_parser = parse_http, conflicts_with = "job")]
    health_http: Option<Probe>,
    /// The same: a connection to the instance's machine
    #[arg(long, value_name = "PORT", group = "probe", value_parser = parse_port, conflicts_with = "job")]
    health_tcp: Option<u16>,
    /// From the start to the first look [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "probe")]
    health_delay: Option<Duration>,
    /// Between looks [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "probe")]
    health_interval: Option<Duration>,
    /// A look that takes longer has failed [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "probe")]
    health_timeout: Option<Duration>,
    /// Failures so soon after the start do not count [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "probe")]
    health_grace: Option<Duration>,
    /// So many failures in a row end the instance [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "probe")]
    health_failures: Option<u32>,
    /// End an instance that runs for longer; it has failed then
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "job")]
    max_time: Option<Duration>,
    /// How often an instance that fails is started again where it is, before it has failed
    #[arg(long, value_name = "N", conflicts_with = "job")]
    restarts: Option<u32>,
    /// Processors that each instance may use at most, beyond --cpus
    #[arg(long, value_name = "N", value_parser = parse_amount, conflicts_with = "job")]
    cpus_max: Option<Scalar>,
    /// Memory that each instance may use at most, beyond --mem, in MiB
    #[arg(long, value_name = "MIB", value_parser = parse_amount, conflicts_with = "job")]
    mem_max: Option<Scalar>,
}

impl LifecycleFlags {
    /// What the flags say.
    pub(super) fn lifecycle(&self) -> Lifecycle {
        Lifecycle {
            health_check: self.health(),
            check: None,
            max_completion_time: self.max_time,
            restart: self.restarts.map(RestartOnFailure::new),
            limits: Limits {
                cpus: self.cpus_max,
                mem: self.mem_max,
            },
            network: None,
        }
    }

    fn health(&self) -> Option<HealthCheck> {
        let command = self
            .health_cmd
            .as_ref()
            .map(|line| Probe::Command(CommandInfo::shell(line)));
        let tcp = self.health_tcp.map(|port| Probe::Tcp { port });
        let mut health = HealthCheck::new(command.or(self.health_http.clone()).or(tcp)?);
        let check = &mut health.check;
        for (time, given) in [
            (&mut check.delay, self.health_delay),
            (&mut check.interval, self.health_interval),
            (&mut check.timeout, self.health_timeout),
            (&mut health.grace_period, self.health_grace),
        ] {
            *time = given.unwrap_or(*time);
        }
        health.failures = self.health_failures.unwrap_or(health.failures);
        Some(health)
    }
}
