//! Checks, restarts and limits in a job file.

use tepui_framework::protocol::{
    CommandInfo,
    lifecycle::{CheckInfo, HealthCheck, Limits, Probe, RestartOnFailure},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Problem, amount, at, bad, check_keys, duration, find, kind, number, text_of};
use crate::job::lifecycle::{Lifecycle, parse_http, parse_port};

const PROBES: [&str; 3] = ["command", "http", "tcp"];
const CHECK_KEYS: [&str; 6] = ["command", "http", "tcp", "delay", "interval", "timeout"];
const HEALTH_KEYS: [&str; 8] = [
    "command", "http", "tcp", "delay", "interval", "timeout", "failures", "grace",
];

/// What the group's table says of all this.
pub(super) fn lifecycle(table: &DeTable<'_>) -> Result<Lifecycle, Problem> {
    let named = |key| find(table, key).map(|value| (key, value));
    let times = named("max_time").map(|(key, value)| duration(key, value));
    Ok(Lifecycle {
        health_check: named("health")
            .map(|(key, value)| health(key, value))
            .transpose()?,
        check: named("check")
            .map(|(key, value)| plain(key, value))
            .transpose()?,
        max_completion_time: times.transpose()?,
        restart: named("restarts")
            .map(|(key, value)| restarts(key, value))
            .transpose()?,
        limits: match named("limits") {
            Some((key, value)) => limits(key, value)?,
            None => Limits::default(),
        },
        network: None,
    })
}

fn health(key: &str, value: &Spanned<DeValue<'_>>) -> Result<HealthCheck, Problem> {
    let table = table_of(key, value, &HEALTH_KEYS)?;
    let mut health = HealthCheck {
        check: check(key, value, table)?,
        ..HealthCheck::new(Probe::Tcp { port: 0 })
    };
    if let Some(value) = find(table, "failures") {
        health.failures = number("failures", value)?;
        if health.failures == 0 {
            return Err(bad("failures", value, "must be at least 1"));
        }
    }
    if let Some(value) = find(table, "grace") {
        health.grace_period = duration("grace", value)?;
    }
    Ok(health)
}

fn plain(key: &str, value: &Spanned<DeValue<'_>>) -> Result<CheckInfo, Problem> {
    check(key, value, table_of(key, value, &CHECK_KEYS)?)
}

fn check(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
) -> Result<CheckInfo, Problem> {
    let given: Vec<&str> = PROBES
        .into_iter()
        .filter(|probe| find(table, probe).is_some())
        .collect();
    let [probe] = given[..] else {
        let rule = format!("{key} must have one of command, http and tcp");
        return Err(at(value, rule));
    };
    let Some(value) = find(table, probe) else {
        return Err(at(value, format!("{key} has no {probe}")));
    };
    let mut info = CheckInfo::new(match probe {
        "command" => Probe::Command(CommandInfo::shell(text_of(probe, value)?)),
        // A port alone may be written as a number.
        "http" => {
            let text = digits(value).map_or_else(|| text_of(probe, value), Ok)?;
            parse_http(text).map_err(|rule| bad(probe, value, rule))?
        }
        _ => Probe::Tcp {
            port: parse_port(digits(value).unwrap_or_default())
                .map_err(|rule| bad(probe, value, rule))?,
        },
    });
    for (key, time) in [
        ("delay", &mut info.delay),
        ("interval", &mut info.interval),
        ("timeout", &mut info.timeout),
    ] {
        if let Some(value) = find(table, key) {
            *time = duration(key, value)?;
        }
    }
    Ok(info)
}

fn digits<'a>(value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
    match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()),
        _ => None,
    }
}

/// A number of restarts, or a table with times.
fn restarts(key: &str, value: &Spanned<DeValue<'_>>) -> Result<RestartOnFailure, Problem> {
    if digits(value).is_some() {
        return number(key, value).map(RestartOnFailure::new);
    }
    let table = table_of(key, value, &["retries", "backoff", "backoff_max"])?;
    let retries = find(table, "retries")
        .ok_or_else(|| at(value, format!("{key} has no key \"retries\"")))
        .and_then(|value| number("retries", value))?;
    let mut policy = RestartOnFailure::new(retries);
    for (key, time) in [
        ("backoff", &mut policy.backoff),
        ("backoff_max", &mut policy.backoff_max),
    ] {
        if let Some(value) = find(table, key) {
            *time = duration(key, value)?;
        }
    }
    Ok(policy)
}

fn limits(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Limits, Problem> {
    let table = table_of(key, value, &["cpus", "mem"])?;
    let limit = |key| find(table, key).map(|value| amount(key, value)).transpose();
    Ok(Limits {
        cpus: limit("cpus")?,
        mem: limit("mem")?,
    })
}

fn table_of<'a, 'i>(
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
    known: &[&str],
) -> Result<&'a DeTable<'i>, Problem> {
    let DeValue::Table(table) = value.get_ref() else {
        let problem = format!(
            "{key} must be a table, as {key} = {{ ... }}, not {}",
            kind(value.get_ref())
        );
        return Err(at(value, problem));
    };
    check_keys(table, known, key)?;
    Ok(table)
}
