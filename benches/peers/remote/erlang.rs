//! Two Erlang nodes, by the script `erlang`.

use std::{path::Path, process::Command};

use crate::Seen;

/// Runs the script; false, with what it said, if it measured nothing.
pub(crate) fn round(seen: &mut Seen) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("erlang");
    let output = Command::new(script).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_else(|error| error.to_string());
    let value = |name: &str| {
        let rest = |line: &str| line.strip_prefix(name)?.trim().parse::<f64>().ok();
        text.lines().find_map(rest)
    };
    let (Some(rate), Some(p50)) = (value("tells "), value("p50 ")) else {
        println!("erlang: {}", text.trim());
        return false;
    };
    seen.rates.push(rate);
    seen.pings.push(p50);
    true
}
