//! Reading a job file: TOML with line numbers, so that every error points at its place.

mod files;
mod lifecycle;
mod network;

use std::{collections::BTreeMap, ops::Range, path::Path, time::Duration};

use tepui_framework::protocol::{KillPolicy, Resource, Resources, Scalar};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Group, Job, JobError, check_command, check_count, check_name, lifecycle::parse_duration, spell,
};

const JOB_KEYS: [&str; 2] = ["name", "group"];
const GROUP_KEYS: [&str; 22] = [
    "name",
    "command",
    "count",
    "cpus",
    "mem",
    "disk",
    "gpus",
    "resources",
    "retries",
    "after",
    "env",
    "kill_grace",
    "health",
    "check",
    "max_time",
    "restarts",
    "limits",
    "uris",
    "image",
    "network",
    "publish",
    "egress_mbit",
];
/// What people write for our keys.
const OTHER_NAMES: [(&str, &str); 10] = [
    ("cmd", "command"),
    ("run", "command"),
    ("instances", "count"),
    ("memory", "mem"),
    ("cores", "cpus"),
    ("depends_on", "after"),
    ("depends", "after"),
    ("environment", "env"),
    ("groups", "group"),
    ("uri", "uris"),
];
const DEFAULT_CPUS: Scalar = Scalar::from_whole(1);
const DEFAULT_MEM: Scalar = Scalar::from_whole(128);

/// A problem and where it is, as an offset into the text.
type Problem = (usize, String);

pub(super) fn parse(path: &str, text: &str) -> Result<Job, JobError> {
    read(path, text).map_err(|(offset, problem)| {
        let line = 1 + text.as_bytes()[..offset.min(text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        JobError {
            place: Some((path.to_owned(), line)),
            problem,
        }
    })
}

fn read(path: &str, text: &str) -> Result<Job, Problem> {
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let problem = error.message().replace('\n', ", ");
        // No file in TOML begins like that, and JSON does.
        match text.trim_start().starts_with('{') {
            true => (offset, format!("{problem}; a job file is TOML, not JSON")),
            false => (offset, problem),
        }
    })?;
    let table = table.get_ref();
    check_keys(table, &JOB_KEYS, "the job file")?;
    let name = match find(table, "name") {
        Some(value) => named(value)?,
        None => name_of_file(path)?,
    };
    let (groups, places) = groups(table)?;
    let job = Job { name, groups };
    match job.broken_order() {
        Some((at, problem)) => Err((places[at], problem)),
        None => Ok(job),
    }
}

/// The groups and where each is to be blamed for its place in the order.
fn groups(table: &DeTable<'_>) -> Result<(Vec<Group>, Vec<usize>), Problem> {
    let missing = || (0, "the job has no [[group]]".to_owned());
    let value = find(table, "group").ok_or_else(missing)?;
    let DeValue::Array(array) = value.get_ref() else {
        return Err((
            value.span().start,
            "write [[group]], with two brackets".to_owned(),
        ));
    };
    let (mut groups, mut places) = (Vec::new(), Vec::new());
    for entry in array {
        let DeValue::Table(table) = entry.get_ref() else {
            return Err((
                entry.span().start,
                "group must be written as [[group]]".to_owned(),
            ));
        };
        groups.push(group(table, entry.span())?);
        let blamed = find(table, "after").or_else(|| find(table, "name"));
        places.push(blamed.map_or(entry.span().start, |value| value.span().start));
    }
    if groups.is_empty() {
        Err(missing())
    } else {
        Ok((groups, places))
    }
}

fn group(table: &DeTable<'_>, span: Range<usize>) -> Result<Group, Problem> {
    let shown = find(table, "name").and_then(|name| name.get_ref().as_str());
    let what = shown.map_or("[[group]]".to_owned(), |name| format!("[[group]] {name:?}"));
    check_keys(table, &GROUP_KEYS, &what)?;
    let required = |key: &str| {
        find(table, key).ok_or_else(|| (span.start, format!("{what} has no key {key:?}")))
    };
    let name = named(required("name")?)?;
    let image = files::image(table)?;
    let (line, words) = match (find(table, "command"), &image) {
        (None, Some(_)) => ("", Vec::new()),
        // A program and its arguments go to the image's entry point.
        (Some(list), Some(_)) if matches!(list.get_ref(), DeValue::Array(_)) => {
            ("", names("command", list)?)
        }
        _ => {
            let command = required("command")?;
            let line = text_of("command", command)?;
            check_command(line).map_err(|rule| at(command, format!("command: {rule}")))?;
            (line, Vec::new())
        }
    };
    let mut group = Group::new(&name, line, 1, resources(table)?);
    (group.image, group.words) = (image, words);
    if let Some(value) = find(table, "count") {
        group.count = number("count", value)?;
        check_count(group.count).map_err(|rule| bad("count", value, rule))?;
    }
    if let Some(value) = find(table, "retries") {
        group.retries = number("retries", value)?;
    }
    if let Some(value) = find(table, "after") {
        group.after = names("after", value)?;
    }
    if let Some(value) = find(table, "env") {
        group.env = environment(value)?;
    }
    group.kill_grace = match find(table, "kill_grace") {
        Some(value) => duration("kill_grace", value)?,
        None => KillPolicy::default().grace_period,
    };
    group.lifecycle = lifecycle::lifecycle(table)?;
    group.uris = files::uris(table)?;
    network::network(table, &mut group)?;
    Ok(group)
}

/// `resources`, or what `cpus`, `mem`, `disk` and `gpus` say; never both.
fn resources(table: &DeTable<'_>) -> Result<Resources, Problem> {
    let single = |key| find(table, key).map(|value| amount(key, value)).transpose();
    let (cpus, mem) = (single("cpus")?, single("mem")?);
    let (disk, gpus) = (single("disk")?, single("gpus")?);
    let Some(value) = find(table, "resources") else {
        let scalar = |name: &str, amount: Scalar| Resource::scalar(name, amount);
        return Ok(Resources::from_iter([
            scalar("cpus", cpus.unwrap_or(DEFAULT_CPUS)),
            scalar("mem", mem.unwrap_or(DEFAULT_MEM)),
            scalar("disk", disk.unwrap_or(Scalar::ZERO)),
            scalar("gpus", gpus.unwrap_or(Scalar::ZERO)),
        ]));
    };
    if cpus.or(mem).or(disk).or(gpus).is_some() {
        let problem = "resources cannot be given together with cpus, mem, disk or gpus";
        return Err(at(value, problem.to_owned()));
    }
    let text = text_of("resources", value)?;
    let parsed: Resources = text
        .parse()
        .map_err(|error| at(value, format!("resources: {error}")))?;
    parsed
        .validate()
        .map_err(|error| at(value, format!("resources: {error}")))?;
    if parsed.cpus().is_zero() {
        let problem = format!("resources = {text:?}: must have some cpus");
        return Err(at(value, problem));
    }
    Ok(parsed)
}

fn amount(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Scalar, Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        other => {
            return Err(bad(
                key,
                value,
                &format!("must be a number, not {}", kind(other)),
            ));
        }
    };
    let amount = Scalar::parse(text).map_err(|error| bad(key, value, error.problem))?;
    if amount.is_zero() && !["disk", "gpus"].contains(&key) {
        return Err(bad(key, value, "must be a number > 0"));
    }
    Ok(amount)
}

fn number(key: &str, value: &Spanned<DeValue<'_>>) -> Result<u32, Problem> {
    let DeValue::Integer(integer) = value.get_ref() else {
        let problem = format!("must be a whole number, not {}", kind(value.get_ref()));
        return Err(bad(key, value, &problem));
    };
    let wide = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
    match wide.map(u32::try_from) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) if wide < Some(0) => Err(bad(key, value, "must not be negative")),
        _ => Err(bad(key, value, "is too large")),
    }
}

fn named(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let name = text_of("name", value)?;
    check_name(name).map_err(|rule| bad("name", value, rule))?;
    Ok(name.to_owned())
}

fn name_of_file(path: &str) -> Result<String, Problem> {
    let stem = Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let name = stem.to_owned();
    match check_name(&name) {
        Ok(()) => Ok(name),
        Err(_) => Err((
            0,
            format!("the file name {stem:?} cannot name the job; add name = \"...\""),
        )),
    }
}

fn names(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Problem> {
    let problem = || bad(key, value, "must be a list of names, as [\"map\"]");
    let DeValue::Array(array) = value.get_ref() else {
        return Err(problem());
    };
    let text = |entry: &Spanned<DeValue<'_>>| entry.get_ref().as_str().map(str::to_owned);
    array
        .iter()
        .map(|entry| text(entry).ok_or_else(problem))
        .collect()
}

fn environment(value: &Spanned<DeValue<'_>>) -> Result<BTreeMap<String, String>, Problem> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(at(
            value,
            "env must be a table, as env = { KEY = \"value\" }".to_owned(),
        ));
    };
    let mut env = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let problem = if name.is_empty() || name.contains(['=', '\0']) {
            "cannot name a variable"
        } else if name.starts_with("TEPUI_") {
            "is set by tepui; variables that begin with TEPUI_ are its own"
        } else {
            env.insert(name.to_owned(), text_of(name, value)?.to_owned());
            continue;
        };
        return Err((key.span().start, format!("env: {name:?} {problem}")));
    }
    Ok(env)
}

fn duration(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Duration, Problem> {
    parse_duration(text_of(key, value)?).map_err(|rule| bad(key, value, rule))
}

fn text_of<'a>(key: &str, value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, Problem> {
    let problem = || {
        format!(
            "{key} must be a text in quotes, not {}",
            kind(value.get_ref())
        )
    };
    value.get_ref().as_str().ok_or_else(|| at(value, problem()))
}

/// `key = value: rule`, at the value.
fn bad(key: &str, value: &Spanned<DeValue<'_>>, rule: &str) -> Problem {
    let shown = match value.get_ref() {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        other => kind(other).to_owned(),
    };
    at(value, format!("{key} = {shown}: {rule}"))
}

fn at(value: &Spanned<DeValue<'_>>, problem: String) -> Problem {
    (value.span().start, problem)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn find<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    table
        .iter()
        .find(|(name, _)| name.get_ref() == key)
        .map(|(_, value)| value)
}

/// Refuses the first key that is not one of `known`.
fn check_keys(table: &DeTable<'_>, known: &[&str], what: &str) -> Result<(), Problem> {
    let unknown = table
        .keys()
        .filter(|key| !known.contains(&key.get_ref().as_ref()));
    let Some(first) = unknown.min_by_key(|key| key.span().start) else {
        return Ok(());
    };
    let key = first.get_ref().as_ref();
    let meant = OTHER_NAMES
        .iter()
        .find(|(other, ours)| *other == key && known.contains(ours));
    let hint = match meant {
        Some((_, ours)) => format!("; did you mean {ours:?}?"),
        None => spell::hint(key, known.iter().copied()),
    };
    let hint = if hint.is_empty() {
        format!("; known: {}", known.join(", "))
    } else {
        hint
    };
    Err((
        first.span().start,
        format!("unknown key {key:?} in {what}{hint}"),
    ))
}
