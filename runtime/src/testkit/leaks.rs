//! What outlives a test: actors that do not stop, nodes that do not end.
//!
//! At the end of a test all its nodes are shut down, as their owners would do it, and given some
//! minutes on the test's clock. What is still there then does not end at all: an actor that refuses to
//! stop, or waits for something that does not come.

use std::{fmt::Write, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use crate::{Node, filter::Filters};

/// How long, on the test's clock, a node may take to shut down.
const PATIENCE: Duration = Duration::from_secs(300);

/// Shuts all nodes down.
///
/// # Errors
/// What has not ended, in words.
pub(super) async fn shut_down(filters: &Filters) -> Result<(), String> {
    filters.lift_all();
    let nodes = filters.nodes();
    let mut ending = JoinSet::new();
    for node in nodes.clone() {
        ending.spawn_local(async move {
            let ended = timeout(PATIENCE, node.shutdown()).await.is_ok();
            (!ended && node.actors().is_empty()).then(|| node.addr().to_string())
        });
    }
    let hanging = ending.join_all().await.into_iter().flatten();
    let mut hanging: Vec<String> = hanging.collect();
    hanging.sort();
    let mut left = String::new();
    let mut count = 0;
    for node in &nodes {
        count += actors(node, filters, &mut left);
    }
    if count > 0 {
        let rule = "an actor must stop when its node shuts down; kit.allow_leaks() if it cannot";
        let actors = if count == 1 { "actor" } else { "actors" };
        return Err(format!(
            "{count} {actors} outlived the test: {rule}\n{left}"
        ));
    }
    if !hanging.is_empty() {
        return Err(format!("nodes do not shut down: {}", hanging.join(", ")));
    }
    match filters.lost() {
        lost if lost.is_empty() => Ok(()),
        lost => Err(lost.join("\n")),
    }
}

/// Writes down the actors that a node still has.
fn actors(node: &Node, filters: &Filters, to: &mut String) -> usize {
    let actors = node.actors();
    for (pid, waiting, handled) in &actors {
        let at = filters.spawned_at(pid).map_or_else(
            || "somewhere".to_owned(),
            |at| format!("at {}:{}:{}", at.file(), at.line(), at.column()),
        );
        // Writing to a string does not fail.
        let _ = writeln!(
            to,
            "  {pid} spawned {at}, {handled} messages handled, {waiting} waiting"
        );
    }
    actors.len()
}
